/* Copies that put bf16 operands where the micro-kernel wants them, and how K is cut into chunks. */
#ifndef D4M_BACKEND_BF16_PACK_H
#define D4M_BACKEND_BF16_PACK_H

#include "backend/classes.h"
#include "backend/conv_plan.h"
#include "backend/bf16/micro.h"

/* A segment of K: chunks * pairs pairs. */
struct bf16_chunks {
    int64_t chunks;
    int pairs;
};

/* The fewest chunks of equal size that hold `pairs` pairs; the rest is to be zeros. */
struct bf16_chunks bf16_chunks_padded(int64_t pairs);
/* The fewest chunks of equal size that are exactly `pairs` pairs. */
struct bf16_chunks bf16_chunks_exact(int64_t pairs);
/* Rows of a tile, so that tiles of nearly equal height cover `rows`. */
int bf16_height(int64_t rows);

/* Coefficients of a stage (kernels.h) for one sample and its channels from some first one on: rows `row`
 * apart. */
struct bf16_stage {
    const float *coef; /* NULL: none */
    int64_t row;
};
/* to[c] = the stage of from[c], rounded to bf16; from[c] itself without one */
void bf16_staged(uint16_t *to, const uint16_t *from, int64_t channels, const struct bf16_stage *s);
/* Of sample n of coefficients (N, STAGE_ROWS, channels), from channel `first` on; coef may be NULL. */
struct bf16_stage bf16_stage_at(const void *coef, int64_t n, int64_t channels, int64_t first);

/* A row of voxels cut from a longer one: positions first .. first + count - 1 of a row of `size` voxels,
 * zeros outside it. */
struct bf16_span {
    int64_t first, count, size;
    int64_t channels, pitch; /* of the source */
    int64_t to_pitch;        /* of the copy, >= channels; zeros between */
    struct bf16_stage stage; /* through which the source is read */
};
void bf16_row(uint16_t *to, const uint16_t *row, const struct bf16_span *s);

#endif
