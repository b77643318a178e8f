/* The noise of a scan (phantom.md section 10): band-pass noise and streaks in plane, correlated across
 * slices, stronger in the middle of the body. Every slice is a function of its number, so slices need no
 * order. */
#ifndef D4M_PHANTOM_SCAN_NOISE_H
#define D4M_PHANTOM_SCAN_NOISE_H

#include "base/err.h"
#include "phantom/render.h"
#include "phantom/scan_filter.h"

struct scan_noise {
    int64_t n[2]; /* pixels of a slice */
    struct rng rng;
    struct scan_taps fine[2], coarse[2], streak[2]; /* along x and y; their sum has unit variance */
    float across;                                   /* a: weight of the two neighbouring slices */
    float base, *bump[2];                           /* SD (HU) is base + bump[0][x] * bump[1][y] */
};
/* r: the scan's stream. */
MUST_USE enum err scan_noise_make(struct scan_noise *out, const struct scan *s, struct rng r);
void scan_noise_free(struct scan_noise *n);

/* What one thread works in: fields of unit variance of three slices, and the slices they are of. */
struct scan_noise_work {
    float *field[3], *white, *rows, *line;
    int64_t slice[3];
};
MUST_USE enum err scan_noise_work_new(struct scan_noise_work *out, const struct scan_noise *n);
void scan_noise_work_free(struct scan_noise_work *w);
/* Adds the noise of slice k to its clean HU. */
void scan_noise_add(const struct scan_noise *n, struct scan_noise_work *w, int64_t k, float *hu);
uint64_t scan_noise_bytes(const int64_t n[2]); /* of one thread */

#endif
