/* What this CPU offers. The kernels exist for AVX2 (with FMA and BMI2) and AVX-512 (F, VL, DQ, BW); both give
 * the same bits. */
#ifndef D4M_BASE_CPU_H
#define D4M_BASE_CPU_H

#include <stdbool.h>

enum cpu_isa {
    CPU_NONE, /* too old for the kernels */
    CPU_AVX2,
    CPU_AVX512,
};

enum cpu_isa cpu_best(void);                /* the best that the CPU and the system support */
const char *cpu_isa_name(enum cpu_isa isa); /* "none", "avx2", "avx512" */
/* Whether this process may use AMX's bf16 tiles: the CPU has them, the system saves them, and grants them
 * (Linux asks a process to ask). */
bool cpu_amx(void);
/* In what convolutions compute. bf16 pays only with AMX; elsewhere it saves memory, not time. */
enum cpu_precision {
    CPU_AUTO, /* bf16 with AMX, else f32 */
    CPU_F32,
    CPU_BF16,
};
extern const char *const cpu_precision_names[];        /* "auto", "f32", "bf16", NULL */
bool cpu_bf16(enum cpu_precision p, enum cpu_isa isa); /* whether p is bf16 here, with kernels of isa */
/* The CPU's own name into buf, "unknown" if it tells none; returns buf. */
const char *cpu_model(char buf[64]);

#endif
