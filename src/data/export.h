/* From logits to a mask (seg-nnunet.md section 13): slices of logits on the prepared grid are resampled to
 * the grid of the reference phase, both in RAS order, and their largest class is kept. Only two planes of
 * logits live at a time, so memory is O(classes x plane) beside the uint8 result. */
#ifndef D4M_DATA_EXPORT_H
#define D4M_DATA_EXPORT_H

#include "volume/volume.h"

struct export;
/* from: the prepared grid, to: the reference's grid in RAS order, the same box. Linear; nearest along the
 * axis whose spacing exceeds three times another's (the separate-z rule; prepared spacing first, then the
 * reference's). */
MUST_USE enum err export_new(struct export **out, const struct grid *from, const struct grid *to,
                             int64_t classes);
/* Slice z of the prepared grid, (H, W, K), in ascending order: fits struct sliding's `slice`. ctx: the struct
 * export. */
MUST_USE enum err export_slice(void *ctx, int64_t z, const float *logits);
/* The finished mask (uint8, on `to`): the caller's. ERR_INTERNAL if slices are missing. */
MUST_USE enum err export_take(struct export *e, struct volume **mask);
void export_free(struct export *e);
/* Bytes that an export takes, its result included. */
uint64_t export_bytes(const struct grid *from, const struct grid *to, int64_t classes);

/* The rule for liver tumours (seg-backbones.md section 11): the largest 26-connected component of what is not
 * background, its holes filled with class 1; everything outside it becomes background. A mask without
 * foreground stays as it is. */
MUST_USE enum err export_keep_liver(struct volume *mask);
/* Most bytes that export_keep_liver takes for a mask on this grid. */
uint64_t export_keep_liver_bytes(const struct grid *g);

struct export_count {
    int64_t voxels;
    int32_t components; /* 26-connected; 0 unless they were asked for */
};
/* Voxels of one class in a mask, and its components. */
MUST_USE enum err export_count(struct export_count *out, const struct volume *mask, int class,
                               bool components);

#endif
