#include "phantom/organs.h"
#include "phantom/poly.h"

/* What a row of the tables below is made of. */
#define ELL(x, y, z, rx, ry, rz)                                                                             \
    .what = PART_ELLIPSOID, .ellipsoid = {.centre = {x, y, z}, .axes = {rx, ry, rz}}
#define TURNED(x, y, z, rx, ry, rz, yw, pt)                                                                  \
    .what = PART_ELLIPSOID, .ellipsoid = {{x, y, z}, {rx, ry, rz}, yw, pt}
#define CHAIN(name) .what = PART_CHAIN, .chain = name, .beads = sizeof name / sizeof *name
#define FIELD(f) .what = PART_FIELD, .field = FIELD_##f
#define ORGAN(name) .what = PART_ORGAN, .organ = name
#define FUNCTION(name, ...) .what = PART_FUNCTION, .function = name, .number = {__VA_ARGS__}

/* ---- kidneys, gallbladder, liver ---- */

static const struct part kidney_r[] = {
    {PART_IS, 0, TURNED(64, -54, -62, 28, 25, 56, -.45f, .16f), .shift = SHIFT_KIDNEY_R},
    {0},
};
static const struct bead neck[] = {{{48, 34, -16}, 7}, {{36, 20, -2}, 3}};
static const struct part gallbladder[] = {
    {PART_IS, 0, TURNED(52, 40, -34, 15, 17, 27, 0, .35f), .shift = SHIFT_GALLBLADDER},
    {PART_UNION, 8, CHAIN(neck)},
    {0},
};

/* The slit of the round ligament. */
static void ligament(const struct part *p, struct view *v, float *d)
{
    (void)p;
    for (int i = 0; i < v->n; i++) {
        float x = v->at.x[i], y = v->at.y[i], z = v->at.z[i];
        float slit = fabsf(x + 6 + .1f * (y - 60)) - 1.6f;
        d[i] = poly_max(slit, poly_max(34 - y, z - 26 - .35f * (y - 60)));
    }
}

static const struct bead porta[] = {{{12, 12, -14}, 13}, {{26, 12, 6}, 10}, {{36, 16, 15}, 6}};
const struct part organ_liver[] = {
    {PART_IS, 0, ELL(82, -4, 6, 76, 96, 94), .stretch = {1, 0, 3}},                     /* right lobe */
    {PART_UNION, 18, TURNED(4, 50, 36, 92, 44, 40, -.16f, .06f), .stretch = {1, 0, 0}}, /* left lobe */
    {PART_UNION, 8, ELL(20, 2, 26, 19, 19, 27)},                                        /* caudate */
    {PART_SUB, 14, ELL(-4, -2, -80, 80, 92, 88), .stretch = {0, 0, 2}},                 /* visceral surface */
    {PART_SUB, 22, ELL(0, -60, 0, 46, 46, SHAPE_LONG)},                                 /* spine */
    {PART_SUB, 10, ELL(-78, -5, 30, 62, 62, 60)},                                       /* stomach */
    {PART_SUB, 5, ORGAN(kidney_r), .add = -5},
    {PART_SUB, 2, ORGAN(gallbladder), .add = -1},
    {PART_SUB, 3, FUNCTION(ligament, 0)},
    {PART_SUB, 5, CHAIN(porta)},
    {PART_ADD, 1.6f, FIELD(N24)},
    {PART_ADD, .5f, FIELD(N10)},
    {PART_INTER, 4, FIELD(DIAPHRAGM), .add = 2},
    {PART_INTER, 5, FIELD(CAVITY), .add = 2.5f},
    {0},
};
