/* A volume is voxels on a grid. Axes are (x, y, z), x fastest in memory. A grid maps voxel indices to
 * millimetres in NIfTI's world (R, A, S positive). Volumes own their voxels; volume_free accepts NULL. */
#ifndef D4M_VOLUME_VOLUME_H
#define D4M_VOLUME_VOLUME_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum voxel {
    VOXEL_U8,  /* labels and masks */
    VOXEL_I16, /* HU */
    VOXEL_F32,
};

struct grid {
    int64_t dims[3];
    double spacing[3];   /* mm, column lengths of affine */
    double affine[3][4]; /* index -> mm (RAS), rows x, y, z */
};

struct volume {
    struct grid grid;
    enum voxel type;
    void *data;                  /* dims[0]*dims[1]*dims[2] voxels, mem_new or a mapping (see nifti.h) */
    struct nifti_header *header; /* the file's geometry fields, carried into masks; NULL if made here */
    void *map;                   /* set when data lies in a read-only mapping */
    size_t map_size;
};

size_t voxel_size(enum voxel type);
int64_t grid_count(const struct grid *g); /* voxels */
/* A grid along RAS with the given spacing (mm) and the position (mm) of voxel (0,0,0). */
struct grid grid_make(const int64_t dims[3], const double spacing[3], const double origin[3]);
/* index (may be fractional) -> mm, and back */
void grid_world(const struct grid *g, const double index[3], double mm[3]);
MUST_USE enum err grid_invert(const struct grid *g, double inverse[3][4]); /* ERR_INPUT if singular */
/* Largest displacement over the eight corners, in voxels of a, if b's dims were laid on a; infinity if dims
 * differ. */
double grid_corner_shift(const struct grid *a, const struct grid *b);
/* The same, in mm. */
double grid_corner_distance(const struct grid *a, const struct grid *b);
/* The same physical grid up to 0.1 voxel at every corner (input-rules.md, Geometry). */
bool grid_same(const struct grid *a, const struct grid *b);
/* Share (0..1) of b's volume that lies in a's field of view (voxels reach half an index beyond their
 * centres). Exact along b's third axis, midpoint rule on 64 x 64 lines across the others. 0 if a is singular.
 */
double grid_overlap(const struct grid *a, const struct grid *b);
/* Unit spacing along the world's axes (either way round) from origin 0: what LiTS masks carry instead of a
 * geometry. */
bool grid_is_identity(const struct grid *g);

/* Which stored axis runs along R, A, S and in which direction: axis[r] in 0..2, flip[r] true if stored
 * against it. */
struct orient {
    int axis[3];
    bool flip[3];
};
struct orient grid_orient(const struct grid *g); /* closest permutation; always a valid permutation */

/* The grid that volume_to_ras gives. */
struct grid grid_to_ras(const struct grid *g);

MUST_USE enum err volume_new(struct volume **out, const struct grid *g,
                             enum voxel type); /* zeroed; ERR_INPUT if dims < 1 */
void volume_free(struct volume *v);
/* The same voxels in another storage order: RAS+ (volume_to_ras), or back to the order `o` that grid_orient
 * gave for the original (volume_from_ras). Exact, no interpolation; header is not carried. */
MUST_USE enum err volume_to_ras(struct volume **out, const struct volume *v);
MUST_USE enum err volume_from_ras(struct volume **out, const struct volume *ras, struct orient o);

#endif
