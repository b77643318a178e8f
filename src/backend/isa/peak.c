#include "backend/isa/peak.h"

#include "backend/kernels.h"

double peak_fma(int64_t rounds)
{
    const vec a = vec_set((REAL)0.999), b = vec_set((REAL)1e-9);
    vec c[PEAK_CHAINS], sum = vec_set(0);
    REAL lane[VEC_LANES];

    UNROLL
    for (int i = 0; i < PEAK_CHAINS; i++)
        c[i] = vec_set((REAL)i);
    for (int64_t r = 0; r < rounds; r++) {
        UNROLL
        for (int i = 0; i < PEAK_CHAINS; i++)
            c[i] = vec_fma(c[i], a, b);
    }
    UNROLL
    for (int i = 0; i < PEAK_CHAINS; i++)
        sum = vec_add(sum, c[i]);
    vec_store(lane, sum);
    return (double)lane[0];
}

void peak_triad(void *a, const void *b, const void *c, int64_t n)
{
    const vec s = vec_set((REAL)0.5);
    REAL *to = a;
    const REAL *x = b, *y = c;
    int64_t i = 0;

    for (; i + VEC_LANES <= n; i += VEC_LANES)
        vec_store(to + i, vec_fma(s, vec_load(y + i), vec_load(x + i)));
    for (; i < n; i++)
        to[i] = x[i] + (REAL)0.5 * y[i];
}
