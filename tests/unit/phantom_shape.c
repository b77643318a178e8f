#include "phantom/poly.h"
#include "phantom/shape.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { N = BLOCK_MAX };

/* Points around the origin, within `reach` of it along each axis. */
static void scatter(struct points *p, uint64_t seed, double reach)
{
    struct rng r = rng_at(seed, 7);

    for (int i = 0; i < N; i++) {
        p->x[i] = (float)rng_between(&r, -reach, reach);
        p->y[i] = (float)rng_between(&r, -reach, reach);
        p->z[i] = (float)rng_between(&r, -reach, reach);
    }
}

static void near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance))
        fail_msg("%.9g is not %.9g", a, b);
}

static void test_sphere(void **state)
{
    struct ellipsoid e = {{1, -2, 3}, {20, 20, 20}, .3f, -.7f};
    static struct points p;
    static float d[N];

    (void)state;
    scatter(&p, 1, 50);
    shape_ellipsoid(&e, &p, N, d);
    for (int i = 0; i < N; i++) {
        double x = p.x[i] - 1, y = p.y[i] + 2, z = p.z[i] - 3;
        near(d[i], sqrt(x * x + y * y + z * z) - 20, 1e-4);
    }
}

/* On its axes an ellipsoid's distance is exact, and on its surface 0; turned as the specification turns. */
static void test_ellipsoid(void **state)
{
    static struct points p;
    struct ellipsoid e = {{5, 6, 7}, {10, 20, 40}, .4f, .25f};
    double c1 = cos(.4), s1 = sin(.4), c2 = cos(.25), s2 = sin(.25);
    double axis[3][3] = {{c2 * c1, c2 * s1, s2}, {-s1, c1, 0}, {-s2 * c1, -s2 * s1, c2}};
    float d[6];

    (void)state;
    for (int i = 0; i < 6; i++) {
        double t = e.axes[i % 3] + (i < 3 ? 4 : -4);
        p.x[i] = (float)(5 + t * axis[i % 3][0]);
        p.y[i] = (float)(6 + t * axis[i % 3][1]);
        p.z[i] = (float)(7 + t * axis[i % 3][2]);
    }
    shape_ellipsoid(&e, &p, 6, d);
    for (int i = 0; i < 6; i++)
        near(d[i], i < 3 ? 4 : -4, 1e-3);
}

static double segment(const struct bead *a, const struct bead *b, const double x[3])
{
    double ab[3], dot = 0, length = 0, sum = 0, t;

    for (int k = 0; k < 3; k++) {
        ab[k] = b->at[k] - a->at[k];
        dot += ab[k] * (x[k] - a->at[k]);
        length += ab[k] * ab[k];
    }
    t = fmin(fmax(dot / length, 0), 1);
    for (int k = 0; k < 3; k++)
        sum += pow(x[k] - a->at[k] - t * ab[k], 2);
    return sqrt(sum) - a->radius - t * (b->radius - a->radius);
}

static void test_chain(void **state)
{
    static const struct bead bead[] = {{{-30, 0, 5}, 6}, {{10, 8, -4}, 3}, {{25, -20, 14}, 9}};
    static struct points p;
    static float d[N], one[N];

    (void)state;
    scatter(&p, 2, 45);
    shape_chain(bead, 3, &p, N, d);
    shape_capsule(bead, bead + 1, &p, N, one);
    for (int i = 0; i < N; i++) {
        double x[3] = {p.x[i], p.y[i], p.z[i]};
        near(one[i], segment(bead, bead + 1, x), 1e-4);
        near(d[i], fmin(segment(bead, bead + 1, x), segment(bead + 1, bead + 2, x)), 1e-4);
    }
}

/* Smooth combinations as section 4 writes them. */
static void test_combinations(void **state)
{
    static const float round[] = {0, 3, 18};
    struct rng r = rng_at(3, 1);

    (void)state;
    for (int i = 0; i < 300; i++) {
        float a = (float)rng_between(&r, -40, 40), b = (float)rng_between(&r, -40, 40), k = round[i % 3];
        float u = a, s = a, x = a;
        double h, want[3];
        for (int j = 0; j < 3; j++) { /* union; -union(-a, b); -union(-a, -b) */
            double p = j ? -(double)a : a, q = j == 2 ? -(double)b : b;
            h = k > 0 ? fmin(fmax(.5 + (q - p) / (2 * k), 0), 1) : q > p;
            want[j] = (j ? -1 : 1) * (q + (p - q) * h - k * h * (1 - h));
        }
        shape_union(&u, &b, k, 1);
        shape_subtract(&s, &b, k, 1);
        shape_intersect(&x, &b, k, 1);
        near(u, want[0], 2e-5);
        near(s, want[1], 2e-5);
        near(x, want[2], 2e-5);
        if (b - a >= k)
            assert_true(u == a);
        if (a + b >= k)
            assert_true(s == a);
    }
}

/* Distances near a surface change by at most a millimetre a millimetre. */
static void test_slopes(void **state)
{
    static const struct ellipsoid organ[] = {{{0, 0, 0}, {76, 96, 94}, 0, 0},
                                             {{0, 0, 0}, {92, 44, 40}, -.16f, .06f},
                                             {{0, 0, 0}, {28, 25, 56}, -.45f, .16f}};
    static struct points p, q;
    static float d[N], e[N];
    const float step = .05f;

    (void)state;
    for (size_t k = 0; k < 3; k++)
        for (int axis = 0; axis < 3; axis++) {
            scatter(&p, 4, 1.15 * 96);
            q = p;
            for (int i = 0; i < N; i++)
                (axis == 0 ? q.x : axis == 1 ? q.y : q.z)[i] += step;
            shape_ellipsoid(organ + k, &p, N, d);
            shape_ellipsoid(organ + k, &q, N, e);
            for (int i = 0; i < N; i++)
                if (fabsf(d[i]) < 4)
                    assert_true(fabsf(e[i] - d[i]) < 1.05f * step + 1e-4f);
        }
}

/* Bounds hold: no point of a box is nearer than they say; and they are of use. */
static void test_bounds(void **state)
{
    struct rng r = rng_at(5, 1);
    int told = 0;

    (void)state;
    for (int k = 0; k < 400; k++) {
        static struct points p;
        static float d[N];
        struct ellipsoid e = {
            {(float)rng_between(&r, -80, 80), (float)rng_between(&r, -80, 80), 0},
            {(float)rng_between(&r, 5, 60), (float)rng_between(&r, 5, 60), (float)rng_between(&r, 5, 60)},
            (float)rng_between(&r, -.6, .6),
            (float)rng_between(&r, -.4, .4)};
        struct bead bead[2] = {{{e.centre[0], e.centre[1], 10}, e.axes[0]}, {{20, -30, 40}, 4}};
        struct shape_box box;
        float least;
        scatter(&p, (uint64_t)k, 9);
        box = shape_box(&p, N);
        least = shape_ellipsoid_least(&e, &box);
        shape_ellipsoid(&e, &p, N, d);
        assert_true(shape_range(d, N).lo >= least);
        told += least > 1;
        least = shape_chain_least(bead, 2, &box);
        shape_chain(bead, 2, &p, N, d);
        assert_true(shape_range(d, N).lo >= least);
    }
    assert_true(told > 100);
}

static void test_polynomials(void **state)
{
    (void)state;
    for (float x = -80; x <= 0; x += .013f)
        near(poly_exp(x) / exp((double)x), 1, 1e-5);
    assert_true(poly_exp(0) == 1 && poly_exp(-8000) >= 0 && poly_exp(-8000) < 1e-30f);
    for (float a = 0; a < 3.1415f; a += .01f)
        near(poly_angle(sinf(a), cosf(a)), a, 2e-5);
    for (float x = 1e-7f; x < 1e5f; x *= 1.1f)
        near(poly_root5(x) * pow((double)x, .2), 1, 2e-6);
    for (float x = -1.6f; x < 1.6f; x += .01f)
        near(poly_sin(x), sin((double)x), 1e-5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sphere),       cmocka_unit_test(test_ellipsoid), cmocka_unit_test(test_chain),
        cmocka_unit_test(test_combinations), cmocka_unit_test(test_slopes),    cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_polynomials),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
