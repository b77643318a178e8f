/* Soft Dice with cross entropy, softmax included: the sums, and the gradient by the logits. */
#include "backend/isa/fused.h"
#include "backend/isa/vmath.h"
#include "backend/isa/weave.h"

enum { ROWS = 64, BLOCK = ROWS * LANES /* voxels added in REAL: 64 to a lane */ };

/* Probabilities p of x's classes; returns the sum of exponentials, x becomes x - maximum. */
ALWAYS_INLINE vec probabilities(vec p[], vec x[], int n)
{
    vec top = x[0], sum = vec_zero(), scale;

    UNROLL
    for (int k = 1; k < n; k++)
        top = vec_max(x[k], top);
    UNROLL
    for (int k = 0; k < n; k++) {
        x[k] = vec_sub(x[k], top);
        p[k] = vec_exp(x[k]);
        sum = vec_add(sum, p[k]);
    }
    scale = vec_div(vec_set(1), sum);
    UNROLL
    for (int k = 0; k < n; k++)
        p[k] = vec_mul(p[k], scale);
    return sum;
}

/* Sums of one class in 16 virtual lanes. */
struct lanes {
    vec i[LANE_VECS], p[LANE_VECS], g[LANE_VECS];
};

/* Registers h of the lanes; `in` is 1 where there is a voxel, else 0. */
ALWAYS_INLINE void voxels_sum(struct lanes acc[], vec *ce, int h, vec x[], vec label, vec in, int n,
                              bool squared)
{
    vec p[FUSED_CLASSES], nll = vec_log(probabilities(p, x, n));

    UNROLL
    for (int k = 0; k < n; k++) {
        const vec_bool here = vec_equal(label, vec_set((REAL)k));
        const vec mass = vec_mul(in, squared ? vec_mul(p[k], p[k]) : p[k]);

        acc[k].i[h] = vec_add(acc[k].i[h], vec_keep(here, p[k]));
        acc[k].p[h] = vec_add(acc[k].p[h], mass);
        acc[k].g[h] = vec_add(acc[k].g[h], vec_keep(here, vec_set(1)));
        nll = vec_sub(nll, vec_keep(here, x[k]));
    }
    *ce = vec_add(*ce, vec_mul(in, nll));
}

static void lanes_clear(struct lanes acc[], vec ce[LANE_VECS], int n)
{
    for (int h = 0; h < LANE_VECS; h++) {
        ce[h] = vec_zero();
        for (int k = 0; k < n; k++)
            acc[k].i[h] = acc[k].p[h] = acc[k].g[h] = vec_zero();
    }
}

static void lanes_flush(double *sums, const struct lanes acc[], const vec ce[LANE_VECS], int n)
{
    for (int k = 0; k < n; k++) {
        sums[3 * k] += lanes_sum(acc[k].i);
        sums[3 * k + 1] += lanes_sum(acc[k].p);
        sums[3 * k + 2] += lanes_sum(acc[k].g);
    }
    sums[3 * n] += lanes_sum(ce);
}

/* The first n lanes 1, the others 0; and labels with -1, no class, there. */
ALWAYS_INLINE vec part_in(int64_t n)
{
    REAL one[VEC_LANES];

    for (int i = 0; i < VEC_LANES; i++)
        one[i] = i < n;
    return vec_load(one);
}

ALWAYS_INLINE vec part_label(const REAL *label, int64_t n)
{
    REAL t[VEC_LANES];

    for (int i = 0; i < VEC_LANES; i++)
        t[i] = i < n ? label[i] : -1;
    return vec_load(t);
}

ALWAYS_INLINE void sums_block(const struct dice_chunk *c, const struct weave *w, int64_t v, int64_t end,
                              int n)
{
    const REAL *x = c->logits, *label = c->labels;
    struct lanes acc[FUSED_CLASSES];
    vec ce[LANE_VECS], one[FUSED_CLASSES];

    lanes_clear(acc, ce, n);
    for (; v < end; v += LANES)
        for (int h = 0; h < LANE_VECS; h++) {
            const int64_t at = v + h * VEC_LANES, left = end - at;

            if (left >= VEC_LANES && w) {
                weave_load(w, one, x + at * n, n);
                voxels_sum(acc, &ce[h], h, one, vec_load(label + at), vec_set(1), n, c->squared);
            } else if (left > 0) {
                weave_load_any(one, x + at * n, n, left < VEC_LANES ? (int)left : VEC_LANES);
                voxels_sum(acc, &ce[h], h, one, part_label(label + at, left), part_in(left), n, c->squared);
            }
        }
    lanes_flush(c->sums, acc, ce, n);
}

ALWAYS_INLINE void sums_of(const struct dice_chunk *c, int n, bool woven)
{
    struct weave w;

    for (int i = 0; i < 3 * n + 1; i++)
        c->sums[i] = 0;
    if (woven)
        weave_make(&w, n);
    for (int64_t v = 0; v < c->voxels; v += BLOCK)
        sums_block(c, woven ? &w : NULL, v, c->voxels - v < BLOCK ? c->voxels : v + BLOCK, n);
}

/* x becomes the gradient; with d = dL/dp of each class it is p (d - sum of p d) + ce (p - y). */
ALWAYS_INLINE void voxels_grad(const struct dice_chunk *c, vec x[], vec label, int n)
{
    const vec ce = vec_set((REAL)c->weight[2 * n]);
    vec p[FUSED_CLASSES], inner = vec_zero();

    probabilities(p, x, n);
    UNROLL
    for (int k = 0; k < n; k++) {
        const vec_bool here = vec_equal(label, vec_set((REAL)k));
        const vec by_p = vec_set((REAL)c->weight[2 * k + 1]);

        x[k] =
            vec_add(vec_keep(here, vec_set((REAL)c->weight[2 * k])), c->squared ? vec_mul(by_p, p[k]) : by_p);
        inner = vec_fma(p[k], x[k], inner);
    }
    UNROLL
    for (int k = 0; k < n; k++) {
        const vec_bool here = vec_equal(label, vec_set((REAL)k));

        x[k] = vec_fma(ce, vec_sub(p[k], vec_keep(here, vec_set(1))), vec_mul(p[k], vec_sub(x[k], inner)));
    }
}

ALWAYS_INLINE void grad_of(const struct dice_chunk *c, int n, bool woven)
{
    const REAL *x = c->logits, *label = c->labels;
    REAL *out = c->out;
    struct weave w;
    vec v[FUSED_CLASSES];
    int64_t at = 0;

    if (woven) {
        weave_make(&w, n);
        for (; at + VEC_LANES <= c->voxels; at += VEC_LANES) {
            weave_load(&w, v, x + at * n, n);
            voxels_grad(c, v, vec_load(label + at), n);
            weave_store(&w, out + at * n, v, n);
        }
    }
    for (; at < c->voxels; at += VEC_LANES) {
        const int64_t left = c->voxels - at;
        const int some = left < VEC_LANES ? (int)left : VEC_LANES;

        weave_load_any(v, x + at * n, n, some);
        voxels_grad(c, v, part_label(label + at, some), n);
        weave_store_any(out + at * n, v, n, some);
    }
}

#define BY_CLASSES(call)                                                                                     \
    switch (c->classes) {                                                                                    \
    case 2:                                                                                                  \
        call(c, 2, true);                                                                                    \
        break;                                                                                               \
    case 3:                                                                                                  \
        call(c, 3, true);                                                                                    \
        break;                                                                                               \
    case 4:                                                                                                  \
        call(c, 4, true);                                                                                    \
        break;                                                                                               \
    case 5:                                                                                                  \
        call(c, 5, true);                                                                                    \
        break;                                                                                               \
    default:                                                                                                 \
        if (c->classes > WEAVE_MAX)                                                                          \
            call(c, (int)c->classes, false);                                                                 \
    }

void FUSED(dice_sums)(const struct dice_chunk *c)
{
    BY_CLASSES(sums_of)
}

void FUSED(dice_grad)(const struct dice_chunk *c)
{
    BY_CLASSES(grad_of)
}
