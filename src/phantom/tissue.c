#include "phantom/tissue.h"
#include <math.h>
#include <stddef.h>

const char *const tissue_names[] = {"liver",  "aorta",    "portal_vein",  "hepatic_vein",  "vena_cava",
                                    "spleen", "pancreas", "renal_cortex", "renal_medulla", "renal_pelvis",
                                    "muscle", "gut_wall", "myocardium",   "bile",          "skin",
                                    "fat",    NULL};

/* Section 7: HU without contrast and its spread between patients, what contrast adds, and how much an early
 * or late arterial phase changes that. */
struct row {
    double plain, spread, art, pvp, del, timing;
};
static const struct row table[TISSUES] = {
    [TISSUE_LIVER] = {57, 7, 17, 53, 33, .40},     [TISSUE_AORTA] = {40, 4, 275, 112, 66, -.06},
    [TISSUE_PORTAL] = {41, 4, 85, 132, 70, .45},   [TISSUE_HEPATIC] = {41, 4, 8, 124, 68, .50},
    [TISSUE_CAVA] = {40, 4, 30, 92, 64, .35},      [TISSUE_SPLEEN] = {48, 4, 78, 74, 44, .12},
    [TISSUE_PANCREAS] = {42, 5, 62, 52, 30, .06},  [TISSUE_CORTEX] = {34, 4, 165, 160, 112, .10},
    [TISSUE_MEDULLA] = {30, 3, 42, 140, 122, .35}, [TISSUE_PELVIS] = {6, 3, 2, 8, 320, 0},
    [TISSUE_MUSCLE] = {54, 5, 5, 12, 13, 0},       [TISSUE_WALL] = {38, 5, 45, 50, 38, 0},
    [TISSUE_HEART] = {44, 4, 70, 75, 45, 0},       [TISSUE_BILE] = {8, 5, 0, 1, 2, 0},
    [TISSUE_SKIN] = {10, 8, 2, 5, 5, 0},           [TISSUE_FAT] = {-103, 6, 0, 2, 2, 0},
};

static double clamp(double x, double lo, double hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

static struct row row_of(const struct tissues *t, int which)
{
    struct row r = table[which];

    if (which == TISSUE_LIVER && t->steatosis) {
        r.plain = 38;
        r.spread = 8;
    }
    if (which == TISSUE_LIVER && t->cirrhosis) {
        r.art += 6;
        r.pvp -= 10;
    }
    return r;
}

void tissues_draw(struct tissues *out, const struct phantom_id *id, const struct tissue_odds *odds)
{
    struct rng r = phantom_rng(id, "enhancement", 0);
    struct rng fat = phantom_rng(id, "enhancement", 1), scars = phantom_rng(id, "enhancement", 2);

    out->gain = clamp(exp(.13 * rng_normal(&r)), .7, 1.4);
    out->timing = clamp(rng_normal(&r), -1.8, 1.8);
    out->bone = 1 + .12 * rng_normal(&r);
    out->marrow = clamp(165 + 35 * rng_normal(&r), 80, 280);
    out->steatosis = rng_unit(&fat) < odds->steatosis;
    out->cirrhosis = rng_unit(&scars) < odds->cirrhosis;
    for (int i = 0; i < TISSUES; i++) {
        struct row k = row_of(out, i);
        double plain = k.plain + k.spread * rng_normal(&r), own = 1 + .06 * rng_normal(&r);

        out->hu[i][PHANTOM_NC] = plain;
        out->hu[i][PHANTOM_ART] = plain + out->gain * k.art * (own + k.timing * out->timing);
        out->hu[i][PHANTOM_PVP] = plain + out->gain * k.pvp * own;
        out->hu[i][PHANTOM_DEL] = plain + out->gain * k.del * own;
    }
}

double tissue_gain(const struct tissues *t, enum tissue which, int phase)
{
    return t->hu[which][phase] - t->hu[which][PHANTOM_NC];
}
