/* Where a sample is taken from: lists of voxels by class, and the sampling rules of a plan (seg-nnunet.md
 * section 7; the rule with probabilities is MONAI's positive/negative crop, seg-backbones.md section 11). */
#ifndef D4M_DATA_PLACES_H
#define D4M_DATA_PLACES_H

#include "base/rng.h"
#include "data/source.h"

enum { PLACES_MAX = 10000 /* voxels kept for a class */ };

struct places {
    int64_t classes;
    int64_t *count;  /* by class; 0 for the background */
    int64_t **voxel; /* by class: indices into the label volume */
};

/* Up to PLACES_MAX voxels of every class above 0, each subset equally likely, by (seed, class). ERR_INPUT if
 * a label is not below `classes`. s->label must be there. */
MUST_USE enum err places_find(struct places *p, const struct source *s, int64_t classes, uint64_t seed);
void places_free(struct places *p);

/* Corner of a sample of `size` >= the plan's patch for sample `index` of a batch: it may lie outside the
 * case. */
void places_pick(const struct places *p, const struct source *s, const struct plan *plan,
                 const int64_t size[3], int64_t index, struct rng *r, int64_t corner[3]);

#endif
