#include "align_case.h"

#include "align/body.h"
#include "align/feature.h"
#include "align/tent.h"

enum { N = 20 };

static struct lattice cube(void)
{
    return (struct lattice){{N, N, N}, {{{2, 0, 0, 0}, {0, 2, 0, 0}, {0, 0, 2, 0}}}};
}

static void noise_image(float *hu, uint64_t seed)
{
    struct rng r = rng_at(seed, 0);

    for (int i = 0; i < N * N * N; i++)
        hu[i] = (float)rng_between(&r, -100, 200);
}

static double pair_distance(const float *hu, const int x[3], const int a[3], const int b[3])
{
    double sum = 0;

    for (int dz = -1; dz <= 1; dz++)
        for (int dy = -1; dy <= 1; dy++)
            for (int dx = -1; dx <= 1; dx++) {
                int at = ((x[2] + a[2] + dz) * N + x[1] + a[1] + dy) * N + x[0] + a[0] + dx;
                int to = ((x[2] + b[2] + dz) * N + x[1] + b[1] + dy) * N + x[0] + b[0] + dx;
                sum += pow((double)hu[at] - (double)hu[to], 2);
            }
    return sum / 27;
}

/* The formula of section 4 as it stands, over the twelve pairs; the mean of V is given. */
static void direct(const float *hu, const int x[3], double least, double value[FEATURES])
{
    static const int p[6][3] = {{-2, 0, 0}, {2, 0, 0}, {0, -2, 0}, {0, 2, 0}, {0, 0, -2}, {0, 0, 2}};
    double low = INFINITY, mean = 0, v;
    int n = 0;

    for (int i = 0; i < 6; i++)
        for (int j = i + 1; j < 6; j++)
            if (i / 2 != j / 2)
                value[n++] = pair_distance(hu, x, p[i], p[j]);
    for (int k = 0; k < FEATURES; k++) {
        low = fmin(low, value[k]);
        mean += value[k] / FEATURES;
    }
    v = fmax(mean - low, least);
    for (int k = 0; k < FEATURES; k++)
        value[k] = exp(-(value[k] - low) / v);
}

static void shifted_images_give_the_twelve_pairs(void **state)
{
    struct lattice at = cube();
    float *hu = mem_new(N * N * N, sizeof *hu);
    struct features f;
    double sigma = 60, worst = 0;

    (void)state;
    noise_image(hu, 1);
    assert_ok(features_make(&f, &at, hu, NULL, sigma));
    for (int z = 4; z < N - 4; z++)
        for (int y = 4; y < N - 4; y++)
            for (int x = 4; x < N - 4; x++) {
                const uint8_t *node = f.node + FEATURE_NODE * lattice_index(at.size, x, y, z);
                double value[FEATURES];

                direct(hu, (int[3]){x, y, z}, 2.7 * sigma * sigma, value);
                for (int k = 0; k < FEATURES; k++)
                    worst = fmax(worst, fabs(255 * value[k] - node[k]));
                assert_int_equal(node[FEATURE_VALID], 255);
            }
    assert_true(worst < 0.502); /* rounding to bytes, and single precision */
    features_free(&f);
    mem_free(hu);
}

static void contrast_does_not_matter(void **state)
{
    struct lattice at = cube();
    float *hu = mem_new(N * N * N, sizeof *hu), *other = mem_new(N * N * N, sizeof *other);
    struct features f, g;

    (void)state;
    noise_image(hu, 2);
    for (int i = 0; i < N * N * N; i++)
        other[i] = -2 * hu[i] + 64;
    assert_ok(features_make(&f, &at, hu, NULL, 20));
    assert_ok(features_make(&g, &at, other, NULL, 40));
    for (int i = 0; i < FEATURE_NODE * N * N * N; i++)
        assert_in_range(f.node[i] - g.node[i] + 1, 0, 2);
    features_free(&f);
    features_free(&g);
    mem_free(hu);
    mem_free(other);
}

/* Under shear and 13 degrees of rotation of the axes, from 1.1 x 0.9 x 3 mm to 2 mm, flips included. */
static void tent_of_an_affine_function_is_the_function(void **state)
{
    struct grid g = {.dims = {37, 41, 19}, .spacing = {1.1, 0.9, 3}}, ras;
    double c = cos(0.23), s = sin(0.23);
    struct volume *v = NULL;
    struct lattice at;
    float *hu;

    (void)state;
    memcpy(g.affine, (double[3][4]){{-1.1 * c, 0.9 * s, 0, 20}, {-1.1 * s, -0.9 * c, 0, 30}, {0, 0, 3, -7}},
           sizeof g.affine);
    assert_ok(volume_new(&v, &g, VOXEL_I16));
    for (int64_t i = 0; i < grid_count(&g); i++) {
        int64_t x = i % 37, y = i / 37 % 41, z = i / (37 * 41);
        ((int16_t *)v->data)[i] = (int16_t)(3 * x - 5 * y + 7 * z + 20);
    }
    struct tent t = tent_plan(&g, grid_orient(&g), &g, 2);
    assert_ok(tent_resample(&at, &hu, v, &t));
    ras = tent_order(&g, t.axes);
    assert_float_equal(at.to_world.m[0][3], ras.affine[0][3], 1e-12); /* on the first voxel */
    for (int a = 0; a < 3; a++)
        assert_int_equal(at.size[a], (int64_t)floor((double)(ras.dims[a] - 1) * ras.spacing[a] / 2) + 1);
    for (int64_t i = 0; i < lattice_count(&at); i++) {
        double p[3] = {(double)(i % at.size[0]), (double)(i / at.size[0] % at.size[1]),
                       (double)(i / (at.size[0] * at.size[1]))};
        struct grid back;

        assert_ok(grid_invert(&g, back.affine));
        affine_apply(&at.to_world, p, p);
        grid_world(&back, p, p);
        assert_float_equal(hu[i], 3 * p[0] - 5 * p[1] + 7 * p[2] + 20, 1e-3);
    }
    mem_free(hu);
    volume_free(v);
}

static void noise_is_measured_through_the_tent(void **state)
{
    struct grid g = grid_make((int64_t[3]){120, 120, 60}, (double[3]){0.8, 0.8, 1.6}, (double[3]){0});
    struct volume *v = NULL;
    struct lattice at;
    struct rng r = rng_at(3, 0);
    double width[3], sigma, sum = 0, square = 0;
    uint8_t *mask;
    float *hu;
    int64_t n;

    (void)state;
    assert_ok(volume_new(&v, &g, VOXEL_I16));
    for (int64_t i = 0; i < grid_count(&g); i++)
        ((int16_t *)v->data)[i] = (int16_t)floor(50 + 40 * rng_normal(&r));
    struct tent t = tent_plan(&g, grid_orient(&g), &g, 2);
    assert_ok(tent_resample(&at, &hu, v, &t));
    n = lattice_count(&at);
    mask = mem_new((size_t)n, 1);
    memset(mask, 1, (size_t)n);
    for (int a = 0; a < 3; a++)
        width[a] = t.half_width[a] / 2;
    assert_ok(body_noise(&sigma, hu, mask, at.size, body_noise_gain(width)));
    for (int64_t i = 0; i < n; i++) {
        sum += (double)hu[i];
        square += (double)(hu[i] * hu[i]);
    }
    square = sqrt(square / (double)n - sum / (double)n * (sum / (double)n));
    assert_float_equal(sigma / square, 1, 0.08);
    mem_free(mask);
    mem_free(hu);
    volume_free(v);
}

/* A body with a hole, a lung and a table beneath. */
static void body_has_no_table_and_no_holes(void **state)
{
    int64_t size[3] = {40, 30, 10}, from[3], to[3];
    float *hu = mem_new(40 * 30 * 10, sizeof *hu);
    uint8_t *mask;

    (void)state;
    for (int i = 0; i < 40 * 30 * 10; i++) {
        int x = i % 40, y = i / 40 % 30;
        bool body = x >= 8 && x < 32 && y >= 5 && y < 22, hole = x >= 15 && x < 20 && y >= 10 && y < 15;
        bool table = y == 25;
        hu[i] = (body && !hole) || table ? 50 : -900;
    }
    assert_ok(body_find(&mask, hu, size));
    body_box(mask, size, from, to);
    assert_int_equal(from[0], 8);
    assert_int_equal(to[0], 31);
    assert_int_equal(from[1], 5);
    assert_int_equal(to[1], 21);
    assert_int_equal(to[2], 9);
    assert_int_equal(mask[lattice_index(size, 17, 12, 5)], 1);
    mem_free(mask);
    for (int i = 0; i < 40 * 30 * 10; i++)
        hu[i] = -900;
    assert_err(body_find(&mask, hu, size), ERR_INPUT, "no body");
    mem_free(hu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shifted_images_give_the_twelve_pairs),
        cmocka_unit_test(contrast_does_not_matter),
        cmocka_unit_test(tent_of_an_affine_function_is_the_function),
        cmocka_unit_test(noise_is_measured_through_the_tent),
        cmocka_unit_test(body_has_no_table_and_no_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
