/* Many standard normals at once: the numbers of base/rng (Philox), eight at a time, through Box and Muller's
 * transform in float. */
#ifndef D4M_PHANTOM_NORMALS_H
#define D4M_PHANTOM_NORMALS_H

#include "base/rng.h"

enum { NORMALS_BATCH = 1024 }; /* a batch is a function of (seed, stream, its number) */

/* out[i], i < n: element i % NORMALS_BATCH of batch i / NORMALS_BATCH of r's seed and stream (its index does
 * not matter). From exact float operations alone: the same on every machine; right to 1e-6 (relative) of the
 * real transform, at most 5.77. */
void normals_fill(struct rng r, int64_t n, float *out);

#endif
