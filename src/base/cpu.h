/* What this CPU offers. The kernels exist for AVX2 (with FMA and BMI2) and AVX-512 (F, VL, DQ, BW); both give
 * the same bits. */
#ifndef D4M_BASE_CPU_H
#define D4M_BASE_CPU_H

enum cpu_isa {
    CPU_NONE, /* too old for the kernels */
    CPU_AVX2,
    CPU_AVX512,
};

enum cpu_isa cpu_best(void);                /* the best that the CPU and the system support */
const char *cpu_isa_name(enum cpu_isa isa); /* "none", "avx2", "avx512" */
/* The CPU's own name into buf, "unknown" if it tells none; returns buf. */
const char *cpu_model(char buf[64]);

#endif
