#include "backend/isa/tile.h"
#include "backend/isa/lane.h"

enum { VECTORS_MAX = 4 };

/* So many row pointers do not fit the general registers: rows are addressed from bases, five rows apart. */
struct rows {
    const REAL *base[(TILE_ROWS_NARROW + 4) / 5];
    int64_t step, step3; /* 1 and 3 rows */
};

ALWAYS_INLINE const REAL *row_at(const struct rows *p, const int r)
{
    const int64_t offset[5] = {0, p->step, 2 * p->step, p->step3, 4 * p->step};
    return p->base[r / 5] + offset[r % 5];
}

/* acc[r][v] += A[r][k] * B[k][v] for one k */
ALWAYS_INLINE void step_add(vec acc[][VECTORS_MAX], const int rows, const int vectors, const struct rows *a,
                            int64_t k, const REAL *b, int64_t b_next)
{
    vec bv[VECTORS_MAX];

    __asm__ volatile("" ::: "memory"); /* the next step's loads stay behind: there is no register for them */
    UNROLL
    for (int v = 0; v < vectors; v++)
        bv[v] = vec_load(b + v / 2 * b_next + v % 2 * VEC_LANES);
    UNROLL
    for (int r = 0; r < rows; r++) {
        vec x = vec_set(row_at(a, r)[k]);
        UNROLL
        for (int v = 0; v < vectors; v++)
            acc[r][v] = vec_fma(x, bv[v], acc[r][v]);
    }
}

ALWAYS_INLINE void segment_add(vec acc[][VECTORS_MAX], const int rows, const int vectors, const bool row_form,
                               const struct tile *t, const REAL *a, const REAL *b)
{
    const int64_t row = row_form ? t->a_row : 1, step = row_form ? 1 : t->a_step;
    struct rows p = {.step = row, .step3 = 3 * row};
    const int64_t depth = t->depth, b_step = t->b_step, next = t->b_next;
    const int unrolled = row_form ? 4 : 2;
    int64_t k = 0;

    UNROLL
    for (int i = 0; i < (rows + 4) / 5; i++)
        p.base[i] = a + 5 * i * row;
    for (; k + unrolled <= depth; k += unrolled) {
        UNROLL
        for (int i = 0; i < unrolled; i++, b += b_step)
            step_add(acc, rows, vectors, &p, (k + i) * step, b, next);
    }
    if (row_form && k + 2 <= depth) {
        UNROLL
        for (int i = 0; i < 2; i++, b += b_step)
            step_add(acc, rows, vectors, &p, k + i, b, next);
        k += 2;
    }
    if (k < depth)
        step_add(acc, rows, vectors, &p, k * step, b, next);
}

ALWAYS_INLINE void bias_add(vec acc[][VECTORS_MAX], const int rows, const int vectors, const REAL *bias)
{
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            acc[r][v] = vec_add(acc[r][v], vec_load(bias + v * VEC_LANES));
    }
}

enum put { PUT_STORE, PUT_ADD, PUT_STREAM };

/* Inlined with a constant `put`, and with a constant `last` where it is VEC_LANES. */
ALWAYS_INLINE void block_put(vec acc[][VECTORS_MAX], const int rows, const int vectors, const int last,
                             const enum put put, REAL *c, int64_t c_row)
{
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++) {
            REAL *p = c + r * c_row + v * VEC_LANES;
            if (put == PUT_STREAM)
                vec_stream(p, acc[r][v]);
            else if (v + 1 == vectors && last < VEC_LANES)
                vec_store_part(p, last, put ? vec_add(vec_load_part(p, last), acc[r][v]) : acc[r][v]);
            else
                vec_store(p, put ? vec_add(vec_load(p), acc[r][v]) : acc[r][v]);
        }
    }
}

/* acc = what C holds; zeros for NULL */
ALWAYS_INLINE void block_start(vec acc[][VECTORS_MAX], const int rows, const int vectors, const int last,
                               const REAL *c, int64_t c_row)
{
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            acc[r][v] = vec_zero();
    }
    if (!c)
        return;
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            acc[r][v] = vec_load_upto(c + r * c_row + v * VEC_LANES, v + 1 == vectors ? last : VEC_LANES);
    }
}

/* Inlined with constant rows, vectors and row_form, so that acc lives in registers. `last`: columns of the
 * last vector. row_form: A's rows are contiguous in k (a_step 1), else a step's rows are contiguous (a_row
 * 1). */
ALWAYS_INLINE void block_run(const int rows, const int vectors, const bool row_form, const struct tile *t,
                             int last, const REAL *a, const REAL *b, REAL *c)
{
    vec acc[TILE_ROWS_NARROW][VECTORS_MAX];

    block_start(acc, rows, vectors, last, t->resume ? c : NULL, t->c_row);
    const struct tile k = *t;
    for (int64_t s = 0; s < k.segments; s++)
        segment_add(acc, rows, vectors, row_form, &k, a + k.a_seg[s], b + k.b_seg[s]);
    if (k.bias && !k.add)
        bias_add(acc, rows, vectors, k.bias);
    if (k.add && last == VEC_LANES)
        block_put(acc, rows, vectors, VEC_LANES, PUT_ADD, c, k.c_row);
    else if (k.add)
        block_put(acc, rows, vectors, last, PUT_ADD, c, k.c_row);
    else if (k.stream)
        block_put(acc, rows, vectors, VEC_LANES, PUT_STREAM, c, k.c_row);
    else if (last == VEC_LANES)
        block_put(acc, rows, vectors, VEC_LANES, PUT_STORE, c, k.c_row);
    else
        block_put(acc, rows, vectors, last, PUT_STORE, c, k.c_row);
}

typedef void block_fn(const struct tile *t, int last, const REAL *a, const REAL *b, REAL *c);

#define BLOCK(name, rows, vectors, row_form)                                                                 \
    static __attribute__((noinline)) void name(const struct tile *t, int last, const REAL *a, const REAL *b, \
                                               REAL *c)                                                      \
    {                                                                                                        \
        block_run(rows, vectors, row_form, t, last, a, b, c);                                                \
    }
#define BLOCKS(rows, vectors)                                                                                \
    BLOCK(row_##rows##_##vectors, rows, vectors, true)                                                       \
    BLOCK(step_##rows##_##vectors, rows, vectors, false)
#define ENTRY(rows, vectors) {step_##rows##_##vectors, row_##rows##_##vectors},
#define TO_6(f, v) f(1, v) f(2, v) f(3, v) f(4, v) f(5, v) f(6, v)
#define TO_14(f, v) TO_6(f, v) f(7, v) f(8, v) f(9, v) f(10, v) f(11, v) f(12, v) f(13, v) f(14, v)
#ifdef ISA_AVX512
#define WIDE(f) TO_14(f, 2)
#define WIDE_3(f) TO_6(f, 3) f(7, 3) f(8, 3)
#define WIDE_4(f) TO_6(f, 4)
#define NARROW(f)                                                                                            \
    TO_14(f, 1)                                                                                              \
    f(15, 1) f(16, 1) f(17, 1) f(18, 1) f(19, 1) f(20, 1) f(21, 1) f(22, 1) f(23, 1) f(24, 1) f(25, 1)       \
        f(26, 1) f(27, 1) f(28, 1)
#else
#define WIDE(f) TO_6(f, 2)
#define WIDE_3(f) f(1, 3) f(2, 3) f(3, 3) f(4, 3)
#define WIDE_4(f) f(1, 4) f(2, 4)
#define NARROW(f) TO_6(f, 1) f(7, 1) f(8, 1) f(9, 1) f(10, 1) f(11, 1) f(12, 1)
#endif

NARROW(BLOCKS)
WIDE(BLOCKS)
WIDE_3(BLOCKS)
WIDE_4(BLOCKS)

/* [vectors - 1][rows - 1][row form] */
static block_fn *const blocks[VECTORS_MAX][TILE_ROWS_NARROW][2] = {
    {NARROW(ENTRY)}, {WIDE(ENTRY)}, {WIDE_3(ENTRY)}, {WIDE_4(ENTRY)}};
static const int rows_most[VECTORS_MAX][2] = {{TILE_ROWS_NARROW, TILE_ROWS_NARROW},
                                              {TILE_ROWS, TILE_ROWS},
                                              {TILE_ROWS_3_STEP, TILE_ROWS_3},
                                              {TILE_ROWS_4, TILE_ROWS_4}};

bool tile_may_stream(const REAL *c, int64_t c_row, int64_t cols, int64_t elements)
{
    return elements >= STREAM_ELEMENTS && cols % VEC_LANES == 0 && c_row % VEC_LANES == 0 &&
           (uintptr_t)c % VEC_BYTES == 0;
}

int tile_panels(int64_t rows, int64_t cols)
{
    if (cols <= TILE_COLS)
        return 1;
    return cols <= 3 * VEC_LANES || rows <= TILE_ROWS_4 ? 2 : 1;
}

/* Part i of `parts`. */
static void ahead_fetch(const struct ahead *a, int64_t i, int64_t parts)
{
    enum { LINE = 64 / (int)sizeof(REAL) };

    for (int64_t r = a->rows * i / parts; r < a->rows * (i + 1) / parts; r++)
        for (int64_t at = 0; at < a->length; at += LINE)
            _mm_prefetch((const char *)(a->from + r * a->pitch + at), _MM_HINT_T0);
}

void tile_column(const struct tile *t, int64_t rows, int cols, const REAL *a, const REAL *b, REAL *c)
{
    const int vectors = (cols + VEC_LANES - 1) / VEC_LANES, last = cols - (vectors - 1) * VEC_LANES;
    const bool row_form = t->a_step == 1;
    const uint32_t most = (uint32_t)rows_most[vectors - 1][row_form]; /* 32 bits divide much faster */
    const uint32_t count = ((uint32_t)rows + most - 1) / most;
    uint32_t r = 0;

    for (uint32_t i = 0; i < count; i++) {
        const uint32_t height = ((uint32_t)rows - r + count - i - 1) / (count - i);
        if (t->ahead.rows)
            ahead_fetch(&t->ahead, i, count);
        blocks[vectors - 1][height - 1][row_form](t, last, a + r * t->a_row, b, c + r * t->c_row);
        r += height;
    }
}
