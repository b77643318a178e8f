/* Copies that put operands where the micro-kernel wants them, through a stage if there is one: panels of
 * TILE_COLS columns, and rows of voxels with their padding in place. */
#ifndef D4M_BACKEND_ISA_PACK_H
#define D4M_BACKEND_ISA_PACK_H

#include "backend/isa/tile.h"
#include "backend/kernels.h"

#define pack_panel KERNEL(pack_panel)
#define pack_row KERNEL(pack_row)
#define pack_transpose KERNEL(pack_transpose)
#define pack_bias KERNEL(pack_bias)

enum { WORK_ALIGN = 64 };

/* Bytes of `count` elements, rounded up so that what follows stays aligned. */
static inline size_t work_bytes(int64_t count)
{
    return ((size_t)count * sizeof(REAL) + WORK_ALIGN - 1) / WORK_ALIGN * WORK_ALIGN;
}

/* The same for a list of offsets. */
static inline size_t list_bytes(int64_t count)
{
    return ((size_t)count * sizeof(int64_t) + WORK_ALIGN - 1) / WORK_ALIGN * WORK_ALIGN;
}

static inline int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* A stage (kernels.h) that numbers pass while they are copied: one sample's coefficients from the first
 * copied channel on, `pitch` elements from row to row. `rows` NULL: none. */
struct stage {
    const REAL *rows;
    int64_t pitch;
};

/* Sample n of coefficients (N, STAGE_ROWS, channels), from channel c on; `all` NULL for none. */
static inline struct stage stage_at(const REAL *all, int64_t channels, int64_t n, int64_t c)
{
    return (struct stage){all ? all + n * STAGE_ROWS * channels + c : NULL, channels};
}

/* A matrix to pack: element (k, column) stands at k*k_step + column*col_step; one of the steps is 1. */
struct pack_source {
    const REAL *from;
    int64_t k_step, col_step;
    struct stage stage; /* of the columns; only with col_step 1 */
};

/* One panel: to[k][TILE_COLS], `cols` <= TILE_COLS columns and zeros up to the next whole vector. */
void pack_panel(REAL *to, const struct pack_source *s, int64_t depth, int cols);

/* to[j * to_step + i] = from[i * from_step + j] for i < size[0], j < size[1] */
void pack_transpose(REAL *to, int64_t to_step, const REAL *from, int64_t from_step, const int64_t size[2]);

/* A row of voxels cut from a longer one: positions first .. first + count - 1 of a row of `size` voxels,
 * behind the stage; what stands outside it is zero or one of its voxels. */
struct pack_span {
    int64_t first, count, size; /* size 0: zeros only */
    enum conv_pad outside;
    int64_t channels, pitch; /* of the source */
    int64_t to_pitch;        /* of the copy, >= channels; what lies between is not written */
    struct stage stage;
};
void pack_row(REAL *to, const REAL *row, const struct pack_span *s);

/* to[count rounded up to whole panels] = bias, then zeros */
void pack_bias(REAL *to, const REAL *bias, int64_t count);

#endif
