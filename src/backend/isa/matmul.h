/* Matrix products on the micro-kernel; also the 1 x 1 x 1 convolution. See backend/kernels.h for the
 * arguments. */
#ifndef D4M_BACKEND_ISA_MATMUL_H
#define D4M_BACKEND_ISA_MATMUL_H

#include "backend/isa/vec.h"
#include "backend/kernels.h"

#define matmul_scratch KERNEL(matmul_scratch)
#define matmul_run KERNEL(matmul_run)

/* Stages (kernels.h) of a matrix whose stored rows are voxels, `rows` per sample: coefficients (samples,
 * STAGE_ROWS, channels) of a and b, NULL for none. One matrix only. */
struct matmul_stage {
    const REAL *a, *b;
    int64_t rows;
};

/* `staged`: enough for runs with stages. */
size_t matmul_scratch(const struct matmul_shape *s, int threads, bool staged);
void matmul_run(const struct matmul_shape *s, const struct matmul_buf *b, const struct matmul_stage *stage);

#endif
