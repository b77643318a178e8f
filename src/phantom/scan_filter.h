/* Separable filters of one slice (n[0] x n[1] floats, x fastest). Sums have one order: the same bytes on
 * every machine. */
#ifndef D4M_PHANTOM_SCAN_FILTER_H
#define D4M_PHANTOM_SCAN_FILTER_H

#include <stdint.h>

enum { SCAN_RADIUS = 64 };

/* A symmetric kernel: weight[k] is at +k and -k. */
struct scan_taps {
    int radius;
    float weight[SCAN_RADIUS + 1];
};
/* A Gaussian of sum 1, sigma in pixels, cut at four sigma (and SCAN_RADIUS). */
struct scan_taps scan_gauss(double sigma);
void scan_taps_scale(struct scan_taps *t, double factor);

enum scan_edge { SCAN_WRAP, SCAN_REPEAT }; /* what lies beyond the slice: its other side, or its edge */

/* Floats of the line that scan_rows works in. */
int64_t scan_line(int64_t width);
/* Along x; out may be in. */
void scan_rows(const struct scan_taps *t, enum scan_edge edge, const int64_t n[2], const float *in,
               float *line, float *out);
/* Along y: out (+)= the filtered slice, where `add` says; out must not be in. */
struct scan_columns {
    const struct scan_taps *taps;
    enum scan_edge edge;
    int add;
};
void scan_columns(const struct scan_columns *c, const int64_t n[2], const float *in, float *out);

#endif
