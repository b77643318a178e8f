#include "backend/isa/tile.h"

/* Fourteen row pointers do not fit the general registers: rows are addressed from three bases, five rows
 * apart. */
struct rows {
    const REAL *base[3];
    int64_t step, step3; /* 1 and 3 rows */
};

ALWAYS_INLINE const REAL *row_at(const struct rows *p, const int r)
{
    const int64_t offset[5] = {0, p->step, 2 * p->step, p->step3, 4 * p->step};
    return p->base[r / 5] + offset[r % 5];
}

/* acc[r][v] += A[r][k] * B[k][v] for one k */
ALWAYS_INLINE void step_add(vec acc[TILE_ROWS][2], const int rows, const int vectors, const struct rows *a,
                            int64_t k, const REAL *b)
{
    vec bv[2];

    __asm__ volatile("" ::: "memory"); /* the next step's loads stay behind: there is no register for them */
    UNROLL
    for (int v = 0; v < vectors; v++)
        bv[v] = vec_load(b + v * VEC_LANES);
    UNROLL
    for (int r = 0; r < rows; r++) {
        vec x = vec_set(row_at(a, r)[k]);
        UNROLL
        for (int v = 0; v < vectors; v++)
            acc[r][v] = vec_fma(x, bv[v], acc[r][v]);
    }
}

ALWAYS_INLINE void segment_add(vec acc[TILE_ROWS][2], const int rows, const int vectors, const bool row_form,
                               const struct tile *t, const REAL *a, const REAL *b)
{
    const int64_t row = row_form ? t->a_row : 1, step = row_form ? 1 : t->a_step;
    const struct rows p = {{a, a + 5 * row, a + 10 * row}, row, 3 * row};
    const int64_t depth = t->depth, b_step = t->b_step;
    const int unrolled = row_form ? 4 : 2;
    int64_t k = 0;

    for (; k + unrolled <= depth; k += unrolled) {
        UNROLL
        for (int i = 0; i < unrolled; i++, b += b_step)
            step_add(acc, rows, vectors, &p, (k + i) * step, b);
    }
    for (; k < depth; k++, b += b_step)
        step_add(acc, rows, vectors, &p, k * step, b);
}

ALWAYS_INLINE void bias_add(vec acc[TILE_ROWS][2], const int rows, const int vectors, const REAL *bias)
{
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            acc[r][v] = vec_add(acc[r][v], vec_load(bias + v * VEC_LANES));
    }
}

/* Inlined with a constant `add`, and with a constant `last` where it is VEC_LANES. */
ALWAYS_INLINE void block_store(vec acc[TILE_ROWS][2], const int rows, const int vectors, const int last,
                               const bool add, REAL *c, int64_t c_row)
{
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++) {
            REAL *p = c + r * c_row + v * VEC_LANES;
            if (v + 1 == vectors && last < VEC_LANES)
                vec_store_part(p, last, add ? vec_add(vec_load_part(p, last), acc[r][v]) : acc[r][v]);
            else
                vec_store(p, add ? vec_add(vec_load(p), acc[r][v]) : acc[r][v]);
        }
    }
}

/* Inlined with constant rows, vectors and row_form, so that acc lives in registers. `last`: columns of the
 * last vector. row_form: A's rows are contiguous in k (a_step 1), else a step's rows are contiguous (a_row
 * 1). */
ALWAYS_INLINE void block_run(const int rows, const int vectors, const bool row_form, const struct tile *t,
                             int last, const REAL *a, const REAL *b, REAL *c)
{
    vec acc[TILE_ROWS][2];

    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            acc[r][v] = vec_set(0);
    }
    for (int64_t s = 0; s < t->segments; s++)
        segment_add(acc, rows, vectors, row_form, t, a + t->a_seg[s], b + t->b_seg[s]);
    if (t->add && last == VEC_LANES) {
        block_store(acc, rows, vectors, VEC_LANES, true, c, t->c_row);
        return;
    }
    if (t->add) {
        block_store(acc, rows, vectors, last, true, c, t->c_row);
        return;
    }
    if (t->bias)
        bias_add(acc, rows, vectors, t->bias);
    if (last == VEC_LANES)
        block_store(acc, rows, vectors, VEC_LANES, false, c, t->c_row);
    else
        block_store(acc, rows, vectors, last, false, c, t->c_row);
}

typedef void block_fn(const struct tile *t, int last, const REAL *a, const REAL *b, REAL *c);

#define BLOCK(name, rows, vectors, row_form)                                                                 \
    static __attribute__((noinline)) void name(const struct tile *t, int last, const REAL *a, const REAL *b, \
                                               REAL *c)                                                      \
    {                                                                                                        \
        block_run(rows, vectors, row_form, t, last, a, b, c);                                                \
    }
#define BLOCKS(rows)                                                                                         \
    BLOCK(row_##rows##_1, rows, 1, true)                                                                     \
    BLOCK(row_##rows##_2, rows, 2, true)                                                                     \
    BLOCK(step_##rows##_1, rows, 1, false)                                                                   \
    BLOCK(step_##rows##_2, rows, 2, false)
#define ENTRY(rows)                                                                                          \
    {                                                                                                        \
        {step_##rows##_1, step_##rows##_2},                                                                  \
        {                                                                                                    \
            row_##rows##_1, row_##rows##_2                                                                   \
        }                                                                                                    \
    }

BLOCKS(1)
BLOCKS(2)
BLOCKS(3)
BLOCKS(4)
BLOCKS(5)
BLOCKS(6)
#ifdef ISA_AVX512
BLOCKS(7)
BLOCKS(8)
BLOCKS(9)
BLOCKS(10)
BLOCKS(11)
BLOCKS(12)
BLOCKS(13)
BLOCKS(14)
#endif

static block_fn *const block_table[TILE_ROWS][2][2] = {
    ENTRY(1), ENTRY(2), ENTRY(3), ENTRY(4),  ENTRY(5),  ENTRY(6),
#ifdef ISA_AVX512
    ENTRY(7), ENTRY(8), ENTRY(9), ENTRY(10), ENTRY(11), ENTRY(12), ENTRY(13), ENTRY(14),
#endif
};

void tile_block(const struct tile *t, int rows, int cols, const REAL *a, const REAL *b, REAL *c)
{
    const int vectors = cols > VEC_LANES ? 2 : 1;

    block_table[rows - 1][t->a_step == 1][vectors - 1](t, cols - (vectors - 1) * VEC_LANES, a, b, c);
}

void tile_column(const struct tile *t, int64_t rows, int cols, const REAL *a, const REAL *b, REAL *c)
{
    const int64_t blocks = (rows + TILE_ROWS - 1) / TILE_ROWS;
    int64_t r = 0;

    for (int64_t i = 0; i < blocks; i++) {
        int64_t height = (rows - r + blocks - i - 1) / (blocks - i);
        tile_block(t, (int)height, cols, a + r * t->a_row, b, c + r * t->c_row);
        r += height;
    }
}
