#include "backend/kernels.h"

extern const struct kernel_table kernel_table_avx2_f32, kernel_table_avx2_f64;
extern const struct kernel_table kernel_table_avx512_f32, kernel_table_avx512_f64;

const struct kernel_table *kernel_table_get(bool avx512, bool f64)
{
    if (avx512)
        return f64 ? &kernel_table_avx512_f64 : &kernel_table_avx512_f32;
    return f64 ? &kernel_table_avx2_f64 : &kernel_table_avx2_f32;
}
