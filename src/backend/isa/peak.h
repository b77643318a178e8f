/* The speed of light of one instruction set, for rooflines (kernels.h). */
#ifndef D4M_BACKEND_ISA_PEAK_H
#define D4M_BACKEND_ISA_PEAK_H

#include "backend/isa/vec.h"

#define peak_fma KERNEL(peak_fma)
#define peak_triad KERNEL(peak_triad)

double peak_fma(int64_t rounds); /* returns their sum, so that they are computed */
void peak_triad(void *a, const void *b, const void *c, int64_t n);

#endif
