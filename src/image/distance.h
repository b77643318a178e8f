/* Exact Euclidean distance transforms (Felzenszwalb and Huttenlocher 2012). */
#ifndef D4M_IMAGE_DISTANCE_H
#define D4M_IMAGE_DISTANCE_H

#include "base/err.h"
#include <stdint.h>

/* square: dims voxels, x fastest, axes perpendicular with this spacing (mm). On entry 0 at the voxels that
 * are measured from and INFINITY elsewhere; on return the squared distance to the nearest of them, mm^2
 * (INFINITY if there are none). The same for any thread count. */
MUST_USE enum err distance_squared(float *square, const int64_t dims[3], const double spacing[3]);

/* out: millimetres to the surface of a mask (voxels that are not 0 are set), < 0 inside: from a voxel's
 * centre to that of the nearest voxel of the other kind, less half the smallest spacing. -INFINITY and
 * INFINITY where there is no such voxel. Holds one float a voxel more. */
MUST_USE enum err distance_signed(float *out, const uint8_t *mask, const int64_t dims[3],
                                  const double spacing[3]);

#endif
