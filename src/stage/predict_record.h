/* What a prediction writes down about a case: an entry of result.json. */
#ifndef D4M_STAGE_PREDICT_RECORD_H
#define D4M_STAGE_PREDICT_RECORD_H

#include "stage/predict.h"
#include "stage/register_case.h"

struct predict_record {
    const struct case_files *files;
    const struct predict_options *options;
    const struct prepared *prepared; /* grids; its phases may be gone */
    bool used[PLAN_MAX_PHASES];      /* phases that the network saw */
    struct case_alignment alignment;
    const struct volume *mask; /* RAS order */
    const struct notes *notes;
    const char *mask_path;
    struct predict_bytes bytes;
    double seconds_prepare, seconds; /* without writing the mask */
};

/* New reference. */
MUST_USE enum err predict_record_make(json_t **out, const struct predict_record *r);

#endif
