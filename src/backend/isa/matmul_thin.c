#include "backend/isa/matmul_thin.h"
#include "backend/isa/lane.h"
#include "backend/isa/pack.h"

/* Three forms, by the shape alone:
 *
 *     narrow   a b', few columns: a vector holds one column of A's rows
 *     flat     a b', few rows: a vector holds a piece of k
 *     shallow  short k: a row of C at once, B from the first cache */
enum form { NONE, NARROW, FLAT, SHALLOW };

enum {
    COLS_MAX = 4,      /* of a narrow result */
    DEPTH_MAX = 384,   /* of a narrow one */
    ROWS_MAX = 4,      /* of a flat result */
    DEPTH_MIN = 64,    /* of a flat one */
    SHALLOW_MAX = 4,   /* k */
    SHALLOW_COLS = 16, /* at least */
    SHALLOW_ROWS = 2,  /* at a time */
    ROWS_TASK = 1024,
    ROWS_SHALLOW = 128, /* of a task */
    COLS_FLAT = 32,
    GROUP = 16 / (int)sizeof(REAL), /* values of 16 bytes */
#ifdef ISA_AVX512
    FLAT_SUMS = 16, /* registers with sums of a flat product */
#else
    FLAT_SUMS = 12,
#endif
};

static enum form form_of(const struct matmul_shape *s)
{
    if (s->batch != 1)
        return NONE;
    if (s->k <= SHALLOW_MAX && s->n >= SHALLOW_COLS)
        return SHALLOW;
    if (s->trans_a || !s->trans_b)
        return NONE;
    if (s->n <= COLS_MAX && s->k <= DEPTH_MAX && s->m > ROWS_MAX)
        return NARROW;
    return s->m <= ROWS_MAX && s->k >= DEPTH_MIN ? FLAT : NONE;
}

bool matmul_thin_accepts(const struct matmul_shape *s)
{
    return form_of(s) != NONE;
}

size_t matmul_thin_scratch(const struct matmul_shape *s)
{
    const enum form form = form_of(s);

    return work_bytes(form == FLAT ? s->m * s->k : form == SHALLOW ? s->n * s->k : 1); /* A's or B's copy */
}

struct thin {
    const struct matmul_shape *s;
    const struct matmul_buf *b;
    const struct matmul_stage *stage;
    const REAL *a, *bs; /* perhaps copies; bs: B */
    REAL *c;
    int64_t a_pitch, b_pitch;
    bool stream;
};

/* ---- narrow: a vector holds one column of A's rows ---- */

#ifdef REAL_F32
typedef __m128 group;
#define GROUP_LOAD _mm_loadu_ps
#else
typedef __m128d group;
#define GROUP_LOAD _mm_loadu_pd
#endif

/* GROUP values each of every GROUP-th row from `row` on, side by side; row `last` stands for those behind it.
 */
ALWAYS_INLINE vec groups_join(const REAL *a, int64_t pitch, int64_t row, int64_t last)
{
    group g[VEC_LANES / GROUP];

    UNROLL
    for (int i = 0; i < VEC_LANES / GROUP; i++)
        g[i] = GROUP_LOAD(a + min64(row + i * GROUP, last) * pitch);
#if defined(ISA_AVX512) && defined(REAL_F32)
    const __m512 low = _mm512_insertf32x4(_mm512_castps128_ps512(g[0]), g[1], 1);
    return _mm512_insertf32x4(_mm512_insertf32x4(low, g[2], 2), g[3], 3);
#elif defined(ISA_AVX512)
    const __m512d low = _mm512_insertf64x2(_mm512_castpd128_pd512(g[0]), g[1], 1);
    return _mm512_insertf64x2(_mm512_insertf64x2(low, g[2], 2), g[3], 3);
#elif defined(REAL_F32)
    return _mm256_insertf128_ps(_mm256_castps128_ps256(g[0]), g[1], 1);
#else
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(g[0]), g[1], 1);
#endif
}

/* GROUP columns of VEC_LANES rows. */
ALWAYS_INLINE void columns_load(vec to[GROUP], const REAL *a, int64_t pitch, int64_t row, int64_t last)
{
    vec r[GROUP];

    UNROLL
    for (int i = 0; i < GROUP; i++)
        r[i] = groups_join(a, pitch, row + i, last);
#ifdef REAL_F32
    const vec low = VEC_OP(unpacklo)(r[0], r[1]), high = VEC_OP(unpackhi)(r[0], r[1]);
    const vec low2 = VEC_OP(unpacklo)(r[2], r[3]), high2 = VEC_OP(unpackhi)(r[2], r[3]);
    to[0] = VEC_OP(shuffle)(low, low2, _MM_SHUFFLE(1, 0, 1, 0));
    to[1] = VEC_OP(shuffle)(low, low2, _MM_SHUFFLE(3, 2, 3, 2));
    to[2] = VEC_OP(shuffle)(high, high2, _MM_SHUFFLE(1, 0, 1, 0));
    to[3] = VEC_OP(shuffle)(high, high2, _MM_SHUFFLE(3, 2, 3, 2));
#else
    to[0] = VEC_OP(unpacklo)(r[0], r[1]);
    to[1] = VEC_OP(unpackhi)(r[0], r[1]);
#endif
}

ALWAYS_INLINE vec column_load(const REAL *a, int64_t pitch, int64_t row, int64_t last)
{
    REAL t[VEC_LANES];

    for (int i = 0; i < VEC_LANES; i++)
        t[i] = a[min64(row + i, last) * pitch];
    return vec_load(t);
}

/* acc[j] += x * B's row j at k, through the stage */
ALWAYS_INLINE void column_add(vec acc[COLS_MAX], const int cols, vec x, const struct thin *q,
                              const struct stage *g, int64_t k)
{
    if (g->rows)
        x = vec_stage(x, vec_set(g->rows[STAGE_SCALE * g->pitch + k]),
                      vec_set(g->rows[STAGE_SHIFT * g->pitch + k]),
                      vec_set(g->rows[STAGE_SLOPE * g->pitch + k]));
    UNROLL
    for (int j = 0; j < cols; j++)
        acc[j] = vec_fma(x, vec_set(((const REAL *)q->b->b)[j * q->b->b_pitch + k]), acc[j]);
}

/* C's rows row .. row + VEC_LANES - 1, those up to `last`, which belong to one sample. */
ALWAYS_INLINE void narrow_rows(const struct thin *q, int64_t row, int64_t last, const struct stage *g,
                               const int cols)
{
    const int64_t pitch = q->b->a_pitch, k_count = q->s->k;
    const REAL *a = q->b->a, *bias = q->b->bias;
    REAL t[VEC_LANES];
    vec acc[COLS_MAX], x[GROUP];
    int64_t k = 0;

    UNROLL
    for (int j = 0; j < cols; j++)
        acc[j] = vec_zero();
    for (; k + GROUP <= k_count; k += GROUP) {
        columns_load(x, a + k, pitch, row, last);
        UNROLL
        for (int i = 0; i < GROUP; i++)
            column_add(acc, cols, x[i], q, g, k + i);
    }
    for (; k < k_count; k++)
        column_add(acc, cols, column_load(a + k, pitch, row, last), q, g, k);
    for (int j = 0; j < cols; j++) {
        REAL *c = q->c + row * q->b->c_pitch + j;
        vec_store(t, bias ? vec_add(acc[j], vec_set(bias[j])) : acc[j]);
        for (int64_t i = 0; i < VEC_LANES && row + i <= last; i++)
            c[i * q->b->c_pitch] = t[i];
    }
}

#define NARROW_ROWS(cols)                                                                                    \
    static void narrow_##cols(const struct thin *q, int64_t row, int64_t last, const struct stage *g)        \
    {                                                                                                        \
        narrow_rows(q, row, last, g, cols);                                                                  \
    }
NARROW_ROWS(1)
NARROW_ROWS(2)
NARROW_ROWS(3)
NARROW_ROWS(4)

static void narrow_task(const struct thin *q, int64_t begin, int64_t end)
{
    enum { AHEAD = 32, LINE = 64 / (int)sizeof(REAL) }; /* rows */
    static void (*const run[COLS_MAX])(const struct thin *, int64_t, int64_t,
                                       const struct stage *) = {narrow_1, narrow_2, narrow_3, narrow_4};
    const int64_t sample = q->stage->a ? q->stage->rows : q->s->m;

    for (int64_t row = begin, stop; row < end; row = stop) {
        const struct stage g = stage_at(q->stage->a, q->s->k, row / sample, 0);
        stop = min64(min64(row + VEC_LANES, end), row - row % sample + sample);
        for (int64_t i = row + AHEAD; i < min64(stop + AHEAD, q->s->m); i++)
            for (int64_t k = 0; k < q->s->k; k += LINE)
                _mm_prefetch((const char *)((const REAL *)q->b->a + i * q->b->a_pitch + k), _MM_HINT_T0);
        run[q->s->n - 1](q, row, stop - 1, &g);
    }
}

/* ---- flat: a vector holds a piece of k ---- */

/* Sum of the lanes: first lane i with i + 8, then i + 4, i + 2, i + 1. */
ALWAYS_INLINE REAL lanes_total(const vec v[LANE_VECS])
{
    REAL t[LANES];

    for (int i = 0; i < LANE_VECS; i++)
        vec_store(t + i * VEC_LANES, v[i]);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            t[i] += t[i + half];
    return t[0];
}

/* acc[row][column] += A's pieces of k * B's, `left` values of each */
ALWAYS_INLINE void flat_step(const struct thin *q, vec acc[][COLS_MAX][LANE_VECS],
                             const REAL *const b[COLS_MAX], const int64_t at[2] /* k, left */,
                             const int size[2] /* rows, columns */)
{
    vec w[COLS_MAX];

    UNROLL
    for (int v = 0; v < LANE_VECS; v++) {
        const int64_t k = at[0] + v * VEC_LANES, left = max64(0, at[1] - v * VEC_LANES);
        UNROLL
        for (int j = 0; j < size[1]; j++)
            w[j] = left ? vec_load_upto(b[j] + k, left) : vec_zero();
        UNROLL
        for (int i = 0; i < size[0]; i++) {
            const vec x = left ? vec_load_upto(q->a + i * q->a_pitch + k, left) : vec_zero();
            UNROLL
            for (int j = 0; j < size[1]; j++)
                acc[i][j][v] = vec_fma(x, w[j], acc[i][j][v]);
        }
    }
}

/* C's columns from col on, those up to `last`: products summed in LANES lanes along k. */
ALWAYS_INLINE void flat_columns(const struct thin *q, int64_t col, int64_t last, const int rows,
                                const int cols)
{
    const REAL *bias = q->b->bias, *b[COLS_MAX];
    const int size[2] = {rows, cols};
    vec acc[ROWS_MAX][COLS_MAX][LANE_VECS];
    int64_t k = 0;

    UNROLL
    for (int i = 0; i < rows * cols * LANE_VECS; i++)
        acc[i / (cols * LANE_VECS)][i / LANE_VECS % cols][i % LANE_VECS] = vec_zero();
    for (int j = 0; j < cols; j++)
        b[j] = (const REAL *)q->b->b + min64(col + j, last) * q->b->b_pitch;
    for (; k + LANES <= q->s->k; k += LANES)
        flat_step(q, acc, b, (const int64_t[2]){k, LANES}, size);
    if (k < q->s->k)
        flat_step(q, acc, b, (const int64_t[2]){k, q->s->k - k}, size);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols && col + j <= last; j++)
            q->c[i * q->b->c_pitch + col + j] = lanes_total(acc[i][j]) + (bias ? bias[col + j] : 0);
}

#define FLAT_COLS(rows)                                                                                      \
    (FLAT_SUMS / (rows * LANE_VECS) >= 4 ? 4 : FLAT_SUMS / (rows * LANE_VECS) >= 2 ? 2 : 1)
#define FLAT_TASK(rows)                                                                                      \
    static void flat_##rows(const struct thin *q, int64_t begin, int64_t end)                                \
    {                                                                                                        \
        for (int64_t col = begin; col < end; col += FLAT_COLS(rows))                                         \
            flat_columns(q, col, end - 1, rows, FLAT_COLS(rows));                                            \
    }
FLAT_TASK(1)
FLAT_TASK(2)
FLAT_TASK(3)
FLAT_TASK(4)

/* A behind its stage, densely. */
static void flat_stage(struct thin *q)
{
    REAL *to = q->b->work;

    for (int64_t i = 0; i < q->s->m; i++) {
        const struct pack_span span = {.count = 1,
                                       .size = 1,
                                       .channels = q->s->k,
                                       .pitch = q->s->k,
                                       .to_pitch = q->s->k,
                                       .stage = stage_at(q->stage->a, q->s->k, i / q->stage->rows, 0)};
        pack_row(to + i * q->s->k, q->a + i * q->a_pitch, &span);
    }
    q->a = to;
    q->a_pitch = q->s->k;
}

/* ---- shallow: B in registers ---- */

/* One element of A behind its stage, in every lane. */
ALWAYS_INLINE vec shallow_a(const struct thin *q, int64_t row, int64_t k)
{
    const bool trans = q->s->trans_a;
    const int64_t voxel = trans ? k : row, channel = trans ? row : k;
    const vec x = vec_set(q->a[voxel * q->a_pitch + channel]);

    if (!q->stage->a)
        return x;
    const struct stage g = stage_at(q->stage->a, trans ? q->s->m : q->s->k, voxel / q->stage->rows, channel);
    return vec_stage(x, vec_set(g.rows[STAGE_SCALE * g.pitch]), vec_set(g.rows[STAGE_SHIFT * g.pitch]),
                     vec_set(g.rows[STAGE_SLOPE * g.pitch]));
}

/* B's rows side by side: where they stand, else copied through the stage or turned. */
static void shallow_b(struct thin *q)
{
    const int64_t n = q->s->n, k = q->s->k, pitch = q->b->b_pitch;
    REAL *to = q->b->work;

    if (!q->s->trans_b && !q->stage->b)
        return;
    for (int64_t i = 0; i < k && !q->s->trans_b; i++) {
        const struct pack_span span = {.count = 1,
                                       .size = 1,
                                       .channels = n,
                                       .pitch = n,
                                       .to_pitch = n,
                                       .stage = stage_at(q->stage->b, n, i / q->stage->rows, 0)};
        pack_row(to + i * n, q->bs + i * pitch, &span);
    }
    if (q->s->trans_b)
        pack_transpose(to, n, q->bs, pitch, (const int64_t[2]){n, k});
    q->bs = to;
    q->b_pitch = n;
}

/* One vector of columns of some rows of C, from c and b on: a constant number of lanes where inlined so. */
ALWAYS_INLINE void shallow_vector(const struct thin *q, vec a[][SHALLOW_MAX], const int size[2] /* rows, k */,
                                  const int64_t at[2] /* row, column */, const int lanes)
{
    const REAL *b = q->bs + at[1], *bias = q->b->bias;
    REAL *c = q->c + at[0] * q->b->c_pitch + at[1];
    vec w[SHALLOW_MAX];

    UNROLL
    for (int k = 0; k < size[1]; k++)
        w[k] = vec_load_upto(b + k * q->b_pitch, lanes);
    UNROLL
    for (int i = 0; i < size[0]; i++) {
        vec sum = vec_zero();
        UNROLL
        for (int k = 0; k < size[1]; k++)
            sum = vec_fma(a[i][k], w[k], sum);
        if (bias)
            sum = vec_add(sum, vec_load_upto(bias + at[1], lanes));
        if (lanes == VEC_LANES)
            vec_put(c + i * q->b->c_pitch, sum, q->stream);
        else
            vec_store_part(c + i * q->b->c_pitch, lanes, sum);
    }
}

/* Some whole rows of C. */
ALWAYS_INLINE void shallow_rows(const struct thin *q, int64_t row, const int rows, const int depth)
{
    const struct thin own = *q; /* in registers, whatever C is */
    const int size[2] = {rows, depth};
    vec a[SHALLOW_ROWS][SHALLOW_MAX];
    int64_t col = 0;

    for (int i = 0; i < rows * depth; i++)
        a[i / depth][i % depth] = shallow_a(q, row + i / depth, i % depth);
    for (; col + VEC_LANES <= q->s->n; col += VEC_LANES)
        shallow_vector(&own, a, size, (const int64_t[2]){row, col}, VEC_LANES);
    if (col < q->s->n)
        shallow_vector(&own, a, size, (const int64_t[2]){row, col}, (int)(q->s->n - col));
}

#define SHALLOW_TASK(depth)                                                                                  \
    static void shallow_##depth(const struct thin *q, int64_t begin, int64_t end)                            \
    {                                                                                                        \
        for (; begin + SHALLOW_ROWS <= end; begin += SHALLOW_ROWS)                                           \
            shallow_rows(q, begin, SHALLOW_ROWS, depth);                                                     \
        for (; begin < end; begin++)                                                                         \
            shallow_rows(q, begin, 1, depth);                                                                \
    }
SHALLOW_TASK(1)
SHALLOW_TASK(2)
SHALLOW_TASK(3)
SHALLOW_TASK(4)

void matmul_thin_run(const struct matmul_shape *s, const struct matmul_buf *b,
                     const struct matmul_stage *stage)
{
    typedef void task_fn(const struct thin *q, int64_t begin, int64_t end);
    static task_fn *const flat[ROWS_MAX] = {flat_1, flat_2, flat_3, flat_4};
    static task_fn *const shallow[SHALLOW_MAX] = {shallow_1, shallow_2, shallow_3, shallow_4};
    static const int sizes[] = {[NARROW] = ROWS_TASK, [FLAT] = COLS_FLAT, [SHALLOW] = ROWS_SHALLOW};
    struct thin q = {.s = s,
                     .b = b,
                     .stage = stage,
                     .a = b->a,
                     .bs = b->b,
                     .c = b->c,
                     .a_pitch = b->a_pitch,
                     .b_pitch = b->b_pitch,
                     .stream = tile_may_stream(b->c, b->c_pitch, s->n, s->m * s->n)};
    const enum form form = form_of(s);
    const int64_t count = form == FLAT ? s->n : s->m, size = sizes[form];
    task_fn *const run = form == NARROW ? narrow_task : form == FLAT ? flat[s->m - 1] : shallow[s->k - 1];

    if (form == FLAT && stage->a)
        flat_stage(&q);
    if (form == SHALLOW)
        shallow_b(&q);
#pragma omp parallel for num_threads(b->threads) schedule(dynamic)
    for (int64_t i = 0; i < count; i += size)
        run(&q, i, min64(i + size, count));
}
