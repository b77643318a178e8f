/* Compares a folder of predicted label maps with a folder of references, in physical space. Rules:
 * input-rules.md, "Evaluation". */
#ifndef D4M_STAGE_EVALUATE_H
#define D4M_STAGE_EVALUATE_H

#include "base/command.h"
#include "base/note.h"
#include "eval/score.h"

struct evaluate_options {
    const char *pred, *ref; /* folders of CASE.nii.gz or CASE.nii, or single files */
    const char *map;        /* label mapping for both sides ("255=2"), or NULL */
    enum empty_policy policy;
};

struct evaluate_result {
    struct evaluation *scores;
    char **extra; /* names of predictions without a reference */
    size_t extras;
};

/* Scores every case of the reference. Label names come from the dataset.json in or above the reference
 * folder, else they are liver and tumour. A case without a prediction is scored as empty and noted; a
 * prediction without a reference is noted. ERR_INPUT: another grid, an unknown label, no case at all;
 * ERR_USAGE: a path cannot be read. */
MUST_USE enum err evaluate_run(struct evaluate_result *out, const struct evaluate_options *o,
                               struct notes *notes);
void evaluate_free(struct evaluate_result *r); /* accepts a zeroed struct */

extern const struct command cmd_evaluate;

#endif
