/* A trained segmenter that is ready to run on patches: what prediction and validation need to know of it. */
#ifndef D4M_STAGE_SEGMENTER_H
#define D4M_STAGE_SEGMENTER_H

#include "base/command.h"
#include "data/plan.h"

struct segmenter {
    struct plan plan;
    bool bf16;     /* it computes in bf16 */
    int64_t batch; /* patches at a time */
    /* patch (batch, D, H, W, phases) -> logits of full resolution (batch, D, H, W, classes) */
    enum err (*forward)(void *ctx, const float *patch, float *logits);
    void *ctx;
    uint64_t bytes; /* weights, activations and scratch that it holds */
};

/* precision: enum cpu_precision. cli's stop flag is polled between kernels. Opens a model: its folder
 * (model.safetensors with plan.json beside it) or its weight file. ERR_USAGE: not there; ERR_MODEL: weights
 * and plan do not fit each other or this program. */
MUST_USE enum err segmenter_open(struct segmenter **out, const char *path, int precision,
                                 const struct cli *cli);
void segmenter_close(struct segmenter *s); /* accepts NULL */

#endif
