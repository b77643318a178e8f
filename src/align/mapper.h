/* A transform made ready for evaluation: velocities are exponentiated once, neighbouring affines are one.
 * Lattices are interpolated trilinearly and replicated beyond their border; an inverse is solved by Newton's
 * method from a first guess (of a velocity v: exp(-v)), so that it undoes the forward map to a few
 * micrometres. */
#ifndef D4M_ALIGN_MAPPER_H
#define D4M_ALIGN_MAPPER_H

#include "align/transform.h"

struct mapper;
enum { MAPPER_ROW = 128 };

/* p -> post(t(pre(p))): pre takes the caller's coordinates (say, voxel indices) to fixed mm, post takes
 * moving mm to the caller's; NULL leaves mm. ERR_INPUT if a lattice's geometry is singular. t may be freed
 * before the mapper. mapper_free accepts NULL. */
MUST_USE enum err mapper_new(struct mapper **out, const struct transform *t, const struct affine *pre,
                             const struct affine *post);
void mapper_free(struct mapper *m);

/* Points that were mapped on no good ground. */
struct mapper_tally {
    int64_t outside;  /* beyond the grid of a displacement field, where its border value was used */
    int64_t unsolved; /* the inverse was not found to 0.01 nodes: the field folds there */
};

/* Positions along axis c of start + i*step, i in 0..n-1, n <= MAPPER_ROW, into out[c][i]; adds to *tally. */
void mapper_row(const struct mapper *m, const double start[3], const double step[3], int n,
                double out[3][MAPPER_ROW], struct mapper_tally *tally);
void mapper_point(const struct mapper *m, const double x[3], double y[3], struct mapper_tally *tally);

#endif
