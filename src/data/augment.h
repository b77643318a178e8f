/* Training augmentation (seg-nnunet.md section 8): which transforms a sample gets and with which parameters
 * is a pure function of (seed, step, sample), each transform drawing from its own stream. Serial; it runs in
 * the loader's threads.
 *
 * The presets: AUGMENT_FLIPS mirrors every axis with probability 0.5 and scales brightness; AUGMENT_NNUNET
 * does all rows of the table in its order. */
#ifndef D4M_DATA_AUGMENT_H
#define D4M_DATA_AUGMENT_H

#include "data/patch.h"
#include "data/plan.h"
#include "data/spatial.h"

struct augment {
    int preset;         /* enum plan_augment */
    int64_t patch[3];   /* (D, H, W) of the result */
    double rotation;    /* radians, +- */
    double scale[2];    /* lowest and highest factor; > 1 shrinks objects */
    double probability; /* of rotation and, independently, of scaling */
    bool flat; /* dummy 2D: axis 0 is over three times finer than the longest; in-plane rotation by any angle
                */
};

struct augment augment_from_plan(const struct plan *p);
/* Key of one sample's draws. */
uint64_t augment_key(uint64_t seed, int64_t step, int64_t sample);
/* Size of the sample that a patch is read from, large enough for the rotation (section 7, "initial patch").
 */
void augment_sample_size(const struct augment *a, int64_t size[3]);
/* The spatial transform of this key; spatial_box tells which part of the sample it needs. */
struct spatial augment_spatial(const struct augment *a, uint64_t key);
/* Rows 2 to 11 in place: intensities, mirroring, label -1 -> 0. scratch: augment_scratch floats. */
void augment_apply(const struct augment *a, uint64_t key, const struct patch *p, float *scratch);
int64_t augment_scratch(const struct augment *a, int64_t channels);

#endif
