#include "backend/cpu.h"
#include "backend/kernels.h"

extern const struct kernel_table kernel_table_avx2_f32, kernel_table_avx2_f64;
extern const struct kernel_table kernel_table_avx512_f32, kernel_table_avx512_f64;

/* The compiler's builtin reads CPUID and, for the vector sets, XGETBV: a set whose registers the system does
 * not save counts as missing. */
bool cpu_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}

bool cpu_has_avx512(void)
{
    return cpu_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}

const struct kernel_table *kernel_table_get(bool avx512, bool f64)
{
    if (avx512)
        return f64 ? &kernel_table_avx512_f64 : &kernel_table_avx512_f32;
    return f64 ? &kernel_table_avx2_f64 : &kernel_table_avx2_f32;
}
