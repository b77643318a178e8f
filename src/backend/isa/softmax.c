/* Softmax and its logarithm over the last axis. */
#include "backend/isa/fused.h"
#include "backend/isa/vmath.h"
#include "backend/isa/weave.h"

/* The classes of VEC_LANES voxels, one register each. */
ALWAYS_INLINE void classes_softmax(vec x[], int n, bool logarithm)
{
    vec top = x[0], sum = vec_zero(), e[WEAVE_MAX];

    UNROLL
    for (int k = 1; k < n; k++)
        top = vec_max(x[k], top);
    UNROLL
    for (int k = 0; k < n; k++) {
        x[k] = vec_sub(x[k], top);
        e[k] = vec_exp(x[k]);
        sum = vec_add(sum, e[k]);
    }
    sum = logarithm ? vec_log_positive(sum) : vec_div(vec_set(1), sum);
    UNROLL
    for (int k = 0; k < n; k++)
        x[k] = logarithm ? vec_sub(x[k], sum) : vec_mul(e[k], sum);
}

ALWAYS_INLINE void few(REAL *y, const REAL *x, int64_t rows, int n, bool logarithm)
{
    struct weave w;
    vec v[WEAVE_MAX];
    int64_t r = 0;

    weave_make(&w, n);
    for (; r + VEC_LANES <= rows; r += VEC_LANES) {
        weave_load(&w, v, x + r * n, n);
        classes_softmax(v, n, logarithm);
        weave_store(&w, y + r * n, v, n);
    }
    weave_load_any(v, x + r * n, n, (int)(rows - r));
    classes_softmax(v, n, logarithm);
    weave_store_any(y + r * n, v, n, (int)(rows - r));
}

/* Sum of exp(x - top), in 16 virtual lanes. */
static double sum_exp(const REAL *x, int64_t n, vec top)
{
    vec s[LANE_VECS];

    for (int k = 0; k < LANE_VECS; k++)
        s[k] = vec_zero();
    for (int64_t i = 0; i < n; i += LANES)
        for (int k = 0; k < LANE_VECS; k++) {
            const int64_t at = i + k * VEC_LANES, left = n - at < 0 ? 0 : n - at;
            const vec e = vec_exp(vec_sub(vec_load_upto(x + (left ? at : 0), left), top));
            REAL lane[VEC_LANES] = {0};

            vec_store_upto(lane, left, e);
            s[k] = vec_add(s[k], vec_load(lane));
        }
    return lanes_sum(s);
}

static void many(REAL *y, const REAL *x, int64_t n, bool logarithm)
{
    const vec top = vec_set((REAL)FUSED(max_run)(x, n));
    const double sum = sum_exp(x, n, top);
    const vec scale = vec_set((REAL)(1 / sum)), shift = vec_set((REAL)log(sum));

    for (int64_t i = 0; i < n; i += VEC_LANES) {
        const vec d = vec_sub(vec_load_upto(x + i, n - i), top);

        vec_store_upto(y + i, n - i, logarithm ? vec_sub(d, shift) : vec_mul(vec_exp(d), scale));
    }
}

ALWAYS_INLINE void softmax_rows(REAL *y, const REAL *x, int64_t rows, int64_t n, bool logarithm)
{
    switch (n) {
    case 2:
        few(y, x, rows, 2, logarithm);
        break;
    case 3:
        few(y, x, rows, 3, logarithm);
        break;
    case 4:
        few(y, x, rows, 4, logarithm);
        break;
    case 5:
        few(y, x, rows, 5, logarithm);
        break;
    default:
        for (int64_t r = 0; r < rows; r++)
            many(y + r * n, x + r * n, n, logarithm);
    }
}

void FUSED(softmax)(void *y, const void *x, int64_t rows, int64_t n)
{
    softmax_rows(y, x, rows, n, false);
}

void FUSED(log_softmax)(void *y, const void *x, int64_t rows, int64_t n)
{
    softmax_rows(y, x, rows, n, true);
}
