/* Where the patient is in a working image, and how noisy it is (registration.md section 3). */
#ifndef D4M_ALIGN_BODY_H
#define D4M_ALIGN_BODY_H

#include "base/err.h"
#include <stdint.h>

/* 1 in the body: over -200 HU, opened with the 6-neighbourhood (which takes off the table), the largest
 * component, holes filled slice by slice. Freed with mem_free. ERR_INPUT if nothing is left. */
MUST_USE enum err body_find(uint8_t **mask, const float *hu, const int64_t size[3]);
/* Smallest box around what is set: nodes from[a] .. to[a], inclusive. The mask must not be empty. */
void body_box(const uint8_t *mask, const int64_t size[3], int64_t from[3], int64_t to[3]);
/* Standard deviation of the noise, HU: over the nodes with the lower half of gradients, 1.4826 median|r| /
 * sqrt(g) with r = I - mean of the six neighbours. For white noise g = 1 + 1/6 (registration.md section 3);
 * the tent that made the image correlates neighbours, which body_noise_gain accounts for. Nodes in the body
 * and over -400 HU count. 0 if there are none. */
MUST_USE enum err body_noise(double *sigma, const float *hu, const uint8_t *mask, const int64_t size[3],
                             double gain);
/* Variance of r over the variance of I for white noise seen through a tent of these half widths (in nodes;
 * under 0.5: uncorrelated). */
double body_noise_gain(const double half_width[3]);
/* Whether the tissue at a node counts in the data term: in the body, over -400 HU. */
static inline uint8_t body_counts(float hu, uint8_t mask)
{
    return mask && hu > -400;
}

#endif
