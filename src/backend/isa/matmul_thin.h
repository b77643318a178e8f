/* Products with few columns (heads), few rows (one voxel, one sample) or a short k (gradients of heads): what
 * the micro-kernel would leave most of its registers empty for. */
#ifndef D4M_BACKEND_ISA_MATMUL_THIN_H
#define D4M_BACKEND_ISA_MATMUL_THIN_H

#include "backend/isa/matmul.h"

#define matmul_thin_accepts KERNEL(matmul_thin_accepts)
#define matmul_thin_scratch KERNEL(matmul_thin_scratch)
#define matmul_thin_run KERNEL(matmul_thin_run)

bool matmul_thin_accepts(const struct matmul_shape *s);
size_t matmul_thin_scratch(const struct matmul_shape *s);
/* As matmul_run. */
void matmul_thin_run(const struct matmul_shape *s, const struct matmul_buf *b,
                     const struct matmul_stage *stage);

#endif
