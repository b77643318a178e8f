#include "base/cpu.h"

#include <stdio.h>
#include <string.h>

/* The builtins also ask whether the system saves the wide registers. */
enum cpu_isa cpu_best(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2"))
        return CPU_NONE;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
        return CPU_AVX512;
    return CPU_AVX2;
}

const char *cpu_isa_name(enum cpu_isa isa)
{
    return isa == CPU_AVX512 ? "avx512" : isa == CPU_AVX2 ? "avx2" : "none";
}

const char *cpu_model(char buf[64])
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[256];

    strcpy(buf, "unknown");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "model name : %63[^\n]", buf) == 1)
            break;
    if (f)
        fclose(f);
    return buf;
}
