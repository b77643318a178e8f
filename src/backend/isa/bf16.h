/* Vectors of float from and to bfloat16 (tensor/bf16.h), the same bits as its scalars. */
#ifndef D4M_BACKEND_ISA_BF16_H
#define D4M_BACKEND_ISA_BF16_H

#include "backend/isa/vec.h"
#include "tensor/bf16.h"

#ifdef REAL_F32

#ifdef ISA_AVX512

ALWAYS_INLINE vec vec_of_bf16(const uint16_t *x)
{
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)x));

    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

ALWAYS_INLINE void vec_to_bf16(uint16_t *y, vec v)
{
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    const __m512i all = _mm512_srli_epi32(_mm512_mask_blend_epi32(nan, up, quiet), 16);

    _mm256_storeu_si256((__m256i *)(void *)y, _mm512_cvtepi32_epi16(all));
}

#else

ALWAYS_INLINE vec vec_of_bf16(const uint16_t *x)
{
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)x));

    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

ALWAYS_INLINE void vec_to_bf16(uint16_t *y, vec v)
{
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    const __m256i all = _mm256_srli_epi32(_mm256_blendv_epi8(up, quiet, nan), 16);

    _mm_storeu_si128((__m128i *)(void *)y,
                     _mm_packus_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1)));
}

#endif
#endif
#endif
