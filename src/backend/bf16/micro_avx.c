/* The micro-kernel without AMX: operands are widened to float in registers. Compiled for AVX2 and for
 * AVX-512. */
#include "backend/bf16/micro.h"
#include "backend/isa/lane.h"
#include <string.h>

#ifdef ISA_AVX512
enum { ROWS = 6 };
#define BITS(name) _mm512_##name
#define BITS_AND _mm512_and_si512
#define BITS_REAL _mm512_castsi512_ps
typedef __m512i vec_bits;
#else
enum { ROWS = 2 };
#define BITS(name) _mm256_##name
#define BITS_AND _mm256_and_si256
#define BITS_REAL _mm256_castsi256_ps
typedef __m256i vec_bits;
#endif

enum { COLS = 2 * VEC_LANES, FLUSH = 0x8040 /* flush to zero, denormals are zero */ };

static unsigned begin(int height, int pairs)
{
    const unsigned saved = _mm_getcsr();

    (void)height, (void)pairs;
    _mm_setcsr(saved | FLUSH);
    return saved;
}

static void end(unsigned saved)
{
    _mm_setcsr(saved);
}

ALWAYS_INLINE vec even_of(vec_bits pairs)
{
    return BITS_REAL(BITS(slli_epi32)(pairs, 16));
}

ALWAYS_INLINE vec odd_of(vec_bits pairs)
{
    return BITS_REAL(BITS_AND(pairs, BITS(set1_epi32)((int)0xffff0000u)));
}

ALWAYS_INLINE int pair_at(const uint16_t *a)
{
    int pair;

    memcpy(&pair, a, sizeof pair);
    return pair;
}

/* c += (sum over pairs of the even products) + (sum of the odd ones) */
ALWAYS_INLINE void chunk_add(vec c[ROWS][2], const int rows, const int vectors, const struct bf16_block *t,
                             const uint16_t *a, const uint16_t *b)
{
    vec even[ROWS][2], odd[ROWS][2];

    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            even[r][v] = odd[r][v] = vec_zero();
    }
    for (int p = 0; p < t->pairs; p++, a += 2, b += BF16_PAIR_ROW) {
        vec b_even[2], b_odd[2];
        UNROLL
        for (int v = 0; v < vectors; v++) {
            vec_bits pairs;
            memcpy(&pairs, b + 2 * v * VEC_LANES, sizeof pairs);
            b_even[v] = even_of(pairs);
            b_odd[v] = odd_of(pairs);
        }
        UNROLL
        for (int r = 0; r < rows; r++) {
            const vec_bits pair = BITS(set1_epi32)(pair_at(a + r * t->a_row));
            UNROLL
            for (int v = 0; v < vectors; v++) {
                even[r][v] = vec_fma(even_of(pair), b_even[v], even[r][v]);
                odd[r][v] = vec_fma(odd_of(pair), b_odd[v], odd[r][v]);
            }
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            c[r][v] = vec_add(c[r][v], vec_add(even[r][v], odd[r][v]));
    }
}

/* Inlined with constant rows and vectors, so that the sums live in registers. */
ALWAYS_INLINE void rows_run(const int rows, const int vectors, const struct bf16_block *t, const float *bias,
                            int cols, const uint16_t *a, const uint16_t *b, float *c)
{
    vec sum[ROWS][2];

    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            sum[r][v] = t->add ? vec_load_upto(c + r * t->c_row + v * VEC_LANES, cols - v * VEC_LANES)
                        : bias ? vec_load(bias + v * VEC_LANES)
                               : vec_zero();
    }
    for (int64_t s = 0; s < t->segments; s++)
        for (int64_t j = 0; j < t->chunks; j++)
            chunk_add(sum, rows, vectors, t, a + t->a_seg[s] + j * 2 * t->pairs,
                      b + t->b_seg[s] + j * t->pairs * BF16_PAIR_ROW);
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            vec_store_upto(c + r * t->c_row + v * VEC_LANES, cols - v * VEC_LANES, sum[r][v]);
    }
}

typedef void rows_fn(const struct bf16_block *t, const float *bias, int cols, const uint16_t *a,
                     const uint16_t *b, float *c);

#define RUN(rows, vectors)                                                                                   \
    static __attribute__((noinline)) void rows_##rows##_##vectors(                                           \
        const struct bf16_block *t, const float *bias, int cols, const uint16_t *a, const uint16_t *b,       \
        float *c)                                                                                            \
    {                                                                                                        \
        rows_run(rows, vectors, t, bias, cols, a, b, c);                                                     \
    }
#define RUNS(rows) RUN(rows, 1) RUN(rows, 2)
#define ENTRY(rows)                                                                                          \
    {                                                                                                        \
        rows_##rows##_1, rows_##rows##_2                                                                     \
    }

RUNS(1)
RUNS(2)
#ifdef ISA_AVX512
RUNS(3)
RUNS(4)
RUNS(5)
RUNS(6)
#endif

static rows_fn *const table[ROWS][2] = {
    ENTRY(1), ENTRY(2),
#ifdef ISA_AVX512
    ENTRY(3), ENTRY(4), ENTRY(5), ENTRY(6),
#endif
};

static void block(const struct bf16_block *t, int rows, int cols, const uint16_t *a, const uint16_t *b,
                  float *c)
{
    for (int j = 0; j < cols; j += COLS)
        for (int r = 0; r < rows; r += ROWS) {
            const int height = rows - r < ROWS ? rows - r : ROWS, width = cols - j < COLS ? cols - j : COLS;
            table[height - 1][width > VEC_LANES](t, t->bias ? t->bias + j : NULL, width, a + r * t->a_row,
                                                 b + 2 * j, c + r * t->c_row + j);
        }
}

const struct bf16_micro KERNEL(bf16_micro) = {begin, end, block};
