/* One training step of a segmenter as a graph: forward, deep-supervision loss, gradients, clipping, update.
 */
#ifndef D4M_TRAIN_STEP_H
#define D4M_TRAIN_STEP_H

#include "nets/nnunet.h"
#include "nn/optim.h"
#include "ops/ops.h"

struct step_options {
    const struct nnunet *net;
    int64_t batch, patch[3];
    struct dice_ce loss;
    struct optim optim; /* kind, momentum, decay, clip; its values are filled in here */
};

/* Builds the step in m's graph. Inputs, all of the graph's type: "image" (N,D,H,W,C), "labels" (N,D,H,W,1)
 * class indices, "lr" (scalar), and for AdamW "step" (scalar, from 1). Outputs, scalars: "loss", "norm" (of
 * the gradients before clipping) and "finite" (0: the step changed nothing). Errors latch in the graph. */
void step_build(struct nn *m, const struct step_options *o);

#endif
