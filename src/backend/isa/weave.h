/* Between K interleaved classes in memory and one register per class: VEC_LANES voxels at a time. For the few
 * classes of a segmentation the numbers stay in registers (K permutations a register), for more they go
 * through memory. */
#ifndef D4M_BACKEND_ISA_WEAVE_H
#define D4M_BACKEND_ISA_WEAVE_H

#include "backend/isa/lane.h"

enum { WEAVE_MAX = 5 }; /* classes that are woven in registers */

#if defined(ISA_AVX512) && defined(REAL_F32)
typedef __m512i vec_index;
#define VEC_INDEX(t)                                                                                         \
    _mm512_set_epi32(t[15], t[14], t[13], t[12], t[11], t[10], t[9], t[8], t[7], t[6], t[5], t[4], t[3],     \
                     t[2], t[1], t[0])
#define VEC_PERMUTE(v, i) _mm512_permutexvar_ps(i, v)
#elif defined(ISA_AVX512)
typedef __m512i vec_index;
#define VEC_INDEX(t) _mm512_set_epi64(t[7], t[6], t[5], t[4], t[3], t[2], t[1], t[0])
#define VEC_PERMUTE(v, i) _mm512_permutexvar_pd(i, v)
#elif defined(REAL_F32)
typedef __m256i vec_index;
#define VEC_INDEX(t) _mm256_set_epi32(t[7], t[6], t[5], t[4], t[3], t[2], t[1], t[0])
#define VEC_PERMUTE(v, i) _mm256_permutevar8x32_ps(v, i)
#else
typedef __m256i vec_index;
#define VEC_INDEX(t)                                                                                         \
    _mm256_set_epi32(2 * t[3] + 1, 2 * t[3], 2 * t[2] + 1, 2 * t[2], 2 * t[1] + 1, 2 * t[1], 2 * t[0] + 1,   \
                     2 * t[0])
#define VEC_PERMUTE(v, i) _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(v), i))
#endif

/* Position v K + k in memory is lane v of class k. */
struct weave {
    vec_index apart[WEAVE_MAX], together[WEAVE_MAX]; /* lane to take for class k; for memory's register j */
    vec_bool from[WEAVE_MAX][WEAVE_MAX],
        of[WEAVE_MAX][WEAVE_MAX]; /* lanes of class k in register j; of register j in k */
};

/* Lanes whose number is `which`. */
ALWAYS_INLINE vec_bool weave_mask(const int t[VEC_LANES], int which)
{
    REAL lane[VEC_LANES];

    for (int i = 0; i < VEC_LANES; i++)
        lane[i] = (REAL)t[i];
    return vec_equal(vec_load(lane), vec_set((REAL)which));
}

ALWAYS_INLINE void weave_make(struct weave *w, int classes)
{
    for (int k = 0; k < classes; k++) {
        int lane[VEC_LANES], reg[VEC_LANES], back[VEC_LANES], class[VEC_LANES];

        for (int i = 0; i < VEC_LANES; i++) {
            lane[i] = (i * classes + k) % VEC_LANES;
            reg[i] = (i * classes + k) / VEC_LANES;
            back[i] = (k * VEC_LANES + i) / classes;
            class[i] = (k * VEC_LANES + i) % classes;
        }
        w->apart[k] = VEC_INDEX(lane);
        w->together[k] = VEC_INDEX(back);
        for (int j = 0; j < classes; j++) {
            w->from[k][j] = weave_mask(reg, j);
            w->of[k][j] = weave_mask(class, j);
        }
    }
}

/* x[k] = class k of VEC_LANES voxels at p */
ALWAYS_INLINE void weave_load(const struct weave *w, vec x[], const REAL *p, int classes)
{
    vec raw[WEAVE_MAX];

    UNROLL
    for (int j = 0; j < classes; j++)
        raw[j] = vec_load(p + j * VEC_LANES);
    UNROLL
    for (int k = 0; k < classes; k++) {
        x[k] = VEC_PERMUTE(raw[0], w->apart[k]);
        UNROLL
        for (int j = 1; j < classes; j++)
            x[k] = vec_select(w->from[k][j], VEC_PERMUTE(raw[j], w->apart[k]), x[k]);
    }
}

ALWAYS_INLINE void weave_store(const struct weave *w, REAL *p, const vec y[], int classes)
{
    UNROLL
    for (int j = 0; j < classes; j++) {
        vec v = VEC_PERMUTE(y[0], w->together[j]);

        UNROLL
        for (int k = 1; k < classes; k++)
            v = vec_select(w->of[j][k], VEC_PERMUTE(y[k], w->together[j]), v);
        vec_store(p + j * VEC_LANES, v);
    }
}

/* The same for any number of classes, n <= VEC_LANES voxels, the other lanes zero. */
ALWAYS_INLINE void weave_load_any(vec x[], const REAL *p, int classes, int n)
{
    for (int k = 0; k < classes; k++) {
        REAL lane[VEC_LANES] = {0};

        for (int i = 0; i < n; i++)
            lane[i] = p[i * classes + k];
        x[k] = vec_load(lane);
    }
}

ALWAYS_INLINE void weave_store_any(REAL *p, const vec y[], int classes, int n)
{
    for (int k = 0; k < classes; k++) {
        REAL lane[VEC_LANES];

        vec_store(lane, y[k]);
        for (int i = 0; i < n; i++)
            p[i * classes + k] = lane[i];
    }
}

#endif
