#include "test.h"

#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "image/distance.h"
#include "image/filter.h"
#include <math.h>
#include <stdbool.h>

static int by_value(const void *a, const void *b)
{
    return *(const int16_t *)a - *(const int16_t *)b;
}

static int64_t within(int64_t i, int64_t n)
{
    return i < 0 ? 0 : i < n ? i : n - 1;
}

static int16_t median_at(const int16_t *in, const int64_t n[3], int64_t x, int64_t y, int64_t z)
{
    int16_t v[27];

    for (int i = 0; i < 27; i++)
        v[i] = in[within(x + i % 3 - 1, n[0]) +
                  n[0] * (within(y + i / 3 % 3 - 1, n[1]) + n[1] * within(z + i / 9 - 1, n[2]))];
    qsort(v, 27, sizeof *v, by_value);
    return v[13];
}

static void the_median_is_the_14th_of_27(void **state)
{
    static const int64_t dims[][3] = {{1, 1, 1}, {5, 4, 3}, {64, 3, 2}, {65, 2, 3}, {131, 5, 4}, {2, 1, 7}};
    static int16_t in[131 * 20], out[131 * 20];
    struct rng r = rng_at(1, 2);

    (void)state;
    for (size_t k = 0; k < sizeof dims / sizeof *dims; k++)
        for (int few = 0; few < 2; few++) { /* many equal values, too */
            const int64_t *n = dims[k];

            for (int64_t i = 0; i < n[0] * n[1] * n[2]; i++)
                in[i] = (int16_t)(few ? (int)rng_below(&r, 4) : (int)rng_below(&r, 65536) - 32768);
            filter_median(out, in, n);
            for (int64_t i = 0; i < n[0] * n[1] * n[2]; i++)
                assert_int_equal(out[i], median_at(in, n, i % n[0], i / n[0] % n[1], i / (n[0] * n[1])));
        }
}

enum { NX = 9, NY = 8, NZ = 6, N = NX * NY * NZ };
static const int64_t dims[3] = {NX, NY, NZ};
static const double spacing[3] = {0.7, 1.1, 2.5};

static double nearest(const uint8_t *m, int i, bool set)
{
    double least = INFINITY;

    for (int k = 0; k < N; k++)
        if ((m[k] != 0) == set) {
            double x = spacing[0] * (i % NX - k % NX), y = spacing[1] * (i / NX % NY - k / NX % NY),
                   z = spacing[2] * (i / NX / NY - k / NX / NY);
            least = fmin(least, sqrt(x * x + y * y + z * z));
        }
    return least;
}

static void distances_are_those_of_all_pairs(void **state)
{
    struct rng r = rng_at(3, 4);
    static float d[N];

    (void)state;
    for (int round = 0; round < 20; round++) {
        uint8_t m[N];

        for (int i = 0; i < N; i++)
            m[i] = rng_below(&r, 10) < (uint64_t)round / 2 ? 2 : 0; /* none at first */
        assert_ok(distance_signed(d, m, dims, spacing));
        for (int i = 0; i < N; i++) {
            double want = m[i] ? 0.35 - nearest(m, i, false) : nearest(m, i, true) - 0.35;

            if (isinf(want))
                assert_true(isinf(d[i]) && (d[i] > 0) == (want > 0));
            else
                assert_float_equal(d[i], want, 1e-5);
        }
    }
}

static void exhaustion_is_reported(void **state)
{
    static float d[N];
    uint8_t m[N] = {[5] = 1};

    (void)state;
    par_set_threads(1);
    assert_survives_exhaustion(distance_signed(d, m, dims, spacing), (void)0);
    par_set_threads(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_median_is_the_14th_of_27),
        cmocka_unit_test(distances_are_those_of_all_pairs),
        cmocka_unit_test(exhaustion_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
