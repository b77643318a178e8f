/* Vectors of one instruction set and element type. The files of this folder are compiled four times, with
 * ISA_AVX2 or ISA_AVX512 and REAL_F32 or REAL_F64 defined; KERNEL(name) gives every exported name its own
 * suffix. A product is fused with a sum only where vec_fma says so (-ffp-contract=off), so both sets compute
 * the same bits. */
#ifndef D4M_BACKEND_ISA_VEC_H
#define D4M_BACKEND_ISA_VEC_H

#include <immintrin.h>
#include <stdint.h>

#if defined(ISA_AVX512) && defined(REAL_F32)
#define REAL float
#define KERNEL(name) name##_avx512_f32
#define VEC_OP(name) _mm512_##name##_ps
typedef __m512 vec;
enum { VEC_LANES = 16 };
#elif defined(ISA_AVX512)
#define REAL double
#define KERNEL(name) name##_avx512_f64
#define VEC_OP(name) _mm512_##name##_pd
typedef __m512d vec;
enum { VEC_LANES = 8 };
#elif defined(REAL_F32)
#define REAL float
#define KERNEL(name) name##_avx2_f32
#define VEC_OP(name) _mm256_##name##_ps
typedef __m256 vec;
enum { VEC_LANES = 8 };
#else
#define REAL double
#define KERNEL(name) name##_avx2_f64
#define VEC_OP(name) _mm256_##name##_pd
typedef __m256d vec;
enum { VEC_LANES = 4 };
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#ifdef D4M_SANITIZED
#define UNROLL /* with every access checked, unrolled blocks take minutes to compile */
#elif defined __clang__
#pragma clang diagnostic ignored "-Wpass-failed" /* where it cannot, no matter */
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

ALWAYS_INLINE vec vec_load(const REAL *p)
{
    return VEC_OP(loadu)(p);
}

ALWAYS_INLINE void vec_store(REAL *p, vec v)
{
    VEC_OP(storeu)(p, v);
}

ALWAYS_INLINE vec vec_set(REAL x)
{
    return VEC_OP(set1)(x);
}

ALWAYS_INLINE vec vec_add(vec a, vec b)
{
    return VEC_OP(add)(a, b);
}

/* a*b + c, rounded once */
ALWAYS_INLINE vec vec_fma(vec a, vec b, vec c)
{
    return VEC_OP(fmadd)(a, b, c);
}

#ifdef ISA_AVX512

ALWAYS_INLINE __mmask16 vec_mask(int n)
{
    return (__mmask16)((1u << n) - 1);
}

#ifdef REAL_F32
#define VEC_MASK(n) vec_mask(n)
#else
#define VEC_MASK(n) (__mmask8) vec_mask(n)
#endif

/* The first n lanes (0 <= n <= VEC_LANES) from p, zeros behind them; no byte beyond them is touched. */
ALWAYS_INLINE vec vec_load_part(const REAL *p, int n)
{
    return VEC_OP(maskz_loadu)(VEC_MASK(n), p);
}

/* Stores the first n lanes (0 <= n <= VEC_LANES). */
ALWAYS_INLINE void vec_store_part(REAL *p, int n, vec v)
{
    VEC_OP(mask_storeu)(p, VEC_MASK(n), v);
}

#else

/* n lanes of ones: a window into ones followed by zeros */
ALWAYS_INLINE __m256i vec_mask(int n)
{
#ifdef REAL_F32
    static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
#else
    static const int64_t window[8] = {-1, -1, -1, -1};
#endif
    return _mm256_loadu_si256((const __m256i *)(const void *)(window + VEC_LANES - n));
}

ALWAYS_INLINE vec vec_load_part(const REAL *p, int n)
{
    return VEC_OP(maskload)(p, vec_mask(n));
}

ALWAYS_INLINE void vec_store_part(REAL *p, int n, vec v)
{
    VEC_OP(maskstore)(p, vec_mask(n), v);
}

#endif
#endif
