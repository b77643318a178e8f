/* More lane-wise operations on vec: arithmetic, comparison, selection, streaming stores, and sums whose order
 * is that of 16 virtual lanes, whatever the register width. */
#ifndef D4M_BACKEND_ISA_LANE_H
#define D4M_BACKEND_ISA_LANE_H

#include "backend/isa/vec.h"
#include <stdbool.h>

enum {
    LANES = 16,                    /* virtual lanes of every reduction */
    LANE_VECS = LANES / VEC_LANES, /* registers that hold them */
    VEC_BYTES = VEC_LANES * (int)sizeof(REAL),
};

#if defined(ISA_AVX512) && defined(REAL_F32)
typedef __mmask16 vec_bool;
#elif defined(ISA_AVX512)
typedef __mmask8 vec_bool;
#else
typedef vec vec_bool;
#endif

ALWAYS_INLINE vec vec_zero(void)
{
    return VEC_OP(setzero)();
}

ALWAYS_INLINE vec vec_sub(vec a, vec b)
{
    return VEC_OP(sub)(a, b);
}

ALWAYS_INLINE vec vec_mul(vec a, vec b)
{
    return VEC_OP(mul)(a, b);
}

ALWAYS_INLINE vec vec_div(vec a, vec b)
{
    return VEC_OP(div)(a, b);
}

ALWAYS_INLINE vec vec_sqrt(vec a)
{
    return VEC_OP(sqrt)(a);
}

/* a > b ? a : b, so b where one of them is not a number; likewise vec_min. */
ALWAYS_INLINE vec vec_max(vec a, vec b)
{
    return VEC_OP(max)(a, b);
}

ALWAYS_INLINE vec vec_min(vec a, vec b)
{
    return VEC_OP(min)(a, b);
}

/* c - a*b, rounded once */
ALWAYS_INLINE vec vec_fnma(vec a, vec b, vec c)
{
    return VEC_OP(fnmadd)(a, b, c);
}

ALWAYS_INLINE vec vec_xor(vec a, vec b)
{
    return VEC_OP(xor)(a, b);
}

ALWAYS_INLINE vec vec_abs(vec a)
{
    return VEC_OP(andnot)(vec_set((REAL)-0.0), a);
}

ALWAYS_INLINE vec vec_neg(vec a)
{
    return vec_xor(vec_set((REAL)-0.0), a);
}

#ifdef ISA_AVX512
#ifdef REAL_F32
#define VEC_COMPARE(a, b, how) _mm512_cmp_ps_mask(a, b, how)
#else
#define VEC_COMPARE(a, b, how) _mm512_cmp_pd_mask(a, b, how)
#endif

ALWAYS_INLINE vec vec_select(vec_bool m, vec a, vec b) /* m ? a : b */
{
    return VEC_OP(mask_blend)(m, b, a);
}

ALWAYS_INLINE vec vec_keep(vec_bool m, vec a) /* m ? a : 0 */
{
    return VEC_OP(maskz_mov)(m, a);
}
#else
#ifdef REAL_F32
#define VEC_COMPARE(a, b, how) _mm256_cmp_ps(a, b, how)
#else
#define VEC_COMPARE(a, b, how) _mm256_cmp_pd(a, b, how)
#endif

ALWAYS_INLINE vec vec_select(vec_bool m, vec a, vec b)
{
    return VEC_OP(blendv)(b, a, m);
}

ALWAYS_INLINE vec vec_keep(vec_bool m, vec a)
{
    return VEC_OP(and)(m, a);
}
#endif

/* Comparisons; false where an operand is not a number, except vec_differs. */
ALWAYS_INLINE vec_bool vec_less(vec a, vec b)
{
    return VEC_COMPARE(a, b, _CMP_LT_OQ);
}

ALWAYS_INLINE vec_bool vec_greater(vec a, vec b)
{
    return VEC_COMPARE(a, b, _CMP_GT_OQ);
}

ALWAYS_INLINE vec_bool vec_equal(vec a, vec b)
{
    return VEC_COMPARE(a, b, _CMP_EQ_OQ);
}

ALWAYS_INLINE vec_bool vec_differs(vec a, vec b)
{
    return VEC_COMPARE(a, b, _CMP_NEQ_UQ);
}

/* A stage's activation (kernels.h): leaky(scale x + shift), 0 <= slope <= 1. */
ALWAYS_INLINE vec vec_stage(vec x, vec scale, vec shift, vec slope)
{
    const vec v = vec_fma(x, scale, shift);

    return vec_max(v, vec_mul(v, slope));
}

/* The derivative's factor: 1 where scale x + shift is positive, else slope. */
ALWAYS_INLINE vec vec_gate(vec x, vec scale, vec shift, vec slope)
{
    return vec_select(vec_greater(vec_fma(x, scale, shift), vec_zero()), vec_set(1), slope);
}

/* Asks for the line of p, which may lie behind the buffer: for walks that the hardware does not foresee. */
ALWAYS_INLINE void vec_fetch(const REAL *p)
{
    _mm_prefetch((const char *)p, _MM_HINT_T0);
}

/* Past the caches; p is a multiple of VEC_BYTES. */
ALWAYS_INLINE void vec_stream(REAL *p, vec v)
{
    VEC_OP(stream)(p, v);
}

ALWAYS_INLINE void vec_put(REAL *p, vec v, bool stream)
{
    if (stream)
        vec_stream(p, v);
    else
        vec_store(p, v);
}

/* The first n lanes, n > VEC_LANES counting as all. */
ALWAYS_INLINE vec vec_load_upto(const REAL *p, int64_t n)
{
    return n >= VEC_LANES ? vec_load(p) : vec_load_part(p, (int)n);
}

ALWAYS_INLINE void vec_store_upto(REAL *p, int64_t n, vec v)
{
    if (n >= VEC_LANES)
        vec_store(p, v);
    else
        vec_store_part(p, (int)n, v);
}

/* acc[i] += v's lane i, in double. */
ALWAYS_INLINE void lanes_add(double *acc, vec v, int n)
{
    REAL t[VEC_LANES];

    vec_store(t, v);
    for (int i = 0; i < n; i++)
        acc[i] += (double)t[i];
}

/* Sum of 16 virtual lanes in double: first lane i with i + 8, then i + 4, i + 2, i + 1. */
ALWAYS_INLINE double lanes_sum(const vec v[LANE_VECS])
{
    double t[LANES] = {0};

    for (int i = 0; i < LANE_VECS; i++)
        lanes_add(t + i * VEC_LANES, v[i], VEC_LANES);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            t[i] += t[i + half];
    return t[0];
}

ALWAYS_INLINE REAL lanes_max(const vec v[LANE_VECS])
{
    REAL t[LANES];

    for (int i = 0; i < LANE_VECS; i++)
        vec_store(t + i * VEC_LANES, v[i]);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            t[i] = t[i] > t[i + half] ? t[i] : t[i + half];
    return t[0];
}

#endif
