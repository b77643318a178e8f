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

/* Room for one register of voxels and the sums of a block. */
struct sums {
    struct lanes *acc;
    vec *x, *p;
    vec ce[LANE_VECS];
};

/* Registers h of the lanes; `in` is 1 where there is a voxel, else 0. */
ALWAYS_INLINE void voxels_sum(struct sums *s, int h, vec label, vec in, int n, bool squared)
{
    struct lanes *acc = s->acc;
    vec *x = s->x, *p = s->p, nll = vec_log_positive(probabilities(p, x, n));

    UNROLL
    for (int k = 0; k < n; k++) {
        const vec_bool here = vec_equal(label, vec_set((REAL)k));
        const vec mass = vec_mul(in, squared ? vec_mul(p[k], p[k]) : p[k]);

        acc[k].i[h] = vec_add(acc[k].i[h], vec_keep(here, p[k]));
        acc[k].p[h] = vec_add(acc[k].p[h], mass);
        acc[k].g[h] = vec_add(acc[k].g[h], vec_keep(here, vec_set(1)));
        nll = vec_sub(nll, vec_keep(here, x[k]));
    }
    s->ce[h] = vec_add(s->ce[h], vec_mul(in, nll));
}

ALWAYS_INLINE void sums_clear(struct sums *s, int n)
{
    UNROLL
    for (int h = 0; h < LANE_VECS; h++) {
        s->ce[h] = vec_zero();
        UNROLL
        for (int k = 0; k < n; k++)
            s->acc[k].i[h] = s->acc[k].p[h] = s->acc[k].g[h] = vec_zero();
    }
}

ALWAYS_INLINE void sums_flush(double *sums, const struct sums *s, int n)
{
    UNROLL
    for (int k = 0; k < n; k++) {
        sums[3 * k] += lanes_sum(s->acc[k].i);
        sums[3 * k + 1] += lanes_sum(s->acc[k].p);
        sums[3 * k + 2] += lanes_sum(s->acc[k].g);
    }
    sums[3 * n] += lanes_sum(s->ce);
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

/* Voxels from v on, at most BLOCK. w: NULL if the classes are not woven */
ALWAYS_INLINE void sums_block(const struct dice_chunk *c, const struct weave *w, struct sums *s, int64_t v,
                              int n)
{
    const int64_t end = c->voxels - v < BLOCK ? c->voxels : v + BLOCK;
    const REAL *x = c->logits, *label = c->labels;

    sums_clear(s, n);
    for (; v + LANES <= end && w; v += LANES) {
        UNROLL
        for (int h = 0; h < LANE_VECS; h++) {
            weave_load(w, s->x, x + (v + h * VEC_LANES) * n, n);
            voxels_sum(s, h, vec_load(label + v + h * VEC_LANES), vec_set(1), n, c->squared);
        }
    }
    for (; v < end; v += LANES) {
        UNROLL
        for (int h = 0; h < LANE_VECS; h++) {
            const int64_t at = v + h * VEC_LANES, left = end - at;

            if (left > 0) {
                weave_load_any(s->x, x + at * n, n, left < VEC_LANES ? (int)left : VEC_LANES);
                voxels_sum(s, h, part_label(label + at, left), part_in(left), n, c->squared);
            }
        }
    }
    sums_flush(c->sums, s, n);
}

ALWAYS_INLINE void sums_few(const struct dice_chunk *c, int n)
{
    struct lanes acc[WEAVE_MAX];
    vec x[WEAVE_MAX], p[WEAVE_MAX];
    struct sums s = {.acc = acc, .x = x, .p = p};
    struct weave w;

    weave_make(&w, n);
    for (int64_t v = 0; v < c->voxels; v += BLOCK)
        sums_block(c, &w, &s, v, n);
}

static void sums_many(const struct dice_chunk *c, int n)
{
    struct lanes acc[FUSED_CLASSES];
    vec x[FUSED_CLASSES], p[FUSED_CLASSES];
    struct sums s = {.acc = acc, .x = x, .p = p};

    for (int64_t v = 0; v < c->voxels && n > WEAVE_MAX; v += BLOCK)
        sums_block(c, NULL, &s, v, n);
}

/* x becomes the gradient; with d = dL/dp of each class it is p (d - sum of p d) + ce (p - y). */
ALWAYS_INLINE void voxels_grad(const struct dice_chunk *c, vec x[], vec p[], vec label, int n)
{
    const vec ce = vec_set((REAL)c->weight[2 * n]);
    vec inner = vec_zero();

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

/* The voxels from `at` on, any number of classes. */
ALWAYS_INLINE void grad_any(const struct dice_chunk *c, vec x[], vec p[], int64_t at, int n)
{
    for (; at < c->voxels; at += VEC_LANES) {
        const int64_t left = c->voxels - at;
        const int some = left < VEC_LANES ? (int)left : VEC_LANES;

        weave_load_any(x, (const REAL *)c->logits + at * n, n, some);
        voxels_grad(c, x, p, part_label((const REAL *)c->labels + at, some), n);
        weave_store_any((REAL *)c->out + at * n, x, n, some);
    }
}

ALWAYS_INLINE void grad_few(const struct dice_chunk *c, int n)
{
    vec x[WEAVE_MAX], p[WEAVE_MAX];
    struct weave w;
    int64_t at = 0;

    weave_make(&w, n);
    for (; at + VEC_LANES <= c->voxels; at += VEC_LANES) {
        weave_load(&w, x, (const REAL *)c->logits + at * n, n);
        voxels_grad(c, x, p, vec_load((const REAL *)c->labels + at), n);
        weave_store(&w, (REAL *)c->out + at * n, x, n);
    }
    grad_any(c, x, p, at, n);
}

static void grad_many(const struct dice_chunk *c, int n)
{
    vec x[FUSED_CLASSES], p[FUSED_CLASSES];

    if (n > WEAVE_MAX)
        grad_any(c, x, p, 0, n);
}

#define BY_CLASSES(few, many)                                                                                \
    switch (c->classes) {                                                                                    \
    case 2:                                                                                                  \
        few(c, 2);                                                                                           \
        break;                                                                                               \
    case 3:                                                                                                  \
        few(c, 3);                                                                                           \
        break;                                                                                               \
    case 4:                                                                                                  \
        few(c, 4);                                                                                           \
        break;                                                                                               \
    case 5:                                                                                                  \
        few(c, 5);                                                                                           \
        break;                                                                                               \
    default:                                                                                                 \
        many(c, (int)c->classes);                                                                            \
    }

void FUSED(dice_sums)(const struct dice_chunk *c)
{
    for (int64_t i = 0; i < 3 * c->classes + 1; i++)
        c->sums[i] = 0;
    BY_CLASSES(sums_few, sums_many)
}

void FUSED(dice_grad)(const struct dice_chunk *c)
{
    BY_CLASSES(grad_few, grad_many)
}
