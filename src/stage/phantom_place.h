/* Where a phantom grows: in OUT/.phantom, so that nothing appears in OUT before everything is there. What is
 * complete is then moved to its place, step by step so that a run that is killed between two of them can be
 * taken up again: `ready.json` is the new dataset.json and says that all cases are made; `replaced.json` is
 * the one of a phantom whose files have to go first. */
#ifndef D4M_STAGE_PHANTOM_PLACE_H
#define D4M_STAGE_PHANTOM_PLACE_H

#include "base/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum phantom_folder { IMAGES_TR, LABELS_TR, IMAGES_TS, LABELS_TS, TRUTH, PHANTOM_FOLDERS };
enum phantom_note { DATASET, READY, REPLACED, MAKING, LOCK, PHANTOM_NOTES };

struct phantom_place {
    const char *out;
    char *work; /* OUT/.phantom */
    char
        *note[PHANTOM_NOTES]; /* OUT/dataset.json; in work: what stands above, what is being made, the lock */
    size_t made;              /* length of the first folder on the way to `out` that was not there; 0: none */
    bool complete;            /* all cases are made, and from now on only going on leads anywhere */
    int lock;
};
/* Looks at `out` and makes the work folder. `what` is what will be made: if the folder holds the beginning of
 * the same, it goes on from there, else that is deleted. ERR_USAGE if out is not empty, or with `force` not a
 * phantom; ERR_OUTPUT if another run holds it. */
MUST_USE enum err phantom_place_open(struct phantom_place *p, const char *out, const json_t *what,
                                     bool force);
/* Path of a file in the work folder; mem_free, NULL on exhaustion. */
char *phantom_place_path(const struct phantom_place *p, enum phantom_folder f, const char *name);
/* Moves everything into `out`, in the place of what a phantom left there (files of other names stay), and
 * dataset.json last. */
MUST_USE enum err phantom_place_commit(struct phantom_place *p, const json_t *dataset);
/* keep: leave the work folder for the next run; else nothing stays. Accepts a zeroed struct. */
void phantom_place_close(struct phantom_place *p, bool keep);

#endif
