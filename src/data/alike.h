/* Are two phases of a case the same scan? Phases on one grid are thinned out to a sample each and correlated.
 */
#ifndef D4M_DATA_ALIKE_H
#define D4M_DATA_ALIKE_H

#include "volume/volume.h"

/* Two phases that correlate by more than this are taken for one (different phases of a patient reach about
 * 0.98). */
#define ALIKE_CORRELATION 0.9999

struct alike_sample {
    int16_t *v; /* mem_new; NULL if not taken */
    int64_t count;
};
/* Every n-th voxel of an int16 volume, about a quarter of a million; volumes on one grid give comparable
 * samples. */
MUST_USE enum err alike_take(struct alike_sample *s, const struct volume *v);
void alike_free(struct alike_sample *s);
/* Pearson's correlation over voxels that both phases show (above -1024 HU); 0 if that is undefined or a
 * sample is missing. */
double alike_correlation(const struct alike_sample *a, const struct alike_sample *b);

#endif
