/* The micro-kernel: every matrix product and convolution is made of these register blocks.
 *
 *     C[r][n] (+)= sum over segments s and steps k of  A[a_seg[s] + r*a_row + k*a_step] * B[b_seg[s] +
 * k*b_step + n]
 *
 *                 n: 1 or 2 vectors                 A is read one element at a time and spread over a vector;
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
#else
    TILE_ROWS = 6,
#endif
    TILE_ROWS_NARROW = 2 * TILE_ROWS, /* of a block with one vector of columns */
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
    const REAL *bias; /* whole vectors, added when C is stored (not when it is added to); NULL for none */
    bool add;         /* C += the sum, else C = the sum */
    bool resume;      /* the sum starts with C: a product cut along s, in two calls, has the bits of one */
    struct ahead ahead;
    bool stream; /* C is stored past the caches: only if tile_may_stream, not with `add` */
};

#define tile_block KERNEL(tile_block)
#define tile_column KERNEL(tile_column)
#define tile_may_stream KERNEL(tile_may_stream)

/* Whether stores of a result of `elements` in all should go past the caches: it fits none, and is aligned. */
bool tile_may_stream(const REAL *c, int64_t c_row, int64_t cols, int64_t elements);
/* One register block: rows 1..TILE_ROWS, cols 1..TILE_COLS; up to TILE_ROWS_NARROW rows if cols fit a vector.
 */
void tile_block(const struct tile *t, int rows, int cols, const REAL *a, const REAL *b, REAL *c);
/* Any number of rows, in blocks of nearly equal height. */
void tile_column(const struct tile *t, int64_t rows, int cols, const REAL *a, const REAL *b, REAL *c);

#endif
