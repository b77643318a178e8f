/* Conversions of runs between bfloat16 and the table's type. */
#include "backend/isa/bf16.h"
#include "backend/isa/fused.h"

void FUSED(narrow)(void *y, const void *x, int64_t n)
{
    const REAL *in = x;
    uint16_t *out = y;
    int64_t i = 0;

#ifdef REAL_F32
    for (; i + VEC_LANES <= n; i += VEC_LANES)
        vec_to_bf16(out + i, vec_load(in + i));
#endif
    for (; i < n; i++)
        out[i] = bf16_of((double)in[i]);
}

void FUSED(widen)(void *y, const void *x, int64_t n)
{
    const uint16_t *in = x;
    REAL *out = y;
    int64_t i = 0;

#ifdef REAL_F32
    for (; i + VEC_LANES <= n; i += VEC_LANES)
        vec_store(out + i, vec_of_bf16(in + i));
#endif
    for (; i < n; i++)
        out[i] = (REAL)bf16_widen(in[i]);
}
