#include "test.h"

#include "base/mem.h"
#include "base/par.h"
#include "image/resize.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The generator of seg-nnunet.md section 20. */
static void generate(const char *name, int64_t n, double *out)
{
    uint32_t s = 2166136261u;

    for (; *name; name++)
        s = (s ^ (uint8_t)*name) * 16777619u;
    for (int64_t i = 1; i <= n; i++) {
        uint32_t u = s + (uint32_t)(2654435761u * (uint64_t)i);

        u ^= u >> 16;
        u *= 0x85ebca6bu;
        u ^= u >> 13;
        u *= 0xc2b2ae35u;
        u ^= u >> 16;
        out[i - 1] = u / 4294967296.0 - 0.5;
    }
}

/* 5x6x7 (z, y, x) to 8x4x9. */
static const struct resize golden = {.from = {7, 6, 5}, .to = {9, 4, 8}};

static struct resize with_orders(enum resize_order x, enum resize_order y, enum resize_order z)
{
    struct resize r = golden;

    r.order[0] = x;
    r.order[1] = y;
    r.order[2] = z;
    return r;
}

static void close_to(double got, double want)
{
    if (fabs(got - want) > 6e-9 * fmax(1, fabs(want)))
        fail_msg("got %.12g, want %.12g", got, want);
}

/* want: sum, sum of squares, the first six, the last. */
static void check_golden(struct resize r, const double want[9])
{
    double in[210], out[288], sum = 0, squares = 0;

    generate("resample", 210, in);
    assert_int_equal(resize_f64(&r, in, out), ERR_OK);
    for (int i = 0; i < 288; i++) {
        sum += out[i];
        squares += out[i] * out[i];
    }
    close_to(sum, want[0]);
    close_to(squares, want[1]);
    for (int i = 0; i < 6; i++)
        close_to(out[i], want[2 + i]);
    close_to(out[287], want[8]);
}

static void generator_is_the_spec_one(void **state)
{
    double g[4];

    (void)state;
    generate("input", 4, g);
    close_to(g[0], -0.38837969);
    close_to(g[3], 0.17793937);
}

static void golden_cubic(void **state)
{
    (void)state;
    check_golden(with_orders(RESIZE_CUBIC, RESIZE_CUBIC, RESIZE_CUBIC),
                 (double[]){0.788042831, 12.816224, -0.19298397, 0.19371785, 0.14615743, -0.0025159125,
                            0.22599089, -0.22681806, 0.38599248});
}

static void golden_linear(void **state)
{
    (void)state;
    check_golden(with_orders(RESIZE_LINEAR, RESIZE_LINEAR, RESIZE_LINEAR),
                 (double[]){1.24952049, 7.33894223, -0.13119362, 0.1071188, 0.11147091, 0.019689608,
                            0.20072302, -0.15453687, 0.33663171});
}

static void golden_separate(void **state)
{
    (void)state;
    check_golden(with_orders(RESIZE_CUBIC, RESIZE_CUBIC, RESIZE_NEAREST),
                 (double[]){-0.306405087, 14.4786289, -0.14667264, 0.1827075, 0.13432323, 0.017662309,
                            0.23499259, -0.18601087, 0.37921232});
}

static void line(enum resize_order order, int64_t to, const double *want)
{
    const double in[5] = {1, 5, 2, 8, 3};
    double out[8];

    for (int axis = 0; axis < 3; axis++) {
        struct resize r = {{1, 1, 1}, {1, 1, 1}, {order, order, order}};

        r.from[axis] = 5;
        r.to[axis] = to;
        assert_int_equal(resize_f64(&r, in, out), ERR_OK);
        for (int64_t i = 0; i < to; i++)
            assert_float_equal(out[i], want[i], 1e-10 * 5);
    }
}

static void golden_lines(void **state)
{
    (void)state;
    line(RESIZE_CUBIC, 8,
         (double[]){1, 3.1607670151, 4.9250565952, 2.3486399471, 3.6086132230, 7.8673834985, 5.7819651939,
                    2.4250526321});
    line(RESIZE_CUBIC, 3, (double[]){2.5831152472, 2, 5.0425599412});
    line(RESIZE_LINEAR, 8, (double[]){1, 2.75, 4.8125, 2.9375, 3.875, 7.625, 5.1875, 3});
    line(RESIZE_LINEAR, 3, (double[]){7.0 / 3, 2, 14.0 / 3});
}

static void nearest_takes_the_spec_samples(void **state)
{
    const int up[8] = {0, 0, 1, 2, 2, 3, 4, 4}, down[4] = {0, 2, 3, 5};

    (void)state;
    for (int i = 0; i < 8; i++)
        assert_int_equal(resize_nearest_tap(5, 8, i), up[i]);
    for (int i = 0; i < 4; i++)
        assert_int_equal(resize_nearest_tap(6, 4, i), down[i]);
}

/* The spec's labels start at -1, ours at 0; -1 becomes 3, which changes the order of writing but no voxel. */
static void golden_labels(void **state)
{
    const uint8_t first[12] = {0, 2, 0, 0, 2, 3, 1, 1, 1, 3, 0, 0};
    struct resize r = with_orders(RESIZE_LINEAR, RESIZE_LINEAR, RESIZE_LINEAR);
    double a[210];
    uint8_t in[210], out[288];
    int from[4] = {0}, to[4] = {0};

    (void)state;
    generate("resample", 210, a);
    for (int i = 0; i < 210; i++) {
        int v = (int)floor(4 * (a[i] + 0.5)) - 1;

        in[i] = (uint8_t)(v < 0 ? 3 : v);
        from[in[i]]++;
    }
    assert_true(from[3] == 50 && from[0] == 60 && from[1] == 49 && from[2] == 51);
    assert_int_equal(resize_labels(&r, in, out), ERR_OK);
    for (int i = 0; i < 288; i++)
        to[out[i]]++;
    assert_true(to[3] == 49 && to[0] == 140 && to[1] == 49 && to[2] == 50);
    assert_memory_equal(out, first, 12);
}

/* r of `in` and what it should be, the axes turned: (x, y, z) of r are (y, z, x) of the other. */
static void turned_is_the_same(const struct resize *r, double tolerance)
{
    const int64_t *f = r->from, *t = r->to;
    const struct resize other = {
        {f[2], f[0], f[1]}, {t[2], t[0], t[1]}, {r->order[2], r->order[0], r->order[1]}};
    size_t n = (size_t)(f[0] * f[1] * f[2]), m = (size_t)(t[0] * t[1] * t[2]);
    double *in = mem_new(n, sizeof *in), *turned = mem_new(n, sizeof *in);
    double *want = mem_new(m, sizeof *in), *got = mem_new(m, sizeof *in);

    generate("turn", (int64_t)n, in);
    for (int64_t i = 0; i < f[0]; i++)
        for (int64_t j = 0; j < f[1]; j++)
            for (int64_t k = 0; k < f[2]; k++)
                turned[(j * f[0] + i) * f[2] + k] = in[(k * f[1] + j) * f[0] + i];
    assert_int_equal(resize_f64(r, in, want), ERR_OK);
    assert_int_equal(resize_f64(&other, turned, got), ERR_OK);
    for (int64_t i = 0; i < t[0]; i++)
        for (int64_t j = 0; j < t[1]; j++)
            for (int64_t k = 0; k < t[2]; k++)
                assert_float_equal(got[(j * t[0] + i) * t[2] + k], want[(k * t[1] + j) * t[0] + i],
                                   tolerance);
    mem_free(in);
    mem_free(turned);
    mem_free(want);
    mem_free(got);
}

/* Any axis may be the separate one: the result is that of the transposed array. */
static void separate_axis_may_be_any(void **state)
{
    const struct resize z = {{19, 23, 21}, {33, 17, 40}, {RESIZE_CUBIC, RESIZE_CUBIC, RESIZE_LINEAR}};

    (void)state;
    turned_is_the_same(&z, 1e-12);
}

/* A long axis across is filtered in windows; in the plane it is filtered whole. */
static void windows_are_the_whole_axis(void **state)
{
    static const int64_t to[] = {1, 7, 120, 299, 301, 777};

    (void)state;
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        const struct resize r = {{9, 11, 300}, {13, 7, to[i]}, {3, 3, 3}};
        turned_is_the_same(&r, 1e-12);
    }
}

static int16_t *noise(int64_t n)
{
    int16_t *v = mem_new((size_t)n, sizeof *v);
    double *g = mem_new((size_t)n, sizeof *g);

    assert_true(v && g);
    generate("noise", n, g);
    for (int64_t i = 0; i < n; i++)
        v[i] = (int16_t)(g[i] * 4000 + 976);
    mem_free(g);
    return v;
}

/* int16 is the rounded double result, whatever the number of threads. */
static void integers_round_and_threads_agree(void **state)
{
    const struct resize shapes[3] = {{{45, 37, 11}, {61, 30, 29}, {3, 3, 3}},
                                     {{45, 37, 11}, {61, 30, 29}, {3, 3, 1}},
                                     {{45, 37, 11}, {61, 30, 29}, {1, 1, 1}}};
    int16_t *in = noise(45 * 37 * 11), *out[2];
    double *wide = mem_new(45 * 37 * 11, sizeof *wide), *real = mem_new(61 * 30 * 29, sizeof *real);

    (void)state;
    for (int i = 0; i < 45 * 37 * 11; i++)
        wide[i] = in[i];
    for (int s = 0; s < 3; s++) {
        assert_int_equal(resize_f64(&shapes[s], wide, real), ERR_OK);
        for (int t = 0; t < 2; t++) {
            out[t] = mem_new(61 * 30 * 29, sizeof *out[t]);
            par_set_threads(t ? 3 : 1);
            assert_int_equal(resize_i16(&shapes[s], in, out[t]), ERR_OK);
        }
        assert_memory_equal(out[0], out[1], 61 * 30 * 29 * sizeof *out[0]);
        for (int i = 0; i < 61 * 30 * 29; i++)
            assert_int_equal(out[0][i], (int)rint(real[i]));
        mem_free(out[0]);
        mem_free(out[1]);
    }
    mem_free(in);
    mem_free(wide);
    mem_free(real);
    par_set_threads(0);
}

static void one_sample_stays_constant(void **state)
{
    struct resize r = {{1, 1, 1}, {4, 5, 6}, {3, 3, 3}};
    int16_t in = -77, out[120];

    (void)state;
    assert_int_equal(resize_i16(&r, &in, out), ERR_OK);
    for (int i = 0; i < 120; i++)
        assert_int_equal(out[i], -77);
}

/* Every allocation on this thread fails once: an error each time, nothing leaks (the sanitizer tells). */
static void exhaustion_is_an_error(void **state)
{
    struct resize r = {{9, 8, 7}, {5, 11, 9}, {3, 3, 3}};
    int16_t *in = noise(9 * 8 * 7), out[5 * 11 * 9];
    long n;
    enum err err;

    (void)state;
    par_set_threads(1);
    for (n = 1; n < 1000; n++) {
        mem_fail_at(n);
        err = resize_i16(&r, in, out);
        mem_fail_at(0);
        if (!err)
            break;
        assert_int_equal(err, ERR_MEMORY);
    }
    assert_in_range(n, 5, 999);
    par_set_threads(0);
    mem_free(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generator_is_the_spec_one),
        cmocka_unit_test(golden_cubic),
        cmocka_unit_test(golden_linear),
        cmocka_unit_test(golden_separate),
        cmocka_unit_test(golden_lines),
        cmocka_unit_test(nearest_takes_the_spec_samples),
        cmocka_unit_test(golden_labels),
        cmocka_unit_test(separate_axis_may_be_any),
        cmocka_unit_test(windows_are_the_whole_axis),
        cmocka_unit_test(integers_round_and_threads_agree),
        cmocka_unit_test(one_sample_stays_constant),
        cmocka_unit_test(exhaustion_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
