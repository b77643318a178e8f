/* Which contrast phase does a scan show? The sketches of a patient's phases are compared with one another, in
 * the great vessels before the spine and in the liver, and the names are judged by what any protocol obeys:
 * without contrast both are darkest, the arteries are brightest in the arterial phase and the liver in the
 * portal venous one. */
#ifndef D4M_DATA_CONTRAST_H
#define D4M_DATA_CONTRAST_H

#include "data/cases.h"
#include "data/sketch.h"

struct contrast_input {
    const struct sketch *phase;    /* PLAN_MAX_PHASES of one grid; hu is NULL where a phase is missing */
    const struct sketch *least;    /* their darkest values, with the body */
    const struct posture *posture; /* of that */
    const struct volume *liver;    /* uint8 on the grid, or NULL: then it is looked for */
};
struct contrast {
    /* medians in HU; NAN where unknown */
    double blood[PLAN_MAX_PHASES], liver[PLAN_MAX_PHASES];
    /* two thirds of the blood are brighter in phase i than in phase j by at least this */
    double lead[PLAN_MAX_PHASES][PLAN_MAX_PHASES];
    int64_t at[3]; /* sketch index amid the blood */
};
MUST_USE enum err contrast_measure(struct contrast *out, const struct contrast_input *in);

/* What contradicts the names most, and which exchange of two phases leaves no contradiction. */
struct contrast_swap {
    int bright, dark;  /* channels: the first is brighter, and should not be; -1: nothing speaks against the
                          names */
    const char *organ; /* "the great vessels are" or "the liver is" */
    double hu[2];      /* its HU in them */
    int exchange[2];   /* channels, -1 if no exchange helps */
};
struct contrast_swap contrast_judge(const struct contrast *c, const struct phase_map *phases);

#endif
