#include "test.h"

#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "image/surface.h"
#include <math.h>
#include <stdbool.h>

enum { NX = 13, NY = 11, NZ = 7, N = NX * NY * NZ };
static const int64_t dims[3] = {NX, NY, NZ};
static const double spacing[3] = {0.7, 1.1, 2.5};

static void draw_mask(struct rng *r, uint8_t *m, int kind)
{
    double c[3] = {rng_between(r, 3, 10), rng_between(r, 3, 8), rng_between(r, 2, 5)},
           radius = rng_between(r, 1, 5);

    for (int i = 0; i < N; i++) {
        double x = i % NX - c[0], y = i / NX % NY - c[1], z = i / NX / NY - c[2];

        m[i] = kind ? rng_below(r, 20) == 0 : x * x + y * y + 4 * z * z < radius * radius;
    }
}

static bool surface(const uint8_t *m, int i)
{
    int x = i % NX, y = i / NX % NY, z = i / NX / NY;

    return m[i] && (x == 0 || y == 0 || z == 0 || x == NX - 1 || y == NY - 1 || z == NZ - 1 || !m[i - 1] ||
                    !m[i + 1] || !m[i - NX] || !m[i + NX] || !m[i - NX * NY] || !m[i + NX * NY]);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* All pairs. */
static void oracle(const uint8_t *a, const uint8_t *b, double *sum, int *count, double *p95)
{
    double list[N], rank;
    int n = 0;

    for (int i = 0; i < N; i++) {
        double least = INFINITY;

        if (!surface(a, i))
            continue;
        for (int k = 0; k < N; k++)
            if (surface(b, k)) {
                double x = spacing[0] * (i % NX - k % NX), y = spacing[1] * (i / NX % NY - k / NX % NY),
                       z = spacing[2] * (i / NX / NY - k / NX / NY);
                least = fmin(least, sqrt(x * x + y * y + z * z));
            }
        list[n++] = least;
        *sum += least;
    }
    *count += n;
    qsort(list, (size_t)n, sizeof *list, by_value);
    rank = 0.95 * (n - 1);
    *p95 = fmax(*p95, list[(int)rank] +
                          (rank - (int)rank) *
                              (list[(int)rank + 1 < n ? (int)rank + 1 : (int)rank] - list[(int)rank]));
}

static void agrees_with_all_pairs(void **state)
{
    struct rng r = rng_at(3, 3);
    int compared = 0;

    (void)state;
    for (int round = 0; round < 40; round++) {
        uint8_t a[N], b[N];
        struct surface_distance s, t;
        double sum = 0, p95 = 0;
        int count = 0;

        draw_mask(&r, a, round % 2);
        draw_mask(&r, b, round % 3 == 0);
        assert_ok(surface_compare(&s, a, b, dims, spacing));
        assert_ok(surface_compare(&t, b, a, dims, spacing));
        if (!s.voxels[0] || !s.voxels[1])
            continue;
        oracle(a, b, &sum, &count, &p95);
        oracle(b, a, &sum, &count, &p95);
        assert_float_equal(s.mean, sum / count, 1e-5);
        assert_float_equal(s.p95, p95, 1e-5);
        assert_float_equal(s.mean, t.mean, 1e-12);
        assert_float_equal(s.p95, t.p95, 0);
        assert_float_equal(s.dice, t.dice, 0);
        compared++;
    }
    assert_true(compared > 30);
}

static void same_and_empty(void **state)
{
    uint8_t a[N] = {0}, b[N] = {0};
    struct surface_distance s;

    (void)state;
    assert_ok(surface_compare(&s, a, b, dims, spacing));
    assert_true(isnan(s.dice) && isnan(s.mean));
    a[0] = 1;
    assert_ok(surface_compare(&s, a, b, dims, spacing));
    assert_true(s.dice == 0 && isnan(s.p95));
    assert_ok(surface_compare(&s, a, a, dims, spacing));
    assert_true(s.dice == 1 && s.mean == 0 && s.p95 == 0 && s.most == 0);
    b[NX * NY * (NZ - 1)] = 7;
    assert_ok(surface_compare(&s, a, b, dims, spacing));
    assert_float_equal(s.most, 2.5 * (NZ - 1), 1e-6);
}

static void exhaustion_is_an_error(void **state)
{
    uint8_t a[N] = {[5] = 1}, b[N] = {[400] = 1};
    struct surface_distance s;

    (void)state;
    par_set_threads(1);
    assert_survives_exhaustion(surface_compare(&s, a, b, dims, spacing), );
    par_set_threads(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_all_pairs),
        cmocka_unit_test(same_and_empty),
        cmocka_unit_test(exhaustion_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
