/* What the verbs of d4m transform read, and what they refuse. */
#ifndef D4M_STAGE_TRANSFORM_INPUT_H
#define D4M_STAGE_TRANSFORM_INPUT_H

#include "align/mapper.h"
#include "align/transform_file.h"
#include "base/command.h"
#include "volume/nifti.h"

/* In every verb's help. */
#define TRANSFORM_DIRECTION                                                                                  \
    "A transform T maps points of the fixed image to points of the moving image. Images are pulled: the "    \
    "voxel\n"                                                                                                \
    "at x gets the moving image's value at T(x), so an image goes from moving to fixed. Points are pushed: " \
    "a\n"                                                                                                    \
    "fixed point x goes to T(x), so a point goes from fixed to moving.\n"

/* One after the other: the first acts on fixed points first. Two neighbours whose images in between lie on
 * different grids are refused (ERR_INPUT) unless `force`. */
MUST_USE enum err stage_transform_chain(struct transform **out, const struct cfg_list *files,
                                        enum convention fields, bool force, struct notes *notes);

/* A grid to make something on. */
struct stage_target {
    struct grid grid;
    struct volume *like; /* header of the reference, for nifti_save; NULL without one */
};
struct stage_target_options {
    const char *reference; /* an image, or NULL: the fixed image's grid, else that of a displacement field */
    double spacing;        /* mm: instead of the voxels', covering the same voxel centres; 0: the voxels' */
    bool force;            /* the reference may differ from the fixed image's grid */
    struct nifti_options nifti;
};
/* Freed with stage_target_free. */
MUST_USE enum err stage_target_pick(struct stage_target *out, const struct transform *t,
                                    const struct stage_target_options *o, struct notes *notes);
void stage_target_free(struct stage_target *t);

/* ERR_USAGE if `output` is one of the files that are read (NULL ones are skipped). */
MUST_USE enum err stage_output_check(const char *output, const char *const *inputs, size_t count);
/* Notes for what was mapped on no good ground; `what` is "voxels" or "points". */
void stage_tally_note(struct notes *notes, const struct mapper_tally *tally, const char *what);
/* ERR_STOPPED if the user asked; nothing has been written yet. */
MUST_USE enum err stage_stopped(const struct cli *cli);

#endif
