/* How well two images fit under a map, and what the map does: the figures of registration.md section 10,
 * measured at level 1 on every body node. */
#ifndef D4M_ALIGN_MEASURE_H
#define D4M_ALIGN_MEASURE_H

#include "align/align.h"

struct fit_figures {
    double mean12; /* mean of c/12 over nodes that lie inside the moving image */
    double bad;    /* share of those with c/12 > EXPECT_BAD */
    double inside; /* share of all that lie inside */
};

enum measure_stage { MEASURE_HEADER, MEASURE_AFFINE, MEASURE_FINAL, MEASURE_STAGES };

struct region_figures {
    int64_t nodes;
    struct fit_figures fit[MEASURE_STAGES];
    double det_least, det_largest, folded; /* of T's Jacobian; share with det <= 0 */
    double log_det_sd;                     /* standard deviation of log det */
    double moved_mean, moved_most;         /* |T(x) - x|, mm */
};

enum { MISMATCHES = 5 };
struct mismatch {
    double mm[3];  /* fixed world */
    double mean12; /* of c/12 over the cube of about 20 mm around it */
};

struct figures {
    struct region_figures body, liver; /* liver.nodes is 0 without a mask */
    double body_dice;                  /* fixed body and moving body under T */
    double det_affine;
    struct mismatch worst[MISMATCHES]; /* largest local mismatches, in the liver if there is a mask */
    int mismatches;
};

/* liver: VOXEL_U8 on the fixed image's grid, nodes where it is not 0; or NULL. */
MUST_USE enum err measure(struct figures *out, const struct alignment *a, const struct volume *liver);

#endif
