/* Batches for training and validation, made ahead by background threads. Batch `step` is a pure function of
 * (seed, step): neither the number of threads nor where a run was resumed changes a bit of it. All memory is
 * taken when the loader is made, so its threads cannot fail. */
#ifndef D4M_DATA_LOADER_H
#define D4M_DATA_LOADER_H

#include "data/places.h"

struct batch {
    int64_t n, patch[3] /* D, H, W */, channels;
    float *image; /* (N, D, H, W, C) */
    float *label; /* (N, D, H, W, 1), class index */
    int64_t step;
    double seconds_load, seconds_augment; /* spent by the thread that made it */
};

struct loader_options {
    const struct plan *plan;      /* copied */
    struct prepared *const *item; /* prepared cases with labels; borrowed, must outlive the loader */
    size_t count;
    bool validation; /* no augmentation, and other draws than in training */
    int threads;     /* 0: one */
    uint64_t bytes; /* budget for batches and scratch; 0: 1 GiB. Two batches and one thread are always made */
    uint64_t seed;
    int64_t first; /* the first step that will be asked for */
};

/* Bytes that the loader's batches and scratch take. */
uint64_t loader_bytes(const struct loader_options *o);
struct loader;
/* Finds the classes' voxels (in parallel over cases) and starts the threads. */
MUST_USE enum err loader_new(struct loader **out, const struct loader_options *o);
/* Waits for the batch of `step`; steps are asked for in ascending order, some may be left out. It is the
 * caller's until loader_give. */
MUST_USE enum err loader_take(struct loader *l, int64_t step, struct batch **out);
void loader_give(struct loader *l, struct batch *b);
void loader_free(struct loader *l); /* at any moment; batches that were not given back go too */

#endif
