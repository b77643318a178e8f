/* What every tissue measures in every phase (phantom.md section 7). */
#ifndef D4M_PHANTOM_TISSUE_H
#define D4M_PHANTOM_TISSUE_H

#include "phantom/phantom.h"
#include <stdbool.h>

enum tissue {
    TISSUE_LIVER,
    TISSUE_AORTA,
    TISSUE_PORTAL,
    TISSUE_HEPATIC,
    TISSUE_CAVA,
    TISSUE_SPLEEN,
    TISSUE_PANCREAS,
    TISSUE_CORTEX,
    TISSUE_MEDULLA,
    TISSUE_PELVIS, /* of the kidney */
    TISSUE_MUSCLE,
    TISSUE_WALL, /* of gut and stomach */
    TISSUE_HEART,
    TISSUE_BILE,
    TISSUE_SKIN,
    TISSUE_FAT,
    TISSUES
};
extern const char *const tissue_names[]; /* as in truth JSON, TISSUES of them and NULL */

struct tissues {
    double hu[TISSUES][PHANTOM_PHASES];
    double gain, timing; /* g and tau */
    double marrow, bone; /* HU of marrow, bone quality q */
    bool steatosis, cirrhosis;
};
/* Streams `enhancement` (and a part of its own for each probability, so that changing one moves no other
 * draw). */
struct tissue_odds {
    double steatosis, cirrhosis; /* probabilities */
};
void tissues_draw(struct tissues *out, const struct phantom_id *id, const struct tissue_odds *odds);
/* HU of enhancement alone: what the phase adds to tissue t over its non-contrast value. */
double tissue_gain(const struct tissues *t, enum tissue which, int phase);

#endif
