/* Elementary functions, the same bits on every instruction set. f32: polynomials, at most 2 units in the last
 * place over the whole range, subnormal arguments and results included. f64: the C library, one lane at a
 * time (f64 is for exact tests). */
#ifndef D4M_BACKEND_ISA_VMATH_H
#define D4M_BACKEND_ISA_VMATH_H

#include "backend/isa/lane.h"
#include <math.h>

#ifdef REAL_F32

#ifdef ISA_AVX512
typedef __m512i vec_int;
#define INT_OP(name) _mm512_##name##_epi32
#define VEC_OF_BITS(v) _mm512_castsi512_ps(v)
#define VEC_BITS(v) _mm512_castps_si512(v)
#define VEC_TO_INT(v) _mm512_cvttps_epi32(v)
#define VEC_OF_INT(v) _mm512_cvtepi32_ps(v)
#define VEC_ROUND(v) _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define VEC_INT_AND(a, b) _mm512_and_si512(a, b)
#else
typedef __m256i vec_int;
#define INT_OP(name) _mm256_##name##_epi32
#define VEC_OF_BITS(v) _mm256_castsi256_ps(v)
#define VEC_BITS(v) _mm256_castps_si256(v)
#define VEC_TO_INT(v) _mm256_cvttps_epi32(v)
#define VEC_OF_INT(v) _mm256_cvtepi32_ps(v)
#define VEC_ROUND(v) _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define VEC_INT_AND(a, b) _mm256_and_si256(a, b)
#endif

/* c[0] + c[1] x + ... + c[n-1] x^(n-1) by Horner's rule */
ALWAYS_INLINE vec poly(vec x, const float *c, int n)
{
    vec y = vec_set(c[n - 1]);

    UNROLL
    for (int i = n - 2; i >= 0; i--)
        y = vec_fma(y, x, vec_set(c[i]));
    return y;
}

/* x * 2^n for integral n in [-252, 254], rounded once. */
ALWAYS_INLINE vec scale_two(vec x, vec n)
{
#ifdef ISA_AVX512
    return _mm512_scalef_ps(x, n);
#else /* two steps, of which only the second can leave the normal range */
    vec_int k = VEC_TO_INT(n), a = INT_OP(srai)(k, 1), b = INT_OP(sub)(k, a), bias = INT_OP(set1)(127);

    x = vec_mul(x, VEC_OF_BITS(INT_OP(slli)(INT_OP(add)(a, bias), 23)));
    return vec_mul(x, VEC_OF_BITS(INT_OP(slli)(INT_OP(add)(b, bias), 23)));
#endif
}

/* exp(x) = 2^n exp(r), |r| <= ln2 / 2; exp(r) = 1 + r + r^2 q(r), q fitted at Chebyshev points (error 2e-10).
 */
ALWAYS_INLINE vec vec_exp(vec x)
{
    static const float q[] = {0.5000000014f,   0.1666666672f,   0.04166645678f,
                              0.008333297064f, 0.001393454452f, 0.0001990044382f};
    vec c = vec_min(vec_set(89), vec_max(vec_set(-105), x)); /* keeps a NaN */
    vec n = VEC_ROUND(vec_mul(c, vec_set(0x1.715476p0f)));
    vec r = vec_fnma(n, vec_set(0x1.62e4p-1f), c); /* ln 2 in two parts, the first of 14 bits */
    vec p;

    r = vec_fnma(n, vec_set(0x1.7f7d1cp-20f), r);
    p = vec_fma(vec_mul(r, r), poly(r, q, 6), r);
    return scale_two(vec_add(p, vec_set(1)), n); /* a NaN stays one in every step */
}

/* log(m 2^e), m in [sqrt(1/2), sqrt 2): e ln2 + f - f^2/2 + f^3 q(f), f = m - 1; q fitted at Chebyshev
 * points. x is normal and positive, `shift` is added to e. */
ALWAYS_INLINE vec log_normal(vec x, vec shift)
{
    static const float q[] = {0.3333333116f,  -0.2499998871f, 0.2000071595f,  -0.1666851923f, 0.1424965313f,
                              -0.1240990062f, 0.1166337742f,  -0.1158076512f, 0.07156566458f};
    const vec_int root = INT_OP(set1)(0x3f3504f3); /* sqrt(1/2): the exponent counts from there */
    const vec_int from = INT_OP(sub)(VEC_BITS(x), root);
    const vec e = vec_add(VEC_OF_INT(INT_OP(srai)(from, 23)), shift);
    const vec f =
        vec_sub(VEC_OF_BITS(INT_OP(add)(VEC_INT_AND(from, INT_OP(set1)(0x7fffff)), root)), vec_set(1));
    vec y = vec_mul(vec_mul(f, f), vec_fma(f, poly(f, q, 9), vec_set(-0.5f)));

    y = vec_add(vec_fma(e, vec_set(0x1.7f7d1cp-20f), y), f);
    return vec_fma(e, vec_set(0x1.62e4p-1f), y);
}

/* The logarithm of a number that is normal and positive, infinite or NaN. */
ALWAYS_INLINE vec vec_log_positive(vec x)
{
    return vec_select(vec_less(x, vec_set(INFINITY)), log_normal(x, vec_zero()), x);
}

ALWAYS_INLINE vec vec_log(vec x)
{
    const vec_bool tiny = vec_less(x, vec_set(0x1p-126f));
    const vec scaled = vec_select(tiny, vec_mul(x, vec_set(0x1p23f)), x);
    vec y = log_normal(scaled, vec_keep(tiny, vec_set(-23)));

    y = vec_select(vec_equal(x, vec_zero()), vec_set(-INFINITY), y);
    y = vec_select(vec_less(x, vec_zero()), vec_set(NAN), y);
    return vec_select(vec_less(x, vec_set(INFINITY)), y, x); /* infinity and NaN as they are */
}

/* tanh(x): x + x^3 q(x^2) below 0.625, 1 - 2 / (exp(2|x|) + 1) with x's sign above. */
ALWAYS_INLINE vec vec_tanh(vec x)
{
    static const float q[] = {-0.3333333318f, 0.1333330415f,    -0.05395937425f,
                              0.02176970166f, -0.008346127604f, 0.002294871347f};
    vec a = vec_abs(x), sign = vec_xor(x, a), x2 = vec_mul(x, x);
    vec small = vec_fma(vec_mul(x2, x), poly(x2, q, 6), x);
    vec e = vec_add(vec_exp(vec_add(a, a)), vec_set(1));
    vec large = vec_sub(vec_set(1), vec_div(vec_set(2), e));

    return vec_select(vec_less(a, vec_set(0.625f)), small, vec_xor(large, sign));
}

/* 1 / (1 + exp(-x)), by e = exp(-|x|) so that nothing overflows; q loses what rounding 1 + e added. */
ALWAYS_INLINE vec vec_sigmoid(vec x)
{
    const vec one = vec_set(1), e = vec_exp(vec_neg(vec_abs(x))), d = vec_add(e, one);
    const vec lost = vec_sub(e, vec_sub(d, one));
    const vec_bool negative = vec_less(x, vec_zero());
    const vec q = vec_div(vec_select(negative, e, one), d),
              inverse = vec_select(negative, vec_sub(one, q), q);

    return vec_fnma(vec_mul(q, lost), inverse, q);
}

#else

#define VEC_BY_LANE(name, call)                                                                              \
    ALWAYS_INLINE vec name(vec v)                                                                            \
    {                                                                                                        \
        double t[VEC_LANES];                                                                                 \
        vec_store(t, v);                                                                                     \
        for (int i = 0; i < VEC_LANES; i++)                                                                  \
            t[i] = call(t[i]);                                                                               \
        return vec_load(t);                                                                                  \
    }

ALWAYS_INLINE double sigmoid_of(double x)
{
    double e = exp(-fabs(x));

    return (x < 0 ? e : 1) / (1 + e);
}

VEC_BY_LANE(vec_exp, exp)
VEC_BY_LANE(vec_log, log)
VEC_BY_LANE(vec_log_positive, log)
VEC_BY_LANE(vec_tanh, tanh)
VEC_BY_LANE(vec_sigmoid, sigmoid_of)

#endif
#endif
