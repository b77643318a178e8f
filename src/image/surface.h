/* How far the surfaces of two masks lie apart. */
#ifndef D4M_IMAGE_SURFACE_H
#define D4M_IMAGE_SURFACE_H

#include "base/err.h"
#include <stdint.h>

/* In mm, from every surface voxel of one mask to the nearest of the other, both ways. */
struct surface_distance {
    int64_t voxels[2]; /* of each mask */
    double dice;       /* NAN if both are empty */
    double mean;       /* over the surface voxels of both masks */
    double p95;        /* the larger of the two ways' 95th percentiles (between order statistics: linear) */
    double most;       /* Hausdorff distance */
};

/* Masks (voxels that are not 0 are set) of dims voxels, x fastest, axes perpendicular with this spacing (mm).
 * A surface voxel is one that is set with a face neighbour that is not, or none because the volume ends.
 * Distances are NAN if a mask is empty. Exact (Felzenszwalb and Huttenlocher 2012); about 8 bytes a voxel of
 * the box around both masks. */
MUST_USE enum err surface_compare(struct surface_distance *out, const uint8_t *a, const uint8_t *b,
                                  const int64_t dims[3], const double spacing[3]);

#endif
