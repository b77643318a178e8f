/* Overlap of a predicted and a reference label map: voxel counts, the four scores made of them
 * (seg-backbones.md section 12), from one joint histogram, so that regions (liver = labels >= 1) are exact.
 */
#ifndef D4M_EVAL_METRICS_H
#define D4M_EVAL_METRICS_H

#include "base/err.h"
#include "volume/volume.h"
#include <stdint.h>

enum { LABEL_MAX = 32 }; /* foreground labels are 1..LABEL_MAX at most */

struct counts {
    int64_t tp, fp, fn, tn; /* voxels */
};

/* 0..1; NAN where the empty-case policy leaves a score undefined. */
struct overlap {
    double dsc; /* Dice similarity coefficient 2TP/(2TP+FP+FN) */
    double jac; /* Jaccard index (IoU) TP/(TP+FP+FN) */
    double se;  /* sensitivity (recall) TP/(TP+FN) */
    double pre; /* precision TP/(TP+FP) */
};

/* What an empty reference or prediction scores. */
enum empty_policy {
    EMPTY_EXCLUDE, /* both empty: undefined, left out of means; only the reference empty: DSC, JAC, PRE 0, SE
                    * undefined; only the prediction empty: DSC, JAC, SE 0, PRE undefined */
    EMPTY_ZERO,    /* the same, but PRE 0 where only the prediction is empty */
    EMPTY_ONE,     /* as EMPTY_ZERO, but both empty: all four 1 (as LiTS and MetricsReloaded do) */
};
extern const char *const empty_policy_names[];           /* "exclude", "zero", "one", NULL */
const char *empty_policy_text(enum empty_policy policy); /* one sentence for people */

/* n[r][p]: voxels with reference label r and predicted label p. */
struct joint {
    int64_t n[LABEL_MAX + 1][LABEL_MAX + 1];
};
/* Adds n voxels. A label above `labels` (1..LABEL_MAX) in either array is counted as background: check with
 * label_check first. */
void joint_count(struct joint *j, const uint8_t *reference, const uint8_t *prediction, int64_t n, int labels);
/* Counts of the region "first <= label <= last". */
struct counts joint_region(const struct joint *j, int first, int last);
void counts_add(struct counts *sum, const struct counts *c);
struct overlap counts_overlap(const struct counts *c, enum empty_policy policy);

/* ERR_INPUT that lists the values found if v (VOXEL_U8) holds a label above `labels`; `what` names the file.
 */
MUST_USE enum err label_check(const struct volume *v, int labels, const char *what);

#endif
