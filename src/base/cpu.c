#define _DEFAULT_SOURCE /* syscall */
#include "base/cpu.h"

#include <cpuid.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* What the system saves at a switch, a bit per kind of register: XGETBV. */
static uint64_t saved_registers(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

bool cpu_amx(void)
{
    enum { LEAF_FEATURES = 7, OSXSAVE = 1 << 27, AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24 }; /* CPUID */
    enum { TILE_CONFIG = 1 << 17, TILE_DATA = 18 };                                        /* XCR0 */
    enum { ARCH_REQ_XCOMP_PERM = 0x1023 };
    unsigned a, b, c, d;

    if (cpu_best() != CPU_AVX512 || !__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE))
        return false;
    if (!__get_cpuid_count(LEAF_FEATURES, 0, &a, &b, &c, &d) || !(d & AMX_BF16) || !(d & AMX_TILE))
        return false;
    if ((saved_registers() & (TILE_CONFIG | 1 << TILE_DATA)) != (TILE_CONFIG | 1 << TILE_DATA))
        return false;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0;
}

const char *const cpu_precision_names[] = {"auto", "f32", "bf16", NULL};

bool cpu_bf16(enum cpu_precision p, enum cpu_isa isa)
{
    return p == CPU_BF16 || (p == CPU_AUTO && isa == CPU_AVX512 && cpu_amx());
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
