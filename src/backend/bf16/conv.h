/* Convolutions of bf16 operands with float results, for any micro-kernel. table.c makes kernel tables of
 * them. Operands are finite: a product with padding is one with a stored zero. */
#ifndef D4M_BACKEND_BF16_CONV_H
#define D4M_BACKEND_BF16_CONV_H

#include "backend/bf16/micro.h"
#include "backend/conv_plan.h"

/* As conv and conv_work of kernels.h; what the direction reads is bf16, what it writes and the bias are
 * float. */
size_t bf16_conv_scratch(const struct conv_shape *s, enum conv_dir dir, int threads);
void bf16_conv_run(const struct bf16_micro *m, const struct conv_shape *s, enum conv_dir dir,
                   const struct conv_buf *b);

/* One group: forward and by data; by weights. */
size_t bf16_direct_scratch(const struct conv_shape *s, enum conv_dir dir, int threads);
void bf16_direct_run(const struct bf16_micro *m, const struct conv_shape *s, enum conv_dir dir,
                     const struct conv_buf *b);
size_t bf16_dw_scratch(const struct conv_shape *s, int threads);
void bf16_dw_run(const struct bf16_micro *m, const struct conv_shape *s, const struct conv_buf *b);

#endif
