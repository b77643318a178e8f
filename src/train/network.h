/* From a plan to its network and programs: what training, validation and prediction share. */
#ifndef D4M_TRAIN_NETWORK_H
#define D4M_TRAIN_NETWORK_H

#include "data/plan.h"
#include "graph/program.h"
#include "nets/nnunet.h"
#include "nn/optim.h"

void network_of_plan(struct nnunet *o, const struct plan *p);

/* The programs of a segmenter over one store. */
struct network {
    struct nnunet net;
    struct nn *nn; /* parameters, in the order of the training or forward graph */
    struct store *store;
    struct program_arena *arena; /* of all its programs: one runs at a time */
    /* inputs image, labels, lr [, step]; outputs loss, norm, finite; NULL for prediction */
    struct program *step;
    /* inputs image, labels; outputs loss, counts (K - 1, 3): TP, FP, FN per foreground class */
    struct program *check;
    struct program *forward; /* input image; output logits, full resolution; NULL for training */
};

/* Training: step and check. All parameters are initialised from the plan's seed. */
MUST_USE enum err network_for_training(struct network *n, const struct plan *p, const struct compile *c);
/* Prediction of `batch` patches at once; the store stays zero until weights are loaded. */
MUST_USE enum err network_for_prediction(struct network *n, const struct plan *p, int64_t batch,
                                         const struct compile *c);
uint64_t network_bytes(
    const struct network *n); /* its programs' arena and all its tensors, inputs not included */
void network_free(struct network *n);

MUST_USE enum err network_load(struct network *n, const char *path); /* model.safetensors */
/* with the plan in its metadata */
MUST_USE enum err network_save(const struct network *n, const struct plan *p, const char *path);

#endif
