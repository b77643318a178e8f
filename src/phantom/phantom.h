/* Names that all parts of the phantom share (phantom.md). A phantom case is one patient in four phases.
 * Patient space: millimetres, RAS (+x right, +y front, +z head), origin on the axis at hilum height. */
#ifndef D4M_PHANTOM_PHANTOM_H
#define D4M_PHANTOM_PHANTOM_H

#include "base/rng.h"
#include <stdint.h>

enum { PHANTOM_NC, PHANTOM_ART, PHANTOM_PVP, PHANTOM_DEL, PHANTOM_PHASES };

/* Labels of truth/CASE_labels_000p (section 1). */
enum phantom_label {
    PHANTOM_OUTSIDE,
    PHANTOM_LIVER,
    PHANTOM_TUMOUR, /* malignant lesion */
    PHANTOM_PORTAL, /* and splenic vein */
    PHANTOM_HEPATIC,
    PHANTOM_AORTA, /* and branches */
    PHANTOM_CAVA,
    PHANTOM_SPLEEN,
    PHANTOM_KIDNEY_R,
    PHANTOM_KIDNEY_L,
    PHANTOM_PANCREAS,
    PHANTOM_GALLBLADDER,
    PHANTOM_STOMACH,
    PHANTOM_BONE,
    PHANTOM_LUNG,
    PHANTOM_BODY,
    PHANTOM_BENIGN,
    PHANTOM_LESION = 100, /* while rendering: lesion i is PHANTOM_LESION + i; never in a file */
};

enum { PHANTOM_LESIONS = 20 /* most in a case */ };

/* Which case: everything random about it is a function of this. */
struct phantom_id {
    uint64_t seed;
    int64_t number;
};
/* The stream `name`/`index` of a case (section 3), from its start. */
struct rng phantom_rng(const struct phantom_id *id, const char *name, int index);

/* Sample points are handled in blocks that lie close together, coordinates side by side. */
enum { BLOCK_MAX = 1024 };
struct points {
    float x[BLOCK_MAX], y[BLOCK_MAX], z[BLOCK_MAX];
};

/* Signed distance to the liver's surface (mm, < 0 inside) at visceral patient points: of the procedural
 * liver, or of a real mask. */
struct liver {
    void (*distance)(const void *ctx, const struct points *p, int n, float *d);
    const void *ctx;
    double lo[3], hi[3]; /* box that holds it, mm */
};

#endif
