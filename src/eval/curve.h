/* The training curve: what a run's log.jsonl says per epoch, drawn as progress.png and as inline SVG. One
 * JSON object a line; known keys are epoch, train_loss, val_loss, dice (array or object, a number or null per
 * class), lr, seconds_load, seconds_augment, seconds_compute. A run that was resumed logs an epoch again: the
 * later line counts. */
#ifndef D4M_EVAL_CURVE_H
#define D4M_EVAL_CURVE_H

#include "base/err.h"
#include "base/note.h"
#include "base/str.h"
#include <stddef.h>

enum { CURVE_CLASSES = 8 };
enum curve_key {
    CURVE_EPOCH,
    CURVE_TRAIN,
    CURVE_VAL,
    CURVE_LR,
    CURVE_LOAD,
    CURVE_AUGMENT,
    CURVE_COMPUTE,
    CURVE_DICE, /* of the first class; then the others */
    CURVE_KEYS = CURVE_DICE + CURVE_CLASSES
};

struct curve {
    size_t count, room;        /* epochs */
    double *value[CURVE_KEYS]; /* [key][i]; NAN where the log does not say */
    int classes;
    char class_name[CURVE_CLASSES][40]; /* "class 1" ... for an array; the keys of an object */
};

/* ERR_USAGE if the file cannot be read. Lines that are no object are noted and skipped; a last line that was
 * cut off is not. */
MUST_USE enum err curve_read(struct curve *out, const char *path, struct notes *notes);
/* The same from text in memory; `what` names it in notes. */
MUST_USE enum err curve_parse(struct curve *out, const char *text, size_t size, const char *what,
                              struct notes *notes);
void curve_free(struct curve *c); /* accepts a zeroed struct */

/* Loss, pseudo Dice, seconds per epoch and learning rate, two by two, 1200 x 800 pixels; atomic. */
MUST_USE enum err curve_save(const struct curve *c, const char *path);
/* The same panels as <svg> elements; panels without data are left out. */
void curve_svg(const struct curve *c, struct str *html);

#endif
