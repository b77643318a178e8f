/* Prediction of a whole case by overlapping windows (seg-nnunet.md section 12): Gaussian-weighted logits,
 * windows in the order of slices, so that only as many slices as a patch is deep are held. Each finished
 * slice is handed on and forgotten. The result is the same for any number of threads and any number of
 * windows at a time. */
#ifndef D4M_DATA_SLIDING_H
#define D4M_DATA_SLIDING_H

#include "data/source.h"

struct sliding {
    int64_t patch[3]; /* D, H, W */
    int64_t classes, batch;
    bool mirror; /* mean of the logits over all eight flips */
    /* The network: patch (B, D, H, W, C) -> logits (B, D, H, W, K). B is always `batch`; what is over is
     * zero. */
    enum err (*forward)(void *ctx, const float *patch, float *logits);
    void *forward_ctx;
    /* Takes slice z of the case, 0, 1, 2, ... in order; logits (H, W, K) are gone when it returns. */
    enum err (*slice)(void *ctx, int64_t z, const float *logits);
    void *slice_ctx;
    void (*progress)(void *ctx, int64_t done, int64_t total); /* patches through the network; may be NULL */
    void *progress_ctx;
};

/* An error of a callback ends the run and is returned. Logits that are not finite: ERR_MODEL. */
MUST_USE enum err sliding_run(const struct source *s, const struct sliding *o);
/* Bytes that sliding_run allocates for a case of `size` (D, H, W), the callbacks' own not included. */
uint64_t sliding_bytes(const int64_t size[3], int64_t channels, const struct sliding *o);
/* How many patches go through the network. */
int64_t sliding_patches(const int64_t size[3], const struct sliding *o);

/* Where windows start on an axis of n >= patch voxels: returns how many; position may be NULL, else has room
 * for that. */
int64_t sliding_positions(int64_t n, int64_t patch, int64_t *position);
/* The weight of every voxel of a window, (D, H, W): values of half precision, as in the reference. */
void sliding_importance(const int64_t patch[3], float *map);

#endif
