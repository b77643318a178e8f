/* The table of lesion kinds (phantom.md section 8), shared by drawing and painting. HU are differences from
 * the liver unless said otherwise; arrays of four are phases. A structure with all zeros is absent; `from` is
 * the least diameter (mm) that has it, `odds` how many of those have it. */
#ifndef D4M_PHANTOM_LESION_KIND_H
#define D4M_PHANTOM_LESION_KIND_H

#include "phantom/lesion.h"

/* What each of a lesion's uniforms decides. */
enum lesion_chance { CHANCE_ARTERY, CHANCE_WASHOUT, CHANCE_NECROSIS, CHANCE_SHELL, CHANCE_SCAR };

struct lesion_row {
    bool malignant;
    double median, spread; /* of the diameter, mm; SD of its logarithm */
    double bump;           /* beta */
    double border[2];      /* w, mm */
    double texture[2];     /* HU of N4; more per HU of change */
    bool fluid;            /* `usual` is HU, one draw for all phases */
    struct lesion_change {
        double mean, sd;
    } usual[PHANTOM_PHASES], other[PHANTOM_PHASES];
    struct {
        enum lesion_chance by;
        double small, large; /* odds of `other` below 20 mm and above */
    } otherwise[PHANTOM_PHASES];

    double mottle[PHANTOM_PHASES]; /* of M */
    struct lesion_mosaic {
        double from, size;         /* cells are size^3 mm3 or larger */
        double sd[PHANTOM_PHASES]; /* between cells */
    } mosaic;
    struct lesion_core {
        double from, begin, soft; /* of f */
        double change[PHANTOM_PHASES];
    } core;
    struct lesion_necrosis {
        double from, odds, hu;    /* absolute */
        double begin, wavy, soft; /* where f + wavy M > begin */
    } necrosis;
    struct lesion_shell {
        double from, odds;
        double depth, depth_by_radius;
        double width[PHANTOM_PHASES], width_by_diameter; /* mm */
        double change[PHANTOM_PHASES];
        bool replaces; /* it is the change, instead of adding to it */
    } shell;
    struct lesion_fill { /* nodules that grow inwards */
        double from;     /* smaller ones are full */
        double begin[PHANTOM_PHASES], wavy[PHANTOM_PHASES], closed[PHANTOM_PHASES];
        double of_blood[PHANTOM_PHASES], plus[PHANTOM_PHASES];
    } fill;
    struct lesion_scar {
        double from, odds;
        double change[PHANTOM_PHASES];
    } scar;
};
extern const struct lesion_row lesion_rows[LESION_KINDS];

/* What was drawn for lesion l in a phase: HU against the liver, or HU of a fluid. */
double lesion_change(const struct lesion *l, int phase);
/* Whether a lesion has a structure with this `from` and `odds`. */
bool lesion_has(const struct lesion *l, enum lesion_chance by, double from, double odds);

#endif
