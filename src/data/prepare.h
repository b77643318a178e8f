/* From files to what networks read: every phase of a case on one grid, in RAS order, at the plan's spacing,
 * as int16 HU; labels as uint8 beside them. Training writes this once into WORK/prepared and maps it;
 * prediction gets the same bytes in memory. Missing phases stay NULL here (replication happens when a sample
 * is loaded). */
#ifndef D4M_DATA_PREPARE_H
#define D4M_DATA_PREPARE_H

#include "data/cases.h"
#include "data/place.h"
#include <stdatomic.h>

struct phase_stats {
    double mean, sd; /* of all voxels, clipped to the plan's window */
    double inside;   /* share of the reference's voxels inside this phase's field of view */
};

struct prepared {
    char *name;
    int phases;                            /* channels of the plan */
    int reference;                         /* channel whose grid carries labels and results */
    struct volume *phase[PLAN_MAX_PHASES]; /* int16 on `grid`, NULL where missing */
    struct phase_stats stats[PLAN_MAX_PHASES];
    struct volume *label;      /* uint8 on `grid`, or NULL */
    int64_t class_voxels[256]; /* of label */
    struct grid grid;          /* prepared voxels, RAS+ */
    struct grid ras;           /* the reference's stored grid, in RAS order: the same box as `grid` */
    struct orient orient;      /* of the reference's stored grid */
    struct volume
        *source; /* the reference's header and stored grid, without voxels; NULL from prepared_open */
};

/* One case in memory. Its label is read if there is one. A result on ras goes home by volume_from_ras(orient)
 * and nifti_save(like = source). ERR_MEMORY, with both numbers, if prepare_memory says that it would not fit.
 */
MUST_USE enum err prepare_case(struct prepared **out, const struct case_files *c, const struct plan *p,
                               const struct prepare_options *o, struct notes *n);
void prepared_free(struct prepared *c);

/* Bytes that prepare_case needs at its peak, and that its result keeps, from the headers alone; and the grids
 * that the result will have (struct prepared). */
struct prepare_memory {
    uint64_t peak, kept;
    uint64_t single; /* peak if every phase goes when it is prepared */
    struct grid grid, ras;
};
MUST_USE enum err prepare_memory(struct prepare_memory *m, const struct case_files *c, const struct plan *p,
                                 const struct prepare_options *o);

/* How prepare_dataset tells and is told; all members may be NULL. */
struct prepare_watch {
    void (*done)(void *ctx, size_t i, size_t n, const char *name,
                 bool fresh); /* case i of n; fresh: not up to date before */
    void *ctx;
    const atomic_int *stop; /* not 0: stop before the next case with ERR_STOPPED */
};
/* Prepares all cases of a list into `folder` (WORK/prepared): CASE_000k.nii, CASE_seg.nii and CASE.json,
 * skipping cases whose inputs' hashes and plan have not changed (unless force). Cases that fail get `bad` set
 * (text in the list's arena) and do not stop the others; call case_list_require afterwards. Failures of
 * output or memory stop at once. */
MUST_USE enum err prepare_dataset(struct case_list *l, const struct plan *p, const char *folder,
                                  const struct prepare_options *o, const struct prepare_watch *w,
                                  struct notes *n);
/* Maps what prepare_dataset wrote for one case. ERR_INPUT if it is not there. */
MUST_USE enum err prepared_open(struct prepared **out, const char *folder, const char *name);

#endif
