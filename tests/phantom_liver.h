/* A liver for tests: an ellipsoid about as large as a real one, whose distance is exact on its axes. */
#ifndef D4M_TEST_PHANTOM_LIVER_H
#define D4M_TEST_PHANTOM_LIVER_H

#include "phantom/phantom.h"
#include <math.h>

static const float liver_centre[3] = {30, 5, 5}, liver_axes[3] = {115, 95, 85}; /* mm */

static inline void ball_distance(const void *ctx, const struct points *p, int n, float *d)
{
    const float k = *(const float *)ctx; /* scale */

    for (int i = 0; i < n; i++) {
        float x = (p->x[i] / k - liver_centre[0]) / liver_axes[0];
        float y = (p->y[i] / k - liver_centre[1]) / liver_axes[1];
        float z = (p->z[i] / k - liver_centre[2]) / liver_axes[2];

        d[i] = k * liver_axes[2] * (sqrtf(x * x + y * y + z * z) - 1);
    }
}

/* *scale stays the caller's. */
static inline struct liver ball_liver(const float *scale)
{
    struct liver l = {.distance = ball_distance, .ctx = scale};

    for (int c = 0; c < 3; c++) {
        l.lo[c] = (double)*scale * (double)(liver_centre[c] - liver_axes[c]) - 2;
        l.hi[c] = (double)*scale * (double)(liver_centre[c] + liver_axes[c]) + 2;
    }
    return l;
}

#endif
