/* Convolutions of bf16: AMX's micro-kernel on emulated tiles against those without AMX, bit by bit; every
 * direction against its definition, exactly on small integers and within the bound of float sums on reals;
 * the same bits for every thread count and instruction set. */
#include "kernel_case.h"
#include "tile_emulated.h"

#define BF16_EMULATED
#include "backend/bf16/micro_amx.c"

#include "backend/bf16/conv.h"
#include "graph/op.h"

extern const struct bf16_micro bf16_micro_emulated;

/* ---- kernel tables: the two that this machine runs, and the emulated one ---- */

static void emulated_run(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b)
{
    bf16_conv_run(&bf16_micro_emulated, s, dir, b);
}

enum { TABLES = 3 };

static const struct kernel_table *table_at(int i)
{
    static struct kernel_table emulated;

    if (i >= isa_count()) {
        emulated = *kernel_table_bf16(false, false);
        emulated.conv = emulated_run;
        return &emulated;
    }
    return kernel_table_bf16(i, false);
}

static int table_count(void)
{
    return isa_count() + 1;
}

/* ---- the micro-kernel ---- */

enum { ROOM = 1 << 14, C_ROWS = 32, C_ROW = 40 };

struct operands {
    uint16_t a[ROOM], b[ROOM];
    float c[C_ROWS * C_ROW], bias[BF16_COLS];
};

static float number_random(struct rng *r, int kind)
{
    uint32_t bits = (uint32_t)rng_below(r, 1ull << 32);
    float f;

    if (kind == 0) /* any pattern at all */
        memcpy(&f, &bits, sizeof f);
    else if (kind == 1) /* products and sums around the smallest normal number */
        f = ldexpf((float)rng_normal(r), -70 + (int)rng_below(r, 12));
    else if (kind == 2) /* subnormal operands */
        f = ldexpf((float)rng_normal(r), -124 - (int)rng_below(r, 8));
    else
        f = (float)rng_normal(r);
    return f;
}

static void operands_random(struct operands *o, struct rng *r, int kind)
{
    for (int i = 0; i < ROOM; i++) {
        o->a[i] = bf16_of((double)number_random(r, kind));
        o->b[i] = bf16_of((double)number_random(r, kind == 2 ? 3 : kind));
    }
    for (int i = 0; i < C_ROWS * C_ROW; i++)
        o->c[i] = number_random(r, kind);
    for (int i = 0; i < BF16_COLS; i++)
        o->bias[i] = number_random(r, kind);
}

static void block_same(const struct bf16_micro *m, const struct bf16_block *t, const int size[2],
                       const struct operands *o, const float *want)
{
    struct operands *copy = malloc(sizeof *copy);
    const unsigned saved = m->begin(t->height, t->pairs);

    *copy = *o;
    m->block(t, size[0], size[1], copy->a, copy->b, copy->c);
    m->end(saved);
    for (int i = 0; i < C_ROWS * C_ROW; i++)
        if (memcmp(&copy->c[i], &want[i], sizeof *want) && !(isnan(copy->c[i]) && isnan(want[i])))
            fail_msg("row %d column %d of %d x %d: %a, should be %a", i / C_ROW, i % C_ROW, size[0], size[1],
                     (double)copy->c[i], (double)want[i]);
    free(copy);
}

static void micro_kernels_agree(void **state)
{
    struct operands *o = malloc(sizeof *o), *want = malloc(sizeof *want);
    struct rng r = rng_at(1, 0);

    (void)state;
    for (int i = 0; i < 600; i++) {
        const int64_t a_seg[2] = {(int64_t)rng_below(&r, 500), (int64_t)rng_below(&r, 500)};
        const int64_t b_seg[2] = {(int64_t)rng_below(&r, 500), (int64_t)rng_below(&r, 500)};
        struct bf16_block t = {.segments = (int64_t)rng_below(&r, 3),
                               .chunks = 1 + (int64_t)rng_below(&r, 3),
                               .a_seg = a_seg,
                               .b_seg = b_seg,
                               .a_row = 1 + (int64_t)rng_below(&r, 200),
                               .c_row = BF16_COLS + (int64_t)rng_below(&r, C_ROW - BF16_COLS + 1),
                               .height = 1 + (int)rng_below(&r, BF16_TILE),
                               .pairs = 1 + (int)rng_below(&r, BF16_TILE),
                               .bias = rng_below(&r, 2) ? o->bias : NULL,
                               .add = rng_below(&r, 2)};
        const int size[2] = {1 + (int)rng_below(&r, 2 * (uint64_t)t.height),
                             1 + (int)rng_below(&r, BF16_COLS)};
        operands_random(o, &r, i % 4);
        *want = *o;
        bf16_micro_emulated.begin(t.height, t.pairs);
        bf16_micro_emulated.block(&t, size[0], size[1], want->a, want->b, want->c);
        bf16_micro_emulated.end(0);
        block_same(&bf16_micro_avx2_f32, &t, size, o, want->c);
        if (isa_count() > 1)
            block_same(&bf16_micro_avx512_f32, &t, size, o, want->c);
    }
    free(o);
    free(want);
}

/* The control register is as before: other kernels keep their subnormal numbers. */
static void rounding_mode_is_given_back(void **state)
{
    const volatile float small = FLT_MIN;
    const unsigned saved = bf16_micro_avx2_f32.begin(1, 1);
    const float inside = small / 2;

    (void)state;
    bf16_micro_avx2_f32.end(saved);
    assert_true(inside == 0);
    assert_true(small / 2 > 0);
}

/* ---- shapes ---- */

static int64_t between(struct rng *r, int64_t lo, int64_t hi)
{
    return lo + (int64_t)rng_below(r, (uint64_t)(hi - lo + 1));
}

static bool axis_random(struct rng *r, struct conv_shape *s, int i)
{
    const bool plain = rng_below(r, 2);

    s->kernel[i] = between(r, 1, rng_below(r, 4) ? 3 : 5);
    s->stride[i] = plain ? 1 : between(r, 1, 3);
    s->dilation[i] = rng_below(r, 3) ? 1 : between(r, 1, 3);
    s->pad[i] = between(r, 0, 2);
    s->in[i] = between(r, 1, i == 2 ? 40 : 7);
    const int64_t room = s->in[i] + 2 * s->pad[i] - (s->kernel[i] - 1) * s->dilation[i] - 1;
    s->out[i] = room < 0 ? 0 : room / s->stride[i] + 1;
    return room >= 0;
}

static struct conv_shape shape_random(struct rng *r)
{
    struct conv_shape s;
    bool fits;

    do {
        s = (struct conv_shape){
            .n = between(r, 1, 2), .ci = between(r, 1, 40), .co = between(r, 1, 40), .groups = 1};
        if (rng_below(r, 4) == 0) {
            s.groups = between(r, 2, 3);
            s.ci = s.groups * between(r, 1, 9);
            s.co = s.groups * between(r, 1, 9);
        }
        fits = true;
        for (int i = 0; i < 3; i++)
            fits = axis_random(r, &s, i) && fits;
    } while (!fits || y_count(&s) * w_count(&s) / s.co > 200000);
    return s;
}

/* What random shapes meet seldom: whole tiles, several boxes, blocks and chunks, output padding. */
/* clang-format off */
static const struct conv_shape chosen[] = {
    {.n = 2, .in = {5, 7, 19}, .ci = 4, .out = {5, 7, 19}, .co = 32, .kernel = {3, 3, 3}, .stride = {1, 1, 1}, .pad = {1, 1, 1}, .dilation = {1, 1, 1}, .groups = 1},
    {.n = 1, .in = {5, 6, 32}, .ci = 32, .out = {5, 6, 32}, .co = 64, .kernel = {3, 3, 3}, .stride = {1, 1, 1}, .pad = {1, 1, 1}, .dilation = {1, 1, 1}, .groups = 1},
    {.n = 1, .in = {6, 7, 30}, .ci = 32, .out = {3, 4, 15}, .co = 48, .kernel = {3, 3, 3}, .stride = {2, 2, 2}, .pad = {1, 1, 1}, .dilation = {1, 1, 1}, .groups = 1},
    {.n = 1, .in = {8, 8, 8}, .ci = 64, .out = {4, 4, 4}, .co = 96, .kernel = {2, 2, 2}, .stride = {2, 2, 2}, .pad = {0, 0, 0}, .dilation = {1, 1, 1}, .groups = 1},
    {.n = 1, .in = {9, 8, 11}, .ci = 5, .out = {4, 4, 5}, .co = 3, .kernel = {4, 4, 4}, .stride = {2, 2, 2}, .pad = {1, 1, 1}, .dilation = {1, 1, 1}, .groups = 1},
    {.n = 2, .in = {1, 20, 33}, .ci = 4, .out = {1, 20, 33}, .co = 37, .kernel = {1, 7, 7}, .stride = {1, 1, 1}, .pad = {0, 3, 3}, .dilation = {1, 1, 1}, .groups = 1},
    {.n = 2, .in = {3, 3, 3}, .ci = 100, .out = {3, 3, 3}, .co = 72, .kernel = {3, 3, 3}, .stride = {1, 1, 1}, .pad = {1, 1, 1}, .dilation = {1, 1, 1}, .groups = 1},
    {.n = 3, .in = {1, 1, 700}, .ci = 17, .out = {1, 1, 700}, .co = 18, .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .pad = {0, 0, 0}, .dilation = {1, 1, 1}, .groups = 1},
    {.n = 2, .in = {7, 40, 40}, .ci = 65, .out = {7, 40, 40}, .co = 3, .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .pad = {0, 0, 0}, .dilation = {1, 1, 1}, .groups = 1},
    {.n = 1, .in = {1, 2, 3000}, .ci = 20, .out = {1, 2, 1500}, .co = 20, .kernel = {1, 1, 3}, .stride = {1, 1, 2}, .pad = {0, 0, 1}, .dilation = {1, 1, 1}, .groups = 1},
    {.n = 1, .in = {9, 10, 11}, .ci = 6, .out = {4, 4, 4}, .co = 7, .kernel = {2, 2, 2}, .stride = {2, 2, 2}, .pad = {0, 0, 0}, .dilation = {1, 1, 1}, .groups = 1},
    {.n = 1, .in = {5, 6, 11}, .ci = 6, .out = {2, 2, 4}, .co = 7, .kernel = {1, 1, 1}, .stride = {3, 3, 3}, .pad = {0, 0, 0}, .dilation = {1, 1, 1}, .groups = 1},
    {.n = 1, .in = {1, 1, 1}, .ci = 6, .out = {1, 1, 1}, .co = 7, .kernel = {1, 1, 1}, .stride = {3, 3, 3}, .pad = {1, 1, 1}, .dilation = {1, 1, 1}, .groups = 1},
};
/* clang-format on */

/* The op table's geometries of a convolution. */
static struct conv_shape shape_of_sample(const struct sample *c)
{
    const struct conv *v = &c->attr.conv;
    struct conv_shape s = {.n = c->in[0].n[0], .ci = c->in[0].n[4], .co = c->in[1].n[0], .groups = v->groups};

    for (int i = 0; i < 3; i++) {
        s.in[i] = c->in[0].n[1 + i];
        s.kernel[i] = v->kernel[i];
        s.stride[i] = v->stride[i];
        s.pad[i] = v->pad[i];
        s.dilation[i] = v->dilation[i];
        s.out[i] = (s.in[i] + 2 * s.pad[i] - (s.kernel[i] - 1) * s.dilation[i] - 1) / s.stride[i] + 1;
    }
    return s;
}

typedef void shape_fn(struct rng *r, const struct conv_shape *s);

static void each_shape(shape_fn *check)
{
    struct sample item[64];
    struct sampler list = {.item = item, .room = 64};
    struct rng r = rng_at(2, 0);

    op_rows[OP_CONV]->sample(&list);
    for (int i = 0; i < list.count; i++) {
        const struct conv_shape s = shape_of_sample(&item[i]);
        check(&r, &s);
    }
    for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++)
        check(&r, &chosen[i]);
    for (int i = 0; i < 25; i++) {
        const struct conv_shape s = shape_random(&r);
        check(&r, &s);
    }
}

/* ---- against the definition ---- */

static double *bf16_normals_new(struct rng *r, int64_t count)
{
    double *p = doubles_new(count);

    for (int64_t i = 0; i < count; i++)
        p[i] = (double)bf16_widen(bf16_of(rng_normal(r)));
    return p;
}

static struct conv_data data_new(struct rng *r, const struct conv_shape *s,
                                 double *(*make)(struct rng *, int64_t))
{
    return (struct conv_data){.x = make(r, x_count(s)), .w = make(r, w_count(s)), .y = make(r, y_count(s))};
}

static struct conv_run run_random(struct rng *r, int table)
{
    return (struct conv_run){.table = table_at(table),
                             .threads = (int)between(r, 1, 3),
                             .x_gap = rng_below(r, 2) ? between(r, 1, 20) : 0,
                             .y_gap = rng_below(r, 2) ? between(r, 1, 20) : 0};
}

static void shape_exact(struct rng *r, const struct conv_shape *s)
{
    for (enum conv_dir dir = CONV_FORWARD; dir <= CONV_DW; dir++) {
        struct conv_data d = data_new(r, s, integers_new);
        double *want;
        if (rng_below(r, 2))
            d.bias = integers_new(r, dir == CONV_DX ? s->ci : s->co);
        want = oracle_result(s, dir, &d);
        for (int i = 0; i < table_count(); i++) {
            const struct conv_run run = run_random(r, i);
            double *is = conv_result(s, dir, &d, &run);
            for (int64_t k = 0; k < result_count(s, dir); k++)
                if (is[k] != want[k]) {
                    shape_print(s, dir);
                    fail_msg("table %d, element %lld is %.17g, should be %.17g", i, (long long)k, is[k],
                             want[k]);
                }
            free(is);
        }
        free(want);
        data_free(&d);
    }
}

static void integers_are_exact(void **state)
{
    (void)state;
    each_shape(shape_exact);
}

static int64_t terms(const struct conv_shape *s, enum conv_dir dir)
{
    const int64_t taps = s->kernel[0] * s->kernel[1] * s->kernel[2];

    return dir == CONV_DW ? voxels_of(s->n, s->out) : taps * (dir == CONV_DX ? s->co : s->ci) / s->groups;
}

/* Sums of n products, all of them exact in float before the first addition: the usual bound of a float sum in
 * any order, n 2^-24 times the sum of magnitudes. */
static void shape_bounded(struct rng *r, const struct conv_shape *s)
{
    for (enum conv_dir dir = CONV_FORWARD; dir <= CONV_DW; dir++) {
        struct conv_data d = data_new(r, s, bf16_normals_new), a = d;
        const struct conv_run run = run_random(r, 0);
        double *want = oracle_result(s, dir, &d), *size, *is = conv_result(s, dir, &d, &run);
        a.x = doubles_new(x_count(s)), a.w = doubles_new(w_count(s)), a.y = doubles_new(y_count(s));
        for (int64_t i = 0; i < x_count(s); i++)
            a.x[i] = fabs(d.x[i]);
        for (int64_t i = 0; i < w_count(s); i++)
            a.w[i] = fabs(d.w[i]);
        for (int64_t i = 0; i < y_count(s); i++)
            a.y[i] = fabs(d.y[i]);
        size = oracle_result(s, dir, &a);
        for (int64_t k = 0; k < result_count(s, dir); k++)
            if (!(fabs(is[k] - want[k]) <= 1.01 * 0x1p-24 * (double)(terms(s, dir) + 2) * size[k])) {
                shape_print(s, dir);
                fail_msg("element %lld is %.17g, should be %.17g", (long long)k, is[k], want[k]);
            }
        free(want);
        free(size);
        free(is);
        data_free(&a);
        data_free(&d);
    }
}

static void reals_are_bounded(void **state)
{
    (void)state;
    each_shape(shape_bounded);
}

static void shape_same_bits(struct rng *r, const struct conv_shape *s)
{
    static const int threads[] = {1, 2, 7};

    for (enum conv_dir dir = CONV_FORWARD; dir <= CONV_DW; dir++) {
        struct conv_data d = data_new(r, s, bf16_normals_new);
        double *first = NULL;
        for (int i = 0; i < table_count(); i++)
            for (int t = 0; t < 3; t++) {
                const struct conv_run run = {.table = table_at(i), .threads = threads[t]};
                double *is = conv_result(s, dir, &d, &run);
                if (first && memcmp(first, is, (size_t)result_count(s, dir) * sizeof *is)) {
                    shape_print(s, dir);
                    fail_msg("other bits: table %d, %d threads", i, threads[t]);
                }
                if (first)
                    free(is);
                else
                    first = is;
            }
        free(first);
        data_free(&d);
    }
}

static void bits_do_not_depend_on_threads_or_isa(void **state)
{
    (void)state;
    each_shape(shape_same_bits);
}

/* ---- stages ---- */

static double *stage_new(struct rng *r, int64_t n, int64_t channels)
{
    double *coef = doubles_new(n * STAGE_ROWS * channels);

    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < channels; c++) {
            double *at = coef + i * STAGE_ROWS * channels + c;
            at[STAGE_SCALE * channels] = (double)(float)rng_between(r, -1, 2);
            at[STAGE_SHIFT * channels] = (double)(float)rng_between(r, -1, 1);
            at[STAGE_SLOPE * channels] = (double)(float)(c % 3 ? 0.01 : 1);
        }
    return coef;
}

/* What a stage makes of x (N, voxels, C), in float as kernels do it, then rounded. */
static double *stage_applied(const double *x, const double *coef, const int64_t size[3])
{
    const int64_t voxels = size[1], channels = size[2];
    double *to = doubles_new(size[0] * voxels * channels);

    for (int64_t i = 0; i < size[0] * voxels * channels; i++) {
        const double *at = coef + i / (voxels * channels) * STAGE_ROWS * channels + i % channels;
        const float v =
            fmaf((float)x[i], (float)at[STAGE_SCALE * channels], (float)at[STAGE_SHIFT * channels]);
        to[i] = (double)bf16_widen(bf16_of((double)fmaxf(v, v * (float)at[STAGE_SLOPE * channels])));
    }
    return to;
}

/* Through a stage, and on what the stage makes of the operand: the same bits. */
static void shape_staged(struct rng *r, const struct conv_shape *s)
{
    const int64_t x_size[3] = {s->n, voxels_of(1, s->in), s->ci},
                  y_size[3] = {s->n, voxels_of(1, s->out), s->co};

    for (enum conv_dir dir = CONV_FORWARD; dir <= CONV_DW && s->groups == 1; dir++) {
        struct conv_data d = data_new(r, s, bf16_normals_new), made = d;
        const struct conv_run run = run_random(r, (int)rng_below(r, (uint64_t)table_count()));
        double *is, *want;
        d.x_stage = dir == CONV_DX ? NULL : stage_new(r, s->n, s->ci);
        d.y_stage = dir == CONV_FORWARD ? NULL : stage_new(r, s->n, s->co);
        if (d.x_stage)
            made.x = stage_applied(d.x, d.x_stage, x_size);
        if (d.y_stage)
            made.y = stage_applied(d.y, d.y_stage, y_size);
        is = conv_result(s, dir, &d, &run);
        want = conv_result(s, dir, &made, &run);
        if (memcmp(is, want, (size_t)result_count(s, dir) * sizeof *is)) {
            shape_print(s, dir);
            fail_msg("other bits through a stage");
        }
        free(is);
        free(want);
        if (d.x_stage)
            free(made.x);
        if (d.y_stage)
            free(made.y);
        data_free(&d);
    }
}

static void stages_equal_their_own_pass(void **state)
{
    (void)state;
    each_shape(shape_staged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(micro_kernels_agree),
        cmocka_unit_test(rounding_mode_is_given_back),
        cmocka_unit_test(integers_are_exact),
        cmocka_unit_test(reals_are_bounded),
        cmocka_unit_test(bits_do_not_depend_on_threads_or_isa),
        cmocka_unit_test(stages_equal_their_own_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
