/* Where a sample point of a phase looks in the patient (phantom.md section 9). The portal venous phase sees
 * patient space itself; in the others breathing moves the visceral layer and the wall, and the dial adds a
 * flow to the visceral one. */
#ifndef D4M_PHANTOM_MOTION_H
#define D4M_PHANTOM_MOTION_H

#include "base/err.h"
#include "phantom/noise.h"
#include "phantom/phantom.h"
#include "volume/volume.h"
#include <stdbool.h>

struct motion_options {
    double breath, dial; /* mm */
    double scale;        /* the body's: landmarks of the motion move with it, millimetres stay */
    struct liver liver;
    /* semi-real: distance to the skin (mm, < 0 inside) over whose last 30 mm breathing fades; NULL: none,
     * two layers */
    void (*skin)(const void *ctx, const struct points *y, int n, float *d);
    const void *skin_ctx;
};

struct vectors; /* a lattice of vectors, motion.c */
struct motion {
    bool still;         /* p = y everywhere: by code path, not by zeros */
    double amplitude;   /* A, mm */
    double rotation[3]; /* radian */
    double shift[3];    /* s, mm */
    double residual;    /* 1.8, or 0 */
    double scale;
    struct noise3 wobble; /* (N,N,N)_b */
    struct vectors *flow; /* kappa u on a 6 mm lattice; NULL at dial 0 */
    int steps;            /* K */
    struct vectors *map;  /* p(y) - y on a 2 mm lattice over the phase's box: what is rendered */
    struct motion_options options;
};
/* Streams `motion/p`, `dial/p`. box: the phase's grid; the map covers it and what the truth asks for. */
MUST_USE enum err motion_make(struct motion *out, const struct phantom_id *id, int phase,
                              const struct motion_options *o, const struct grid *box);
void motion_free(struct motion *m);

/* p(y): what is rendered, i.e. the interpolant of the map where there is one. y and p may be the same. */
void motion_visceral(const struct motion *m, const struct points *y, int n, struct points *p);
void motion_wall(const struct motion *m, const struct points *y, int n, struct points *q);
/* T(x): the sample point that sees patient point x; the inverse of motion_visceral to 1e-3 mm. */
void motion_truth(const struct motion *m, const struct points *x, int n, struct points *y);
/* Displacement T(x) - x as a nifti vector image on a 4 mm lattice over `fixed` (the portal venous grid),
 * written to path (NIfTI 5-D, intent 1007). */
MUST_USE enum err motion_write_field(const struct motion *m, const struct grid *fixed, const char *path);
/* Mean and 95th percentile of |T(x) - x| over the liver, on its 4 mm lattice; mm. */
MUST_USE enum err motion_in_liver(const struct motion *m, double *mean, double *p95);

#endif
