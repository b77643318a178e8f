/* Lesions are 26-connected components of one label: how many there are and were found, and where the largest
 * one lies. */
#ifndef D4M_EVAL_LESIONS_H
#define D4M_EVAL_LESIONS_H

#include "base/err.h"
#include "volume/volume.h"
#include <stdbool.h>
#include <stdint.h>

#define LESION_DEFINITION                                                                                    \
    "a lesion is a 26-connected component of the lesion label; a reference lesion is detected if a "         \
    "predicted lesion "                                                                                      \
    "voxel lies in it; a predicted lesion is false if it touches no reference lesion"

struct lesion_counts {
    int64_t reference, predicted, detected, false_positive;
};
/* Both volumes are VOXEL_U8 with the same dims and storage order; lesions are the voxels equal to `label`. */
MUST_USE enum err lesions_match(struct lesion_counts *out, const struct volume *reference,
                                const struct volume *prediction, int label);

struct lesion_found {
    int64_t voxels;   /* 0: there is none */
    int64_t slice[3]; /* per storage axis, the slice that shows most of it (the lowest such) */
};
/* The largest component of the voxels with first <= label <= last; the first in storage order among equals.
 */
MUST_USE enum err lesion_largest(struct lesion_found *out, const struct volume *labels, int first, int last);

#endif
