/* How the direct convolutions, forward and by data, cut the destination into blocks of planes, rows and
 * columns, whose source blocks, halo included, are copied and stay in the second cache. */
#ifndef D4M_BACKEND_CONV_BLOCK_H
#define D4M_BACKEND_CONV_BLOCK_H

#include "backend/conv_plan.h"

struct conv_blocks {
    int64_t size[3];  /* destination positions per phase of a block */
    int64_t count[3]; /* blocks per axis */
};

enum { CONV_BLOCK_BYTES = 384 << 10 }; /* of a source block; a little more than a third of the second cache */

/* As many positions as keep the source block near `limit` elements: whole rows first, then rows, then planes.
 */
struct conv_blocks conv_blocks_choose(const struct conv_axis axis[3], int64_t channels, int64_t limit);
/* Elements of the largest source block. */
int64_t conv_blocks_elements(const struct conv_blocks *b, const struct conv_axis axis[3], int64_t channels);
/* Source positions that n destination positions of one phase and all their taps span. */
int64_t conv_source_extent(const struct conv_axis *a, int64_t n);
/* Destination positions of a phase, at most. */
int64_t conv_dest_count(const struct conv_axis *a);

#endif
