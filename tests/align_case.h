/* A patient that the tests of registration share: an ellipsoid of tissue with organs that are blobs, known at
 * every point of the world, so that moved and turned copies are exact. */
#ifndef D4M_ALIGN_CASE_H
#define D4M_ALIGN_CASE_H

#include "test.h"

#include "align/affine.h"
#include "base/mem.h"
#include "base/rng.h"
#include "volume/volume.h"
#include <math.h>

enum { CASE_BLOBS = 160 };

struct case_patient {
    double centre[CASE_BLOBS][3], radius[CASE_BLOBS], height[CASE_BLOBS];
};

static inline struct case_patient case_patient(uint64_t seed)
{
    struct case_patient p;
    struct rng r = rng_at(seed, 1);

    for (int i = 0; i < CASE_BLOBS; i++) {
        for (int a = 0; a < 3; a++)
            p.centre[i][a] = rng_between(&r, -100, 100) * (a == 2 ? 0.8 : 1);
        p.radius[i] = rng_between(&r, 8, 20);
        p.height[i] = rng_between(&r, -120, 120);
    }
    return p;
}

/* HU at a point of the patient's world, mm; the body has half axes 105, 85, 75. */
static inline double case_hu(const struct case_patient *p, const double x[3])
{
    double inside = pow(x[0] / 105, 2) + pow(x[1] / 85, 2) + pow(x[2] / 75, 2), sum = 40;

    if (inside > 1.1)
        return -1000;
    for (int i = 0; i < CASE_BLOBS; i++) {
        double square = 0;
        for (int a = 0; a < 3; a++)
            square += pow(x[a] - p->centre[i][a], 2);
        if (square < 9 * p->radius[i] * p->radius[i])
            sum += p->height[i] * exp(-0.5 * square / (p->radius[i] * p->radius[i]));
    }
    return inside > 1 ? sum + (inside - 1) * 10 * (-1000 - sum) : sum;
}

/* The patient, brought to t(x), on a grid. */
static inline struct volume *case_volume(const struct case_patient *p, const struct grid *g,
                                         const struct affine *t)
{
    struct volume *v = NULL;
    int16_t *hu;

    assert_ok(volume_new(&v, g, VOXEL_I16));
    hu = v->data;
    for (int64_t z = 0; z < g->dims[2]; z++)
        for (int64_t y = 0; y < g->dims[1]; y++)
            for (int64_t x = 0; x < g->dims[0]; x++) {
                double at[3] = {(double)x, (double)y, (double)z};

                grid_world(g, at, at);
                affine_apply(t, at, at);
                *hu++ = (int16_t)floor(case_hu(p, at) + 0.5);
            }
    return v;
}

/* 4 x 4 x 4 mm over 240 x 200 x 176 mm. */
static inline struct grid case_ct_grid(void)
{
    return grid_make((int64_t[3]){60, 50, 44}, (double[3]){4, 4, 4}, (double[3]){-118, -98, -86});
}

#endif
