/* Affine maps of three coordinates, in double: x -> M x + t as three rows of four. */
#ifndef D4M_ALIGN_AFFINE_H
#define D4M_ALIGN_AFFINE_H

#include "volume/volume.h"

struct affine {
    double m[3][4];
};

struct affine affine_identity(void);
/* Voxel index -> mm (RAS) of a grid. */
struct affine affine_of_grid(const struct grid *g);
/* y may be x. */
void affine_apply(const struct affine *a, const double x[3], double y[3]);
/* The linear part alone: a direction. y may be x. */
void affine_turn(const struct affine *a, const double x[3], double y[3]);
/* x -> next(first(x)) */
struct affine affine_then(const struct affine *first, const struct affine *next);
double affine_det(const struct affine *a); /* of the linear part */
/* ERR_INPUT if a is singular or not finite. out may be a. */
MUST_USE enum err affine_invert(struct affine *out, const struct affine *a);

#endif
