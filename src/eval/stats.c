#include "eval/stats.h"
#include "base/rng.h"
#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    if (isnan(x) || isnan(y))
        return (isnan(x) != 0) - (isnan(y) != 0);
    return (x > y) - (x < y);
}

/* Quantile p of n > 0 sorted values: position (n-1)p, linear between neighbours. */
static double quantile(const double *v, int64_t n, double p)
{
    double at = (double)(n - 1) * p;
    int64_t i = (int64_t)at;

    return i + 1 < n ? v[i] + (at - (double)i) * (v[i + 1] - v[i]) : v[i];
}

enum { RESAMPLES = 4000, BOOTSTRAP_SEED = 95 };

/* Efron's percentile interval: means of n values drawn from v with replacement. */
static void mean_interval(struct summary *s, const double *v)
{
    struct rng r = rng_at(BOOTSTRAP_SEED, (uint64_t)s->n);
    double mean[RESAMPLES];

    for (int b = 0; b < RESAMPLES; b++) {
        double sum = 0;

        for (int64_t i = 0; i < s->n; i++)
            sum += v[rng_below(&r, (uint64_t)s->n)];
        mean[b] = sum / (double)s->n;
    }
    qsort(mean, RESAMPLES, sizeof *mean, by_value);
    s->low = quantile(mean, RESAMPLES, 0.025);
    s->high = quantile(mean, RESAMPLES, 0.975);
}

struct summary summary_of(double *v, size_t n)
{
    struct summary s = {.mean = NAN,
                        .sd = NAN,
                        .median = NAN,
                        .q1 = NAN,
                        .q3 = NAN,
                        .min = NAN,
                        .max = NAN,
                        .low = NAN,
                        .high = NAN};
    double sum = 0, squares = 0;

    if (n)
        qsort(v, n, sizeof *v, by_value);
    while ((size_t)s.n < n && !isnan(v[s.n]))
        sum += v[s.n++];
    s.undefined = (int64_t)n - s.n;
    if (!s.n)
        return s;
    s.mean = sum / (double)s.n;
    for (int64_t i = 0; i < s.n; i++)
        squares += (v[i] - s.mean) * (v[i] - s.mean);
    if (s.n > 1)
        s.sd = sqrt(squares / (double)(s.n - 1));
    s.median = quantile(v, s.n, 0.5);
    s.q1 = quantile(v, s.n, 0.25);
    s.q3 = quantile(v, s.n, 0.75);
    s.min = v[0];
    s.max = v[s.n - 1];
    if (s.n > 1)
        mean_interval(&s, v);
    return s;
}
