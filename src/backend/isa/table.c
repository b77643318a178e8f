#include "backend/conv_plan.h"
#include "backend/isa/conv.h"
#include "backend/isa/matmul.h"
#include "backend/isa/peak.h"

#define kernel_table_here KERNEL(kernel_table)

static bool accepts(const struct conv_shape *s, enum conv_dir dir)
{
    (void)dir;
    return conv_shape_valid(s);
}

static size_t product_scratch(const struct matmul_shape *s, int threads)
{
    return matmul_scratch(s, threads, false);
}

static void product_run(const struct matmul_shape *s, const struct matmul_buf *b)
{
    matmul_run(s, b, &(struct matmul_stage){0});
}

extern const struct kernel_table kernel_table_here;
const struct kernel_table kernel_table_here = {
#ifdef ISA_AVX512
    .isa = "avx512",
#else
    .isa = "avx2",
#endif
    .real_bytes = sizeof(REAL),
    .conv_accepts = accepts,
    .conv_hooks = conv_hooks_of,
    .conv_packed = conv_packed_of,
    .conv_pack = conv_pack_run,
    .conv_work = conv_scratch,
    .conv = conv_run,
    .matmul_work = product_scratch,
    .matmul = product_run,
    .fma = peak_fma,
    .triad = peak_triad,
    .lanes = VEC_LANES,
};
