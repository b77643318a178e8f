#include "phantom/scan_filter.h"
#include <math.h>
#include <string.h>

enum { STRIP = 32 }; /* samples that are summed in registers */

struct scan_taps scan_gauss(double sigma)
{
    struct scan_taps t = {.radius = (int)fmin(floor(4 * sigma + 0.5), SCAN_RADIUS)};
    double sum = 0;

    for (int k = -t.radius; k <= t.radius; k++)
        sum += exp(-0.5 * k * k / (sigma * sigma));
    for (int k = 0; k <= t.radius; k++)
        t.weight[k] = (float)(exp(-0.5 * k * k / (sigma * sigma)) / sum);
    return t;
}

void scan_taps_scale(struct scan_taps *t, double factor)
{
    for (int k = 0; k <= t->radius; k++)
        t->weight[k] = (float)(factor * (double)t->weight[k]);
}

static int64_t beyond(int64_t i, int64_t n, enum scan_edge edge)
{
    if (edge == SCAN_REPEAT)
        return i < 0 ? 0 : i < n ? i : n - 1;
    i %= n;
    return i < 0 ? i + n : i;
}

/* out[i] (+)= sum of weight[k] (left[k][i] + right[k][i]) for m <= STRIP samples; full strips stay in
 * registers. */
struct strip {
    const float *left[SCAN_RADIUS + 1], *right[SCAN_RADIUS + 1];
};

static inline void sum_strip(const struct scan_taps *t, const struct strip *s, int64_t x, int64_t m,
                             float sum[STRIP])
{
    for (int64_t i = 0; i < m; i++)
        sum[i] = t->weight[0] * s->left[0][x + i];
    for (int k = 1; k <= t->radius; k++) {
        const float *a = s->left[k] + x, *b = s->right[k] + x;
        const float w = t->weight[k];

        for (int64_t i = 0; i < m; i++)
            sum[i] += w * (a[i] + b[i]);
    }
}

static void filter_line(const struct scan_taps *t, const struct strip *s, int64_t n, int add, float *out)
{
    float sum[STRIP];

    for (int64_t x = 0; x < n; x += STRIP) {
        int64_t m = n - x < STRIP ? n - x : STRIP;

        if (m == STRIP)
            sum_strip(t, s, x, STRIP, sum);
        else
            sum_strip(t, s, x, m, sum);
        for (int64_t i = 0; i < m; i++)
            out[x + i] = add ? out[x + i] + sum[i] : sum[i];
    }
}

int64_t scan_line(int64_t width)
{
    return width + 2 * SCAN_RADIUS;
}

void scan_rows(const struct scan_taps *t, enum scan_edge edge, const int64_t n[2], const float *in,
               float *line, float *out)
{
    struct strip s;

    for (int k = 0; k <= t->radius; k++) {
        s.left[k] = line + t->radius - k;
        s.right[k] = line + t->radius + k;
    }
    for (int64_t y = 0; y < n[1]; y++) {
        const float *row = in + y * n[0];

        for (int64_t i = -t->radius; i < 0; i++)
            line[t->radius + i] = row[beyond(i, n[0], edge)];
        memcpy(line + t->radius, row, (size_t)n[0] * sizeof *line);
        for (int64_t i = n[0]; i < n[0] + t->radius; i++)
            line[t->radius + i] = row[beyond(i, n[0], edge)];
        filter_line(t, &s, n[0], 0, out + y * n[0]);
    }
}

void scan_columns(const struct scan_columns *c, const int64_t n[2], const float *in, float *out)
{
    struct strip s;

    for (int64_t y = 0; y < n[1]; y++) {
        for (int k = 0; k <= c->taps->radius; k++) {
            s.left[k] = in + beyond(y - k, n[1], c->edge) * n[0];
            s.right[k] = in + beyond(y + k, n[1], c->edge) * n[0];
        }
        filter_line(c->taps, &s, n[0], c->add, out + y * n[0]);
    }
}
