/* Pointwise kernels on runs of contiguous elements. */
#include "backend/isa/fused.h"
#include "backend/isa/vmath.h"

/* One function per op: `value` is an expression in the vectors a, b, c and the numbers p[0], p[1]. */
#define MAP(name, inputs, value)                                                                             \
    static void map_##name(void *y, const void *const in[3], int64_t n, const double p[2])                   \
    {                                                                                                        \
        const REAL *pa = in[0], *pb = in[1], *pc = in[2];                                                    \
        REAL *out = y;                                                                                       \
        int64_t i = 0;                                                                                       \
                                                                                                             \
        (void)pb, (void)pc, (void)p;                                                                         \
        for (; i + VEC_LANES <= n; i += VEC_LANES) {                                                         \
            const vec a = vec_load(pa + i), b = inputs > 1 ? vec_load(pb + i) : a;                           \
            const vec c = inputs > 2 ? vec_load(pc + i) : a;                                                 \
            (void)b, (void)c;                                                                                \
            vec_store(out + i, value);                                                                       \
        }                                                                                                    \
        if (i < n) {                                                                                         \
            const int left = (int)(n - i);                                                                   \
            const vec a = vec_load_part(pa + i, left), b = inputs > 1 ? vec_load_part(pb + i, left) : a;     \
            const vec c = inputs > 2 ? vec_load_part(pc + i, left) : a;                                      \
            (void)b, (void)c;                                                                                \
            vec_store_part(out + i, left, value);                                                            \
        }                                                                                                    \
    }

#define ONE vec_set(1)
#define ZERO vec_zero()
#define P(k) vec_set((REAL)p[k])

MAP(copy, 1, a)
MAP(add, 2, vec_add(a, b))
MAP(sub, 2, vec_sub(a, b))
MAP(mul, 2, vec_mul(a, b))
MAP(div, 2, vec_div(a, b))
MAP(max, 2, vec_max(a, b))
MAP(min, 2, vec_min(a, b))
MAP(less, 2, vec_keep(vec_less(a, b), ONE))
MAP(equal, 2, vec_keep(vec_equal(a, b), ONE))
MAP(where, 3, vec_select(vec_differs(a, ZERO), b, c))
MAP(neg, 1, vec_neg(a))
MAP(abs, 1, vec_abs(a))
MAP(sign, 1, vec_sub(vec_keep(vec_greater(a, ZERO), ONE), vec_keep(vec_less(a, ZERO), ONE)))
MAP(sqrt, 1, vec_sqrt(a))
MAP(exp, 1, vec_exp(a))
MAP(log, 1, vec_log(a))
MAP(tanh, 1, vec_tanh(a))
MAP(sigmoid, 1, vec_sigmoid(a))
MAP(relu, 1, vec_max(ZERO, a)) /* keeps a NaN */
MAP(leaky_relu, 1, vec_select(vec_greater(a, ZERO), a, vec_mul(a, P(0))))
MAP(prelu, 2, vec_select(vec_greater(a, ZERO), a, vec_mul(a, b)))
MAP(silu, 1, vec_mul(a, vec_sigmoid(a)))
MAP(clamp, 1, vec_min(P(1), vec_max(P(0), a))) /* keeps a NaN */
MAP(is_finite, 1, vec_keep(vec_equal(vec_sub(a, a), ZERO), ONE))

#define ROW(NAME, name) [OP_##NAME] = map_##name,
const map_function FUSED(map_table)[OP_COUNT] = {
    ROW(ADD, add) ROW(SUB, sub) ROW(MUL, mul) ROW(DIV, div) ROW(MAX, max) ROW(MIN, min) ROW(LESS, less)
        ROW(EQUAL, equal) ROW(WHERE, where) ROW(NEG, neg) ROW(ABS, abs) ROW(SIGN, sign) ROW(SQRT, sqrt)
            ROW(EXP, exp) ROW(LOG, log) ROW(TANH, tanh) ROW(SIGMOID, sigmoid) ROW(RELU, relu)
                ROW(LEAKY_RELU, leaky_relu) ROW(PRELU, prelu) ROW(SILU, silu) ROW(CLAMP, clamp)
                    ROW(IS_FINITE, is_finite) ROW(STOP_GRADIENT, copy)};

void FUSED(stream_copy)(void *y, const void *x, int64_t n)
{
    REAL *out = y;
    const REAL *in = x;
    const bool stream = (uintptr_t)y % VEC_BYTES == 0;
    int64_t i = 0;

    for (; i + VEC_LANES <= n; i += VEC_LANES)
        vec_put(out + i, vec_load(in + i), stream);
    vec_store_part(out + i, (int)(n - i), vec_load_part(in + i, (int)(n - i)));
    _mm_sfence();
}
