/* One interpolation of a moving volume from its own voxels onto another grid (registration.md, section 9). */
#ifndef D4M_ALIGN_WARP_H
#define D4M_ALIGN_WARP_H

#include "align/mapper.h"

enum warp_how {
    WARP_LINEAR,  /* HU, trilinear */
    WARP_CUBIC,   /* HU, cubic B-spline through the voxels, within the range of the 64 voxels it is made of */
    WARP_NEAREST, /* labels: the nearest voxel's */
    WARP_LABELS,  /* labels: the one with the largest sum of trilinear weights; the smallest of equals */
};
extern const char *const warp_how_names[]; /* "linear", "cubic", "nearest", "labels", NULL */

enum { WARP_OUTSIDE_HU = -1024, WARP_OUTSIDE_LABEL = 0 };

/* Voxel x of `to` gets in's value at t(x). */
struct warp {
    const struct transform *t;
    const struct volume *in; /* int16 HU; uint8 labels for the last two ways */
    const struct grid *to;
    enum warp_how how;
};
/* *out: of in's type on w->to. A voxel whose t(x) lies outside in's field of view (the box of its voxels,
 * half a voxel beyond their centres) is -1024 HU or label 0. *valid, unless NULL: uint8, 1 inside that box, 0
 * outside. Cut by slices of `to`: the same bytes for any thread count. Memory beside the volumes: WARP_CUBIC
 * takes 4 bytes a voxel of `in`. Counts of poor ground are added to *tally. */
MUST_USE enum err warp_volume(struct volume **out, struct volume **valid, const struct warp *w,
                              struct mapper_tally *tally);

/* Determinant of the transform's Jacobian at every voxel of `to`, float32: central differences between
 * neighbouring voxels, one-sided at the border; an axis with one voxel is differenced over its spacing. */
MUST_USE enum err warp_jacobian(struct volume **out, const struct transform *t, const struct grid *to,
                                struct mapper_tally *tally);

#endif
