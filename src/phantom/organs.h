/* The organs of section 5: their shapes as tables of parts, and the order in which they are painted. */
#ifndef D4M_PHANTOM_ORGANS_H
#define D4M_PHANTOM_ORGANS_H

#include "phantom/organ.h"
#include "phantom/tissue.h"

struct paint;
struct organ;

/* HU of a tissue in the block's phase: a number, shares of what section 7 draws, and noise. */
struct rule {
    float base;
    struct {
        enum tissue of;
        float share;
    } mix[2];
    float bone;                  /* times the bone's quality */
    float phase[PHANTOM_PHASES]; /* added in a phase */
    float n24, n10, n4;          /* times the noise */
    void (*more)(const struct paint *p, const struct organ *o, const float *d, float *hu); /* changes hu */
    float level; /* of `more`: where air begins, y in mm */
};

/* A row of the painting order. */
struct organ {
    const struct part *shape;
    float inset;              /* mm by which the surface lies deeper than the shape's */
    enum phantom_label label; /* 0: labels stay */
    float width;              /* half of the edge's, mm */
    struct rule hu;
    bool wall;                      /* its noise is the wall's layer's */
    void (*paint)(struct paint *p); /* by hand: the rest of the row is not used */
    enum organ_kept {
        ORGAN_PASSING,
        ORGAN_KEPT_LUNG, /* evaluated first: a block that lies inside needs nothing of what is behind */
        ORGAN_KEPT_LIVER,
        ORGANS_KEPT
    } kept;
};
extern const struct organ organs[]; /* back to front */
extern const int organs_count;
extern const struct part organ_liver[];

#endif
