#include "backend/backend.h"

#include "backend/classes.h"
#include "backend/kernels.h"
#include "base/cpu.h"
#include "base/par.h"
#include <string.h>

#define CLASS_POINTER(name) &class_##name,
static const struct kernel_class *const classes[] = {KERNEL_CLASSES(CLASS_POINTER) NULL};

enum err backend_cpu(struct backend *out, const char *isa, int threads)
{
    const enum cpu_isa best = cpu_best();
    const bool wide = isa ? strcmp(isa, "avx512") == 0 : best == CPU_AVX512;

    if (best == CPU_NONE)
        return err_set(ERR_USAGE,
                       "this CPU has no AVX2 with FMA, which the kernels need: use a machine that has it");
    if (isa && !wide && strcmp(isa, "avx2") != 0)
        return err_set(ERR_USAGE, "instruction set '%s' is unknown; use avx2 or avx512", isa);
    if (wide && best != CPU_AVX512)
        return err_set(ERR_USAGE, "this CPU has no AVX-512 (F, VL, DQ, BW); use avx2");
    *out = (struct backend){.name = "cpu",
                            .classes = classes,
                            .f32 = kernel_table_get(wide, false),
                            .f64 = kernel_table_get(wide, true),
                            .bf16 = kernel_table_bf16(wide, wide && cpu_amx()),
                            .threads = threads > 0 ? threads : par_threads()};
    return ERR_OK;
}
