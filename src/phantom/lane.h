/* Trilinear reading of lattices, eight points at a time, in AVX2: most of a phantom's time goes here. Rows of
 * a lattice are stored so that the node behind a cell's first one lies next to it. */
#ifndef D4M_PHANTOM_LANE_H
#define D4M_PHANTOM_LANE_H

#include <immintrin.h>
#include <stdint.h>

typedef __m256 lane8;
typedef __m256i lane8i;

/* Eight cells: where their four rows begin (nodes; rows y0 z0, y1 z0, y0 z1, y1 z1), and the places in them.
 */
struct cells {
    lane8i row[4];
    lane8 x, y, z; /* 0..1 */
};

static inline lane8 lane8_mix(lane8 a, lane8 b, lane8 t)
{
    return a + (b - a) * t;
}

/* One number a node: pairs of neighbours are gathered as 64-bit words. */
static inline lane8 cells_read(const struct cells *c, const float *node)
{
    lane8 pair[2], line[2], v[4];

    for (int i = 0; i < 4; i++) {
        lane8i at = _mm256_permute4x64_epi64(c->row[i], 0xd8); /* points 0 1 4 5 2 3 6 7 */

        for (int half = 0; half < 2; half++) {
            __m128i four = half ? _mm256_extracti128_si256(at, 1) : _mm256_castsi256_si128(at);

            pair[half] = _mm256_castpd_ps(_mm256_i32gather_pd((const double *)node, four, 4));
        }
        v[i] = lane8_mix(_mm256_shuffle_ps(pair[0], pair[1], 0x88), _mm256_shuffle_ps(pair[0], pair[1], 0xdd),
                         c->x);
    }
    line[0] = lane8_mix(v[0], v[1], c->y);
    line[1] = lane8_mix(v[2], v[3], c->y);
    return lane8_mix(line[0], line[1], c->z);
}

/* Three numbers a node, side by side; two numbers beyond the last node may be read. out: x, y, z of the eight
 * points. */
static inline void cells_read3(const struct cells *c, const float *node, float *out[3])
{
    const lane8i second = _mm256_setr_epi32(3, 4, 5, 5, 3, 4, 5, 5);
    int32_t at[4][8];
    float f[3][8];
    __m128 v[8];

    for (int i = 0; i < 4; i++)
        _mm256_storeu_si256((lane8i *)at[i], c->row[i]);
    _mm256_storeu_ps(f[0], c->x);
    _mm256_storeu_ps(f[1], c->y);
    _mm256_storeu_ps(f[2], c->z);
    for (int k = 0; k < 8; k++) {
        lane8 y = _mm256_set1_ps(f[1][k]);
        lane8 a = lane8_mix(_mm256_loadu_ps(node + 3 * (int64_t)at[0][k]),
                            _mm256_loadu_ps(node + 3 * (int64_t)at[1][k]), y);
        lane8 b = lane8_mix(_mm256_loadu_ps(node + 3 * (int64_t)at[2][k]),
                            _mm256_loadu_ps(node + 3 * (int64_t)at[3][k]), y);
        lane8 both = lane8_mix(a, b, _mm256_set1_ps(f[2][k]));
        __m128 p = _mm256_castps256_ps128(both);
        __m128 q = _mm256_castps256_ps128(_mm256_permutevar8x32_ps(both, second));

        v[k] = p + (q - p) * _mm_set1_ps(f[0][k]);
    }
    for (int k = 0; k < 8; k += 4) {
        __m128 r0 = v[k], r1 = v[k + 1], r2 = v[k + 2], r3 = v[k + 3];

        _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
        _mm_storeu_ps(out[0] + k, r0);
        _mm_storeu_ps(out[1] + k, r1);
        _mm_storeu_ps(out[2] + k, r2);
    }
}

#endif
