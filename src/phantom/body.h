/* One procedural patient's anatomy (phantom.md sections 4 and 5): what was drawn of it, and the surfaces
 * that other parts ask for. Organs are tables of signed distances in organs.c. */
#ifndef D4M_PHANTOM_BODY_H
#define D4M_PHANTOM_BODY_H

#include "base/err.h"
#include "phantom/noise.h"
#include "phantom/phantom.h"
#include <stdbool.h>

/* The lattices that everything in a patient shares. */
struct texture {
    struct noise n24, n10, n4;
    struct noise3 warp; /* 3.2 of it is the anatomical warp */
};
MUST_USE enum err texture_make(struct texture *out, const struct phantom_id *id);
void texture_free(struct texture *t);

enum stomach { STOMACH_WATER, STOMACH_FOOD, STOMACH_GAS };

enum { BOWEL_LOOPS = 60, MESENTERIC_VESSELS = 90, ORGAN_SHIFTS = 12 };
struct body {
    const struct texture *texture;
    double scale;                  /* k: an organ at x is k times the unit patient's at x/k */
    double half_width, half_depth; /* a, b of the outline, mm (unit patient) */
    double fat;                    /* F, mm */
    double front;                  /* how deep the cavity is in front of the axis, against 85 mm */
    double liver[3];               /* k0, k1, k2 */
    double shift[ORGAN_SHIFTS][3]; /* s_i */
    enum stomach stomach;
    bool oral; /* contrast in the gut */
    struct bowel_loop {
        float centre[3], half[3], bend[3], radius, fluid, gas /* uniform draw */;
    } bowel[BOWEL_LOOPS];
    struct mesenteric {
        float centre[3], half[3], radius;
    } mesenteric[MESENTERIC_VESSELS];
};
struct body_odds {
    double oral;  /* probability */
    double scale; /* k */
};
/* Streams `body`, `bowel`, `mesenteric`. The texture stays the caller's. */
void body_draw(struct body *out, const struct phantom_id *id, const struct texture *t,
               const struct body_odds *odds);

/* Distance to the liver at visceral points p (through the anatomical warp), mm. */
void body_liver(const struct body *b, const struct points *p, int n, float *d);
/* The same at anatomical points a of the unit patient, unit millimetres: what the trees grow in. */
void body_liver_unit(const struct body *b, const struct points *a, int n, float *d);
/* The body as a struct liver; valid as long as b. */
struct liver liver_of_body(const struct body *b);

#endif
