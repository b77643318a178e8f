/* Is this data usable? Named findings about one image or a whole data set. Rules: input-rules.md; the table
 * of names is in finding.h. */
#ifndef D4M_DATA_CHECK_H
#define D4M_DATA_CHECK_H

#include "base/err.h"
#include "data/finding.h"
#include "volume/nifti.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct check_report {
    struct findings found;
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
