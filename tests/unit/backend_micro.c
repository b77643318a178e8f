/* Vectors on their own, and the micro-kernel through its thinnest wrapper, the matrix product: every block
 * height, ragged last vectors, both forms of A, depths around the unrolled loops; convolutions add one to
 * many segments. */
#include "kernel_case.h"

/* c = op(a) b for one shape on one table, in exact integers, against the definition. */
static void product_exact(const struct kernel_table *t, const struct matmul_shape *s, struct rng *r)
{
    double *a = integers_new(r, s->m * s->k), *b = integers_new(r, s->k * s->n),
           *is = doubles_new(s->m * s->n);
    const int64_t a_cols = s->trans_a ? s->m : s->k;
    struct fence fa = rows_new(a, s->m * s->k / a_cols, a_cols, a_cols, t->real_bytes);
    struct fence fb = rows_new(b, s->k, s->n, s->n, t->real_bytes);
    struct fence fc = rows_new(NULL, s->m, s->n, s->n + 1, t->real_bytes);
    struct fence work = fence_new(t->matmul_work(s, 1));

    t->matmul(s, &(struct matmul_buf){.a = fa.data,
                                      .b = fb.data,
                                      .c = fc.data,
                                      .a_pitch = a_cols,
                                      .b_pitch = s->n,
                                      .c_pitch = s->n + 1,
                                      .work = work.data,
                                      .threads = 1});
    rows_get(&fc, is, s->m, s->n, s->n + 1, t->real_bytes);
    for (int64_t i = 0; i < s->m * s->n; i++) {
        double want = 0;
        for (int64_t k = 0; k < s->k; k++)
            want += (s->trans_a ? a[k * s->m + i / s->n] : a[i / s->n * s->k + k]) * b[k * s->n + i % s->n];
        if (is[i] != want)
            fail_msg("%s, %d bytes: m %d n %d k %d: element %d is %g, should be %g", t->isa, t->real_bytes,
                     (int)s->m, (int)s->n, (int)s->k, (int)i, is[i], want);
    }
    free(a);
    free(b);
    free(is);
    fence_free(&fa);
    fence_free(&fb);
    fence_free(&fc);
    fence_free(&work);
}

static void every_block_is_exact(void **state)
{
    static const int depths[] = {1, 2, 3, 4, 5, 7, 8, 9, 40};
    struct rng r = rng_at(1, 0);

    (void)state;
    for (int i = 0; i < 2 * isa_count(); i++) {
        const struct kernel_table *t = kernel_table_get(i / 2, i % 2);
        const int cols = (i / 2 ? 128 : 64) / t->real_bytes;
        for (int m = 1; m <= 15; m++)
            for (int n = 1; n <= cols + 1; n++)
                for (int form = 0; form < 2; form++) {
                    const struct matmul_shape s = {1, m, n, depths[rng_below(&r, 9)], form, false};
                    product_exact(t, &s, &r);
                }
    }
}

/* Kernels of 1 to 9 rows of taps: as many segments; depth 1 to 40. */
static void every_segment_count_is_exact(void **state)
{
    struct rng r = rng_at(2, 0);

    (void)state;
    for (int segments = 1; segments <= 9; segments++)
        for (int ci = 1; ci <= 40; ci += 3) {
            const struct conv_shape s = {.n = 1,
                                         .in = {1, 2 + segments, 9},
                                         .ci = ci,
                                         .out = {1, 3, 9},
                                         .co = 1 + ci * 2 % 37,
                                         .kernel = {1, segments, 1},
                                         .stride = {1, 1, 1},
                                         .dilation = {1, 1, 1},
                                         .groups = 1};
            struct conv_data d = {.x = integers_new(&r, x_count(&s)), .w = integers_new(&r, w_count(&s))};
            double *want = doubles_new(y_count(&s));
            conv_oracle(&s, CONV_FORWARD, d.x, d.w, want);
            for (int i = 0; i < 2 * isa_count(); i++) {
                double *is = conv_result(&s, CONV_FORWARD, &d,
                                         &(struct conv_run){.avx512 = i / 2, .f64 = i % 2, .threads = 1});
                for (int64_t j = 0; j < y_count(&s); j++)
                    assert_true(is[j] == want[j]);
                free(is);
            }
            free(want);
            free(d.x);
            free(d.w);
        }
}

static void tables_say_what_they_are(void **state)
{
    (void)state;
    assert_string_equal(kernel_table_get(false, false)->isa, "avx2");
    assert_string_equal(kernel_table_get(true, true)->isa, "avx512");
    assert_int_equal(kernel_table_get(false, true)->real_bytes, 8);
    assert_int_equal(kernel_table_get(true, false)->real_bytes, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_block_is_exact),
        cmocka_unit_test(every_segment_count_is_exact),
        cmocka_unit_test(tables_say_what_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
