#include "backend/fused.h"

#include "backend/kernels.h"
#include <string.h>

extern const struct fused_table fused_table_avx2_f32, fused_table_avx2_f64;
extern const struct fused_table fused_table_avx512_f32, fused_table_avx512_f64;

const struct fused_table *fused_table_get(bool avx512, bool f64)
{
    if (avx512)
        return f64 ? &fused_table_avx512_f64 : &fused_table_avx512_f32;
    return f64 ? &fused_table_avx2_f64 : &fused_table_avx2_f32;
}

const struct fused_table *fused_of(const struct step *s)
{
    return fused_table_get(strcmp(s->table->isa, "avx512") == 0, s->table->real_bytes == 8);
}
