#include "test.h"

#include "align/fit.h"
#include "base/mem.h"
#include "base/rng.h"
#include <math.h>

enum { PAIRS = 4000 };

static struct affine known(void)
{
    return (struct affine){{{1.04, -0.06, 0.02, 12}, {0.05, 0.95, -0.03, -7}, {-0.01, 0.04, 0.92, 31}}};
}

static struct affine turned(double degrees)
{
    double c = cos(degrees * acos(-1) / 180), s = sin(degrees * acos(-1) / 180);

    return (struct affine){{{c, -s, 0, 5}, {s, c, 0, -3}, {0, 0, 1, 8}}};
}

/* Pairs under a, 35 % of them thrown far off. */
static struct match *pairs_under(const struct affine *a, double outliers, double noise)
{
    struct match *pair = mem_new(PAIRS, sizeof *pair);
    struct rng r = rng_at(5, 0);

    for (int i = 0; i < PAIRS; i++) {
        for (int k = 0; k < 3; k++)
            pair[i].from[k] = rng_between(&r, 0, 300);
        affine_apply(a, pair[i].from, pair[i].to);
        for (int k = 0; k < 3; k++)
            pair[i].to[k] += noise * rng_normal(&r);
        if (rng_unit(&r) < outliers)
            for (int k = 0; k < 3; k++)
                pair[i].to[k] += rng_between(&r, 15, 60);
    }
    return pair;
}

static double worst_error(const struct affine *a, const struct affine *b)
{
    double worst = 0;

    for (int corner = 0; corner < 8; corner++) {
        double x[3] = {corner & 1 ? 300 : 0, corner & 2 ? 300 : 0, corner & 4 ? 300 : 0}, p[3], q[3];

        affine_apply(a, x, p);
        affine_apply(b, x, q);
        for (int k = 0; k < 3; k++)
            worst = fmax(worst, fabs(p[k] - q[k]));
    }
    return worst;
}

static void outliers_are_left_out(void **state)
{
    struct affine a = known(), fitted, rigid = turned(9);
    struct match *pair = pairs_under(&a, 0.35, 0.02);
    double rms;

    (void)state;
    assert_ok(fit_trimmed(&fitted, &rms, pair, PAIRS, FIT_AFFINE));
    assert_true(worst_error(&a, &fitted) < 0.05);
    assert_true(rms < 0.05);
    mem_free(pair);
    pair = pairs_under(&rigid, 0.35, 0.02);
    assert_ok(fit_trimmed(&fitted, &rms, pair, PAIRS, FIT_RIGID));
    assert_true(worst_error(&rigid, &fitted) < 0.05);
    mem_free(pair);
}

static void shapes_and_bounds(void **state)
{
    struct affine a = turned(9);
    struct fit_shape s = fit_shape(&a);

    (void)state;
    assert_float_equal(s.degrees, 9, 1e-9);
    assert_float_equal(s.least, 1, 1e-12);
    assert_true(fit_inside(&s));
    for (int i = 0; i < 3; i++) /* R diag(1, 1, 0.84) */
        a.m[i][2] *= 0.84;
    s = fit_shape(&a);
    assert_float_equal(s.degrees, 9, 1e-9);
    assert_float_equal(s.least, 0.84, 1e-12);
    assert_false(fit_inside(&s));
    a = turned(16);
    s = fit_shape(&a);
    assert_false(fit_inside(&s));
    a = turned(0);
    a.m[0][0] = -1; /* mirrored */
    s = fit_shape(&a);
    assert_true(s.det < 0);
    assert_false(fit_inside(&s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outliers_are_left_out),
        cmocka_unit_test(shapes_and_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
