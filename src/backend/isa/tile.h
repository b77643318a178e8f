/* The micro-kernel: every matrix product and convolution is made of these register blocks.
 *
 *     C[r][n] (+)= sum over segments s and steps k of  A[a_seg[s] + r*a_row + k*a_step] * B[b_seg[s] +
 * k*b_step + n]
 *
 *                 n: 1 to 4 vectors                 A is read one element at a time and spread over a vector;
 *              +----------------+  ^                B is read in whole vectors: the columns up to the next
 * multiple B    | k = 0          |  | depth          of VEC_LANES must be readable (packed zeros); | k = 1
 * ...      |  v                C is written up to its last column only.
 *    +---+     +----------------+
 *    | A | r   | C              |  up to TILE_ROWS rows
 *    +---+     +----------------+
 *
 * Every element of C is one chain of fused multiply-adds in the order of s, then k, whatever the block's
 * size. */
#ifndef D4M_BACKEND_ISA_TILE_H
#define D4M_BACKEND_ISA_TILE_H

#include "backend/isa/vec.h"
#include <stdbool.h>

enum {
#ifdef ISA_AVX512
    TILE_ROWS = 14,
    TILE_ROWS_3 = 8,      /* of blocks with three or four vectors of columns */
    TILE_ROWS_3_STEP = 8, /* where a step's rows are contiguous */
    TILE_ROWS_4 = 6,
#else
    TILE_ROWS = 6,
    TILE_ROWS_3 = 4,
    TILE_ROWS_3_STEP = 3, /* the compiler runs out of registers */
    TILE_ROWS_4 = 2,
#endif
    TILE_ROWS_NARROW = 2 * TILE_ROWS, /* with one */
    TILE_COLS = 2 * VEC_LANES,
    STREAM_ELEMENTS = 4 << 20
};

/* Rows that will be read soon: fetched into the cache between the blocks. */
struct ahead {
    const REAL *from;
    int64_t rows, pitch, length;
};

struct tile {
    int64_t segments, depth;      /* counts of s and k */
    const int64_t *a_seg, *b_seg; /* where each segment starts, in elements */
    int64_t a_row, a_step;        /* steps of A: one of them is 1 */
    int64_t b_step, c_row;
    int64_t b_next; /* from a panel of TILE_COLS columns of B to the next one, for blocks with two of them */
    const REAL *bias; /* whole vectors, added when C is stored (not when it is added to); NULL for none */
    bool add;         /* C += the sum, else C = the sum */
    bool resume;      /* the sum starts with C: a product cut along s, in two calls, has the bits of one */
    struct ahead ahead;
    bool stream; /* C is stored past the caches: only if tile_may_stream, not with `add` */
};

#define tile_panels KERNEL(tile_panels)
#define tile_column KERNEL(tile_column)
#define tile_may_stream KERNEL(tile_may_stream)

/* Whether stores of a result of `elements` in all should go past the caches: it fits none, and is aligned. */
bool tile_may_stream(const REAL *c, int64_t c_row, int64_t cols, int64_t elements);
/* How many panels, 1 or 2, a block of so many rows had better take if cols are left: the third vector is not
 * left alone, and few rows alone would wait for their own sums. */
int tile_panels(int64_t rows, int64_t cols);
/* Any number of rows below 2^31, in blocks of nearly equal height; cols 1..2*TILE_COLS. */
void tile_column(const struct tile *t, int64_t rows, int cols, const REAL *a, const REAL *b, REAL *c);

#endif
