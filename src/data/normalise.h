/* Which numbers a network sees for HU: the plan's normalisation of one channel. With NORM_VOLUME (the
 * paper's) the window is the plan's and mean and deviation are the volume's own, so that a network knows the
 * kind of field of view that it was trained on. With NORM_CT (nnU-Net's; seg-nnunet.md section 5.2) all four
 * numbers are those of the labelled voxels of the training cases, and any field of view does. They are
 * measured once, before training, and are part of the plan. */
#ifndef D4M_DATA_NORMALISE_H
#define D4M_DATA_NORMALISE_H

#include "data/prepare.h"

struct plan_intensity {
    double low, high; /* HU: percentiles 0.5 and 99.5, to which values are clipped */
    double mean, sd;  /* of the values before clipping; sd > 0 */
};

/* Sets p->intensities from the voxels with a label > 0 of n cases, a channel at a time, on the prepared grid
 * (text in `a`). Voxels of -1000 HU and less are left out: what a phase did not scan. A channel that no case
 * shows gets the numbers of all channels together. ERR_INPUT if no case shows a labelled voxel. */
MUST_USE enum err plan_measure_intensities(struct plan *p, struct arena *a, struct prepared *const *item,
                                           size_t n);
/* Reads channel 0 <= c < p->phases of p->intensities. ERR_INPUT if they are missing or malformed. */
MUST_USE enum err plan_intensity(struct plan_intensity *out, const struct plan *p, int channel);
/* All channels of p->intensities, if there are any, are well-formed and p->phases in number. */
MUST_USE enum err plan_check_intensities(const struct plan *p);

#endif
