/* The intensity augmentations of nnU-Net (seg-nnunet.md section 8, rows 2 to 8) on an image (D, H, W, C), in
 * place and serial. Every array argument holds one entry a channel; a channel that a transform leaves alone
 * is said by a neutral entry. Random numbers other than the noise itself are drawn by the caller. */
#ifndef D4M_DATA_JITTER_H
#define D4M_DATA_JITTER_H

#include "data/patch.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JITTER_CHANNELS = 8 }; /* most channels an image may have here */

/* Adds N(0, deviation) to every value; the numbers are a function of (seed, stream). */
void jitter_noise(const struct patch *p, double deviation, uint64_t seed, uint64_t stream);
/* Separable Gaussian blur, sigma[channel][axis] in voxels (0: axis left alone), kernel length the nearest odd
 * number to 6 sigma + 0.5 (at most 7), reflection without the edge voxel. Works in scratch of jitter_scratch
 * floats. */
void jitter_blur(const struct patch *p, double sigma[JITTER_CHANNELS][3], float *scratch);
/* x * factor */
void jitter_brightness(const struct patch *p, const double *factor);
/* (x - mean) * factor + mean, clamped to the channel's former range */
void jitter_contrast(const struct patch *p, const double *factor);
/* Down to round(n * scale) voxels an axis (nearest) and up again (linear); scale 1 leaves a channel alone,
 * and `flat` leaves axis 0 alone. Works in scratch. */
void jitter_low_resolution(const struct patch *p, const double *scale, bool flat, float *scratch);
/* ((x - min) / range) ^ gamma on the image or, `inverted`, on its negative; mean and deviation are kept. */
void jitter_gamma(const struct patch *p, const double *gamma, bool inverted);
/* Reverses the axes with flip[axis]; labels too. */
void jitter_mirror(const struct patch *p, const bool flip[3]);

/* Floats of scratch for a patch of this size. */
int64_t jitter_scratch(const int64_t size[3], int64_t channels);

#endif
