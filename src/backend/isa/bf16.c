/* Conversions between bfloat16 (tensor/bf16.h) and the table's type. */
#include "tensor/bf16.h"
#include "backend/isa/fused.h"

enum { AT_ONCE = 16 };

#if defined(ISA_AVX512) && defined(REAL_F32)

ALWAYS_INLINE void narrow_some(uint16_t *y, const float *x)
{
    const __m512i bits = _mm512_castps_si512(vec_load(x));
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    const __mmask16 nan = _mm512_cmp_ps_mask(vec_load(x), vec_load(x), _CMP_UNORD_Q);
    const __m512i all = _mm512_srli_epi32(_mm512_mask_blend_epi32(nan, up, quiet), 16);

    _mm256_storeu_si256((__m256i *)(void *)y, _mm512_cvtepi32_epi16(all));
}

ALWAYS_INLINE void widen_some(float *y, const uint16_t *x)
{
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)x));

    vec_store(y, _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16)));
}

#elif defined(REAL_F32)

ALWAYS_INLINE __m256i narrow_half(const float *x)
{
    const __m256 v = vec_load(x);
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));

    return _mm256_srli_epi32(_mm256_blendv_epi8(up, quiet, nan), 16);
}

ALWAYS_INLINE void narrow_some(uint16_t *y, const float *x)
{
    const __m256i mixed = _mm256_packus_epi32(narrow_half(x), narrow_half(x + 8)); /* within halves */

    _mm256_storeu_si256((__m256i *)(void *)y, _mm256_permute4x64_epi64(mixed, 0xd8));
}

ALWAYS_INLINE void widen_some(float *y, const uint16_t *x)
{
    for (int i = 0; i < AT_ONCE; i += 8) {
        const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(x + i)));
        vec_store(y + i, _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16)));
    }
}

#else

ALWAYS_INLINE void narrow_some(uint16_t *y, const double *x)
{
    for (int i = 0; i < AT_ONCE; i++)
        y[i] = bf16_of(x[i]);
}

ALWAYS_INLINE void widen_some(double *y, const uint16_t *x)
{
    for (int i = 0; i < AT_ONCE; i++)
        y[i] = (double)bf16_widen(x[i]);
}

#endif

void FUSED(narrow)(void *y, const void *x, int64_t n)
{
    const REAL *in = x;
    uint16_t *out = y;
    int64_t i = 0;

    for (; i + AT_ONCE <= n; i += AT_ONCE)
        narrow_some(out + i, in + i);
    for (; i < n; i++)
        out[i] = bf16_of((double)in[i]);
}

void FUSED(widen)(void *y, const void *x, int64_t n)
{
    const uint16_t *in = x;
    REAL *out = y;
    int64_t i = 0;

    for (; i + AT_ONCE <= n; i += AT_ONCE)
        widen_some(out + i, in + i);
    for (; i < n; i++)
        out[i] = (REAL)bf16_widen(in[i]);
}
