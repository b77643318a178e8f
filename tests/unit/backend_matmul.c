/* Matrix products against their definition: all transpositions, pitches, batches with shared operands, long k
 * in chunks; exact integers, reals within their bound, the same bits for every thread count and instruction
 * set. */
#include "kernel_case.h"

#include <float.h>
#include <math.h>

struct matmul_case {
    struct matmul_shape s;
    bool share_a, share_b, bias;
    int64_t gap; /* of every pitch */
    double *a, *b, *bias_values;
};

static int64_t a_matrices(const struct matmul_case *m)
{
    return m->share_a ? 1 : m->s.batch;
}

static int64_t b_matrices(const struct matmul_case *m)
{
    return m->share_b ? 1 : m->s.batch;
}

static double *values_new(struct rng *r, int64_t count, bool integers)
{
    double *p = integers ? integers_new(r, count) : doubles_new(count);

    for (int64_t i = 0; !integers && i < count; i++)
        p[i] = (double)(float)rng_normal(r);
    return p;
}

static void case_fill(struct matmul_case *m, struct rng *r, bool integers)
{
    m->a = values_new(r, a_matrices(m) * m->s.m * m->s.k, integers);
    m->b = values_new(r, b_matrices(m) * m->s.k * m->s.n, integers);
    m->bias_values = m->bias ? values_new(r, m->s.n, integers) : NULL;
}

static void case_free(struct matmul_case *m)
{
    free(m->a);
    free(m->b);
    free(m->bias_values);
}

/* The definition; `size` receives the sum of absolute products. */
static double element(const struct matmul_case *m, int64_t batch, int64_t i, int64_t j, double *size)
{
    const struct matmul_shape *s = &m->s;
    const double *a = m->a + (m->share_a ? 0 : batch * s->m * s->k),
                 *b = m->b + (m->share_b ? 0 : batch * s->k * s->n);
    double sum = m->bias ? m->bias_values[j] : 0;

    *size = fabs(sum);
    for (int64_t k = 0; k < s->k; k++) {
        const double p = (s->trans_a ? a[k * s->m + i] : a[i * s->k + k]) *
                         (s->trans_b ? b[j * s->k + k] : b[k * s->n + j]);
        sum += p;
        *size += fabs(p);
    }
    return sum;
}

static double *product_result(const struct matmul_case *m, bool avx512, bool f64, int threads)
{
    const struct kernel_table *t = kernel_table_get(avx512, f64);
    const struct matmul_shape *s = &m->s;
    const int64_t a_rows = s->trans_a ? s->k : s->m, a_cols = s->trans_a ? s->m : s->k;
    const int64_t b_rows = s->trans_b ? s->n : s->k, b_cols = s->trans_b ? s->k : s->n;
    struct fence a = rows_new(m->a, a_matrices(m) * a_rows, a_cols, a_cols + m->gap, t->real_bytes);
    struct fence b = rows_new(m->b, b_matrices(m) * b_rows, b_cols, b_cols + m->gap, t->real_bytes);
    struct fence c = rows_new(NULL, s->batch * s->m, s->n, s->n + m->gap, t->real_bytes);
    struct fence bias = rows_new(m->bias_values, 1, s->n, s->n, t->real_bytes);
    struct fence work = fence_new(t->matmul_work(s, threads));
    double *result = doubles_new(s->batch * s->m * s->n);

    memset(work.data, 0xFF, work.bytes);
    t->matmul(s, &(struct matmul_buf){.a = a.data,
                                      .b = b.data,
                                      .c = c.data,
                                      .a_pitch = a_cols + m->gap,
                                      .b_pitch = b_cols + m->gap,
                                      .c_pitch = s->n + m->gap,
                                      .a_batch = m->share_a ? 0 : a_rows * (a_cols + m->gap),
                                      .b_batch = m->share_b ? 0 : b_rows * (b_cols + m->gap),
                                      .c_batch = s->m * (s->n + m->gap),
                                      .bias = m->bias ? bias.data : NULL,
                                      .work = work.data,
                                      .threads = threads});
    rows_get(&c, result, s->batch * s->m, s->n, s->n + m->gap, t->real_bytes);
    fence_free(&a);
    fence_free(&b);
    fence_free(&c);
    fence_free(&bias);
    fence_free(&work);
    return result;
}

/* |error| <= factor * eps * sum |a||b|; factor 0: exact */
static void case_check(const struct matmul_case *m, const double *is, bool f64, double factor)
{
    const struct matmul_shape *s = &m->s;

    for (int64_t i = 0; i < s->batch * s->m * s->n; i++) {
        double size, want = element(m, i / s->n / s->m, i / s->n % s->m, i % s->n, &size);
        if (!(fabs(is[i] - want) <= factor * (f64 ? DBL_EPSILON : FLT_EPSILON) / 2 * size))
            fail_msg("batch %d m %d n %d k %d trans %d %d: element %d is %.17g, should be %.17g",
                     (int)s->batch, (int)s->m, (int)s->n, (int)s->k, s->trans_a, s->trans_b, (int)i, is[i],
                     want);
    }
}

/* Both types and sets, several thread counts: right, and the bits equal within a type. */
static void case_run(struct matmul_case *m, struct rng *r, bool integers)
{
    static const int threads[] = {1, 2, 3, 7};

    case_fill(m, r, integers);
    for (int f64 = 0; f64 < 2; f64++) {
        double *first = NULL;
        for (int i = 0; i < 4 * isa_count(); i++) {
            double *is = product_result(m, i / 4, f64, threads[i % 4]);
            if (!first) {
                case_check(m, is, f64, integers ? 0 : 16);
                first = is;
                continue;
            }
            assert_memory_equal(first, is, (size_t)(m->s.batch * m->s.m * m->s.n) * sizeof *is);
            free(is);
        }
        free(first);
    }
    case_free(m);
}

static int64_t size_random(struct rng *r, int64_t max)
{
    static const int64_t usual[] = {1, 2, 6, 7, 14, 15, 16, 17, 31, 32, 33, 48, 64};

    return rng_below(r, 2) ? usual[rng_below(r, 13)] : 1 + (int64_t)rng_below(r, (uint64_t)max);
}

static void random_products_are_exact(void **state)
{
    struct rng r = rng_at(1, 0);

    (void)state;
    for (int i = 0; i < 60; i++) {
        struct matmul_case m = {.s = {.batch = 1 + (int64_t)rng_below(&r, 5),
                                      .m = size_random(&r, 150),
                                      .n = size_random(&r, 150),
                                      .k = size_random(&r, 200),
                                      .trans_a = rng_below(&r, 2),
                                      .trans_b = rng_below(&r, 2)},
                                .share_a = rng_below(&r, 4) == 0,
                                .share_b = rng_below(&r, 4) == 0,
                                .bias = rng_below(&r, 2),
                                .gap = rng_below(&r, 2) ? (int64_t)rng_below(&r, 20) : 0};
        case_run(&m, &r, true);
    }
}

/* Several blocks of k, of rows and of panels; chunks of k with partial sums. */
static void large_products_are_right(void **state)
{
    static const struct matmul_shape shapes[] = {
        {1, 120, 300, 800, false, false}, {1, 130, 70, 1000, true, true}, {1, 115, 530, 385, true, false},
        {1, 40, 33, 20000, true, false},  {2, 5, 100, 9000, false, true}, {40, 49, 49, 32, false, true},
        {1, 2100, 3, 67, false, true},    {1, 33, 4, 384, false, true},   {1, 17, 1, 3, false, true},
        {1, 1, 515, 513, false, true},    {1, 4, 37, 100, false, true},   {1, 3, 1, 64, false, true},
        {1, 64, 512, 300, true, false},   {1, 512, 33, 40, true, false},  {1, 4096, 1, 1, false, false},
        {1, 1, 4096, 7, false, true},     {1, 1, 1, 4096, true, false},
    };
    struct rng r = rng_at(2, 0);

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int integers = 0; integers < 2; integers++) {
            struct matmul_case m = {.s = shapes[i], .bias = integers, .gap = integers ? 5 : 0};
            case_run(&m, &r, integers);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_products_are_exact),
        cmocka_unit_test(large_products_are_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
