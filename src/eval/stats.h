/* Summaries of per-case values. Undefined values (NAN) are left out and counted. */
#ifndef D4M_EVAL_STATS_H
#define D4M_EVAL_STATS_H

#include <stddef.h>
#include <stdint.h>

struct summary {
    int64_t n, undefined;  /* values used, values left out */
    double mean, sd;       /* sd with n - 1, NAN below two values; mean NAN without a value */
    double median, q1, q3; /* linear interpolation between order statistics (type 7) */
    double min, max;
    double low, high; /* 95 % interval of the mean over repetitions with other cases; NAN below two values */
};

/* How `low` and `high` come about, for a reader. */
#define INTERVAL_DEFINITION                                                                                  \
    "percentile bootstrap over cases, 4000 resamples; too narrow below about ten cases"

/* Sorts v[0..n) in place (undefined values last) and summarises it. The same values in any order give the
 * same bytes, the bootstrap included. */
struct summary summary_of(double *v, size_t n);

#endif
