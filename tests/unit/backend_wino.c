/* Winograd convolutions: every variant and direction against the definition within bounds that follow from
 * the transforms (winograd.md section 13), exactly where the constants allow it; hooks against separate
 * passes; the same bits for every thread count and instruction set; the choice rule, frozen. */
#include "kernel_case.h"

#include "backend/wino_plan.h"
#include <float.h>
#include <math.h>
#include <xxhash.h>

#define SHAPE(n, d, h, w, ci, co)                                                                            \
    {                                                                                                        \
        n, {d, h, w}, ci, {d, h, w}, co, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1, false, false, 0      \
    }
#define EDGED(n, d, h, w, ci, co, pad, outside)                                                              \
    {                                                                                                        \
        n, {d, h, w}, ci, {d + 2 * pad - 2, h + 2 * pad - 2, w + 2 * pad - 2}, co, {3, 3, 3}, {1, 1, 1},     \
            {pad, pad, pad}, {1, 1, 1}, 1, false, false, outside                                             \
    }
#define FLAT_EDGED(n, d, h, w, ci, co, outside)                                                              \
    {                                                                                                        \
        n, {d, h, w}, ci, {d, h, w}, co, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}, 1, false, false,        \
            outside                                                                                          \
    }
#define FLAT(n, d, h, w, ci, co)                                                                             \
    {                                                                                                        \
        n, {d, h, w}, ci, {d, h, w}, co, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}, 1, false, false, 0      \
    }

/* Whole and overhanging tiles, pieces that fill a row and that do not, both ways of sharing the work. */
static const struct conv_shape shapes[] = {
    SHAPE(1, 12, 12, 12, 16, 16),
    SHAPE(2, 7, 10, 53, 16, 32),
    SHAPE(3, 15, 8, 7, 32, 16),
    SHAPE(4, 9, 6, 9, 32, 48),    /* 333 */
    SHAPE(8, 2, 12, 12, 16, 16),  /* 244 */
    SHAPE(14, 4, 2, 20, 16, 32),  /* 222 */
    SHAPE(4, 8, 12, 11, 144, 16), /* blocks of the team */
    FLAT(1, 1, 48, 40, 32, 48),
    FLAT(2, 3, 16, 20, 48, 32),
    FLAT(4, 12, 2, 24, 64, 64), /* 122 */
    {2, {12, 13, 14}, 16, {10, 11, 12}, 16, {3, 3, 3}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}, 1, false, false, 0},
    {2, {11, 12, 13}, 16, {13, 14, 15}, 32, {3, 3, 3}, {1, 1, 1}, {2, 2, 2}, {1, 1, 1}, 1, false, false, 0},
    SHAPE(2, 6, 6, 6, 64, 80), /* one block of few tiles */
    /* padding that is not zero */
    EDGED(1, 7, 10, 53, 16, 32, 1, CONV_PAD_REFLECT),
    EDGED(4, 9, 6, 9, 32, 48, 1, CONV_PAD_REFLECT),     /* 333 */
    EDGED(14, 4, 2, 20, 16, 32, 1, CONV_PAD_REPLICATE), /* 222 */
    EDGED(1, 11, 12, 13, 16, 32, 2, CONV_PAD_REFLECT),
    FLAT_EDGED(1, 1, 47, 42, 32, 32, CONV_PAD_REFLECT),
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Largest error of a variant in units of eps * max(sum |a||b|): about twice the worst that was seen. */
static const double factors[WINO_VARIANTS] = {64, 128, 24, 8, 64, 8};

/* By weights the chain over the tiles adds its own. */
static double factor_of(enum wino_variant v, enum conv_dir dir)
{
    return dir == CONV_DW && factors[v] < 32 ? 32 : factors[v];
}

static enum wino_variant variant_of(const struct conv_shape *s, enum conv_dir dir)
{
    struct wino q;

    assert_true(wino_plan(&q, s, dir));
    return q.variant;
}

static void near(const struct conv_shape *s, enum conv_dir dir, const double *is, const double *want,
                 double bound)
{
    for (int64_t i = 0; i < result_count(s, dir); i++)
        if (!(fabs(is[i] - want[i]) <= bound)) {
            shape_print(s, dir);
            fail_msg("element %lld is %.17g, should be %.17g within %g", (long long)i, is[i], want[i], bound);
        }
}

/* |error| <= factor eps max(sum |a||b|) in both types. By weights the sums are long, and equal terms all
 * round the same way: `scale` allows for it. One instruction set a direction: both give the same bits
 * (below). */
static void errors_bounded(const struct conv_shape *s, enum conv_dir dir, const struct conv_data *d,
                           double scale)
{
    struct conv_data size_data = {.x = absolutes_new(d->x, x_count(s)),
                                  .w = absolutes_new(d->w, w_count(s)),
                                  .y = absolutes_new(d->y, y_count(s))};
    double *want = oracle_result(s, dir, d), *size = oracle_result(s, dir, &size_data), largest = 0;

    for (int64_t i = 0; i < result_count(s, dir); i++)
        largest = fmax(largest, size[i]);
    for (int i = 0; i < 2; i++) {
        const struct conv_run run = {
            .avx512 = isa_count() == 2 && dir % 2, .f64 = i, .threads = 2, .x_gap = 7, .y_gap = i};
        double *is = conv_result(s, dir, d, &run);
        near(s, dir, is, want,
             scale * factor_of(variant_of(s, dir), dir) * (i ? DBL_EPSILON : FLT_EPSILON) / 2 * largest);
        free(is);
    }
    free(want);
    free(size);
    data_free(&size_data);
}

static void errors_are_bounded(void **state)
{
    struct rng r = rng_at(1, 0);

    (void)state;
    for (int i = 0; i < SHAPES; i++)
        for (int kind = 0; kind < 5; kind += i % 3 ? 2 : 1)
            for (enum conv_dir dir = CONV_FORWARD; dir <= CONV_DW; dir++) {
                struct conv_data d = data_normals(&r, &shapes[i]);
                data_change(d.x, x_count(&shapes[i]), kind);
                data_change(d.y, y_count(&shapes[i]), kind);
                errors_bounded(&shapes[i], dir, &d, dir == CONV_DW && kind == 2 ? 150 : 1);
                data_free(&d);
            }
}

/* The constants of F(2,3) are exact in binary: small integers give exact results. Those of F(3,3) contain
 * thirds: exact forward and by data if every weight is a multiple of 216. */
static void integers_are_exact(void **state)
{
    static const int picked[] = {3, 5, 9};
    struct rng r = rng_at(2, 0);

    (void)state;
    for (int i = 0; i < 3; i++)
        for (enum conv_dir dir = CONV_FORWARD; dir <= CONV_DW; dir++) {
            const struct conv_shape *s = &shapes[picked[i]];
            struct conv_data d = {.x = integers_new(&r, x_count(s)),
                                  .w = integers_new(&r, w_count(s)),
                                  .y = integers_new(&r, y_count(s))};
            double *want, *is;
            if (picked[i] == 3 && dir == CONV_DW) {
                data_free(&d);
                continue;
            }
            for (int64_t k = 0; picked[i] == 3 && k < w_count(s); k++)
                d.w[k] *= 216;
            want = oracle_result(s, dir, &d);
            is = conv_result(s, dir, &d, &(struct conv_run){.threads = 2});
            near(s, dir, is, want, 0);
            free(want);
            free(is);
            data_free(&d);
        }
}

/* ---- hooks ---- */

/* Whether a result's hook can be asked for: not where what belongs to the padding is added to it later. */
static bool result_hooks(const struct conv_shape *s, enum conv_dir dir)
{
    const unsigned hooks = kernel_table_get(false, false)->conv_hooks(s, dir);
    const bool takes = hooks & CONV_MOMENTS && hooks & CONV_GATE;

    assert_int_equal(takes, dir != CONV_DW && !(dir == CONV_DX && s->outside));
    return takes;
}

static double *stage_new(struct rng *r, int64_t samples, int64_t channels)
{
    double *p = doubles_new(samples * STAGE_ROWS * channels);

    for (int64_t i = 0; i < samples * STAGE_ROWS * channels; i++) {
        const int64_t row = i / channels % STAGE_ROWS;
        p[i] = row == STAGE_SLOPE ? (i % 3 ? 0.01f : 1) : (double)(float)(0.2 + rng_normal(r));
    }
    return p;
}

static double stage_at(const double *stage, int64_t sample, int row, int64_t channels, int64_t c)
{
    return stage[(sample * STAGE_ROWS + row) * channels + c];
}

/* v in the arithmetic of the type, as the kernels compute it */
static double staged(const double *stage, int64_t sample, int64_t channels, int64_t c, double x, bool f64)
{
    const double a = stage_at(stage, sample, STAGE_SCALE, channels, c),
                 b = stage_at(stage, sample, STAGE_SHIFT, channels, c),
                 s = stage_at(stage, sample, STAGE_SLOPE, channels, c);
    const double v = f64 ? fma(x, a, b) : (double)fmaf((float)x, (float)a, (float)b);
    const double leaky = f64 ? v * s : (double)((float)v * (float)s);

    return v > leaky ? v : leaky;
}

/* Reading through a stage is bit for bit the convolution of what the stage makes of the source. */
static void stages_equal_separate_passes(void **state)
{
    struct rng r = rng_at(3, 0);

    (void)state;
    for (int i = 0; i < SHAPES; i++)
        for (int k = 0; k < 6; k++) {
            const enum conv_dir dir = (enum conv_dir)(k % 3);
            const struct conv_shape *s = &shapes[i];
            const bool by_data = dir == CONV_DX;
            const struct conv_run run = {
                .avx512 = isa_count() == 2 && i % 2, .f64 = k / 3, .threads = 2, .x_gap = 3};
            struct conv_data d = data_normals(&r, s), plain = d;
            const int64_t channels = by_data ? s->co : s->ci, count = by_data ? y_count(s) : x_count(s);
            double *coef = stage_new(&r, s->n, channels), *pass = doubles_new(count), *is, *want;
            for (int64_t j = 0; j < count; j++)
                pass[j] =
                    staged(coef, j / (count / s->n), channels, j % channels, (by_data ? d.y : d.x)[j], k / 3);
            *(by_data ? &plain.y : &plain.x) = pass;
            *(by_data ? &d.y_stage : &d.x_stage) = coef;
            is = conv_result(s, dir, &d, &run);
            want = conv_result(s, dir, &plain, &run);
            near(s, dir, is, want, 0);
            free(is);
            free(want);
            free(pass);
            data_free(&d);
        }
}

/* Mean and variance of a result whose mean is up to 30 deviations. */
static void moments_are_those_of_the_result(void **state)
{
    struct rng r = rng_at(4, 0);

    (void)state;
    for (int i = 0; i < SHAPES; i++)
        for (enum conv_dir dir = CONV_FORWARD; dir <= CONV_DX; dir++) {
            const struct conv_shape *s = &shapes[i];
            const int64_t c = dir == CONV_DX ? s->ci : s->co, voxels = result_count(s, dir) / c / s->n;
            struct conv_data d;
            double *is;
            if (!result_hooks(s, dir))
                continue;
            d = data_normals(&r, s);
            d.sums = doubles_new(s->n * 2 * c);
            d.bias = doubles_new(c);
            for (int64_t k = 0; k < c; k++)
                d.bias[k] = i % 2 ? 0 : (double)(k % 30) * 30;
            is = conv_result(s, dir, &d, &(struct conv_run){.avx512 = isa_count() == 2, .threads = 3});
            for (int64_t n = 0; n < s->n; n++)
                for (int64_t k = 0; k < c; k++) {
                    double sum = 0, square = 0;
                    for (int64_t v = 0; v < voxels; v++)
                        sum += is[(n * voxels + v) * c + k];
                    sum /= (double)voxels;
                    for (int64_t v = 0; v < voxels; v++)
                        square += pow(is[(n * voxels + v) * c + k] - sum, 2);
                    square /= (double)voxels;
                    assert_true(fabs(d.sums[n * 2 * c + k] - sum) <= 1e-6 * (fabs(sum) + sqrt(square)));
                    assert_true(fabs(d.sums[(n * 2 + 1) * c + k] - square) <= 1e-6 * (square + sum * sum));
                }
            free(is);
            data_free(&d);
        }
}

/* g = r leaky'(scale z + shift), bit for bit; its sums within rounding. */
static void gates_equal_separate_passes(void **state)
{
    struct rng r = rng_at(5, 0);

    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        const struct conv_shape *s = &shapes[i];
        const enum conv_dir dir = i % 2 && !s->outside ? CONV_DX : CONV_FORWARD;
        const int64_t c = dir == CONV_DX ? s->ci : s->co, count = result_count(s, dir),
                      voxels = count / c / s->n;
        const struct conv_run run = {.avx512 = isa_count() == 2 && i % 3, .threads = 2, .y_gap = 4};
        struct conv_data d = data_normals(&r, s);
        double *plain = conv_result(s, dir, &d, &run), *is;
        d.z = normals_new(&r, count);
        d.z_stage = stage_new(&r, s->n, c);
        d.sums = doubles_new(s->n * 2 * c);
        is = conv_result(s, dir, &d, &run);
        for (int64_t n = 0; n < s->n; n++)
            for (int64_t k = 0; k < c; k++) {
                const double centre = stage_at(d.z_stage, n, STAGE_CENTRE, c, k);
                double sum[2] = {0, 0}, size[2] = {0, 0};
                for (int64_t v = 0; v < voxels; v++) {
                    const int64_t at = (n * voxels + v) * c + k;
                    const float on = fmaf((float)d.z[at], (float)stage_at(d.z_stage, n, STAGE_SCALE, c, k),
                                          (float)stage_at(d.z_stage, n, STAGE_SHIFT, c, k));
                    const double slope = on > 0 ? 1 : stage_at(d.z_stage, n, STAGE_SLOPE, c, k);
                    if (is[at] != (double)((float)plain[at] * (float)slope))
                        fail_msg("shape %d: %.9g is not %.9g times %g", i, is[at], plain[at], slope);
                    sum[0] += is[at];
                    sum[1] += is[at] * (d.z[at] - centre);
                    size[0] += fabs(is[at]);
                    size[1] += fabs(is[at] * (d.z[at] - centre));
                }
                assert_true(fabs(d.sums[n * 2 * c + k] - sum[0]) <= 2e-6 * size[0]);
                assert_true(fabs(d.sums[(n * 2 + 1) * c + k] - sum[1]) <= 2e-6 * size[1]);
            }
        free(plain);
        free(is);
        data_free(&d);
    }
}

/* Packed weights give the bits that weights as they are give, also in the direct kernels. */
static void packed_weights_change_no_bit(void **state)
{
    struct rng r = rng_at(7, 0);

    (void)state;
    for (int i = 0; i < 2 * SHAPES; i++)
        for (enum conv_dir dir = CONV_FORWARD; dir <= CONV_DX; dir++) {
            struct conv_shape s = shapes[i / 2], packed;
            struct conv_data d = data_normals(&r, &s);
            const struct conv_run run = {.avx512 = isa_count() == 2 && i % 3, .threads = 2, .x_gap = 2};
            double *plain, *is;
            s.exact = i % 2;
            plain = conv_result(&s, dir, &d, &run);
            packed = s;
            packed.packed = true;
            is = conv_result(&packed, dir, &d, &run);
            near(&s, dir, is, plain, 0);
            free(plain);
            free(is);
            data_free(&d);
        }
}

/* ---- bits ---- */

static void hooks_fill(struct rng *r, const struct conv_shape *s, enum conv_dir dir, int kind,
                       struct conv_data *d)
{
    const int64_t c = dir == CONV_DX ? s->ci : s->co;

    if (kind == 0)
        return;
    if (dir == CONV_DX)
        d->y_stage = stage_new(r, s->n, s->co);
    else
        d->x_stage = stage_new(r, s->n, s->ci);
    if (!result_hooks(s, dir))
        return;
    d->sums = doubles_new(s->n * 2 * c);
    if (kind == 1)
        return;
    d->z = normals_new(r, result_count(s, dir));
    d->z_stage = stage_new(r, s->n, c);
}

static uint64_t hash_of(const struct conv_shape *s, enum conv_dir dir, const struct conv_data *d,
                        const struct conv_run *run)
{
    const int64_t c = dir == CONV_DX ? s->ci : s->co;
    double *is = conv_result(s, dir, d, run);
    uint64_t hash = XXH64(is, (size_t)result_count(s, dir) * sizeof *is, 0);

    if (d->sums)
        hash = XXH64(d->sums, (size_t)(s->n * 2 * c) * sizeof *d->sums, hash);
    free(is);
    return hash;
}

static void bits_do_not_depend_on_threads_or_isa(void **state)
{
    static const int threads[] = {1, 3, 7, 2, 7};
    struct rng r = rng_at(6, 0);

    (void)state;
    for (int i = 0; i < SHAPES; i++)
        for (int k = 0; k < 9; k++) {
            const enum conv_dir dir = (enum conv_dir)(k % 3);
            struct conv_data d = data_normals(&r, &shapes[i]);
            uint64_t first = 0;
            hooks_fill(&r, &shapes[i], dir, k / 3, &d);
            for (int j = 0; j < (isa_count() == 2 ? 5 : 3); j++) {
                const struct conv_run run = {
                    .avx512 = j >= 3, .f64 = (i + k) % 4 == 0, .threads = threads[j], .y_gap = j % 3};
                const uint64_t hash = hash_of(&shapes[i], dir, &d, &run);
                first = j ? first : hash;
                if (hash != first) {
                    shape_print(&shapes[i], dir);
                    fail_msg("bits differ with %d threads, avx512 %d, hook %d", run.threads, run.avx512,
                             k / 3);
                }
            }
            data_free(&d);
        }
}

/* ---- the choice ---- */

static void choice_is_the_known_one(void **state)
{
    static const struct {
        struct conv_shape s;
        int variant[3]; /* forward, by data, by weights; -1: direct */
    } known[] = {
        {SHAPE(2, 96, 96, 96, 32, 32), {WINO_444, WINO_444, WINO_444}},
        {SHAPE(2, 96, 96, 96, 64, 32), {WINO_444, WINO_444, WINO_444}},
        {SHAPE(2, 96, 96, 96, 16, 16), {WINO_444, WINO_444, WINO_444}},
        {SHAPE(2, 48, 48, 48, 128, 64), {WINO_444, WINO_444, WINO_444}},
        {SHAPE(2, 24, 24, 24, 128, 128), {WINO_444, WINO_444, WINO_444}},
        {SHAPE(2, 12, 12, 12, 512, 256), {WINO_444, WINO_444, WINO_444}},
        {SHAPE(2, 6, 6, 6, 320, 320), {WINO_333, WINO_333, WINO_333}},
        {SHAPE(1, 4, 4, 4, 320, 320), {-1, -1, -1}},
        {SHAPE(2, 96, 96, 96, 4, 32), {-1, -1, -1}},
        {SHAPE(2, 96, 96, 96, 24, 32), {-1, -1, -1}},
        {FLAT(1, 1, 64, 64, 128, 384), {WINO_144, WINO_144, WINO_144}},
        {FLAT(12, 1, 512, 512, 32, 32), {WINO_144, WINO_144, WINO_144}},
        {FLAT(2, 40, 160, 160, 32, 32), {WINO_144, WINO_144, WINO_144}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        for (enum conv_dir dir = CONV_FORWARD; dir <= CONV_DW; dir++) {
            struct conv_shape s = known[i].s;
            struct wino q;
            const int is = wino_plan(&q, &s, dir) ? (int)q.variant : -1;
            if (is != known[i].variant[dir]) {
                shape_print(&s, dir);
                fail_msg("variant %d, should be %d", is, known[i].variant[dir]);
            }
            s.exact = true;
            assert_false(wino_plan(&q, &s, dir));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_bounded),
        cmocka_unit_test(integers_are_exact),
        cmocka_unit_test(stages_equal_separate_passes),
        cmocka_unit_test(moments_are_those_of_the_result),
        cmocka_unit_test(gates_equal_separate_passes),
        cmocka_unit_test(packed_weights_change_no_bit),
        cmocka_unit_test(bits_do_not_depend_on_threads_or_isa),
        cmocka_unit_test(choice_is_the_known_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
