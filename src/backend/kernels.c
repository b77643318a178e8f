#include "backend/kernels.h"

extern const struct kernel_table kernel_table_avx2_f32, kernel_table_avx2_f64;
extern const struct kernel_table kernel_table_avx512_f32, kernel_table_avx512_f64;
extern const struct kernel_table kernel_table_avx2_bf16, kernel_table_avx512_bf16, kernel_table_amx_bf16;

const struct kernel_table *kernel_table_get(bool avx512, bool f64)
{
    if (avx512)
        return f64 ? &kernel_table_avx512_f64 : &kernel_table_avx512_f32;
    return f64 ? &kernel_table_avx2_f64 : &kernel_table_avx2_f32;
}

const struct kernel_table *kernel_table_bf16(bool avx512, bool amx)
{
    return amx ? &kernel_table_amx_bf16 : avx512 ? &kernel_table_avx512_bf16 : &kernel_table_avx2_bf16;
}
