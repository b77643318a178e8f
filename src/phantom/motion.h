/* Where a sample point of a phase looks in the patient (phantom.md section 9). The portal venous phase sees
 * patient space itself; in the others breathing moves the visceral layer and the wall, and the dial adds a
 * flow to the visceral one: p = Phi(B(y)), q = W(y).
 *
 * p is tabulated: it *is* the trilinear interpolant of Phi(B(y)) - y on the nodes at whole multiples of 2 mm,
 * everywhere. The nodes around a phase's grid are stored; elsewhere they are computed when asked for, so p
 * does not depend on the grid, and its inverse T is defined wherever it is asked for. */
#ifndef D4M_PHANTOM_MOTION_H
#define D4M_PHANTOM_MOTION_H

#include "base/err.h"
#include "phantom/liver.h"
#include "phantom/noise.h"
#include "phantom/phantom.h"
#include "phantom/vectors.h"
#include "volume/volume.h"
#include <stdbool.h>

struct motion_options {
    double breath, dial; /* mm */
    double scale;        /* the body's, k: the formulas' landmarks (60, 90, 40, -120, 190, -20, 120 mm) are k
                            times that; amplitudes, and the grain of the random fields, stay millimetres */
    double origin[3];    /* mm: where those landmarks are counted from; 0 in a procedural body */
    struct liver liver;
    /* semi-real: distance to the skin (mm, < 0 inside) over whose last 30 mm breathing fades, and the wall
     * moves with the rest; NULL: two layers */
    void (*skin)(const void *ctx, const struct points *y, int n, float *d);
    const void *skin_ctx;
};

struct motion {
    bool still;    /* p = q = y: by code path, not by zeros. So it is without breath and dial, and in PVP */
    bool breathes; /* breath > 0 */
    double amplitude;           /* A, mm: > 0: organs lie lower than in PVP */
    double rotation[3];         /* omega, radian */
    double shift[3];            /* s, mm */
    struct noise3 wobble;       /* (N,N,N)_b */
    struct vectors *flow;       /* kappa u; NULL at dial 0 */
    int steps;                  /* K */
    struct vectors *map;        /* p(y) - y; NULL if still */
    struct liver_points inside; /* the liver's 4 mm lattice */
    struct motion_options options;
};
/* Streams `motion`/p, `wobble`/3p .. 3p+2, and dial_make's. box: the phase's grid; nothing but time depends
 * on it. The liver's and the skin's ctx must live as long as the motion. */
MUST_USE enum err motion_make(struct motion *out, const struct phantom_id *id, int phase,
                              const struct motion_options *o, const struct grid *box);
void motion_free(struct motion *m);

/* p(y), 2 mm interpolant. y and p may be the same; up to seven places of p beyond n are overwritten. */
void motion_visceral(const struct motion *m, const struct points *y, int n, struct points *p);
/* q(y). y and q may be the same. */
void motion_wall(const struct motion *m, const struct points *y, int n, struct points *q);
/* T(x): the sample point that sees patient point x; the inverse of motion_visceral: p(T(x)) = x to 2e-4 mm
 * (5e-7 of the coordinates, where that is more). x and y may be the same. */
void motion_truth(const struct motion *m, const struct points *x, int n, struct points *y);
/* Writes T(x) - x at the nodes of a lattice along the axes of `fixed` (the portal venous grid), 4 mm apart,
 * the first on the first voxel and the last not before the last voxel: 5-D NIfTI vectors, float32,
 * millimetres towards R, A, S. Intent code 1007 (vector) says nothing of LPS or RAS; the intent name and
 * parameter are therefore those of a NiftyReg displacement field, which has these conventions: `d4m
 * transform` and reg_resample read it as it is. ITK takes components as LPS: turn the signs of x and y for a
 * DisplacementFieldTransform, which then maps portal venous points to points of the phase. */
MUST_USE enum err motion_write_field(const struct motion *m, const struct grid *fixed, const char *path);
/* Mean and 95th percentile of |T(x) - x| over the liver's 4 mm lattice; mm. */
MUST_USE enum err motion_in_liver(const struct motion *m, double *mean, double *p95);

#endif
