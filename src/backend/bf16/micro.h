/* The micro-kernel of bf16: a block of the product of bf16 matrices, summed in float, exactly as AMX's
 * instruction TDPBF16PS is documented to sum (Intel SDM, volume 2, TDPBF16PS). K comes in chunks of up to 16
 * pairs; per chunk
 *
 *     even = odd = 0;  even += a[2p] b[2p],  odd += a[2p+1] b[2p+1]  for ascending p, each rounded once
 * (FMA); c = c + (even + odd)
 *
 * to nearest even, with subnormal operands and results taken as zero. There are three: AMX's own
 * instructions, and the same arithmetic in AVX-512 and AVX2, for machines without AMX. All give the same
 * bits. */
#ifndef D4M_BACKEND_BF16_MICRO_H
#define D4M_BACKEND_BF16_MICRO_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BF16_TILE = 16,                /* rows and columns of a tile of C, pairs of a chunk */
    BF16_COLS = 2 * BF16_TILE,     /* columns of a block */
    BF16_PAIR_ROW = 2 * BF16_COLS, /* elements of B in one pair of k: (k pair, column, 2) */
};

/*     C[r][n] = start + sum over segments s, chunks j of   A: a + a_seg[s] + r a_row + j 2 pairs, k
 * contiguous B: b + b_seg[s] + j pairs BF16_PAIR_ROW, pairs interleaved Start: C itself if `add`, else
 * bias[n], else 0. A must be readable up to the last row of a tile. */
struct bf16_block {
    int64_t segments, chunks;     /* chunks of a segment */
    const int64_t *a_seg, *b_seg; /* in elements */
    int64_t a_row, c_row;         /* in elements */
    int height, pairs;            /* rows of a tile, pairs of a chunk: 1 .. BF16_TILE, as begin was told */
    const float *bias;            /* BF16_COLS numbers or NULL */
    bool add;
};

struct bf16_micro {
    /* Around blocks of one height and number of pairs, in each thread; end gets what begin returned. */
    unsigned (*begin)(int height, int pairs);
    void (*end)(unsigned saved);
    /* rows 1 .. 2 height, cols 1 .. BF16_COLS; B has BF16_COLS columns, C is written where it exists only */
    void (*block)(const struct bf16_block *t, int rows, int cols, const uint16_t *a, const uint16_t *b,
                  float *c);
};

extern const struct bf16_micro bf16_micro_amx, bf16_micro_avx512_f32, bf16_micro_avx2_f32;

#endif
