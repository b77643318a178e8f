/* Smooth noise of unit variance (phantom.md section 3): a periodic 64^3 lattice of normals, Gaussian-filtered
 * (wrapping), divided by its standard deviation, read trilinearly. */
#ifndef D4M_PHANTOM_NOISE_H
#define D4M_PHANTOM_NOISE_H

#include "base/err.h"
#include "phantom/phantom.h"

enum { NOISE_SIDE = 64 };

struct noise {
    float *node; /* [z][y][x]; every row ends with its first node again */
    float step;  /* mm between nodes */
};
/* Normals come from r by index; sigma in nodes. The same for any thread count. */
MUST_USE enum err noise_make(struct noise *out, struct rng r, double step, double sigma);
void noise_free(struct noise *z);

/* out[i] = N(scale * p_i), the lattice moved by `offset` nodes along all axes; 1, 0 is the plain reading. Any
 * finite coordinates within 2^31 nodes. */
void noise_read(const struct noise *z, const struct points *p, int n, float scale, float offset, float *out);

/* Three independent fields of one step, read together: a random vector field. */
struct noise3 {
    float *node; /* [z][y][x][3], rows as above */
    float step;
};
/* r[c] draws component c, which is noise_make's lattice of r[c]. */
MUST_USE enum err noise3_make(struct noise3 *out, const struct rng r[3], double step, double sigma);
void noise3_free(struct noise3 *z);
/* The values at p; p and out may be the same. Up to seven places of out beyond n are overwritten. */
void noise3_read(const struct noise3 *z, const struct points *p, int n, struct points *out);

#endif
