/* A stationary velocity field on a lattice, and its exponential (registration.md, section 7). */
#ifndef D4M_ALIGN_VELOCITY_H
#define D4M_ALIGN_VELOCITY_H

#include "align/affine.h"

struct velocity {
    int64_t size[3];        /* nodes along x, y, z, x fastest */
    struct affine to_world; /* node index -> RAS mm */
    float *v;               /* 3 per node: velocity in nodes along the lattice's axes */
    int squarings;          /* S of scaling and squaring */
};

int64_t velocity_nodes(const struct velocity *v);
/* The least S >= least with max|v| / 2^S <= 0.5 nodes (at most 20). */
int velocity_squarings(const struct velocity *v, int least);
/* phi = exp(sign*v) - identity, 3 per node, in nodes: w = sign*v/2^S, S times w(x) <- w(x) + w(x + w(x)).
 * Trilinear, replicated borders. phi and work are two blocks of 3*nodes floats beside v->v. The same bits
 * for any thread count. */
void velocity_exp(const struct velocity *v, double sign, float *phi, float *work);

/* Trilinear value of a 3-per-node lattice function at node position p, replicated borders. */
void lattice_at(const float *u, const int64_t size[3], const float p[3], float out[3]);

#endif
