/* bfloat16: rounding against its definition over all patterns, and the casts of every instruction set. */
#include "test.h"

#include "backend/backend.h"
#include "backend/fused.h"
#include "base/cpu.h"
#include "base/rng.h"
#include "graph/program.h"
#include "ops/ops.h"
#include "tensor/bf16.h"

enum { PATTERNS = 1 << 16 };

static float float_of(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* Between two neighbours lo < hi of one sign: below their middle lo, above it hi, on it the even one. */
static void check_between(uint16_t lo)
{
    const uint32_t base = (uint32_t)lo << 16;
    const uint16_t hi = (uint16_t)(lo + 1);

    assert_int_equal(bf16_of((double)float_of(base)), lo);
    assert_int_equal(bf16_of((double)float_of(base | 0x0001)), lo);
    assert_int_equal(bf16_of((double)float_of(base | 0x7fff)), lo);
    assert_int_equal(bf16_of((double)float_of(base | 0x8000)), lo & 1 ? hi : lo);
    assert_int_equal(bf16_of((double)float_of(base | 0x8001)), hi);
    assert_int_equal(bf16_of((double)float_of(base | 0xffff)), hi);
}

static void rounds_to_the_nearest(void **state)
{
    (void)state;
    for (uint32_t p = 0; p < PATTERNS; p++) {
        const float wide = bf16_widen((uint16_t)p);
        assert_int_equal(bits_of(wide), p << 16);
        if (isnan(wide))
            assert_int_equal(bf16_of((double)wide), p | 0x40);
        else if (isinf(wide))
            assert_int_equal(bf16_of((double)wide), p);
        else
            check_between((uint16_t)p); /* the last one of a sign goes to infinity */
    }
}

/* Numbers a double has and a float has not: rounding by way of float must not round twice. */
static void rounds_doubles_once(void **state)
{
    (void)state;
    for (int sign = 0; sign < 2; sign++) {
        const double s = sign ? -1 : 1;
        const uint16_t one = (uint16_t)(0x3f80 | sign << 15);
        assert_int_equal(bf16_of(s * (1 + 0x1p-8)), one);
        assert_int_equal(bf16_of(s * (1 + 0x1p-8 + 0x1p-40)), one + 1);
        assert_int_equal(bf16_of(s * (1 + 0x1p-8 - 0x1p-40)), one);
        assert_int_equal(bf16_of(s * (1 + 3 * 0x1p-8 - 0x1p-40)), one + 1);
        assert_int_equal(bf16_of(s * (1 + 3 * 0x1p-8)), one + 2);
        assert_int_equal(bf16_of(s * 1e300), 0x7f80 | sign << 15);
        assert_int_equal(bf16_of(s * 1e-300), sign << 15);
        assert_int_equal(bf16_of(s * 0x1.fep127), 0x7f7f | sign << 15);
        assert_int_equal(bf16_of(s * 0x1.ff0001p127), 0x7f80 | sign << 15);
    }
}

/* All patterns and as many floats of any bits, at every alignment of a vector's tail. */
static void casts_agree(void **state)
{
    uint16_t *b = malloc(PATTERNS * sizeof *b), *narrow = malloc(PATTERNS * sizeof *narrow);
    float *f = malloc(PATTERNS * sizeof *f);
    double *d = malloc(PATTERNS * sizeof *d);
    struct rng r = rng_at(1, 0);

    (void)state;
    for (int wide = 0; wide < (cpu_best() == CPU_AVX512 ? 2 : 1); wide++) {
        const struct fused_table *t32 = fused_table_get(wide, false), *t64 = fused_table_get(wide, true);
        for (int i = 0; i < PATTERNS; i++)
            b[i] = (uint16_t)i;
        t32->widen(f, b, PATTERNS);
        for (int i = 0; i < PATTERNS; i++)
            assert_int_equal(bits_of(f[i]), (uint32_t)i << 16);
        t64->widen(d, b, PATTERNS);
        for (int i = 0; i < PATTERNS; i++)
            assert_true(isnan(d[i]) ? isnan(f[i]) : d[i] == (double)f[i]);
        for (int round = 0; round < 64; round++) {
            for (int i = 0; i < PATTERNS; i++)
                f[i] =
                    float_of((uint32_t)rng_below(&r, 1ull << 32) & (round % 2 ? 0xffff8000u : 0xffffffffu));
            const int n = PATTERNS - round;
            t32->narrow(narrow, f, n);
            for (int i = 0; i < n; i++)
                assert_int_equal(narrow[i], bf16_of((double)f[i]));
        }
        for (int i = 0; i < 100; i++)
            d[i] = rng_normal(&r);
        t64->narrow(narrow, d, 100);
        for (int i = 0; i < 100; i++)
            assert_int_equal(narrow[i], bf16_of(d[i]));
    }
    free(b);
    free(narrow);
    free(f);
    free(d);
}

/* Casts as nodes, from and to every type: the kernel or, where there is none, the reference. */
static void casts_in_a_graph(void **state)
{
    static const enum dtype other[] = {DT_F32, DT_F64, DT_I64};
    struct backend cpu;

    (void)state;
    assert_int_equal(backend_cpu(&cpu, NULL, 2), ERR_OK);
    for (size_t k = 0; k < 3; k++) {
        struct graph *g = graph_new(DT_F32);
        struct store *s = store_new();
        struct program *p = NULL;
        struct tensor *x = NULL;
        val in = graph_input(g, "x", other[k], DIMS1(5000)), narrow = op_cast(g, in, DT_BF16);
        graph_output(g, "narrow", narrow);
        graph_output(g, "wide", op_cast(g, narrow, other[k]));
        assert_int_equal(store_need(s, "x", other[k], DIMS1(5000), &x), ERR_OK);
        for (int64_t i = 0; i < 5000; i++)
            tensor_set(x, i, (double)(i * 37 - 9000));
        assert_int_equal(program_new(&p, g, s, &(struct compile){.backend = &cpu}), ERR_OK);
        assert_int_equal(program_bind(p, "x", x->data), ERR_OK);
        assert_int_equal(program_run(p), ERR_OK);
        const uint16_t *is = program_output(p, "narrow");
        struct tensor wide = {"", other[k], DIMS1(5000), (void *)(uintptr_t)program_output(p, "wide")};
        for (int64_t i = 0; i < 5000; i++) {
            assert_int_equal(is[i], bf16_of(tensor_get(x, i)));
            assert_true(tensor_get(&wide, i) == (double)bf16_widen(is[i]));
        }
        program_free(p);
        store_free(s);
        graph_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_to_the_nearest),
        cmocka_unit_test(rounds_doubles_once),
        cmocka_unit_test(casts_agree),
        cmocka_unit_test(casts_in_a_graph),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
