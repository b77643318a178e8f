/* Semi-real cases (phantom.md section 12): a real CT with a liver mask takes the place of the painted
 * patient. Its world is that of the files (mm, RAS). Beyond its first and last slice it goes on as it is
 * there; in plane it ends. */
#ifndef D4M_PHANTOM_SEMI_H
#define D4M_PHANTOM_SEMI_H

#include "base/err.h"
#include "phantom/body.h"
#include "phantom/lesion.h"
#include "phantom/motion.h"
#include "phantom/render.h"
#include "phantom/semi_map.h"
#include "phantom/tissue.h"

struct semi_options {
    const char *ct, *liver; /* files; the mask: 1 liver, 2 tumours that stay; without a 1 all is liver */
    const char *organs;     /* TotalSegmentator's numbers (v2, task `total`), or NULL */
    int phase;              /* of ct */
};

/* A tumour of the mask: a connected part of its label 2, or all beyond the first SEMI_UNKNOWNS - 1. */
enum { SEMI_UNKNOWNS = 20 };
struct semi_unknown {
    double centre[3]; /* mm */
    double volume_ml;
};

struct semi {
    struct grid grid; /* the CT's, as RAS */
    int phase;        /* the CT's */
    bool organs;      /* labels were given: more than the liver changes between phases */
    double liver_ml;  /* of the mask, inside the CT */
    double liver_hu;  /* median of the mask's inner part */
    double origin[3]; /* mm: where a procedural patient's origin would lie, for motion_options */
    double axis[2];   /* mm: the body's middle, for scan_options */
    struct semi_unknown unknown[SEMI_UNKNOWNS];
    int unknowns;
    struct liver liver;
    int16_t *base;  /* HU without noise, on grid */
    uint8_t *organ; /* rows of semi_organs; NULL without labels */
    struct semi_map liver_map, tumour_map, skin_map;
};
/* ERR_INPUT: the mask lies on another grid, is empty, or has less than 200 ml of liver inside the CT; else
 * what loading says. */
MUST_USE enum err semi_open(struct semi **out, const struct semi_options *o);
void semi_free(struct semi *s); /* accepts NULL */

/* For lesion_odds.taken and motion_options.skin; ctx is the struct semi. */
void semi_taken(const void *ctx, const struct points *p, int n, float *mm);
void semi_skin(const void *ctx, const struct points *p, int n, float *mm);
enum { SEMI_APART = 15 }; /* mm, for lesion_odds.apart */
/* In the CT's own phase the liver measures what it measures. */
void semi_tissues(const struct semi *s, struct tissues *t);

/* What TotalSegmentator's numbers are. */
struct semi_organ {
    int first, last; /* numbers */
    int label;       /* enum phantom_label */
    int tissue;      /* whose enhancement it shows, or SEMI_NONE */
};
enum { SEMI_NONE = -1, SEMI_CORTEX_MM = 6 };
extern const struct semi_organ semi_organs[]; /* row 0: what is no organ; ends with first = -1 */

/* One phase: the CT as it would look then, and lesions in it. What it points to stays the caller's. */
struct semi_scene {
    const struct semi *semi;
    const struct lesions *lesions;
    const float (*grow)[PHANTOM_PHASES]; /* mm, per lesion (the key `extent`) */
    const struct texture *texture;
    const struct tissues *tissues;
    const struct motion *motion;
    double pixel; /* mm: half of it is the least half width of a lesion's edge */
};
struct semi_phase {
    struct semi_scene scene;
    int phase;
    struct volume *hu; /* mapped to the phase, on the CT's grid */
    float *spline;     /* its coefficients */
};
MUST_USE enum err semi_phase_open(struct semi_phase *out, const struct semi_scene *scene, int phase);
void semi_phase_close(struct semi_phase *p); /* accepts a zeroed struct */
/* Labels: 1, 2 (the mask's tumours), those given, and PHANTOM_LESION + i. Valid as long as p. */
struct subject semi_subject(const struct semi_phase *p);
/* Bytes that opening and one open phase hold, for a CT of this grid. */
uint64_t semi_bytes(const struct grid *g, bool organs);

#endif
