/* Filters of int16 volumes. */
#ifndef D4M_IMAGE_FILTER_H
#define D4M_IMAGE_FILTER_H

#include "base/err.h"
#include <stdint.h>

/* out: the median of the 3 x 3 x 3 voxels around each of in's (dims voxels, x fastest); voxels beyond the
 * volume are those of its border. out must not be in. */
void filter_median(int16_t *out, const int16_t *in, const int64_t dims[3]);

#endif
