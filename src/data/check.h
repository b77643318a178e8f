/* Is this data usable? Named findings about one image or a whole data set. Rules: input-rules.md; the table
 * of names is in finding.h. A caller who can draw is shown each finding that a picture explains. */
#ifndef D4M_DATA_CHECK_H
#define D4M_DATA_CHECK_H

#include "base/err.h"
#include "data/cases.h"
#include "data/finding.h"
#include "data/place.h"
#include "volume/nifti.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct check_report {
    struct findings found;
    size_t cases, bad_cases; /* cases looked at, cases with at least one error */
    bool dataset_error;      /* the data set itself (dataset.json, layout) has an error */
};

/* Voxels in storage order, as runs. */
struct check_marks {
    int64_t (*run)[2]; /* first voxel, count; mem_new */
    size_t count, room;
};

/* What a picture of a finding shows. */
struct check_scene {
    const struct case_files *files;
    const struct phase_map *phases;
    const struct prepare_options *options;
    const struct volume *reference;  /* header and stored grid of the reference phase */
    bool all_phases;                 /* side by side, or `channel` alone */
    int channel, tumour;             /* tumour: label value, -1 if there is none */
    int64_t at[3];                   /* voxel of the reference's grid in RAS order: where to look */
    const struct check_marks *marks; /* offending voxels of that grid; may be empty */
};

struct check_options {
    const char *map;
    enum nifti_form prefer;
    bool assume_scanner, resample_labels;
    uint64_t memory,
        disk; /* bytes that training may use; 0: what the machine offers, and the current folder */
    /* Draws a finding and sets its picture; NULL: no pictures. */
    enum err (*draw)(void *ctx, struct finding *f, const struct check_scene *s);
    void *ctx;
};

/* Looks at a file or at a data set's folder. ERR_OK whatever was found; ERR_USAGE if path does not exist. */
MUST_USE enum err check_path(struct check_report *r, const char *path, const struct check_options *o);
/* The verdict as an error code: ERR_OK (warnings only), ERR_INPUT (one file, or the data set itself),
 * ERR_CASES. */
enum err check_verdict(const struct check_report *r);
json_t *check_to_json(const struct check_report *r); /* new reference; NULL on exhaustion */
void check_free(struct check_report *r);

#endif
