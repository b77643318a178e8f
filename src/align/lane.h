/* Vectors for the two loops that take most of a registration's time. Written for AVX2, which every machine
 * has that d4m runs on, so the bits are the same everywhere. */
#ifndef D4M_ALIGN_LANE_H
#define D4M_ALIGN_LANE_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

typedef __m256 lane8;
typedef __m128 lane4;

/* Eight bytes as floats. */
static inline lane8 lane8_bytes(const uint8_t *p)
{
    int64_t b;

    memcpy(&b, p, sizeof b);
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(b)));
}

/* The sums of the lanes of a, b, c, d, in a fixed order. */
static inline lane4 lane8_sums(lane8 a, lane8 b, lane8 c, lane8 d)
{
    lane8 pairs = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));

    return _mm256_castps256_ps128(pairs) + _mm256_extractf128_ps(pairs, 1);
}

#endif
