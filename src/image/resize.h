/* Changing the number of samples along the axes of an array, edges on edges: nnU-Net's resize primitive
 * (seg-nnunet.md section 5.3). Arrays are (x, y, z) with x fastest, like volumes. Results do not depend
 * on the thread count. */
#ifndef D4M_IMAGE_RESIZE_H
#define D4M_IMAGE_RESIZE_H

#include "base/err.h"
#include <stdint.h>

enum resize_order {
    RESIZE_NEAREST = 0,
    RESIZE_LINEAR = 1,
    RESIZE_CUBIC = 3, /* interpolating cubic B-spline */
};

/* A change of size. With cubic axes the result is clipped to the range of the input over the cubic axes: of
 * the whole array if all three are cubic, of each slice if one axis has a lower order (nnU-Net's separate
 * mode). At least two axes have the same order. */
struct resize {
    int64_t from[3], to[3]; /* samples along x, y, z; all >= 1 */
    enum resize_order order[3];
};

/* in: from[0]*from[1]*from[2] values, out: to[0]*to[1]*to[2]. Arithmetic in double; int16 rounds half to
 * even. */
MUST_USE enum err resize_f64(const struct resize *r, const double *in, double *out);
MUST_USE enum err resize_i16(const struct resize *r, const int16_t *in, int16_t *out);
/* Working memory of these two, in bytes: it grows with a slice and the threads, not with the number of
 * slices. */
uint64_t resize_bytes(const struct resize *r);
/* Labels: for each label in ascending order the linear resize of its 0/1 mask; the label is written where
 * that is >= 0.5, later ones overwrite, 0 where none reaches. A cubic axis counts as linear. */
MUST_USE enum err resize_labels(const struct resize *r, const uint8_t *in, uint8_t *out);
/* Sample k of m along an axis of n: (1 - *weight) * in[*low] + *weight * in[*high]. */
void resize_linear_tap(int64_t n, int64_t m, int64_t k, int64_t *low, int64_t *high, double *weight);
/* The sample that RESIZE_NEAREST takes. */
int64_t resize_nearest_tap(int64_t n, int64_t m, int64_t k);

#endif
