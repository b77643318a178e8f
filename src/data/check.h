/* Is this data usable? Named findings about one image or a whole data set: errors (training would refuse it)
 * and warnings. Rules: input-rules.md. Names, beside those of volume/nifti.h and of the notes in
 * cases.h:
 *
 * - errors: dataset, no-portal-venous, no-label, label-grid, label-values, phase-overlap, image, label
 * - warnings: phase-missing, phase-copy, phase-alike, phase-no-geometry, case-copy, hu-range, hu-constant,
 *   label-empty, label-hu, label-no-geometry, label-resampled */
#ifndef D4M_DATA_CHECK_H
#define D4M_DATA_CHECK_H

#include "base/err.h"
#include "volume/nifti.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct finding {
    char *name;  /* kebab-case, stable: "label-grid", "phase-copy", "hu-range", ... */
    char *where; /* case or file */
    char *text;
    bool error;
};

struct check_report {
    struct finding *item;
    size_t count, room;
    size_t errors, warnings;
    size_t cases, bad_cases; /* cases looked at, cases with at least one error */
    bool dataset_error;      /* the data set itself (dataset.json, layout) has an error */
};

struct check_options {
    const char *map;
    enum nifti_form prefer;
    bool assume_scanner, resample_labels;
};

/* Looks at a file or at a data set's folder. ERR_OK whatever was found; ERR_USAGE if path does not exist. */
MUST_USE enum err check_path(struct check_report *r, const char *path, const struct check_options *o);
/* The verdict as an error code: ERR_OK (warnings only), ERR_INPUT (one file, or the data set itself),
 * ERR_CASES. */
enum err check_verdict(const struct check_report *r);
json_t *check_to_json(const struct check_report *r); /* new reference; NULL on exhaustion */
void check_free(struct check_report *r);

#endif
