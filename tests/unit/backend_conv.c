/* Direct convolutions (backend_wino.c has the others): every direction against its definition on random
 * shapes, in exact integers and in reals; adjoint identities; the same bits for every thread count and
 * instruction set; nothing touched outside the buffers. */
#include "kernel_case.h"

#include <float.h>
#include <math.h>
#include <xxhash.h>

static int64_t between(struct rng *r, int64_t lo, int64_t hi)
{
    return lo + (int64_t)rng_below(r, (uint64_t)(hi - lo + 1));
}

/* Channels that visit whole and ragged vectors of every width. */
static int64_t channels_random(struct rng *r)
{
    static const int64_t usual[] = {1, 2, 3, 4, 8, 16, 32, 33, 48};

    return rng_below(r, 2) ? usual[rng_below(r, 9)] : between(r, 1, 40);
}

static bool axis_random(struct rng *r, struct conv_shape *s, int i, bool same_cubic)
{
    const bool plain = rng_below(r, 3) != 0;

    s->kernel[i] = between(r, 1, rng_below(r, 4) ? 3 : 7);
    s->stride[i] = plain ? 1 : between(r, 1, 3);
    s->dilation[i] = rng_below(r, 4) ? 1 : between(r, 1, 3);
    s->pad[i] = between(r, 0, 3);
    s->in[i] = between(r, 1, i == 2 ? 40 : 12);
    if (same_cubic && i) {
        s->kernel[i] = s->kernel[0];
        s->stride[i] = s->stride[0];
        s->dilation[i] = s->dilation[0];
        s->pad[i] = s->pad[0];
    }
    const int64_t room = s->in[i] + 2 * s->pad[i] - (s->kernel[i] - 1) * s->dilation[i] - 1;
    s->out[i] = room < 0 ? 0 : room / s->stride[i] + 1;
    return room >= 0;
}

static struct conv_shape shape_random(struct rng *r)
{
    struct conv_shape s;
    bool fits;

    do {
        const bool cubic = rng_below(r, 2);
        s = (struct conv_shape){.n = between(r, 1, 3),
                                .ci = channels_random(r),
                                .co = channels_random(r),
                                .groups = 1,
                                .exact = true};
        fits = true;
        for (int i = 0; i < 3; i++)
            fits = axis_random(r, &s, i, cubic) && fits;
        if (rng_below(r, 4) == 0) {
            s.groups = between(r, 2, 4);
            s.ci = s.groups * between(r, 1, 9);
            s.co = s.groups * between(r, 1, 9);
        } else if (rng_below(r, 6) == 0) {
            s.groups = s.co = s.ci = between(r, 2, 40); /* depthwise */
        }
        s.outside = rng_below(r, 2) ? (enum conv_pad)rng_below(r, 3) : CONV_PAD_ZERO;
        for (int i = 0; i < 3; i++)
            if (s.outside == CONV_PAD_REFLECT && s.pad[i] && s.pad[i] >= s.in[i])
                s.outside = CONV_PAD_REPLICATE;
    } while (!fits || y_count(&s) * w_count(&s) / s.co > 1500000);
    return s;
}

static struct conv_data data_integers(struct rng *r, const struct conv_shape *s, enum conv_dir dir, bool bias)
{
    struct conv_data d = {
        .x = integers_new(r, x_count(s)), .w = integers_new(r, w_count(s)), .y = integers_new(r, y_count(s))};

    if (bias)
        d.bias = integers_new(r, dir == CONV_DX ? s->ci : s->co);
    return d;
}

static void result_equals(const struct conv_shape *s, enum conv_dir dir, const double *is, const double *want)
{
    for (int64_t i = 0; i < result_count(s, dir); i++)
        if (memcmp(&is[i], &want[i], sizeof is[i]) && is[i] != want[i]) {
            shape_print(s, dir);
            fail_msg("element %lld is %.17g, should be %.17g", (long long)i, is[i], want[i]);
        }
}

/* All directions, types and sets of one shape against the definition, exactly. */
static void shape_exact(struct rng *r, const struct conv_shape *s)
{
    for (enum conv_dir dir = CONV_FORWARD; dir <= CONV_DW; dir++) {
        struct conv_data d = data_integers(r, s, dir, rng_below(r, 2));
        double *want = oracle_result(s, dir, &d);
        for (int i = 0; i < 2 * isa_count(); i++) {
            const struct conv_run run = {.avx512 = i / 2,
                                         .f64 = i % 2,
                                         .threads = (int)between(r, 1, 3),
                                         .x_gap = rng_below(r, 2) ? between(r, 1, 20) : 0,
                                         .y_gap = rng_below(r, 2) ? between(r, 1, 20) : 0};
            double *is = conv_result(s, dir, &d, &run);
            result_equals(s, dir, is, want);
            free(is);
        }
        free(want);
        data_free(&d);
    }
}

static void random_shapes_are_exact(void **state)
{
    struct rng r = rng_at(1, 0);

    (void)state;
    for (int i = 0; i < 120; i++) {
        const struct conv_shape s = shape_random(&r);
        shape_exact(&r, &s);
    }
}

#define MIRROR CONV_PAD_REFLECT
#define NEAREST CONV_PAD_REPLICATE

/* Shapes of the paths that random ones meet seldom: whole blocks, several boxes and chunks, the exchange of
 * roles. */
static const struct conv_shape chosen[] = {
    {2, {5, 7, 19}, 4, {5, 7, 19}, 32, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1, true, false, 0},
    {1, {12, 13, 30}, 32, {6, 7, 15}, 48, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, 1, true, false, 0},
    {1, {8, 8, 8}, 64, {4, 4, 4}, 96, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, {1, 1, 1}, 1, true, false, 0},
    {1, {9, 8, 11}, 5, {4, 4, 5}, 3, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, 1, true, false, 0},
    {2, {1, 20, 33}, 4, {1, 20, 33}, 37, {1, 7, 7}, {1, 1, 1}, {0, 3, 3}, {1, 1, 1}, 1, true, false, 0},
    {1, {1, 24, 40}, 64, {1, 24, 40}, 3, {1, 7, 7}, {1, 1, 1}, {0, 3, 3}, {1, 1, 1}, 1, true, false, 0},
    {2, {6, 6, 6}, 80, {6, 6, 6}, 72, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1, true, false, 0},
    {3, {1, 1, 700}, 17, {1, 1, 700}, 18, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}, 1, true, false, 0},
    {2, {7, 40, 40}, 65, {7, 40, 40}, 3, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}, 1, true, false, 0},
    {3, {1, 1, 1}, 70, {1, 1, 1}, 33, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}, 1, true, false, 0},
    {2, {1, 3, 7}, 40, {1, 3, 7}, 4, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}, 1, true, false, 0},
    /* narrow volumes: taps apart for the positions that have them, blocks of two panels */
    {2, {3, 4, 5}, 40, {3, 4, 5}, 104, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1, true, false, 0},
    {1, {4, 7, 6}, 64, {2, 3, 3}, 72, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, 1, true, false, 0},
    {1, {3, 5, 3}, 50, {3, 5, 3}, 24, {3, 3, 7}, {1, 1, 1}, {1, 1, 3}, {1, 1, 1}, 1, true, false, 0},
    {1, {2, 2, 9}, 70, {2, 2, 9}, 33, {1, 3, 3}, {1, 1, 1}, {0, 1, 3}, {1, 1, 3}, 1, true, false, 0},
    {1, {3, 5, 5}, 50, {3, 5, 5}, 24, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1, true, false, MIRROR},
    {1, {16, 24, 24}, 2, {16, 24, 24}, 16, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1, true, false, 0},
    {1, {1, 1, 3000}, 3, {1, 1, 3000}, 5, {1, 1, 3}, {1, 1, 1}, {0, 0, 1}, {1, 1, 1}, 1, true, false, 0},
    {1, {1, 2, 5000}, 20, {1, 2, 2500}, 20, {1, 1, 3}, {1, 1, 2}, {0, 0, 1}, {1, 1, 1}, 1, true, false, 0},
    /* padding that is not zero: the ends of LaMa, wide blocks, strides, dilation, groups, thick slabs */
    {1, {1, 24, 40}, 3, {1, 24, 40}, 64, {1, 7, 7}, {1, 1, 1}, {0, 3, 3}, {1, 1, 1}, 1, true, false, MIRROR},
    {1, {1, 9, 140}, 64, {1, 9, 140}, 3, {1, 7, 7}, {1, 1, 1}, {0, 3, 3}, {1, 1, 1}, 1, true, false, MIRROR},
    {2, {6, 9, 11}, 20, {6, 9, 11}, 36, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1, true, false, MIRROR},
    {1, {8, 13, 20}, 32, {4, 7, 10}, 48, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, 1, true, false, NEAREST},
    {1, {9, 8, 11}, 5, {4, 4, 5}, 3, {4, 4, 4}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, 1, true, false, MIRROR},
    {1, {7, 8, 9}, 9, {7, 8, 9}, 12, {3, 3, 3}, {1, 1, 1}, {3, 3, 3}, {3, 3, 3}, 3, true, false, MIRROR},
    {1, {2, 3, 30}, 24, {6, 7, 34}, 24, {3, 3, 3}, {1, 1, 1}, {3, 3, 3}, {1, 1, 1}, 24, true, false, NEAREST},
    {1, {1, 1, 2}, 3, {9, 9, 10}, 2, {3, 3, 3}, {1, 1, 1}, {5, 5, 5}, {1, 1, 1}, 1, true, false, NEAREST},
    {1, {5, 40, 40}, 16, {2, 13, 13}, 8, {2, 2, 2}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, 1, true, false, MIRROR},
    /* output padding: rows of x that nothing reads, also with a stride above the kernel */
    {1, {9, 10, 11}, 6, {4, 4, 4}, 7, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, {1, 1, 1}, 1, true, false, 0},
    {1, {5, 6, 11}, 6, {2, 2, 4}, 7, {1, 1, 1}, {3, 3, 3}, {0, 0, 0}, {1, 1, 1}, 1, true, false, 0},
    {1, {1, 1, 1}, 6, {1, 1, 1}, 7, {1, 1, 1}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, 1, true, false, 0},
};

static void chosen_shapes_are_exact(void **state)
{
    struct rng r = rng_at(2, 0);

    (void)state;
    for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++)
        shape_exact(&r, &chosen[i]);
}

/* |error| <= factor * eps * max(sum |a||b|) for both types, eps half the last place. */
static void errors_bounded(const struct conv_shape *s, enum conv_dir dir, const struct conv_data *d,
                           double factor)
{
    struct conv_data abs = {.x = absolutes_new(d->x, x_count(s)),
                            .w = absolutes_new(d->w, w_count(s)),
                            .y = absolutes_new(d->y, y_count(s))};
    double *want = oracle_result(s, dir, d), *size = oracle_result(s, dir, &abs), largest = 0;

    for (int64_t i = 0; i < result_count(s, dir); i++)
        largest = fmax(largest, size[i]);
    for (int i = 0; i < 2; i++) {
        double *is = conv_result(s, dir, d, &(struct conv_run){.f64 = i, .threads = 2});
        const double bound = factor * (i ? DBL_EPSILON : FLT_EPSILON) / 2 * largest;
        for (int64_t j = 0; j < result_count(s, dir); j++)
            if (!(fabs(is[j] - want[j]) <= bound)) {
                shape_print(s, dir);
                fail_msg("element %lld is %.17g, should be %.17g within %g", (long long)j, is[j], want[j],
                         bound);
            }
        free(is);
    }
    free(want);
    free(size);
    data_free(&abs);
}

static void real_errors_are_bounded(void **state)
{
    static const struct conv_shape shapes[] = {
        {1, {6, 7, 8}, 32, {6, 7, 8}, 24, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1, true, false, 0},
        {1, {3, 4, 5}, 512, {3, 4, 5}, 20, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1, true, false, 0},
        {2, {5, 6, 9}, 12, {3, 3, 5}, 40, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, 1, true, false, 0},
        {1, {8, 9, 10}, 500, {8, 9, 10}, 33, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}, 1, true, false, 0},
        {1, {1, 12, 30}, 40, {1, 12, 30}, 3, {1, 5, 5}, {1, 1, 1}, {0, 2, 2}, {1, 1, 1}, 1, true, false, 0},
    };
    struct rng r = rng_at(3, 0);

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int kind = 0; kind < 5; kind++)
            for (enum conv_dir dir = CONV_FORWARD; dir <= CONV_DW; dir++) {
                struct conv_data d = data_normals(&r, &shapes[i]);
                data_change(d.x, x_count(&shapes[i]), kind);
                data_change(d.y, y_count(&shapes[i]), kind);
                /* equal terms all round the same way: then only the number of terms bounds the error */
                errors_bounded(&shapes[i], dir, &d, dir == CONV_DW && kind == 2 ? 1000 : 16);
                data_free(&d);
            }
}

static double dot(const double *a, const double *b, int64_t count)
{
    double sum = 0;

    for (int64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* <conv(x, w), y> = <x, dx(y, w)> = <w, dw(x, y)> in f64 */
static void directions_are_adjoint(void **state)
{
    struct rng r = rng_at(4, 0);

    (void)state;
    for (int i = 0; i < 30; i++) {
        const struct conv_shape s = shape_random(&r);
        const struct conv_run run = {.avx512 = isa_count() == 2, .f64 = true, .threads = 2, .x_gap = 3};
        struct conv_data d = data_normals(&r, &s);
        double *y = conv_result(&s, CONV_FORWARD, &d, &run), *x = conv_result(&s, CONV_DX, &d, &run);
        double *w = conv_result(&s, CONV_DW, &d, &run);
        const double a = dot(y, d.y, y_count(&s)), b = dot(x, d.x, x_count(&s)), c = dot(w, d.w, w_count(&s));
        const double size = sqrt(dot(y, y, y_count(&s)) * dot(d.y, d.y, y_count(&s))) + 1e-30;
        assert_true(fabs(a - b) <= 1e-12 * size && fabs(a - c) <= 1e-12 * size);
        free(y);
        free(x);
        free(w);
        data_free(&d);
    }
}

/* The bits of one thread and AVX2 against other thread counts and AVX-512. */
static void bits_equal(const struct conv_shape *s, enum conv_dir dir, const struct conv_data *d)
{
    static const int threads[] = {1, 2, 3, 7};

    for (int f64 = 0; f64 < 2; f64++) {
        double *first = NULL;
        for (int i = 0; i < 4 * isa_count(); i++) {
            const struct conv_run run = {
                .avx512 = i / 4, .f64 = f64, .threads = threads[i % 4], .y_gap = i % 3};
            double *is = conv_result(s, dir, d, &run);
            if (!first) {
                first = is;
                continue;
            }
            if (memcmp(first, is, (size_t)result_count(s, dir) * sizeof *is)) {
                shape_print(s, dir);
                fail_msg("bits differ with %d threads, avx512 %d, f64 %d", run.threads, run.avx512, f64);
            }
            free(is);
        }
        free(first);
    }
}

static void bits_do_not_depend_on_threads_or_isa(void **state)
{
    static const struct conv_shape shapes[] = {
        {2, {16, 24, 24}, 4, {16, 24, 24}, 20, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1, true, false, 0},
        {1, {14, 24, 25}, 33, {7, 12, 13}, 40, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, 1, true, false, 0},
        {1, {14, 24, 25}, 6, {14, 24, 25}, 3, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1, true, false, 0},
        {2, {4, 5, 6}, 130, {4, 5, 6}, 140, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1, true, false, 0},
        {2,
         {10, 20, 20},
         48,
         {10, 20, 20},
         17,
         {1, 1, 1},
         {1, 1, 1},
         {0, 0, 0},
         {1, 1, 1},
         1,
         true,
         false,
         0},
        {1, {16, 16, 16}, 24, {8, 8, 8}, 48, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, {1, 1, 1}, 2, true, false, 0},
    };
    struct rng r = rng_at(5, 0);

    (void)state;
    for (int i = 0; i < 26; i++) {
        const struct conv_shape s = i < 6 ? shapes[i] : shape_random(&r);
        struct conv_data d = data_normals(&r, &s);
        for (enum conv_dir dir = CONV_FORWARD; dir <= CONV_DW; dir++)
            bits_equal(&s, dir, &d);
        data_free(&d);
    }
}

/* Uniform values: the same on every machine, as no function of the C library is involved. */
static double *uniforms_new(struct rng *r, int64_t count)
{
    double *p = doubles_new(count);

    for (int64_t i = 0; i < count; i++)
        p[i] = (double)(float)(2 * rng_unit(r) - 1);
    return p;
}

/* The bits themselves, so that a change of compiler or of a rule that orders sums is seen. A wanted change of
 * a rule changes the table; nothing else may. Twelve results: four shapes in three directions, f32. */
static void bits_are_the_known_ones(void **state)
{
    static const struct conv_shape shapes[] = {
        {1, {9, 12, 20}, 4, {9, 12, 20}, 32, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1, true, false, 0},
        {2, {12, 12, 12}, 32, {6, 6, 6}, 64, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, 1, true, false, 0},
        {1, {1, 32, 48}, 24, {1, 32, 48}, 3, {1, 7, 7}, {1, 1, 1}, {0, 3, 3}, {1, 1, 1}, 1, true, false, 0},
        {2,
         {12, 16, 20},
         48,
         {12, 16, 20},
         20,
         {1, 1, 1},
         {1, 1, 1},
         {0, 0, 0},
         {1, 1, 1},
         1,
         true,
         false,
         0},
    };
    static const uint64_t want[] = {0x9fda77f1015baabbu, 0x9924363dcca5bdc6u, 0xbba21401467a7594u,
                                    0x8e2e783feca3e959u, 0xee644297c9165d95u, 0xa8aa3a02773bdedbu,
                                    0x522b2a1ecfc2b1cdu, 0x35bd6b860d4d0452u, 0xcd27c46541673450u,
                                    0xb299d60a14e3d59eu, 0x75f77fb9fd0e1c88u, 0xb4630e1fb331a9e1u};
    struct rng r = rng_at(6, 0);

    (void)state;
    for (int i = 0; i < 12; i++) {
        const struct conv_shape *s = &shapes[i / 3];
        struct conv_data d = {.x = uniforms_new(&r, x_count(s)),
                              .w = uniforms_new(&r, w_count(s)),
                              .y = uniforms_new(&r, y_count(s))};
        double *is = conv_result(s, (enum conv_dir)(i % 3), &d, &(struct conv_run){.threads = 2});
        assert_int_equal(XXH64(is, (size_t)result_count(s, (enum conv_dir)(i % 3)) * sizeof *is, 0), want[i]);
        free(is);
        data_free(&d);
    }
}

/* Coefficients (n, STAGE_ROWS, channels); a slope is sometimes 0, sometimes 1. */
static double *stage_random(struct rng *r, int64_t n, int64_t channels)
{
    double *p = normals_new(r, n * STAGE_ROWS * channels);

    for (int64_t i = 0; i < n * channels; i++) {
        double *slope = p + (i / channels * STAGE_ROWS + STAGE_SLOPE) * channels + i % channels;
        *slope = rng_below(r, 4) ? (double)(float)rng_unit(r) : (double)rng_below(r, 2);
    }
    return p;
}

/* What the stage reads: leaky(scale x + shift) in the type's own arithmetic. */
static double *stage_applied(const double *x, const double *stage, const int64_t size[3], bool f64)
{
    const int64_t n = size[0], voxels = size[1], channels = size[2];
    double *to = doubles_new(n * voxels * channels);

    for (int64_t i = 0; i < n * voxels * channels; i++) {
        const double *k = stage + i / channels / voxels * STAGE_ROWS * channels + i % channels;
        const double scale = k[STAGE_SCALE * channels], shift = k[STAGE_SHIFT * channels],
                     slope = k[STAGE_SLOPE * channels];
        if (f64) {
            const double v = fma(x[i], scale, shift);
            to[i] = v > v * slope ? v : v * slope;
        } else {
            const float v = fmaf((float)x[i], (float)scale, (float)shift), w = v * (float)slope;
            to[i] = (double)(v > w ? v : w);
        }
    }
    return to;
}

/* A convolution through stages against the convolution of what the stages make, bit by bit. */
static void stages_equal(const struct conv_shape *s, enum conv_dir dir, const struct conv_data *d, int i)
{
    static const int threads[] = {1, 2, 3, 7};
    const struct conv_run run = {.avx512 = i / 2 % 2 && isa_count() == 2,
                                 .f64 = i % 2,
                                 .threads = threads[i / 4 % 4],
                                 .x_gap = i % 3 ? 0 : 5,
                                 .y_gap = i % 5 ? 0 : 3};
    struct conv_data made = *d;

    made.x_stage = made.y_stage = NULL;
    if (d->x_stage)
        made.x =
            stage_applied(d->x, d->x_stage, (const int64_t[3]){s->n, voxels_of(1, s->in), s->ci}, run.f64);
    if (d->y_stage)
        made.y =
            stage_applied(d->y, d->y_stage, (const int64_t[3]){s->n, voxels_of(1, s->out), s->co}, run.f64);
    double *is = conv_result(s, dir, d, &run);
    double *want = conv_result(s, dir, &made, &(struct conv_run){.f64 = run.f64, .threads = 1});
    if (memcmp(is, want, (size_t)result_count(s, dir) * sizeof *is)) {
        shape_print(s, dir);
        fail_msg("bits differ with %d threads, avx512 %d, f64 %d, stages %d %d", run.threads, run.avx512,
                 run.f64, d->x_stage != NULL, d->y_stage != NULL);
    }
    free(is);
    free(want);
    if (d->x_stage)
        free(made.x);
    if (d->y_stage)
        free(made.y);
}

/* Every combination of stages that the table claims. */
static void shape_staged(struct rng *r, const struct conv_shape *s, int round)
{
    const struct kernel_table *t = kernel_table_get(false, false);

    for (enum conv_dir dir = CONV_FORWARD; dir <= CONV_DW; dir++) {
        const unsigned hooks = t->conv_hooks(s, dir) & (CONV_X_STAGE | CONV_Y_STAGE);
        const unsigned want = (dir != CONV_DX ? CONV_X_STAGE : 0) | (dir != CONV_FORWARD ? CONV_Y_STAGE : 0);
        assert_int_equal(hooks, s->groups == 1 ? want : hooks);
        assert_int_equal(hooks,
                         kernel_table_get(true, true)->conv_hooks(s, dir) & (CONV_X_STAGE | CONV_Y_STAGE));
        for (unsigned use = 1; use <= hooks; use++) {
            if ((use & hooks) != use)
                continue;
            struct conv_data d = data_normals(r, s);
            d.x_stage = use & CONV_X_STAGE ? stage_random(r, s->n, s->ci) : NULL;
            d.y_stage = use & CONV_Y_STAGE ? stage_random(r, s->n, s->co) : NULL;
            for (int i = 0; i < 4; i++)
                stages_equal(s, dir, &d, i + 4 * round);
            data_free(&d);
        }
    }
}

static void stages_equal_their_own_pass(void **state)
{
    struct rng r = rng_at(7, 0);

    (void)state;
    for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++)
        shape_staged(&r, &chosen[i], (int)i);
    for (int i = 0; i < 60; i++) {
        struct conv_shape s = shape_random(&r);
        s.groups = 1;
        shape_staged(&r, &s, i);
    }
}

static void absurd_shapes_are_refused(void **state)
{
    const struct kernel_table *t = kernel_table_get(false, false);
    const struct conv_shape good = {1,         {4, 4, 4}, 4, {4, 4, 4}, 4,     {3, 3, 3}, {1, 1, 1},
                                    {1, 1, 1}, {1, 1, 1}, 1, true,      false, 0};
    struct conv_shape s = good;

    (void)state;
    assert_true(t->conv_accepts(&s, CONV_FORWARD));
    s.groups = 3;
    assert_false(t->conv_accepts(&s, CONV_FORWARD));
    s = good;
    s.stride[1] = 0;
    assert_false(t->conv_accepts(&s, CONV_DX));
    s = good;
    s.kernel[2] = 7;
    assert_false(t->conv_accepts(&s, CONV_DW));
    s = good;
    s.outside = CONV_PAD_REFLECT;
    assert_true(t->conv_accepts(&s, CONV_FORWARD));
    s.in[0] = s.out[0] = 1; /* nothing to mirror */
    assert_false(t->conv_accepts(&s, CONV_FORWARD));
    s.outside = CONV_PAD_REPLICATE;
    assert_true(t->conv_accepts(&s, CONV_FORWARD));
    assert_false(kernel_table_bf16(false, false)->conv_accepts(&s, CONV_FORWARD)); /* float kernels run it */
    s = good;
    s.n = INT64_MAX / 2;
    assert_false(t->conv_accepts(&s, CONV_FORWARD));
    s = good;
    s.in[0] = s.in[1] = s.in[2] = 1 << 20;
    assert_false(t->conv_accepts(&s, CONV_FORWARD));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_shapes_are_exact),
        cmocka_unit_test(chosen_shapes_are_exact),
        cmocka_unit_test(real_errors_are_bounded),
        cmocka_unit_test(directions_are_adjoint),
        cmocka_unit_test(bits_do_not_depend_on_threads_or_isa),
        cmocka_unit_test(bits_are_the_known_ones),
        cmocka_unit_test(stages_equal_their_own_pass),
        cmocka_unit_test(absurd_shapes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
