#include "test.h"

#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "image/intensity.h"
#include "image/resample.h"
#include <math.h>

static struct volume *noise(const struct grid *g, enum voxel type)
{
    struct volume *v = NULL;
    struct rng r = rng_at(5, 7);

    assert_ok(volume_new(&v, g, type));
    for (int64_t i = 0; i < grid_count(g); i++) {
        if (type == VOXEL_I16)
            ((int16_t *)v->data)[i] = (int16_t)((int)rng_below(&r, 3000) - 1000);
        else
            ((uint8_t *)v->data)[i] = (uint8_t)rng_below(&r, 3);
    }
    return v;
}

/* A grid turned about z by `angle`, then its axes permuted and signed. */
static struct grid turned(const int64_t dims[3], const double spacing[3], double angle, const int order[3])
{
    struct grid g = {.dims = {dims[0], dims[1], dims[2]}, .spacing = {spacing[0], spacing[1], spacing[2]}};
    double c = cos(angle), s = sin(angle), turn[3][3] = {{c, -s, 0}, {s, c, 0}, {0, 0, 1}};

    for (int j = 0; j < 3; j++) {
        int axis = abs(order[j]) - 1;

        for (int i = 0; i < 3; i++)
            g.affine[i][j] = turn[i][axis] * spacing[j] * (order[j] < 0 ? -1 : 1);
    }
    /* the box around the origin */
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            g.affine[i][3] -= g.affine[i][j] * (double)(dims[j] - 1) / 2;
    return g;
}

/* Trilinear by its definition: the weighted sum over all voxels of the source within reach. NAN outside. */
static double oracle(const struct volume *v, const double mm[3], int64_t near[3])
{
    double inverse[3][4], x[3], sum = 0;
    const int64_t *n = v->grid.dims;

    assert_ok(grid_invert(&v->grid, inverse));
    for (int a = 0; a < 3; a++) {
        x[a] = inverse[a][3] + inverse[a][0] * mm[0] + inverse[a][1] * mm[1] + inverse[a][2] * mm[2];
        if (x[a] < -0.5 || x[a] > (double)n[a] - 0.5)
            return NAN;
        x[a] = fmin(fmax(x[a], 0), (double)(n[a] - 1));
        near[a] = (int64_t)ceil(x[a] - 0.5);
    }
    for (int64_t k = (int64_t)x[2]; k < n[2] && k <= x[2] + 1; k++)
        for (int64_t j = (int64_t)x[1]; j < n[1] && j <= x[1] + 1; j++)
            for (int64_t i = (int64_t)x[0]; i < n[0] && i <= x[0] + 1; i++) {
                double w = (1 - fabs(x[0] - (double)i)) * (1 - fabs(x[1] - (double)j)) *
                           (1 - fabs(x[2] - (double)k));

                if (w > 0)
                    sum += w * ((int16_t *)v->data)[(k * n[1] + j) * n[0] + i];
            }
    return sum;
}

static void check_hu(const struct volume *in, const struct grid *to)
{
    struct volume *out = NULL;
    int64_t p = 0, inside = 0, at[3];

    assert_ok(resample_hu(&out, in, to));
    for (int64_t k = 0; k < to->dims[2]; k++)
        for (int64_t j = 0; j < to->dims[1]; j++)
            for (int64_t i = 0; i < to->dims[0]; i++, p++) {
                double mm[3], want;

                grid_world(to, (double[3]){(double)i, (double)j, (double)k}, mm);
                want = oracle(in, mm, at);
                if (isnan(want)) {
                    assert_int_equal(((int16_t *)out->data)[p], RESAMPLE_FILL_HU);
                    continue;
                }
                inside++;
                assert_true(fabs(((int16_t *)out->data)[p] - want) <= 0.5 + 1e-6);
            }
    assert_in_range(inside, 100, p - 100);
    volume_free(out);
}

static const int64_t from_dims[3] = {21, 17, 9}, to_dims[3] = {20, 25, 15};
static const double from_mm[3] = {1.3, 1.5, 3}, to_mm[3] = {1.7, 1.1, 2.3};

static void parallel_axes_match_the_oracle(void **state)
{
    const int orders[3][3] = {{1, 2, 3}, {-2, 1, -3}, {3, -1, 2}};

    (void)state;
    for (int o = 0; o < 3; o++) {
        struct grid from = turned(from_dims, from_mm, 0, orders[o]),
                    to = turned(to_dims, to_mm, 0, orders[2 - o]);
        struct volume *in = noise(&from, VOXEL_I16);

        to.affine[0][3] += 4.7; /* part of the target is outside */
        check_hu(in, &to);
        volume_free(in);
    }
}

static void oblique_axes_match_the_oracle(void **state)
{
    struct grid from = turned(from_dims, from_mm, 0.3, (int[3]){1, -2, 3});
    struct grid to = turned(to_dims, to_mm, -0.2, (int[3]){-1, 2, 3});
    struct volume *in = noise(&from, VOXEL_I16);

    (void)state;
    check_hu(in, &to);
    volume_free(in);
}

static void labels_take_the_nearest(void **state)
{
    struct grid from = turned(from_dims, from_mm, 0.3, (int[3]){1, -2, 3});
    struct grid to = turned(to_dims, to_mm, 0, (int[3]){1, 2, 3});
    struct volume *in = noise(&from, VOXEL_U8), *hu = noise(&from, VOXEL_I16), *out = NULL;
    int64_t p = 0, n[3];

    (void)state;
    assert_ok(resample_labels(&out, in, &to));
    for (int64_t k = 0; k < to.dims[2]; k++)
        for (int64_t j = 0; j < to.dims[1]; j++)
            for (int64_t i = 0; i < to.dims[0]; i++, p++) {
                double mm[3];
                uint8_t want = 0;

                grid_world(&to, (double[3]){(double)i, (double)j, (double)k}, mm);
                if (!isnan(oracle(hu, mm, n)))
                    want = ((uint8_t *)in->data)[(n[2] * from.dims[1] + n[1]) * from.dims[0] + n[0]];
                assert_int_equal(((uint8_t *)out->data)[p], want);
            }
    volume_free(in);
    volume_free(hu);
    volume_free(out);
}

static void the_same_grid_changes_nothing(void **state)
{
    struct grid g = turned(from_dims, from_mm, 0.3, (int[3]){2, -1, 3}), near = g;
    struct volume *in = noise(&g, VOXEL_I16), *out = NULL;
    size_t bytes = (size_t)grid_count(&g) * 2;

    (void)state;
    near.affine[0][3] += 0.05;
    assert_ok(resample_hu(&out, in, &near));
    assert_memory_equal(in->data, out->data, bytes);
    volume_free(out);
    assert_ok(resample_to_spacing(&out, in, g.spacing));
    assert_memory_equal(in->data, out->data, bytes);
    volume_free(out);
    volume_free(in);
}

static void threads_do_not_change_bytes(void **state)
{
    struct grid from = turned(from_dims, from_mm, 0.3, (int[3]){1, -2, 3});
    struct grid to = turned(to_dims, to_mm, -0.2, (int[3]){-1, 2, 3});
    struct volume *in = noise(&from, VOXEL_I16), *out[2] = {NULL, NULL};

    (void)state;
    for (int t = 0; t < 2; t++) {
        par_set_threads(t ? 4 : 1);
        assert_ok(resample_hu(&out[t], in, &to));
    }
    assert_memory_equal(out[0]->data, out[1]->data, (size_t)grid_count(&to) * 2);
    par_set_threads(0);
    volume_free(in);
    volume_free(out[0]);
    volume_free(out[1]);
}

static void a_resized_grid_has_the_same_box(void **state)
{
    struct grid g = turned(from_dims, from_mm, 0.3, (int[3]){2, -1, 3}), r;
    double a[3], b[3];

    (void)state;
    assert_ok(resize_grid(&r, &g, (double[3]){2, 2, 2}));
    assert_true(r.dims[0] == 14 && r.dims[1] == 13 && r.dims[2] == 14); /* 13.65, 12.75, 13.5: half to even */
    for (int corner = 0; corner < 8; corner++) {
        double at[2][3];

        for (int i = 0; i < 3; i++) {
            at[0][i] = corner >> i & 1 ? (double)g.dims[i] - 0.5 : -0.5;
            at[1][i] = corner >> i & 1 ? (double)r.dims[i] - 0.5 : -0.5;
        }
        grid_world(&g, at[0], a);
        grid_world(&r, at[1], b);
        for (int i = 0; i < 3; i++)
            assert_float_equal(a[i], b[i], 1e-9);
    }
    g.spacing[1] = 1e5;
    assert_err(resize_grid(&r, &g, (double[3]){2, 2, 2}), ERR_INPUT, "axis y");
    g.spacing[1] = 100;
    assert_err(resize_grid(&r, &g, (double[3]){2, 0.01, 2}), ERR_INPUT, "coarser");
}

static void orders_follow_the_rule(void **state)
{
    const struct {
        double now[3], then[3];
        int order[3];
    } rows[] = {
        {{0.8, 0.8, 5}, {1, 1, 1}, {3, 3, 1}}, {{0.8, 0.8, 2.4}, {1, 1, 1}, {3, 3, 3}},
        {{5, 0.8, 0.8}, {1, 1, 1}, {1, 3, 3}}, {{5, 5, 0.8}, {1, 1, 4}, {3, 3, 3}},
        {{1, 1, 1}, {1, 4, 1}, {3, 1, 3}},     {{1, 1, 1}, {4, 4, 1}, {3, 3, 3}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum resize_order o[3];

        resize_orders(rows[i].now, rows[i].then, o);
        for (int a = 0; a < 3; a++)
            assert_int_equal(o[a], rows[i].order[a]);
    }
}

static void statistics_are_exact(void **state)
{
    struct grid g = grid_make((int64_t[3]){7, 5, 3}, (double[3]){1, 1, 1}, (double[3]){0, 0, 0});
    struct volume *v = noise(&g, VOXEL_I16), *mask = noise(&g, VOXEL_U8);
    const double window[2] = {-21, 189};
    const int16_t *in = v->data;
    struct histogram *h = NULL;
    double mean, sd, sum = 0, squares = 0;
    int64_t masked = 0;

    (void)state;
    assert_ok(histogram_make(&h, v, NULL));
    histogram_clip_stats(h, window, &mean, &sd);
    for (int i = 0; i < 105; i++)
        sum += fmin(fmax(in[i], -21), 189);
    for (int i = 0; i < 105; i++)
        squares += pow(fmin(fmax(in[i], -21), 189) - sum / 105, 2);
    assert_float_equal(mean, sum / 105, 1e-10);
    assert_float_equal(sd, sqrt(squares / 105), 1e-10);
    mem_free(h);
    assert_ok(histogram_make(&h, v, mask));
    for (int i = 0; i < 105; i++)
        masked += ((uint8_t *)mask->data)[i] != 0;
    assert_int_equal(h->count, masked);
    mem_free(h);
    for (int i = 0; i < 105; i++)
        ((int16_t *)v->data)[i] = (int16_t)(i * 2);
    assert_ok(histogram_make(&h, v, NULL));
    assert_float_equal(histogram_quantile(h, 0), 0, 0);
    assert_float_equal(histogram_quantile(h, 0.5), 104, 0);
    assert_float_equal(histogram_quantile(h, 0.005), 1.04, 1e-12);
    assert_float_equal(histogram_quantile(h, 1), 208, 0);
    mem_free(h);
    volume_free(v);
    volume_free(mask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parallel_axes_match_the_oracle), cmocka_unit_test(oblique_axes_match_the_oracle),
        cmocka_unit_test(labels_take_the_nearest),        cmocka_unit_test(the_same_grid_changes_nothing),
        cmocka_unit_test(threads_do_not_change_bytes),    cmocka_unit_test(a_resized_grid_has_the_same_box),
        cmocka_unit_test(orders_follow_the_rule),         cmocka_unit_test(statistics_are_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
