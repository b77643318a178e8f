/* Matrix products on the micro-kernel; also the 1 x 1 x 1 convolution. See backend/kernels.h for the
 * arguments. */
#ifndef D4M_BACKEND_ISA_MATMUL_H
#define D4M_BACKEND_ISA_MATMUL_H

#include "backend/isa/vec.h"
#include "backend/kernels.h"

#define matmul_scratch KERNEL(matmul_scratch)
#define matmul_run KERNEL(matmul_run)

size_t matmul_scratch(const struct matmul_shape *s, int threads);
void matmul_run(const struct matmul_shape *s, const struct matmul_buf *b);

#endif
