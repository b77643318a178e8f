/* Cubic B-spline interpolation of HU volumes (Unser 1999), mirrored at the outermost voxel centres. */
#ifndef D4M_IMAGE_SPLINE_H
#define D4M_IMAGE_SPLINE_H

#include "volume/volume.h"

/* Coefficients of an int16 volume, float32, one a voxel, mem_free; the recursive filter along x, y, z. */
MUST_USE enum err spline_coefficients(float **out, const struct volume *v);
/* The spline at voxel position p (clamped to the outermost centres), rounded, within the range of the 4 x 4 x
 * 4 voxels around it: interpolation makes no new extremes there. */
int16_t spline_at(const float *coefficient, const int16_t *voxel, const int64_t n[3], const double p[3]);

#endif
