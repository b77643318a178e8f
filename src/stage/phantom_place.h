/* Where a phantom grows: in OUT/.phantom, so that nothing appears in OUT before everything is there. */
#ifndef D4M_STAGE_PHANTOM_PLACE_H
#define D4M_STAGE_PHANTOM_PLACE_H

#include "base/err.h"
#include <jansson.h>
#include <stdbool.h>

enum phantom_folder { IMAGES_TR, LABELS_TR, IMAGES_TS, LABELS_TS, TRUTH, PHANTOM_FOLDERS };

struct phantom_place {
    const char *out;
    char *work, *record; /* OUT/.phantom and the file in it that says what is being made */
    bool made;           /* OUT was not there before */
    int lock;
};
/* Looks at `out` and makes the work folder. `what` is what will be made: if the folder holds the beginning of
 * the same, it goes on from there, else that is deleted. ERR_USAGE if out is not empty, or with `force` not a
 * phantom; ERR_OUTPUT if another run holds it. */
MUST_USE enum err phantom_place_open(struct phantom_place *p, const char *out, const json_t *what,
                                     bool force);
/* Path of a file in the work folder; mem_free, NULL on exhaustion. */
char *phantom_place_path(const struct phantom_place *p, enum phantom_folder f, const char *name);
/* Moves everything into `out`, over what a phantom left there, and writes dataset.json last. */
MUST_USE enum err phantom_place_commit(struct phantom_place *p, const json_t *dataset);
/* keep: leave the work folder for the next run; else nothing stays. Accepts a zeroed struct. */
void phantom_place_close(struct phantom_place *p, bool keep);

#endif
