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

/* A row of voxels cut from a longer one: positions first .. first + count - 1 of a row of `size` voxels,
 * zeros outside it. */
struct bf16_span {
    int64_t first, count, size;
    int64_t channels, pitch; /* of the source */
    int64_t to_pitch;        /* of the copy, >= channels; zeros between */
};
void bf16_row(uint16_t *to, const uint16_t *row, const struct bf16_span *s);

#endif
