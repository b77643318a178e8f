/* A prepared case for tests: smooth int16 phases and a liver ball with a tumour ball in it, in memory. */
#ifndef D4M_TEST_BALL_CASE_H
#define D4M_TEST_BALL_CASE_H

#include "test.h"

#include "base/mem.h"
#include "data/prepare.h"
#include <math.h>

/* Balls in parts of the box: radius 0.35 of the shortest side (liver, 1) and 0.12 (tumour, 2). */
static inline uint8_t ball_label(const int64_t dims[3], int64_t x, int64_t y, int64_t z)
{
    double side = fmin((double)dims[0], fmin((double)dims[1], (double)dims[2]));
    double dx = (double)x - (double)dims[0] * 0.5, dy = (double)y - (double)dims[1] * 0.45,
           dz = (double)z - (double)dims[2] * 0.5;
    double liver = sqrt(dx * dx + dy * dy + dz * dz),
           tumour = sqrt((dx - 2) * (dx - 2) + (dy + 1) * (dy + 1) + dz * dz);

    return tumour < 0.12 * side ? 2 : liver < 0.35 * side ? 1 : 0;
}

/* present: one bit a phase. dims (x, y, z). */
static inline struct prepared *ball_case(const int64_t dims[3], int phases, unsigned present)
{
    struct prepared *c = mem_new(1, sizeof *c);

    assert_non_null(c);
    c->name = mem_str("ball");
    c->phases = phases;
    c->grid = c->ras = grid_make(dims, (const double[3]){1, 1, 1}, (const double[3]){0, 0, 0});
    c->orient = grid_orient(&c->ras);
    assert_ok(volume_new(&c->label, &c->grid, VOXEL_U8));
    for (int p = 0; p < phases; p++) {
        if (!(present >> p & 1))
            continue;
        assert_ok(volume_new(&c->phase[p], &c->grid, VOXEL_I16));
        c->stats[p] = (struct phase_stats){.mean = 60 + 10 * p, .sd = 50 + 5 * p, .inside = 1};
    }
    for (int64_t i = 0; i < grid_count(&c->grid); i++) {
        int64_t x = i % dims[0], y = i / dims[0] % dims[1], z = i / (dims[0] * dims[1]);
        uint8_t l = ball_label(dims, x, y, z);
        ((uint8_t *)c->label->data)[i] = l;
        c->class_voxels[l]++;
        for (int p = 0; p < phases; p++)
            if (c->phase[p])
                ((int16_t *)c->phase[p]->data)[i] =
                    (int16_t)(60 + 40 * l + 13 * p + (x * 7 + y * 3 + z * 11) % 90 - 60);
    }
    return c;
}

static inline void ball_free(struct prepared *c)
{
    for (int p = 0; p < c->phases; p++)
        volume_free(c->phase[p]);
    volume_free(c->label);
    mem_free(c->name);
    mem_free(c);
}

#endif
