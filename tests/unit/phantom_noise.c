#include "test.h"

#include "base/mem.h"
#include "base/par.h"
#include "phantom/noise.h"
#include <math.h>

enum { SIDE = NOISE_SIDE, ROW = NOISE_SIDE + 1, NODES = SIDE * SIDE * SIDE };

static double node_at(const struct noise *z, int64_t x, int64_t y, int64_t k)
{
    int64_t m = SIDE - 1;

    return (double)z->node[((k & m) * SIDE + (y & m)) * ROW + (x & m)];
}

/* The definition, in double. */
static double expected(const struct noise *z, const double p[3], double scale, double offset)
{
    int64_t base[3];
    double part[3], sum = 0;

    for (int a = 0; a < 3; a++) {
        double g = p[a] * scale / (double)z->step + offset;

        base[a] = (int64_t)floor(g);
        part[a] = g - floor(g);
    }
    for (int c = 0; c < 8; c++) {
        double w = 1;

        for (int a = 0; a < 3; a++)
            w *= c >> a & 1 ? part[a] : 1 - part[a];
        sum += w * node_at(z, base[0] + (c & 1), base[1] + (c >> 1 & 1), base[2] + (c >> 2));
    }
    return sum;
}

static void scatter(struct points *p, struct rng *r, double reach)
{
    for (int i = 0; i < BLOCK_MAX; i++) {
        p->x[i] = (float)rng_between(r, -reach, reach);
        p->y[i] = (float)rng_between(r, -reach, reach);
        p->z[i] = (float)rng_between(r, -reach, reach);
    }
}

static void nodes_have_unit_variance(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        double sigma = seed % 2 ? 2 : 1.6, sum = 0, squares = 0, independent;
        struct noise z;

        assert_ok(noise_make(&z, rng_at(seed, 5), 5, sigma));
        for (int64_t i = 0; i < NODES; i++) {
            double v = node_at(&z, i % SIDE, i / SIDE % SIDE, i / (SIDE * SIDE));

            sum += v;
            squares += v * v;
        }
        sum /= NODES;
        independent = NODES / pow(2 * sqrt(3.14159265358979) * sigma, 3);
        assert_float_equal(squares / NODES - sum * sum, 1, 1e-4);
        assert_true(fabs(sum) < 4 / sqrt(independent));
        noise_free(&z);
    }
}

/* Without smoothing the nodes are the drawn normals. */
static void draws_are_normal(void **state)
{
    static const double limit[] = {.5, 1, 2, 3};
    struct noise z;
    double cubes = 0, fourths = 0;
    int64_t inside[4] = {0};

    (void)state;
    assert_ok(noise_make(&z, rng_at(11, 1), 1, .1));
    for (int64_t i = 0; i < NODES; i++) {
        double v = node_at(&z, i % SIDE, i / SIDE % SIDE, i / (SIDE * SIDE));

        cubes += v * v * v / NODES;
        fourths += v * v * v * v / NODES;
        for (int k = 0; k < 4; k++)
            inside[k] += fabs(v) < limit[k];
        if (i)
            assert_true(v != node_at(&z, (i - 1) % SIDE, (i - 1) / SIDE % SIDE, (i - 1) / (SIDE * SIDE)));
    }
    assert_float_equal(cubes, 0, 5 * sqrt(15. / NODES));
    assert_float_equal(fourths, 3, 5 * sqrt(96. / NODES));
    for (int k = 0; k < 4; k++) {
        double p = erf(limit[k] / sqrt(2));

        assert_float_equal((double)inside[k] / NODES, p, 5 * sqrt(p * (1 - p) / NODES));
    }
    noise_free(&z);
}

/* White noise under a Gaussian of sigma has the correlation exp(-lag^2 / 4 sigma^2). */
static void correlation_is_the_gaussians(void **state)
{
    enum { LATTICES = 6, LAGS = 7 };
    const double sigma = 2;
    double got[LAGS] = {0};

    (void)state;
    for (uint64_t seed = 0; seed < LATTICES; seed++) {
        struct noise z;

        assert_ok(noise_make(&z, rng_at(seed, 9), 12, sigma));
        for (int64_t i = 0; i < NODES; i++) {
            int64_t x = i % SIDE, y = i / SIDE % SIDE, k = i / (SIDE * SIDE);

            for (int lag = 0; lag < LAGS; lag++)
                got[lag] += node_at(&z, x, y, k) * (node_at(&z, x + lag, y, k) + node_at(&z, x, y + lag, k) +
                                                    node_at(&z, x, y, k + lag));
        }
        noise_free(&z);
    }
    for (int lag = 1; lag < LAGS; lag++)
        assert_float_equal(got[lag] / got[0], exp(-lag * lag / (4 * sigma * sigma)), .04);
}

static void reading_is_trilinear(void **state)
{
    static const double reach[] = {40, 3000, 20000};
    static struct points p;
    static float got[BLOCK_MAX];
    struct rng r = rng_at(3, 3);
    struct noise z;

    (void)state;
    assert_ok(noise_make(&z, rng_at(1, 2), 2.2, 1.6));
    for (int k = 0; k < 3; k++)
        for (int moved = 0; moved < 2; moved++) {
            float scale = moved ? 1.3f : 1, offset = moved ? 17.25f : 0;

            scatter(&p, &r, reach[k]);
            noise_read(&z, &p, BLOCK_MAX, scale, offset, got);
            for (int i = 0; i < BLOCK_MAX; i++) {
                const double at[3] = {(double)p.x[i], (double)p.y[i], (double)p.z[i]};

                assert_float_equal((double)got[i], expected(&z, at, (double)scale, (double)offset),
                                   1e-5 + 1e-6 * reach[k]);
            }
        }
    noise_free(&z);
}

static void nodes_are_exact_and_come_again(void **state)
{
    static struct points p, q;
    static float got[BLOCK_MAX], again[BLOCK_MAX];
    struct rng r = rng_at(4, 3);
    struct noise z;

    (void)state;
    assert_ok(noise_make(&z, rng_at(8, 2), 4, 2));
    for (int i = 0; i < BLOCK_MAX; i++) {
        p.x[i] = 4 * (float)(i - 500);
        p.y[i] = 4 * (float)(7 * i % 131 - 65);
        p.z[i] = 4 * (float)(3 * i % 67 - 70);
    }
    noise_read(&z, &p, BLOCK_MAX, 1, 0, got);
    for (int i = 0; i < BLOCK_MAX; i++)
        assert_true((double)got[i] == node_at(&z, i - 500, 7 * i % 131 - 65, 3 * i % 67 - 70));
    for (int i = 0; i < BLOCK_MAX; i++) { /* eighths: a period more is exact */
        p.x[i] = (float)rng_below(&r, 4000) / 8 - 250;
        p.y[i] = (float)rng_below(&r, 4000) / 8 - 250;
        p.z[i] = (float)rng_below(&r, 4000) / 8 - 250;
        q.x[i] = p.x[i] + 4 * SIDE;
        q.y[i] = p.y[i] - 8 * SIDE;
        q.z[i] = p.z[i] + 12 * SIDE;
    }
    noise_read(&z, &p, BLOCK_MAX, 1, 0, got);
    noise_read(&z, &q, BLOCK_MAX, 1, 0, again);
    assert_memory_equal(got, again, sizeof got);
    noise_free(&z);
}

/* Any n: the same values, and nothing behind them. */
static void length_does_not_matter(void **state)
{
    static struct points p;
    float all[40], part[40];
    struct rng r = rng_at(5, 3);
    struct noise z;

    (void)state;
    scatter(&p, &r, 100);
    assert_ok(noise_make(&z, rng_at(8, 2), 5, 2));
    noise_read(&z, &p, 40, 1, 0, all);
    for (int n = 0; n < 40; n++) {
        for (int i = 0; i < 40; i++)
            part[i] = 77;
        noise_read(&z, &p, n, 1, 0, part);
        assert_memory_equal(part, all, (size_t)n * sizeof *all);
        for (int i = n; i < 40; i++)
            assert_true(part[i] == 77);
    }
    noise_free(&z);
}

static void three_are_three_of_one(void **state)
{
    const struct rng r[3] = {rng_at(1, 1), rng_at(1, 2), rng_at(1, 3)};
    static struct points p, v;
    static float one[BLOCK_MAX];
    struct rng at = rng_at(6, 3);
    struct noise3 all;

    (void)state;
    assert_ok(noise3_make(&all, r, 13, 2));
    for (int c = 0; c < 3; c++) {
        struct noise z;

        scatter(&p, &at, 900);
        assert_ok(noise_make(&z, r[c], 13, 2));
        noise_read(&z, &p, BLOCK_MAX, 1, 0, one);
        noise3_read(&all, &p, BLOCK_MAX, &v);
        for (int i = 0; i < BLOCK_MAX; i++)
            assert_float_equal((double)(c == 0 ? v.x[i] : c == 1 ? v.y[i] : v.z[i]), (double)one[i], 1e-5);
        noise_free(&z);
    }
    noise3_read(&all, &p, BLOCK_MAX, &p); /* in place */
    assert_memory_equal(&p, &v, sizeof p);
    noise3_free(&all);
}

static void threads_do_not_matter(void **state)
{
    static const int threads[] = {1, 2, 8};
    struct noise z[3];

    (void)state;
    for (int k = 0; k < 3; k++) {
        par_set_threads(threads[k]);
        assert_ok(noise_make(&z[k], rng_at(21, 22), 5, 2));
    }
    par_set_threads(0);
    for (int k = 0; k < 3; k++)
        assert_memory_equal(z[k].node, z[0].node, sizeof(float) * SIDE * SIDE * ROW);
    for (int k = 0; k < 3; k++)
        noise_free(&z[k]);
}

static void memory_may_run_out(void **state)
{
    const struct rng r[3] = {rng_at(1, 1), rng_at(1, 2), rng_at(1, 3)};
    struct noise one;
    struct noise3 three;

    (void)state;
    assert_survives_exhaustion(noise_make(&one, r[0], 5, 2), noise_free(&one));
    assert_survives_exhaustion(noise3_make(&three, r, 5, 2), noise3_free(&three));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_have_unit_variance),
        cmocka_unit_test(draws_are_normal),
        cmocka_unit_test(correlation_is_the_gaussians),
        cmocka_unit_test(reading_is_trilinear),
        cmocka_unit_test(nodes_are_exact_and_come_again),
        cmocka_unit_test(length_does_not_matter),
        cmocka_unit_test(three_are_three_of_one),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(memory_may_run_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
