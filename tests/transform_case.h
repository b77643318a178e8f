/* Transforms and volumes that the tests of registration share. */
#ifndef D4M_TRANSFORM_CASE_H
#define D4M_TRANSFORM_CASE_H

#include "test.h"

#include "align/transform.h"
#include "base/mem.h"
#include "base/rng.h"
#include <math.h>

/* A smooth velocity of at most `size` nodes on a lattice turned against the world. */
static inline struct velocity case_velocity(double size)
{
    struct velocity v = {.size = {19, 17, 13}, .squarings = 4};
    double c = cos(0.2), s = sin(0.2);
    int64_t at = 0;

    v.to_world = (struct affine){{{4 * c, -4 * s, 0, -30}, {4 * s, 4 * c, 0, -40}, {0, 0, 4.5, 12}}};
    v.v = mem_new(3 * (size_t)velocity_nodes(&v), sizeof *v.v);
    for (int64_t z = 0; z < v.size[2]; z++)
        for (int64_t y = 0; y < v.size[1]; y++)
            for (int64_t x = 0; x < v.size[0]; x++)
                for (int k = 0; k < 3; k++, at++)
                    v.v[at] = (float)(size * sin(0.25 * (double)x + k) * cos(0.2 * (double)y - k) *
                                      sin(0.3 * (double)z + 0.5 * k));
    return v;
}

static inline struct affine case_affine(void)
{
    return (struct affine){{{1.02, -0.05, 0.01, 3}, {0.04, 0.98, 0.02, -2.5}, {-0.02, 0.01, 1.01, -4}}};
}

static inline struct grid case_grid(int64_t nx, int64_t ny, int64_t nz)
{
    struct grid g = grid_make((int64_t[3]){nx, ny, nz}, (double[3]){1.5, 1.25, 2}, (double[3]){-28, -20, 14});

    return g;
}

/* A(exp(v)(x)) between two grids. */
static inline struct transform *case_transform(double size)
{
    struct grid fixed = case_grid(40, 44, 21), moving = case_grid(38, 40, 25);
    struct velocity v = case_velocity(size);
    struct affine a = case_affine();
    struct transform *t = NULL;

    assert_ok(transform_new(&t, &fixed, &moving));
    assert_ok(transform_add_lattice(t, ELEMENT_VELOCITY, &v, false));
    assert_ok(transform_add_affine(t, &a));
    mem_free(v.v);
    return t;
}

/* The velocity's displacement as a dense field, in nodes: what other programs write. */
static inline struct transform *case_field(double size)
{
    struct velocity v = case_velocity(size);
    size_t n = 3 * (size_t)velocity_nodes(&v);
    float *phi = mem_new(n, sizeof *phi), *work = mem_new(n, sizeof *work);
    struct transform *t = NULL;

    assert_ok(transform_new(&t, NULL, NULL));
    velocity_exp(&v, 1, phi, work);
    mem_free(v.v);
    mem_free(work);
    v.v = phi;
    v.squarings = 0;
    assert_ok(transform_add_lattice(t, ELEMENT_FIELD, &v, false));
    mem_free(phi);
    return t;
}

static inline struct volume *case_noise(const struct grid *g, enum voxel type)
{
    struct volume *v = NULL;
    struct rng r = rng_at(5, 7);

    assert_ok(volume_new(&v, g, type));
    for (int64_t i = 0; i < grid_count(g); i++) {
        if (type == VOXEL_I16)
            ((int16_t *)v->data)[i] = (int16_t)((int)rng_below(&r, 3000) - 1000);
        else
            ((uint8_t *)v->data)[i] = (uint8_t)rng_below(&r, 4);
    }
    return v;
}

#endif
