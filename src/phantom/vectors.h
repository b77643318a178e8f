/* A vector field in patient space on a lattice whose nodes lie at whole multiples of its step, so that what
 * it holds at a point does not depend on how far it reaches. */
#ifndef D4M_PHANTOM_VECTORS_H
#define D4M_PHANTOM_VECTORS_H

#include "base/err.h"
#include "phantom/phantom.h"
#include <stdbool.h>

struct vectors {
    int64_t size[3]; /* nodes, at least 2 along an axis */
    double step;     /* mm */
    double lo[3];    /* mm, of node 0 */
    float *node;     /* [z][y][x][3], and two numbers more that readers may touch */
};

/* An empty field that covers lo..hi (mm). vectors_free accepts NULL. */
MUST_USE enum err vectors_new(struct vectors **out, const double lo[3], const double hi[3], double step);
void vectors_free(struct vectors *v);
/* Fills the field, up to BLOCK_MAX nodes of a row at a time, in parallel: give gets their positions and
 * writes the values over them. */
void vectors_fill(struct vectors *v, void (*give)(void *ctx, struct points *p, int n), void *ctx);
/* Trilinear values at p; beyond the lattice the value of its border. p and out may be the same; up to seven
 * places of out beyond n are overwritten. */
void vectors_read(const struct vectors *v, const struct points *p, int n, struct points *out);
bool vectors_hold(const struct vectors *v, float x, float y, float z); /* whether the lattice reaches there */

#endif
