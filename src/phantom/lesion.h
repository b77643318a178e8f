/* Liver lesions: six kinds, drawn, placed and painted (phantom.md section 8). */
#ifndef D4M_PHANTOM_LESION_H
#define D4M_PHANTOM_LESION_H

#include "base/err.h"
#include "phantom/body.h"
#include "phantom/phantom.h"
#include "phantom/tissue.h"

enum lesion_kind {
    LESION_HCC,
    LESION_METASTASIS,
    LESION_ICC,
    LESION_CYST,
    LESION_HAEMANGIOMA,
    LESION_FNH,
    LESION_KINDS
};
extern const char *const lesion_names[]; /* "hcc", "metastasis", "icc", "cyst", "haemangioma", "fnh", NULL */
bool lesion_malignant(enum lesion_kind k);

enum { LESION_CELLS = 120 /* of a mosaic */ };

struct lesion {
    enum lesion_kind kind;
    double diameter, border; /* mm: D and w */
    double centre[3];        /* visceral patient space, mm */
    double axes[3];          /* semi-axes, mm */
    double offset[3];        /* of its noise, nodes */
    double bump;             /* beta */
    double normal[8], uniform[8];
    int cells;
    float (*cell)[4]; /* mosaic: centre from the lesion's (mm) and its deviate; NULL without */
};
struct lesions {
    struct lesion item[PHANTOM_LESIONS];
    int count;
};
struct lesion_odds {
    double weight[LESION_KINDS];
    int64_t count;         /* -1: drawn, rint(exp N(ln median, spread)) in 1..12 */
    double median, spread; /* 2.6, .9 */
    double least, most;    /* diameters, mm: 6 and 110, or the preset's */
    /* space that is taken already (the label 2 of a real case): a lesion stays `apart` (mm) from it; NULL:
     * none */
    void (*taken)(const void *ctx, const struct points *p, int n, float *distance);
    const void *ctx;
    double apart;
};
/* Draws and places, each lesion from a stream of its own: another number of them, or other kinds, leaves the
 * draws of the rest. A lesion that fits nowhere gets another diameter, 60 times, and is then left out.
 * ERR_USAGE for more than PHANTOM_LESIONS or weights that are all 0. Streams `tumours/0` (the number),
 * `tumours/1..`, `cells/i`. The caller frees. */
MUST_USE enum err lesions_draw(struct lesions *out, const struct phantom_id *id, const struct liver *liver,
                               const struct lesion_odds *odds);
void lesions_free(struct lesions *l);

/* Distance d (mm) to the surface of lesion l at visceral points, before it is cut at the liver's surface;
 * valid within lesion_reach of the centre. */
void lesion_distance(const struct lesion *l, const struct texture *t, const struct points *p, int n,
                     float *d);
double lesion_reach(const struct lesion *l); /* mm around the centre beyond which nothing is painted */

/* Paints lesion l over hu and label (PHANTOM_LESION + index): where samples are near it. liver_d: the
 * liver's distance at p. grow: mm by which this phase's lesion is larger (the key `extent`). least: least
 * half width of an edge, mm. */
struct lesion_paint {
    const struct lesion *lesion;
    int index;
    const struct texture *texture;
    const struct tissues *tissues;
    int phase;
    float grow, least;
};
void lesion_paint(const struct lesion_paint *l, const struct points *p, const float *liver_d, int n,
                  float *hu, uint8_t *label);

#endif
