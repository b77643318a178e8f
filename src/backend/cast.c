/* Casts: runs of contiguous elements, or rows of windows, through one function per pair of types. */
#include "backend/classes.h"
#include "backend/kernels.h"

#include <string.h>

enum { BLOCK = 1024 /* elements at a time, about */ };

/* (to) from[i] for i < n */
#define CONVERT(name, to_type, from_type)                                                                    \
    static void name(void *to, const void *from, int64_t n)                                                  \
    {                                                                                                        \
        const from_type *in = from;                                                                          \
        to_type *out = to;                                                                                   \
        for (int64_t i = 0; i < n; i++)                                                                      \
            out[i] = (to_type)in[i];                                                                         \
    }
CONVERT(f32_of_f64, float, double)
CONVERT(f32_of_i64, float, int64_t)
CONVERT(f64_of_f32, double, float)
CONVERT(f64_of_i64, double, int64_t)
CONVERT(i64_of_f32, int64_t, float)
CONVERT(i64_of_f64, int64_t, double)

typedef void (*convert_function)(void *to, const void *from, int64_t n);
static const convert_function convert[DT_COUNT][DT_COUNT] = {
    [DT_F32] = {[DT_F64] = f32_of_f64, [DT_I64] = f32_of_i64},
    [DT_F64] = {[DT_F32] = f64_of_f32, [DT_I64] = f64_of_i64},
    [DT_I64] = {[DT_F32] = i64_of_f32, [DT_F64] = i64_of_f64},
};

/* The function of a cast; NULL where the bytes stay or there is none. */
static convert_function convert_of(const struct step *s)
{
    const enum dtype to = s->out_type[0], from = s->in_type[0];
    const bool wide = strcmp(s->table->isa, "avx512") == 0;

    if (to == DT_BF16 && (from == DT_F32 || from == DT_F64))
        return fused_table_get(wide, from == DT_F64)->narrow;
    if (from == DT_BF16 && (to == DT_F32 || to == DT_F64))
        return fused_table_get(wide, to == DT_F64)->widen;
    return convert[to][from];
}

static bool cast_accepts(const struct step *s)
{
    return s->in_type[0] == s->out_type[0] || convert_of(s);
}

/* Elements of a dense tensor as rows of BLOCK, else rows of the last axis; where a row begins. */
struct rows {
    int64_t count, length, last, in_pitch, out_pitch; /* last: length of the last row */
};

static struct rows rows_of(const struct run *r)
{
    const struct dims *d = &r->step->out_dims[0];
    const int64_t n = dims_count(d), c = d->rank ? d->n[d->rank - 1] : 1;
    const int64_t in = run_in_pitch(r, 0), out = run_out_pitch(r, 0), blocks = int64_ceil_div(n, BLOCK);

    if (in == c && out == c)
        return (struct rows){blocks, BLOCK, n - (blocks - 1) * BLOCK, BLOCK, BLOCK};
    return (struct rows){n / c, c, c, in, out};
}

static void cast_prepare(struct step *s)
{
    s->pitch_in = s->pitch_out = 1;
}

static void cast_run(const struct run *r)
{
    const struct step *s = r->step;
    const struct rows rows = rows_of(r);
    const int64_t size_out = (int64_t)dtype_size(s->out_type[0]),
                  size_in = (int64_t)dtype_size(s->in_type[0]);
    const convert_function f = convert_of(s);
    const int threads = class_threads(s, rows.count * rows.length / (4 * BLOCK));

#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t i = 0; i < rows.count; i++) {
        const int64_t n = i + 1 < rows.count ? rows.length : rows.last;
        char *out = (char *)r->out[0] + i * rows.out_pitch * size_out;
        const char *in = (const char *)r->in[0] + i * rows.in_pitch * size_in;

        if (f)
            f(out, in, n);
        else if (out != in)
            memcpy(out, in, (size_t)(n * size_out));
    }
}

const struct kernel_class class_cast = {"cast.convert", OP_CAST, cast_accepts, cast_prepare, cast_run};
