/* Working images: a CT resampled onto an isotropic lattice along its own axes with a tent whose half width is
 * as wide as the coarser of both images' voxels, so that two images have one effective slice thickness
 * (registration.md section 2). */
#ifndef D4M_ALIGN_TENT_H
#define D4M_ALIGN_TENT_H

#include "align/lattice.h"
#include "volume/volume.h"

struct tent {
    double spacing;       /* mm between nodes, h */
    struct orient axes;   /* which stored axis of the image becomes lattice axis r, and which way round */
    double half_width[3]; /* mm along lattice axis r */
};

/* The image's grid in the order of `axes`: dims, spacing and affine permuted and flipped. */
struct grid tent_order(const struct grid *g, struct orient axes);
/* The order of g's axes that fits those of `like` best (grid_orient does this for the world's). */
struct orient tent_axes(const struct grid *g, const struct grid *like);
/* How g is resampled so that it can be compared with `other`: half widths max(spacing, own voxel, the other's
 * voxel seen along the axis). */
struct tent tent_plan(const struct grid *g, struct orient axes, const struct grid *other, double spacing);
/* HU of v (VOXEL_I16) at the nodes, clamped to [-500, 600]: *hu is freed with mem_free. The tent's weights
 * are corrected to first order, so that an affine function is reproduced, at the borders too. */
MUST_USE enum err tent_resample(struct lattice *at, float **hu, const struct volume *v, const struct tent *t);
/* Whether axes of two working lattices differ by more than 2 degrees. */
bool tent_oblique(const struct lattice *a, const struct lattice *b);
/* A working image, trilinear, on a lattice of the same spacing along `like`'s axes that holds all of it:
 * features compare neighbours along the axes, so both images must have them in common. *hu and *at are
 * replaced; *inside (mem_free): 1 where a node lies in the image, whose border values continue outside. */
MUST_USE enum err tent_turn(struct lattice *at, float **hu, uint8_t **inside, const struct lattice *like);

#endif
