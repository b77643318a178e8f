/* The training loop of a segmenter: steps, validation with pseudo-Dice, log, checkpoints, resume. The weights
 * are a function of plan, seed and data alone: not of threads, instruction set, or of where the run was
 * interrupted. */
#ifndef D4M_TRAIN_TRAINER_H
#define D4M_TRAIN_TRAINER_H

#include "base/progress.h"
#include "data/loader.h"
#include "graph/kernel.h"
#include <stdatomic.h>

struct trainer_options {
    const struct plan *plan;
    struct prepared *const *train, *const *val;
    size_t trains, vals;
    const char *const *class_name; /* plan->classes names, background first */
    const char *folder; /* for model.safetensors, plan.json, log.jsonl, progress.png, checkpoint/ */
    const struct backend *backend;
    uint64_t memory_max; /* bytes, 0: no limit */
    bool force;          /* start over even if the folder holds a run */
    const struct progress *progress;
    atomic_int *stop;
};

/* Goes on from folder/checkpoint if that is there and of the same plan; a finished run is left as it is.
 * ERR_STOPPED after the stop flag, with a valid checkpoint; ERR_INTERNAL when a loss or gradient is not
 * finite, naming the op. */
MUST_USE enum err trainer_run(const struct trainer_options *o);

#endif
