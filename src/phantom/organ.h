/* An organ's shape as a table of parts, and the interpreter that runs it over a block of points. */
#ifndef D4M_PHANTOM_ORGAN_H
#define D4M_PHANTOM_ORGAN_H

#include "phantom/body_view.h"

/* The two layers of a block. wall: NULL where only organs are asked for. */
struct layers {
    struct view *organ, *wall;
    bool all; /* evaluate everything, however far: for tests */
};

enum part_what { PART_END, PART_ELLIPSOID, PART_CHAIN, PART_FIELD, PART_ORGAN, PART_FUNCTION, PART_SELF };
enum part_how {
    PART_IS,    /* the first one of a table */
    PART_UNION, /* rounded by k mm */
    PART_SUB,
    PART_INTER,
    PART_ADD,  /* k times it is added */
    PART_SHELL /* of PART_SELF: |d| - k */
};
enum part_shift {
    SHIFT_NONE,
    SHIFT_KIDNEY_R,
    SHIFT_KIDNEY_L,
    SHIFT_GALLBLADDER,
    SHIFT_SPLEEN,
    SHIFT_STOMACH,
    SHIFT_PANCREAS
};

struct part {
    enum part_how how;
    float k;
    enum part_what what;
    struct ellipsoid ellipsoid;
    const struct bead *chain;
    int beads;
    enum field field;
    bool negative; /* minus the field */
    const struct part *organ;
    /* a distance, or for PART_ADD a value within NOISE_MOST of 0 */
    void (*function)(const struct part *p, struct view *v, float *d);
    float number[3]; /* of the function */
    float add;       /* mm, to the distance */
    /* where patients differ */
    enum part_shift shift;
    uint8_t stretch[3]; /* 1 + which of the liver's k: factor of an axis */
    float spine;        /* of y_b: added to the centre's y */
    bool front;         /* y grows with the cavity: what lies behind the front wall */
    bool vessel;        /* radii are millimetres at any scale */
    bool both;          /* on both sides: given for the right one */
    bool wall;          /* seen in the wall's layer */
};

/* Distance of an organ. false, d undefined: no point of the block is within `reach`. */
bool organ_distance(const struct part *organ, const struct layers *l, float reach, float *d);

#endif
