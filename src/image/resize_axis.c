#include "image/resize_axis.h"
#include "base/mem.h"
#include <math.h>
#include <string.h>

enum { LANES = RESIZE_LANES, PAD = RESIZE_PAD };
#define POLE (-0.26794919243112270647) /* sqrt(3) - 2 */

void resize_linear_tap(int64_t n, int64_t m, int64_t k, int64_t *low, int64_t *high, double *weight)
{
    double x = ((double)k + 0.5) * (double)n / (double)m - 0.5;
    double base = floor(x);
    int64_t i = (int64_t)base;

    *weight = x - base;
    *low = i < 0 ? 0 : i > n - 1 ? n - 1 : i;
    *high = i + 1 < 0 ? 0 : i + 1 > n - 1 ? n - 1 : i + 1;
}

static void cubic_tap(int64_t n, int64_t m, int64_t k, int64_t index[4], double weight[4])
{
    double x = ((double)k + 0.5) * (double)n / (double)m - 0.5 + PAD;
    double base = floor(x), f = x - base, g = 1 - f;

    weight[0] = g * g * g / 6;
    weight[1] = (4 - 6 * f * f + 3 * f * f * f) / 6;
    weight[2] = (4 - 6 * g * g + 3 * g * g * g) / 6;
    weight[3] = f * f * f / 6;
    for (int t = 0; t < 4; t++) {
        int64_t i = (int64_t)base - 1 + t, last = n + 2 * PAD - 1;

        index[t] = i < 0 ? 0 : i > last ? last : i;
    }
}

int64_t resize_nearest_tap(int64_t n, int64_t m, int64_t k)
{
    double c = (double)n / (double)m * ((double)k + 0.5) - 0.5;
    int64_t i = (int64_t)floor(c + 0.5);

    return i < 0 ? 0 : i > n - 1 ? n - 1 : i;
}

enum err resize_axis_make(struct resize_axis *a, int64_t n, int64_t m, enum resize_order order)
{
    a->n = n;
    a->m = m;
    a->filter = order == RESIZE_CUBIC && n != m;
    a->taps = a->filter ? 4 : order == RESIZE_LINEAR && n != m ? 2 : 1;
    a->index = mem_new((size_t)m * (size_t)a->taps, sizeof *a->index);
    a->weight = mem_new((size_t)m * (size_t)a->taps, sizeof *a->weight);
    if (!a->index || !a->weight)
        return ERR_MEMORY;
    for (int64_t k = 0; k < m; k++) {
        int64_t *index = a->index + k * a->taps;
        double *weight = a->weight + k * a->taps;

        if (a->taps == 4) {
            cubic_tap(n, m, k, index, weight);
        } else if (a->taps == 2) {
            resize_linear_tap(n, m, k, &index[0], &index[1], &weight[1]);
            weight[0] = 1 - weight[1];
        } else {
            index[0] = resize_nearest_tap(n, m, k);
            weight[0] = 1;
        }
    }
    return ERR_OK;
}

void resize_axis_free(struct resize_axis *a)
{
    mem_free(a->index);
    mem_free(a->weight);
}

int64_t resize_axis_rows(const struct resize_axis *a)
{
    return a->n + (a->filter ? 2 * PAD : 0);
}

/* The cubic B-spline coefficients of n rows in place, half-sample symmetric ends (spec section 21). */
static void spline_filter(double (*c)[LANES], int64_t n)
{
    double sum[LANES], z_n = pow(POLE, (double)n), scale = POLE / (1 - z_n * z_n), z_i = 1;
    int64_t reach = n < 64 ? n : 64; /* POLE^64 is 2e-37 */

    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < LANES; j++)
            c[i][j] *= 6;
    for (int j = 0; j < LANES; j++)
        sum[j] = 0;
    for (int64_t i = 0; i < reach; i++, z_i *= POLE)
        for (int j = 0; j < LANES; j++)
            sum[j] += z_i * (c[i][j] + z_n * c[n - 1 - i][j]);
    for (int j = 0; j < LANES; j++)
        c[0][j] += scale * sum[j];
    for (int64_t i = 1; i < n; i++)
        for (int j = 0; j < LANES; j++)
            c[i][j] += POLE * c[i - 1][j];
    for (int j = 0; j < LANES; j++)
        c[n - 1][j] *= POLE / (POLE - 1);
    for (int64_t i = n - 2; i >= 0; i--)
        for (int j = 0; j < LANES; j++)
            c[i][j] = POLE * (c[i + 1][j] - c[i][j]);
}

void resize_axis_apply(const struct resize_axis *a, const struct resize_span *part,
                       double (*restrict before)[LANES], double (*restrict behind)[LANES])
{
    if (a->filter)
        spline_filter(before, part->end - part->first);
    for (int64_t k = part->from; k < part->to; k++) {
        const int64_t *index = a->index + k * a->taps;
        const double *w = a->weight + k * a->taps;
        double *restrict o = behind[k - part->from];

        if (a->taps == 1) {
            memcpy(o, before[index[0] - part->first], sizeof *behind);
        } else if (a->taps == 2) {
            const double *p = before[index[0] - part->first], *q = before[index[1] - part->first];

            for (int j = 0; j < LANES; j++)
                o[j] = w[0] * p[j] + w[1] * q[j];
        } else {
            const double *p = before[index[0] - part->first], *q = before[index[1] - part->first],
                         *r = before[index[2] - part->first], *s = before[index[3] - part->first];

            for (int j = 0; j < LANES; j++)
                o[j] = w[0] * p[j] + w[1] * q[j] + w[2] * r[j] + w[3] * s[j];
        }
    }
}

void resize_axis_apply_all(const struct resize_axis *a, double (*restrict before)[LANES],
                           double (*restrict behind)[LANES])
{
    const struct resize_span all = {0, a->m, 0, resize_axis_rows(a)};

    for (int64_t i = 0; a->filter && i < PAD; i++) {
        memcpy(before[i], before[PAD], sizeof before[i]);
        memcpy(before[PAD + a->n + i], before[PAD + a->n - 1], sizeof before[i]);
    }
    resize_axis_apply(a, &all, before, behind);
}
