/* Bringing volumes onto another grid: to another spacing in the same box (resample_to_spacing), or through
 * both affines onto a grid that lies elsewhere (resample_hu, resample_labels). All results are the same for
 * any thread count. */
#ifndef D4M_IMAGE_RESAMPLE_H
#define D4M_IMAGE_RESAMPLE_H

#include "image/resize.h"
#include "volume/volume.h"

/* nnU-Net's rule for data: cubic, but linear along the coarse axis where one spacing exceeds three times
 * another (the current spacing decides, else the new one; no axis if two share the maximum). Fills order;
 * spacings in mm. */
void resize_orders(const double spacing[3], const double spacing_new[3], enum resize_order order[3]);
/* The grid of g's physical box at about `spacing` mm: round-half-even(n * old / new) samples an axis, at
 * least one. The true spacing is box / samples. ERR_INPUT for a box or a count that no CT has (over 5 m, over
 * 32767 samples). */
MUST_USE enum err resize_grid(struct grid *out, const struct grid *g, const double spacing[3]);
/* v (int16: resize_orders; uint8: label-wise linear) on the grid that resize_grid gives for it; a copy where
 * dims are equal. */
MUST_USE enum err resample_to_spacing(struct volume **out, const struct volume *v, const double spacing[3]);
/* Bytes that it takes for HU beside both volumes; to: what resize_grid makes of from. */
uint64_t resample_bytes(const struct grid *from, const struct grid *to);

enum { RESAMPLE_FILL_HU = -1024 };

/* HU on another grid, trilinear, RESAMPLE_FILL_HU outside the source's field of view (the box of its voxels,
 * borders included). A copy if the grids are the same (grid_same). How much lies inside: grid_overlap. */
MUST_USE enum err resample_hu(struct volume **out, const struct volume *v, const struct grid *to);
/* Trilinear value of an int16 volume at a fractional index; NAN more than half a voxel outside. */
double resample_at(const struct volume *v, const double index[3]);
/* Labels (uint8) on another grid: nearest voxel, 0 outside. */
MUST_USE enum err resample_labels(struct volume **out, const struct volume *v, const struct grid *to);
#endif
