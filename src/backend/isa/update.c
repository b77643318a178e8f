/* Optimiser steps on one chunk of a parameter tensor; the results may be written over the inputs. */
#include "backend/isa/fused.h"
#include "backend/isa/lane.h"

/* g' = scale g + decay w; v' = momentum v + g'; w' = w - lr (g' + momentum v') */
ALWAYS_INLINE void sgd_at(const struct update_chunk *c, int64_t i, int64_t left)
{
    const vec momentum = vec_set((REAL)c->momentum);
    const vec w = vec_load_upto((const REAL *)c->w + i, left);
    const vec g = vec_fma(vec_set((REAL)c->scale), vec_load_upto((const REAL *)c->g + i, left),
                          vec_mul(vec_set((REAL)c->decay), w));
    const vec v = vec_fma(momentum, vec_load_upto((const REAL *)c->v + i, left), g);

    vec_store_upto((REAL *)c->v_new + i, left, v);
    vec_store_upto((REAL *)c->w_new + i, left, vec_fnma(vec_set((REAL)c->lr), vec_fma(momentum, v, g), w));
}

void FUSED(sgd)(const struct update_chunk *c)
{
    int64_t i = 0;

    for (; i + VEC_LANES <= c->n; i += VEC_LANES)
        sgd_at(c, i, VEC_LANES);
    if (i < c->n)
        sgd_at(c, i, c->n - i);
}

/* Loshchilov and Hutter's AdamW as PyTorch has it: m' = b1 m + (1 - b1) g, v' = b2 v + (1 - b2) g^2,
 * w' = w (1 - lr decay) - lr (m' / (1 - b1^t)) / (sqrt(v' / (1 - b2^t)) + eps). */
ALWAYS_INLINE void adamw_at(const struct update_chunk *c, int64_t i, int64_t left)
{
    const vec g = vec_mul(vec_set((REAL)c->scale), vec_load_upto((const REAL *)c->g + i, left));
    const vec m = vec_fma(vec_set((REAL)c->beta1), vec_load_upto((const REAL *)c->m + i, left),
                          vec_mul(vec_set((REAL)(1 - c->beta1)), g));
    const vec v = vec_fma(vec_set((REAL)c->beta2), vec_load_upto((const REAL *)c->v + i, left),
                          vec_mul(vec_set((REAL)(1 - c->beta2)), vec_mul(g, g)));
    const vec w = vec_mul(vec_load_upto((const REAL *)c->w + i, left), vec_set((REAL)(1 - c->lr * c->decay)));
    const vec root = vec_fma(vec_sqrt(v), vec_set((REAL)c->fix2), vec_set((REAL)c->eps));
    const vec step = vec_div(vec_mul(vec_set((REAL)(c->lr * c->fix1)), m), root);

    vec_store_upto((REAL *)c->m_new + i, left, m);
    vec_store_upto((REAL *)c->v_new + i, left, v);
    vec_store_upto((REAL *)c->w_new + i, left, vec_sub(w, step));
}

void FUSED(adamw)(const struct update_chunk *c)
{
    int64_t i = 0;

    for (; i + VEC_LANES <= c->n; i += VEC_LANES)
        adamw_at(c, i, VEC_LANES);
    if (i < c->n)
        adamw_at(c, i, c->n - i);
}
