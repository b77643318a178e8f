/* What this processor and operating system offer. */
#ifndef D4M_BACKEND_CPU_H
#define D4M_BACKEND_CPU_H

#include <stdbool.h>

bool cpu_has_avx2(void);   /* AVX2, FMA and BMI2, registers saved by the system */
bool cpu_has_avx512(void); /* AVX-512 F, VL, DQ and BW, and what cpu_has_avx2 asks for */

#endif
