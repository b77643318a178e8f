/* The points of a block in one layer, and what is read at them: every field once, and only if asked. All in
 * unit millimetres, i.e. those of the patient of scale 1. */
#ifndef D4M_PHANTOM_BODY_VIEW_H
#define D4M_PHANTOM_BODY_VIEW_H

#include "phantom/body.h"
#include "phantom/shape.h"

enum field {
    FIELD_N24,
    FIELD_N10,
    FIELD_N4,
    FIELD_DEPTH, /* t below the skin */
    FIELD_ANGLE, /* |phi|: 0 at the back, pi in front */
    FIELD_FAT0,  /* t_f and t_m without their noise */
    FIELD_MUSCLE0,
    FIELD_FAT,       /* t_f */
    FIELD_MUSCLE,    /* t_m */
    FIELD_CAVITY,    /* c, < 0 inside */
    FIELD_DIAPHRAGM, /* D, > 0 above */
    FIELDS
};

#define NOISE_MOST 6.f /* no node of a lattice is larger */

struct view {
    const struct body *body;
    struct points at;
    int n;
    struct shape_box box;
    bool have[FIELDS];
    float field[FIELDS][BLOCK_MAX];
};

/* Forgets what was read; v->at and v->n are set. */
void body_view_reset(struct view *v, const struct body *b);
/* at <- the anatomical points of unit points p: warped. */
void body_view_warp(struct view *v, const struct body *b, const struct points *p, int n);
const float *body_field(struct view *v, enum field f);
/* A bound from above on the cavity's distance in the block, without reading noise. */
float body_cavity_most(struct view *v);
/* Whether every point of the box is more than 40 mm outside the skin. */
bool body_view_air(const struct body *b, const struct shape_box *box);

#endif
