/* How good a transform is: errors against a known truth, overlap of label maps, and what it does to volumes.
 */
#ifndef D4M_STAGE_REGISTRATION_SCORE_H
#define D4M_STAGE_REGISTRATION_SCORE_H

#include "align/transform.h"
#include "base/note.h"
#include "image/surface.h"
#include "base/json.h"

struct registration_query {
    const struct transform *t;
    const struct grid *fixed;  /* where it is scored */
    const struct grid *moving; /* points that truly leave its field of view are not scored; NULL: all are */
    const struct transform *truth;      /* or NULL: no errors */
    const struct volume *fixed_labels;  /* VOXEL_U8 on `fixed`, with moving_labels; or both NULL */
    const struct volume *moving_labels; /* any grid in the moving image's space */
    const struct volume *body;          /* VOXEL_U8 on `fixed`, or NULL */
    double step;       /* mm: every axis is scored at about this spacing, a whole number of voxels */
    const char *names; /* "5=liver,1=spleen" or NULL */
};

/* Distances between T(x) (or x itself) and the truth, mm. NAN without points. */
struct registration_errors {
    double mean, median, p95, most;
};

enum { REGISTRATION_BEFORE, REGISTRATION_AFTER, REGISTRATION_STATES };

struct registration_region {
    char name[64];
    int label;     /* of the fixed label map; 0: the body mask, or everything without one */
    int64_t nodes; /* scored */
    struct registration_errors error[REGISTRATION_STATES];
    struct surface_distance overlap[REGISTRATION_STATES]; /* labels only: before (identity), after */
    double volume_ratio; /* moving label over fixed label, whole maps; NAN for the body */
};

struct registration_score {
    struct grid grid;                   /* of the nodes */
    struct registration_region *region; /* region[0] is the body or everything */
    size_t regions;
    bool truth, labels;
    double det_least, det_most, det_mean, sd_log_det; /* over region[0] */
    int64_t det_folded, det_nodes;
    double moved_mean, moved_most; /* |T(x) - x|, mm, over region[0] */
    double inside;                 /* share of region[0] that T leaves in the moving image; NAN if unknown */
};

/* ERR_INPUT: label names that are none, no node to score. Freed with registration_score_free. */
MUST_USE enum err registration_score(struct registration_score *out, const struct registration_query *q,
                                     struct notes *notes);
void registration_score_free(struct registration_score *s);          /* accepts a zeroed struct */
json_t *registration_score_json(const struct registration_score *s); /* new reference; NULL on exhaustion */

#endif
