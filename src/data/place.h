/* Bringing the files of one case together: every phase and the label on the reference phase's grid, in RAS
 * order. Rules: input-rules.md, "Geometry" and "Labels". A registered phase comes by its transform, any other
 * by its header. */
#ifndef D4M_DATA_PLACE_H
#define D4M_DATA_PLACE_H

#include "align/transform.h"
#include "data/cases.h"
#include "volume/nifti.h"

struct prepare_options {
    const char *map;        /* labels, "255=2" */
    enum nifti_form prefer; /* --prefer */
    bool assume_scanner;    /* --assume-scanner */
    bool resample_labels;   /* labels on another grid: nearest, instead of an error */
    bool training;          /* a phase that hardly overlaps is an error instead of missing */
    bool force;             /* prepare_dataset: redo what is up to date */
    const struct transform *const *transform; /* by channel: reference -> phase, or NULL; or NULL at all */
    uint64_t memory;     /* bytes that preparing one case may use; 0: what the machine offers */
    const char **reason; /* if set, receives the name of the rule behind a failure: one of volume/nifti.h, or
                            label-grid, label-values, phase-overlap */
};

/* The reference phase's header and stored grid, without voxels. */
MUST_USE enum err place_reference(struct volume **out, const struct case_files *c,
                                  const struct prepare_options *o, struct notes *n);

struct placed {
    struct volume *hu; /* int16 on grid_to_ras(reference); NULL if the phase counts as missing */
    double inside;     /* share of the reference's voxels inside the phase's field of view */
};
/* Phase `channel` on the reference's grid: as it is, reordered, or resampled with RESAMPLE_FILL_HU outside,
 * through its transform where it has one (of more than no element). Under 20 % overlap by the headers it
 * counts as missing, with a note; in training that is ERR_INPUT. */
MUST_USE enum err place_phase(struct placed *out, const struct case_files *c, int channel,
                              const struct volume *reference, const struct prepare_options *o,
                              struct notes *n);
/* The label, uint8 on grid_to_ras(reference). A file without geometry and of the same dims is taken as lying
 * on the reference's grid, with a note. ERR_INPUT: it lies elsewhere (unless resample_labels), or has other
 * values than integers. */
MUST_USE enum err place_label(struct volume **out, const char *path, const struct volume *reference,
                              const struct prepare_options *o, struct notes *n);
/* ERR_INPUT, listing the values, if a label has values of `classes` or above; counts voxels per value. */
MUST_USE enum err place_label_values(const struct volume *label, int64_t classes, const char *path,
                                     const struct prepare_options *o, int64_t voxels[256]);

#endif
