#include "backend/isa/matmul_thin.h"
#include "backend/isa/lane.h"
#include "backend/isa/pack.h"

enum {
    COLS_MAX = 4,    /* of a narrow result */
    DEPTH_MAX = 384, /* of a narrow one */
    ROWS_TASK = 1024,
    ROWS_MAX = 4, /* of a flat result */
    DEPTH_MIN = 64,
    COLS_TASK = 32,
    GROUP = 16 / (int)sizeof(REAL), /* values of 16 bytes */
};

static bool narrow(const struct matmul_shape *s)
{
    return s->n <= COLS_MAX && s->k <= DEPTH_MAX && s->m > ROWS_MAX;
}

static bool flat(const struct matmul_shape *s)
{
    return s->m <= ROWS_MAX && s->k >= DEPTH_MIN;
}

bool matmul_thin_accepts(const struct matmul_shape *s)
{
    return s->batch == 1 && !s->trans_a && s->trans_b && (narrow(s) || flat(s));
}

size_t matmul_thin_scratch(const struct matmul_shape *s)
{
    return work_bytes(narrow(s) ? 1 : s->m * s->k); /* flat: A behind its stage */
}

struct thin {
    const struct matmul_shape *s;
    const struct matmul_buf *b;
    const struct matmul_stage *stage;
    const REAL *a;
    int64_t a_pitch;
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
        REAL *c = (REAL *)q->b->c + row * q->b->c_pitch + j;
        vec_store(t, bias ? vec_add(acc[j], vec_set(bias[j])) : acc[j]);
        for (int64_t i = 0; i < VEC_LANES && row + i <= last; i++)
            c[i * q->b->c_pitch] = t[i];
    }
}

#define NARROW(cols)                                                                                         \
    static void narrow_##cols(const struct thin *q, int64_t row, int64_t last, const struct stage *g)        \
    {                                                                                                        \
        narrow_rows(q, row, last, g, cols);                                                                  \
    }
NARROW(1)
NARROW(2)
NARROW(3)
NARROW(4)

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

/* C's columns col, col + 1 (those up to `last`): products summed in LANES lanes along k. */
ALWAYS_INLINE void flat_columns(const struct thin *q, int64_t col, int64_t last, const int rows)
{
    const REAL *bias = q->b->bias, *b[2];
    vec acc[ROWS_MAX][2][LANE_VECS], w[2];

    UNROLL
    for (int i = 0; i < rows * 2 * LANE_VECS; i++)
        acc[i / (2 * LANE_VECS)][i / LANE_VECS % 2][i % LANE_VECS] = vec_zero();
    for (int j = 0; j < 2; j++)
        b[j] = (const REAL *)q->b->b + min64(col + j, last) * q->b->b_pitch;
    for (int64_t k = 0; k < q->s->k; k += LANES) {
        UNROLL
        for (int v = 0; v < LANE_VECS; v++) {
            const int64_t at = k + v * VEC_LANES, left = max64(0, q->s->k - at);
            UNROLL
            for (int j = 0; j < 2; j++)
                w[j] = left ? vec_load_upto(b[j] + at, left) : vec_zero();
            UNROLL
            for (int i = 0; i < rows; i++) {
                const vec x = left ? vec_load_upto(q->a + i * q->a_pitch + at, left) : vec_zero();
                UNROLL
                for (int j = 0; j < 2; j++)
                    acc[i][j][v] = vec_fma(x, w[j], acc[i][j][v]);
            }
        }
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < 2 && col + j <= last; j++)
            ((REAL *)q->b->c)[i * q->b->c_pitch + col + j] =
                (REAL)lanes_sum(acc[i][j]) + (bias ? bias[col + j] : 0);
}

#define FLAT(rows)                                                                                           \
    static void flat_##rows(const struct thin *q, int64_t col, int64_t last)                                 \
    {                                                                                                        \
        flat_columns(q, col, last, rows);                                                                    \
    }
FLAT(1)
FLAT(2)
FLAT(3)
FLAT(4)

static void flat_task(const struct thin *q, int64_t begin, int64_t end)
{
    static void (*const run[ROWS_MAX])(const struct thin *, int64_t, int64_t) = {flat_1, flat_2, flat_3,
                                                                                 flat_4};

    for (int64_t col = begin; col < end; col += 2)
        run[q->s->m - 1](q, col, end - 1);
}

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

void matmul_thin_run(const struct matmul_shape *s, const struct matmul_buf *b,
                     const struct matmul_stage *stage)
{
    struct thin q = {s, b, stage, b->a, b->a_pitch};
    const bool rows = narrow(s);
    const int64_t count = rows ? s->m : s->n, size = rows ? ROWS_TASK : COLS_TASK;

    if (!rows && stage->a)
        flat_stage(&q);
#pragma omp parallel for num_threads(b->threads) schedule(dynamic)
    for (int64_t i = 0; i < count; i += size) {
        const int64_t end = min64(i + size, count);
        if (rows)
            narrow_task(&q, i, end);
        else
            flat_task(&q, i, end);
    }
}
