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
};

/* Sorts v[0..n) in place (undefined values last) and summarises it. */
struct summary summary_of(double *v, size_t n);

#endif
