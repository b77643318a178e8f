/* Binary morphology on uint8 masks (x fastest, voxels that are not 0 are set): components and holes.
 * All are linear in the number of voxels whatever the shape or the radius, serial, and the same on
 * every machine. */
#ifndef D4M_IMAGE_MORPH_H
#define D4M_IMAGE_MORPH_H

#include "base/err.h"
#include <stdint.h>

/* Which voxels are neighbours: those sharing a face, or a face, edge or corner. */
enum neighbours { FACES = 6, CORNERS = 26 };

struct components {
    int32_t
        *label;    /* of every voxel: 0 not set, else 1..count in the order of the components' first voxels */
    int64_t *size; /* voxels with that label, [0..count] */
    int32_t count;
};
/* Freed with components_free, which accepts a zeroed struct. */
MUST_USE enum err components_find(struct components *out, const uint8_t *mask, const int64_t dims[3],
                                  enum neighbours n);
void components_free(struct components *c);

/* Clears all but the largest component (of equals the one with the first voxel); kept voxels keep their
 * value. */
MUST_USE enum err morph_keep_largest(uint8_t *mask, const int64_t dims[3], enum neighbours n);
/* Sets to 1 what is not set and not connected by faces to the volume's border; an axis of length 1 has no
 * border, so that the holes of a single slice are those in its plane. */
MUST_USE enum err morph_fill_holes(uint8_t *mask, const int64_t dims[3]);

#endif
