/* What the kernel tests share: buffers between guard pages, the four kernel tables, plain double
 * convolutions. Included first: it asks for MAP_ANONYMOUS. */
#ifndef D4M_TESTS_KERNEL_CASE_H
#define D4M_TESTS_KERNEL_CASE_H

#define _DEFAULT_SOURCE
#include "test.h"

#include "base/cpu.h"
#include "backend/kernels.h"
#include "base/rng.h"
#include "tensor/bf16.h"

#include <math.h>
#include <sys/mman.h>

/* A buffer whose end touches an unreadable page: any access past it ends the test. What lies before it in its
 * first page keeps a pattern. */
struct fence {
    unsigned char *map, *data;
    size_t mapped, bytes, page;
};

static inline struct fence fence_new(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (bytes + page - 1) / page * page;
    struct fence f = {.mapped = body + 2 * page, .bytes = bytes, .page = page};

    f.map = mmap(NULL, f.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(f.map != MAP_FAILED);
    f.data = f.map + page + body - bytes;
    memset(f.map + page, 0xA5, body - bytes);
    assert_int_equal(mprotect(f.map, page, PROT_NONE), 0);
    assert_int_equal(mprotect(f.map + page + body, page, PROT_NONE), 0);
    return f;
}

static inline void fence_free(struct fence *f)
{
    for (unsigned char *p = f->map + f->page; p < f->data; p++)
        assert_int_equal(*p, 0xA5);
    munmap(f->map, f->mapped);
}

/* Reals of any type behind one interface; 2 bytes: bf16. */
static inline double real_get(const void *p, int64_t i, int bytes)
{
    return bytes == 2   ? (double)bf16_widen(((const uint16_t *)p)[i])
           : bytes == 4 ? (double)((const float *)p)[i]
                        : ((const double *)p)[i];
}

static inline void real_set(void *p, int64_t i, int bytes, double v)
{
    if (bytes == 2)
        ((uint16_t *)p)[i] = bf16_of(v);
    else if (bytes == 4)
        ((float *)p)[i] = (float)v;
    else
        ((double *)p)[i] = v;
}

/* `count` rows of `channels` values at `pitch`, with NaN bytes between them. */
static inline struct fence rows_new(const double *from, int64_t count, int64_t channels, int64_t pitch,
                                    int bytes)
{
    struct fence f = fence_new((size_t)(((count - 1) * pitch + channels) * bytes));

    memset(f.data, 0xFF, f.bytes);
    for (int64_t i = 0; from && i < count; i++)
        for (int64_t c = 0; c < channels; c++)
            real_set(f.data, i * pitch + c, bytes, from[i * channels + c]);
    return f;
}

/* Checks that the gaps between rows still hold NaN bytes and copies the rows out, densely. */
static inline void rows_get(const struct fence *f, double *to, int64_t count, int64_t channels, int64_t pitch,
                            int bytes)
{
    for (int64_t i = 0; i < count; i++) {
        for (int64_t c = 0; c < channels; c++)
            to[i * channels + c] = real_get(f->data, i * pitch + c, bytes);
        if (i + 1 < count)
            for (int64_t b = (i * pitch + channels) * bytes; b < (i + 1) * pitch * bytes; b++)
                assert_int_equal(f->data[b], 0xFF);
    }
}

static inline double *doubles_new(int64_t count)
{
    double *p = calloc((size_t)count, sizeof *p);

    assert_non_null(p);
    return p;
}

/* Small integers: every sum of the tests is exact in both types. */
static inline double *integers_new(struct rng *r, int64_t count)
{
    double *p = doubles_new(count);

    for (int64_t i = 0; i < count; i++)
        p[i] = (double)rng_below(r, 7) - 3;
    return p;
}

static inline double *normals_new(struct rng *r, int64_t count)
{
    double *p = doubles_new(count);

    for (int64_t i = 0; i < count; i++)
        p[i] = (double)(float)rng_normal(r);
    return p;
}

static inline double *absolutes_new(const double *from, int64_t count)
{
    double *p = doubles_new(count);

    for (int64_t i = 0; i < count; i++)
        p[i] = fabs(from[i]);
    return p;
}

/* Kinds of data: normal, after a ReLU, constant, one voxel only, large next to zero. */
static inline void data_change(double *p, int64_t count, int kind)
{
    for (int64_t i = 0; i < count; i++) {
        if (kind == 1 && p[i] < 0)
            p[i] = 0;
        else if (kind == 2)
            p[i] = 0.3;
        else if (kind == 3)
            p[i] = i == count / 2 ? 1.7 : 0;
        else if (kind == 4)
            p[i] = i % 5 ? 0 : 1e4 * p[i];
        p[i] = (double)(float)p[i];
    }
}

/* What the machine can run of {AVX2, AVX-512}; says so once if something is left out. */
static inline int isa_count(void)
{
    static int count;

    if (!count) {
        count = cpu_best() == CPU_AVX512 ? 2 : 1;
        if (count == 1)
            printf("skipped: comparisons with AVX-512, this processor lacks it\n");
    }
    return count;
}

static inline int64_t voxels_of(int64_t n, const int64_t size[3])
{
    return n * size[0] * size[1] * size[2];
}

static inline int64_t x_count(const struct conv_shape *s)
{
    return voxels_of(s->n, s->in) * s->ci;
}

static inline int64_t y_count(const struct conv_shape *s)
{
    return voxels_of(s->n, s->out) * s->co;
}

static inline int64_t w_count(const struct conv_shape *s)
{
    return s->co * (s->ci / s->groups) * s->kernel[0] * s->kernel[1] * s->kernel[2];
}

/* One voxel of y and one tap: the three sums that a product of x and w, of y and w or of x and y joins. */
static inline void oracle_tap(const struct conv_shape *s, enum conv_dir dir, const double *a, const double *b,
                              double *to, const int64_t at[3] /* voxel of x, voxel of y, tap */)
{
    const int64_t ci = s->ci / s->groups, co = s->co / s->groups,
                  taps = s->kernel[0] * s->kernel[1] * s->kernel[2];

    for (int64_t o = 0; o < s->co; o++) {
        const int64_t x = at[0] * s->ci + o / co * ci, y = at[1] * s->co + o, w = o * ci * taps + at[2];
        if (dir == CONV_FORWARD) {
            const double *p = a + x, *q = b + w;
            double sum = 0;
            for (int64_t c = 0; c < ci; c++)
                sum += p[c] * q[c * taps];
            to[y] += sum;
        } else if (dir == CONV_DX) {
            const double *q = b + w, v = a[y];
            double *r = to + x;
            for (int64_t c = 0; c < ci; c++)
                r[c] += v * q[c * taps];
        } else {
            const double *p = a + x, v = b[y];
            double *r = to + w;
            for (int64_t c = 0; c < ci; c++)
                r[c * taps] += p[c] * v;
        }
    }
}

/* Where x is read at position i of axis `axis`; -1: a zero. */
static inline int64_t oracle_position(const struct conv_shape *s, int axis, int64_t i)
{
    const int64_t last = s->in[axis] - 1;

    if (s->outside == CONV_PAD_REPLICATE)
        return i < 0 ? 0 : i > last ? last : i;
    if (s->outside == CONV_PAD_REFLECT)
        return last - llabs(last - llabs(i));
    return i < 0 || i > last ? -1 : i;
}

/* The definition. (a, b) is (x, w), (y, w) or (x, y); `to` starts as zeros. */
static inline void conv_oracle(const struct conv_shape *s, enum conv_dir dir, const double *a,
                               const double *b, double *to)
{
    const int64_t *k = s->kernel, rows = voxels_of(s->n, s->out), taps = k[0] * k[1] * k[2];

    for (int64_t y = 0; y < rows; y++)
        for (int64_t t = 0; t < taps; t++) {
            const int64_t p[3] = {y / s->out[2] / s->out[1] % s->out[0], y / s->out[2] % s->out[1],
                                  y % s->out[2]};
            const int64_t tap[3] = {t / k[2] / k[1], t / k[2] % k[1], t % k[2]};
            int64_t x = y / s->out[2] / s->out[1] / s->out[0];
            bool inside = true;
            for (int i = 0; i < 3; i++) {
                const int64_t q =
                    oracle_position(s, i, p[i] * s->stride[i] + tap[i] * s->dilation[i] - s->pad[i]);
                inside = inside && q >= 0;
                x = x * s->in[i] + q;
            }
            if (inside)
                oracle_tap(s, dir, a, b, to, (const int64_t[3]){x, y, t});
        }
}

/* Operands and result of one direction of a convolution, as dense doubles; coefficients of stages or NULL. */
struct conv_data {
    double *x, *w, *y, *bias;
    double *x_stage, *y_stage; /* (N, STAGE_ROWS, Ci), (N, STAGE_ROWS, Co) */
    double *z, *z_stage;       /* of a gate: of the result's shape; its coefficients */
    double *sums;              /* (N, 2, C): where to put the hook's sums; NULL for no hook */
};

static inline struct conv_data data_normals(struct rng *r, const struct conv_shape *s)
{
    return (struct conv_data){
        .x = normals_new(r, x_count(s)), .w = normals_new(r, w_count(s)), .y = normals_new(r, y_count(s))};
}

static inline void data_free(struct conv_data *d)
{
    double *all[] = {d->x, d->w, d->y, d->bias, d->x_stage, d->y_stage, d->z, d->z_stage, d->sums};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static inline const char *dir_name(enum conv_dir dir)
{
    static const char *const names[] = {"forward", "by data", "by weights"};
    return names[dir];
}

static inline void shape_print(const struct conv_shape *s, enum conv_dir dir)
{
    printf("%s n %d in %dx%dx%d ci %d out %dx%dx%d co %d kernel %dx%dx%d stride %d,%d,%d pad %d,%d,%d "
           "dilation %d,%d,%d "
           "groups %d outside %d\n",
           dir_name(dir), (int)s->n, (int)s->in[0], (int)s->in[1], (int)s->in[2], (int)s->ci, (int)s->out[0],
           (int)s->out[1], (int)s->out[2], (int)s->co, (int)s->kernel[0], (int)s->kernel[1],
           (int)s->kernel[2], (int)s->stride[0], (int)s->stride[1], (int)s->stride[2], (int)s->pad[0],
           (int)s->pad[1], (int)s->pad[2], (int)s->dilation[0], (int)s->dilation[1], (int)s->dilation[2],
           (int)s->groups, (int)s->outside);
}

/* How a direction is run. */
struct conv_run {
    bool avx512, f64;
    int threads;
    int64_t x_gap, y_gap;             /* pitch - channels */
    const struct kernel_table *table; /* another one than avx512 and f64 name, or NULL */
};

static inline int64_t result_count(const struct conv_shape *s, enum conv_dir dir)
{
    return dir == CONV_FORWARD ? y_count(s) : dir == CONV_DX ? x_count(s) : w_count(s);
}

/* The definition's result, bias included (caller frees). */
static inline double *oracle_result(const struct conv_shape *s, enum conv_dir dir, const struct conv_data *d)
{
    double *to = doubles_new(result_count(s, dir));
    const int64_t channels = dir == CONV_DX ? s->ci : s->co;

    conv_oracle(s, dir, dir == CONV_DX ? d->y : d->x, dir == CONV_DW ? d->y : d->w, to);
    for (int64_t i = 0; d->bias && dir != CONV_DW && i < result_count(s, dir); i++)
        to[i] += d->bias[i % channels];
    return to;
}

/* Runs one direction between guard pages, work buffer included, and returns the result densely (caller
 * frees). */
static inline double *conv_result(const struct conv_shape *s, enum conv_dir dir, const struct conv_data *d,
                                  const struct conv_run *run)
{
    const struct kernel_table *t = run->table ? run->table : kernel_table_get(run->avx512, run->f64);
    const int bytes = t->real_bytes,
              wide = bytes == 2 ? 4 : bytes; /* of what is read, of results and biases */
    const int x_bytes = dir == CONV_DX ? wide : bytes, y_bytes = dir == CONV_FORWARD ? wide : bytes;
    const int w_bytes = dir == CONV_DW ? wide : bytes;
    const int64_t vx = voxels_of(s->n, s->in), vy = voxels_of(s->n, s->out),
                  out = dir == CONV_DX ? s->ci : s->co;
    const int64_t px = s->ci + run->x_gap, py = s->co + run->y_gap;
    struct fence x = rows_new(dir == CONV_DX ? NULL : d->x, vx, s->ci, px, x_bytes);
    struct fence y = rows_new(dir == CONV_FORWARD ? NULL : d->y, vy, s->co, py, y_bytes);
    struct fence w = rows_new(dir == CONV_DW ? NULL : d->w, 1, w_count(s), w_count(s), w_bytes);
    struct fence bias = rows_new(d->bias, 1, out, out, wide);
    struct fence xs = rows_new(d->x_stage, 1, s->n * STAGE_ROWS * s->ci, s->n * STAGE_ROWS * s->ci, wide);
    struct fence ys = rows_new(d->y_stage, 1, s->n * STAGE_ROWS * s->co, s->n * STAGE_ROWS * s->co, wide);
    const int64_t voxels = dir == CONV_DX ? vx : vy, per_sample = s->n * out;
    struct fence z = rows_new(d->z, voxels, out, out + 5, bytes);
    struct fence zs = rows_new(d->z_stage, 1, STAGE_ROWS * per_sample, STAGE_ROWS * per_sample, bytes);
    struct fence sums = rows_new(NULL, 1, 2 * per_sample, 2 * per_sample, bytes);
    const int64_t packed = s->packed ? t->conv_packed(s, dir) : 0;
    struct fence panels = fence_new((size_t)(packed * bytes));
    struct fence work = fence_new(t->conv_work(s, dir, run->threads));
    double *result = doubles_new(result_count(s, dir));

    assert_true(t->conv_accepts(s, dir));
    memset(work.data, 0xFF, work.bytes);
    if (packed)
        t->conv_pack(s, dir, w.data, panels.data, run->threads);
    t->conv(s, dir,
            &(struct conv_buf){.x = x.data,
                               .w = packed ? panels.data : w.data,
                               .y = y.data,
                               .x_pitch = px,
                               .y_pitch = py,
                               .bias = d->bias && dir != CONV_DW ? bias.data : NULL,
                               .x_stage = d->x_stage ? xs.data : NULL,
                               .y_stage = d->y_stage ? ys.data : NULL,
                               .z = d->z ? z.data : NULL,
                               .z_stage = d->z ? zs.data : NULL,
                               .z_pitch = out + 5,
                               .sums = d->sums ? sums.data : NULL,
                               .work = work.data,
                               .threads = run->threads});
    if (dir == CONV_FORWARD)
        rows_get(&y, result, vy, s->co, py, y_bytes);
    else if (dir == CONV_DX)
        rows_get(&x, result, vx, s->ci, px, x_bytes);
    else
        rows_get(&w, result, 1, w_count(s), w_count(s), w_bytes);
    if (d->sums)
        rows_get(&sums, d->sums, 1, 2 * per_sample, 2 * per_sample, bytes);
    fence_free(&x);
    fence_free(&y);
    fence_free(&z);
    fence_free(&zs);
    fence_free(&sums);
    fence_free(&w);
    fence_free(&bias);
    fence_free(&xs);
    fence_free(&ys);
    fence_free(&panels);
    fence_free(&work);
    return result;
}

#endif
