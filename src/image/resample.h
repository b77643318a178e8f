/* Bringing voxels onto another grid. `resize_*` changes the number of samples along the axes of an array, edges on edges
 * (nnU-Net's primitive, spec/seg-nnunet.md section 5.3); `resample_*` carries a volume onto another grid through both affines.
 * All results are the same for any thread count. Arrays are (x, y, z) with x fastest, like volumes. */
#ifndef D4M_IMAGE_RESAMPLE_H
#define D4M_IMAGE_RESAMPLE_H

#include "volume/volume.h"

enum resize_order {
    RESIZE_NEAREST = 0,
    RESIZE_LINEAR = 1,
    RESIZE_CUBIC = 3, /* interpolating cubic B-spline */
};

/* A change of size. With cubic axes the result is clipped to the range of the input over the cubic axes: of the whole array
 * if all three are cubic, of each slice if one axis has a lower order (nnU-Net's separate mode). At least two axes have the
 * same order. */
struct resize {
    int64_t from[3], to[3]; /* samples along x, y, z; all >= 1 */
    enum resize_order order[3];
};

/* in: from[0]*from[1]*from[2] values, out: to[0]*to[1]*to[2]. Arithmetic in double; int16 rounds half to even. */
MUST_USE enum err resize_f64(const struct resize *r, const double *in, double *out);
MUST_USE enum err resize_i16(const struct resize *r, const int16_t *in, int16_t *out);
/* Labels: for each label in ascending order the linear resize of its 0/1 mask; the label is written where that is >= 0.5, later
 * ones overwrite, 0 where none reaches. A cubic axis counts as linear. */
MUST_USE enum err resize_labels(const struct resize *r, const uint8_t *in, uint8_t *out);
/* Sample k of m along an axis of n: (1 - *weight) * in[*low] + *weight * in[*high]. */
void resize_linear_tap(int64_t n, int64_t m, int64_t k, int64_t *low, int64_t *high, double *weight);

/* nnU-Net's rule for data: cubic, but linear along the coarse axis where one spacing exceeds three times another (the current
 * spacing decides, else the new one; no axis if two share the maximum). Fills order; spacings in mm. */
void resize_orders(const double spacing[3], const double spacing_new[3], enum resize_order order[3]);
/* The grid of g's physical box at about `spacing` mm: round-half-even(n * old / new) samples an axis, at least one. The true
 * spacing is box / samples. ERR_INPUT for a box or a count that no CT has (over 5 m, over 32767 samples). */
MUST_USE enum err resize_grid(struct grid *out, const struct grid *g, const double spacing[3]);
/* v (int16: resize_orders; uint8: label-wise linear) on the grid that resize_grid gives for it; a copy where dims are equal. */
MUST_USE enum err resample_to_spacing(struct volume **out, const struct volume *v, const double spacing[3]);

enum { RESAMPLE_FILL_HU = -1024 };

/* HU on another grid, trilinear, RESAMPLE_FILL_HU outside the source's field of view (the box of its voxels, borders included). A
 * copy if the grids are the same (grid_same). *inside, if not NULL: share of the target's voxels inside the field of view. */
MUST_USE enum err resample_hu(struct volume **out, const struct volume *v, const struct grid *to, double *inside);
/* Labels (uint8) on another grid: nearest voxel, 0 outside. */
MUST_USE enum err resample_labels(struct volume **out, const struct volume *v, const struct grid *to);
/* uint8 volume on `to`: 1 where a voxel centre lies inside from's field of view, else 0. */
MUST_USE enum err resample_valid(struct volume **out, const struct grid *from, const struct grid *to);
/* The share that resample_hu reports, from the grids alone. */
MUST_USE enum err resample_overlap(double *inside, const struct grid *from, const struct grid *to);

#endif
