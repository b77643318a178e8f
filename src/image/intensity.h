/* Intensity statistics of int16 volumes. Everything comes from an exact integer histogram, so that results
 * depend neither on the thread count nor on the order of voxels. */
#ifndef D4M_IMAGE_INTENSITY_H
#define D4M_IMAGE_INTENSITY_H

#include "volume/volume.h"

enum { HISTOGRAM_BINS = 65536, HISTOGRAM_ZERO = 32768 };

struct histogram {
    int64_t count;
    int64_t bin[HISTOGRAM_BINS]; /* bin[value + HISTOGRAM_ZERO] */
};

/* Histogram of an int16 volume; freed with mem_free. With a mask (uint8, same dims) only voxels where it is
 * not 0 count. */
MUST_USE enum err histogram_make(struct histogram **out, const struct volume *v, const struct volume *mask);
/* Mean and biased standard deviation of all counted values after clipping to [window[0], window[1]] HU; 0 and
 * 0 if none. */
void histogram_clip_stats(const struct histogram *h, const double window[2], double *mean, double *sd);
/* The value below which a share q (0..1) lies, linear between order statistics (numpy's default); 0 if none.
 */
double histogram_quantile(const struct histogram *h, double q);

#endif
