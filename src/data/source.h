/* How networks see a prepared case: int16 phases become normalised floats, channels last, on the way out.
 * Missing phases are filled with present ones (seg-backbones.md section 11), so that every channel has data.
 * This is the place where volumes' (x, y, z) becomes (D, H, W) = (z, y, x): the same bytes, named from the
 * slow end. */
#ifndef D4M_DATA_SOURCE_H
#define D4M_DATA_SOURCE_H

#include "data/patch.h"
#include "data/plan.h"
#include "data/prepare.h"

struct source {      /* borrows the case's voxels */
    int64_t size[3]; /* (D, H, W) */
    int64_t channels;
    int from[PLAN_MAX_PHASES]; /* the phase that channel c shows */
    const int16_t *phase[PLAN_MAX_PHASES];
    float low[PLAN_MAX_PHASES], high[PLAN_MAX_PHASES];     /* HU are clipped to these */
    float mean[PLAN_MAX_PHASES], inverse[PLAN_MAX_PHASES]; /* then (HU - mean) * inverse (data/normalise.h) */
    const uint8_t *label;                                  /* NULL if there is none */
};

/* ERR_INPUT if the case has no phase at all, or not the plan's number of channels. */
MUST_USE enum err source_make(struct source *s, const struct prepared *c, const struct plan *p);
/* Channel c shows phase from[c]: itself if it is present, else the nearest present one going down cyclically.
 * False if none is. */
bool source_replicate(const bool *present, int channels, int *from);
/* Fills out (its size and channels are set) with the box that starts at voxel `at`, which may lie anywhere:
 * outside the case the image is 0 and the label LABEL_OUTSIDE. */
void source_read(const struct source *s, const int64_t at[3], const struct patch *out);
/* The same for plane z of out alone. */
void source_read_plane(const struct source *s, const int64_t at[3], int64_t z, const struct patch *out);

#endif
