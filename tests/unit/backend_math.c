/* Elementary functions of the kernels against the C library in double, over the whole range of f32 (every
 * 641st bit pattern, subnormal, infinite and NaN ones included) and over samples of f64; the same bits on
 * both instruction sets. */
#include "test.h"

#include "base/cpu.h"
#include "backend/fused.h"
#include <math.h>

enum { BATCH = 4096, STRIDE = 641 };

struct function {
    const char *name;
    int op;
    double (*of)(double);
    double ulp; /* bound */
};

static double sigmoid_of(double x)
{
    return 1 / (1 + exp(-x));
}

/* The kernel multiplies x by its sigmoid, which has few bits left below -87: not compared there. */
static double silu_of(double x)
{
    return x / (1 + exp(-x));
}

static const struct function functions[] = {
    {"exp", OP_EXP, exp, 2},       {"log", OP_LOG, log, 2},
    {"tanh", OP_TANH, tanh, 2},    {"sigmoid", OP_SIGMOID, sigmoid_of, 2},
    {"silu", OP_SILU, silu_of, 4}, {"sqrt", OP_SQRT, sqrt, 0.51},
};

/* Distance of got from exact in units of the last place of an f32 near it. */
static double distance(float got, double exact)
{
    int e;

    if (isnan(exact) || isnan(got))
        return isnan(exact) && isnan(got) ? 0 : INFINITY;
    if (isinf(got) || isinf((float)exact))
        return got == (float)exact ? 0 : INFINITY;
    frexp(exact, &e);
    return fabs((double)got - exact) / ldexp(1, e - 24 > -149 ? e - 24 : -149);
}

static void apply(const struct fused_table *t, int op, void *y, const void *x, int64_t n)
{
    const void *const in[3] = {x, NULL, NULL};
    const double p[2] = {0};

    t->map[op](y, in, n, p);
}

static float of_bits(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static void sweep(const struct function *f, const struct fused_table *t, const struct fused_table *other)
{
    float x[BATCH], y[BATCH], z[BATCH];
    uint64_t bits = 0;

    while (bits <= UINT32_MAX) {
        int n = 0;

        for (; n < BATCH && bits <= UINT32_MAX; n++, bits += STRIDE)
            x[n] = of_bits((uint32_t)bits);
        apply(t, f->op, y, x, n);
        apply(other, f->op, z, x, n);
        for (int i = 0; i < n; i++)
            if (!(f->op == OP_SILU && (double)x[i] < -87) && distance(y[i], f->of((double)x[i])) > f->ulp)
                fail_msg("%s(%.9g) = %.9g, exactly %.17g: %.2f ulp", f->name, (double)x[i], (double)y[i],
                         f->of((double)x[i]), distance(y[i], f->of((double)x[i])));
        assert_memory_equal(y, z, (size_t)n * sizeof *y);
    }
}

static const struct fused_table *other_table(bool f64)
{
    return fused_table_get(cpu_best() == CPU_AVX512, f64);
}

static void test_f32(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        sweep(&functions[i], fused_table_get(false, false), other_table(false));
}

static void test_special(void **state)
{
    const float x[] = {0,         -0.0f,      INFINITY,        -INFINITY, NAN,
                       0x1p-149f, -0x1p-149f, 0x1.fffffep127f, -104,      88.8f};
    const int n = (int)(sizeof x / sizeof *x);
    float y[16];

    (void)state;
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
        apply(fused_table_get(false, false), functions[f].op, y, x, n);
        for (int i = 0; i < n; i++)
            if (functions[f].op != OP_SILU || (double)x[i] > -87)
                assert_true(distance(y[i], functions[f].of((double)x[i])) <= functions[f].ulp);
    }
}

static void test_f64(void **state)
{
    double x[1001], y[1001], z[1001];

    (void)state;
    for (int i = 0; i < 1001; i++)
        x[i] = (i - 500) * 0.137 + 1e-3;
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
        apply(fused_table_get(false, true), functions[f].op, y, x, 1001);
        apply(other_table(true), functions[f].op, z, x, 1001);
        for (int i = 0; i < 1001; i++) {
            const double exact = functions[f].of(x[i]);

            if (!isnan(exact) && fabs(y[i] - exact) > 1e-15 * fabs(exact))
                fail_msg("%s(%.17g) = %.17g, not %.17g", functions[f].name, x[i], y[i], exact);
        }
        for (int i = 0; i < 1001; i++) /* a NaN has several encodings */
            assert_true(y[i] == z[i] || (isnan(y[i]) && isnan(z[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f32),
        cmocka_unit_test(test_special),
        cmocka_unit_test(test_f64),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
