/* The parameters of phantom cases (phantom.md section 2) and the presets (section 13), as field tables: help,
 * ranges, --set and the record in dataset.json come from them. */
#ifndef D4M_PHANTOM_PARAMS_H
#define D4M_PHANTOM_PARAMS_H

#include "base/cfg.h"
#include "phantom/lesion.h"
#include "phantom/phantom.h"
#include "volume/volume.h"

enum { PHANTOM_DRAWN = -1 /* a number that every case draws for itself */ };

struct phantom_params {
    double dial, breath; /* mm */
    bool registered;
    int64_t count; /* of lesions, or PHANTOM_DRAWN */
    const char *kinds;
    bool benign_is_tumour;
    double noise, fpeak;       /* HU, 1/mm; or PHANTOM_DRAWN */
    double spacing, thickness; /* mm; 0: the preset's */
    double missing[3];         /* probabilities of phases 0, 1, 3 */
    bool annotation;
    double oversize, extent;           /* mm */
    double oral, steatosis, cirrhosis; /* probabilities */
    double test_share;
};
extern const struct cfg_table phantom_table;

enum phantom_preset { PHANTOM_TINY, PHANTOM_DEMO, PHANTOM_LIVER_BOX, PHANTOM_REAL };
extern const char *const phantom_presets[]; /* "tiny", "demo", "liver", "real", NULL */

/* What is fixed by a preset, and for `real` drawn per case (streams `preset/0..`). */
struct phantom_frame {
    int64_t dims[3];
    double spacing[3], thickness; /* mm; spacing[2] is thickness */
    double centre[3];             /* of the PVP grid, mm; NAN: the liver's box */
    double scale;                 /* k */
    double lesion[2];             /* least and greatest diameter, mm */
};
/* ERR_USAGE if the parameters ask for a grid beyond 1024 voxels an axis. */
MUST_USE enum err phantom_frame_draw(struct phantom_frame *out, const struct phantom_id *id, int preset,
                                     const struct phantom_params *p);
/* The same for a CT that takes the patient's place: its grid, unless spacing or thickness are given. */
MUST_USE enum err phantom_frame_of(struct phantom_frame *out, const struct grid *ct,
                                   const struct phantom_params *p);
/* The weights that `kinds` names: "hcc=0.5,cyst=0.1", a bare name counts 1, "lits" is LiTS's mixture.
 * Sets weight, median and spread; ERR_USAGE for an unknown kind or weights that are all 0. */
MUST_USE enum err phantom_kinds(struct lesion_odds *out, const char *kinds);

#endif
