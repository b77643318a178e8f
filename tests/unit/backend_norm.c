/* Accuracy of the fused normalisations and their gradients in f32, against the references in double: all
 * kinds of channel counts, means of up to 100 sigmas, group norm, residuals; and what they do with NaN,
 * constants and unwanted outputs. */
#include "backend_case.h"

#include "graph/program.h"
#include "ops/ops.h"

static const int64_t channels[] = {1, 2, 3, 5, 16, 17, 32, 48, 100, 127, 128, 131, 320, 2000, 2500};
enum { CHANNELS = sizeof channels / sizeof *channels };

/* About 40 000 elements, a ragged number of voxels. */
static struct dims image(int64_t c)
{
    const int64_t w = 40000 / c / 15;

    return DIMS5(2, 3, 5, w < 1 ? 1 : w, c);
}

static union attr norm_attr(int64_t groups)
{
    union attr a;

    memset(&a, 0, sizeof a);
    a.norm.groups = groups;
    a.norm.eps = 1e-5;
    a.norm.slope = 0.01;
    return a;
}

static double largest(const double *x, int64_t n)
{
    double most = 0;

    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    return most;
}

/* Largest error of output k relative to its largest value; of a mean, if that is larger, to sigma. */
static double error_of(const struct backend_case *c, void *const out[], int k)
{
    const int64_t n = dims_count(&c->node->out_dims[k]);
    double *got = case_alloc((size_t)n * sizeof *got), most = 0;

    case_load(got, out[k], n, c->real);
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, isnan(got[i]) ? INFINITY : fabs(got[i] - c->ref[k][i]));
    free(got);
    return most / fmax(largest(c->ref[k], n), k == 1 ? c->scale : 0);
}

static void drop(const struct backend_case *c, void *out[])
{
    for (int k = 0; k < c->node->n_out; k++)
        free(out[k]);
}

static void check(const struct backend_case *c, const double bound[])
{
    void *out[CASE_OUT];

    assert_true(case_run(c, NULL, 2, false, out));
    for (int k = 0; k < c->node->n_out; k++)
        if (!(error_of(c, out, k) <= bound[k]))
            fail_msg("%s, %d channels, mean %g sigma: output %d is off by %.3g, allowed %.3g",
                     op_rows[c->op]->name, (int)c->in_dims[0].n[4], c->shift / c->scale, k,
                     error_of(c, out, k), bound[k]);
    drop(c, out);
}

static struct backend_case forward_case(int op, int64_t c, int64_t groups, double shift, int inputs)
{
    const struct dims x = image(c), v = DIMS1(c);

    return (struct backend_case){.sample = {.attr = norm_attr(groups), .n_in = inputs, .in = {x, v, v, x}},
                                 .op = op,
                                 .real = DT_F32,
                                 .seed = (uint64_t)c,
                                 .shift = shift,
                                 .scale = 0.5};
}

/* The gradient of an open forward case, with its statistics. */
static void check_gradient(const struct backend_case *f, bool act)
{
    const struct dims x = f->in_dims[0], v = f->in_dims[1], stat = f->node->out_dims[1];
    const double bound[] = {6e-6, 6e-6, 6e-6, 6e-6};
    struct backend_case c = {
        .op = act ? OP_NORM_ACT_GRAD : OP_NORM_GRAD, .real = f->real, .seed = f->seed + 1};
    const struct sample plain = {.attr = f->sample.attr, .n_in = 5, .in = {x, x, stat, stat, v}};
    const struct sample fused = {.attr = f->sample.attr, .n_in = 6, .in = {x, x, x, stat, stat, v}};

    c.sample = act ? fused : plain;
    if (act)
        c.given[1] = f->ref[0];
    c.given[act ? 2 : 1] = f->in[0];
    c.given[act ? 3 : 2] = f->ref[1];
    c.given[act ? 4 : 3] = f->ref[2];
    case_open(&c);
    check(&c, bound);
    case_close(&c);
}

static void sweep(double shift)
{
    const double bound[] = {4e-6, 3e-7, 1e-6};

    for (int i = 0; i < CHANNELS; i++)
        for (int act = 0; act < 2; act++) {
            struct backend_case c = forward_case(act ? OP_NORM_ACT : OP_NORM, channels[i], 0, shift, 3);

            case_open(&c);
            check(&c, bound);
            check_gradient(&c, act);
            case_close(&c);
        }
}

static void test_centred(void **state)
{
    (void)state;
    sweep(0);
}

static void test_far_mean(void **state)
{
    (void)state;
    sweep(50);
    sweep(-50);
}

/* Mean and variance by themselves, as far from zero as convolutions promise to be right: 30 sigmas. */
static void test_moments(void **state)
{
    (void)state;
    for (int i = 0; i < CHANNELS; i++)
        for (int far = -30; far <= 30; far += 30) {
            struct backend_case c = forward_case(OP_MOMENTS, channels[i], 0, 0.5 * far, 1);
            const int64_t width = channels[i];
            void *out[CASE_OUT];

            memset(&c.sample.attr, 0, sizeof c.sample.attr);
            case_open(&c);
            assert_true(case_run(&c, NULL, 2, false, out));
            for (int64_t k = 0; k < 4 * width; k++) {
                const double is = (double)((const float *)out[0])[k], want = c.ref[0][k];
                const double size = k / width % 2 ? want : fmax(fabs(want), c.scale);

                if (!(fabs(is - want) <= 1e-6 * size))
                    fail_msg("%d channels, mean %d sigma: moment %d is %.9g, not %.9g", (int)width, far,
                             (int)k, is, want);
            }
            drop(&c, out);
            case_close(&c);
        }
}

static void test_groups(void **state)
{
    const int64_t shape[][2] = {{32, 8}, {17, 1}, {48, 3}, {320, 32}, {2000, 4}};
    const double bound[] = {4e-6, 3e-7, 1e-6};

    (void)state;
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        struct backend_case c = forward_case(OP_NORM_ACT, shape[i][0], shape[i][1], 50, 4);

        case_open(&c);
        check(&c, bound);
        check_gradient(&c, true);
        check_gradient(&c, false);
        case_close(&c);
    }
}

/* A NaN reaches everything of its channel and nothing else; a constant channel becomes beta. */
static void test_special(void **state)
{
    struct backend_case c = forward_case(OP_NORM, 5, 0, 0, 3);
    const int64_t n = dims_count(&c.sample.in[0]);
    double *x = case_alloc((size_t)n * sizeof *x);
    void *out[CASE_OUT];

    (void)state;
    for (int64_t i = 0; i < n; i++)
        x[i] = i % 5 == 2 ? 7.25 : (double)(i * 37 % 101) / 50;
    x[5 * 11 + 3] = NAN;
    c.given[0] = x;
    case_open(&c);
    assert_true(case_run(&c, NULL, 2, false, out));
    for (int64_t i = 0; i < n / 2; i++) {
        const float y = ((const float *)out[0])[i];

        if (i % 5 == 3)
            assert_true(isnan(y));
        else
            assert_true(isfinite(y));
        if (i % 5 == 2)
            assert_true(fabs((double)y - c.in[2][2]) < 1e-6);
    }
    drop(&c, out);
    case_close(&c);
    free(x);
}

/* Without a residual nobody reads dy behind the activation: not made, and the other outputs keep their bits.
 */
static void test_spare(void **state)
{
    const struct dims x = image(48), v = DIMS1(48), stat = DIMS2(2, 48);
    struct backend_case c = {.sample = {.attr = norm_attr(0), .n_in = 6, .in = {x, x, x, stat, stat, v}},
                             .op = OP_NORM_ACT_GRAD,
                             .real = DT_F32};
    void *all[CASE_OUT], *few[CASE_OUT];

    (void)state;
    case_open(&c);
    assert_true(case_run(&c, NULL, 2, false, all));
    c.spare = true;
    assert_true(case_run(&c, NULL, 2, false, few));
    assert_non_null(all[3]);
    assert_null(few[3]);
    for (int k = 0; k < 3; k++)
        assert_memory_equal(all[k], few[k], case_bytes(&c.node->out_dims[k], DT_F32));
    drop(&c, all);
    drop(&c, few);
    case_close(&c);
}

/* A program gives such an output storage only where something reads it. */
static void test_spare_storage(void **state)
{
    uint64_t bytes[2];

    (void)state;
    for (int used = 0; used < 2; used++) {
        const struct dims x = image(48), v = DIMS1(48);
        struct graph *g = graph_new(DT_F32);
        struct store *store = store_new();
        struct program *p;
        struct backend b;
        val in[4], y, sum, grad[4];
        const char *name[] = {"x", "gamma", "beta", "residual"};

        assert_int_equal(backend_cpu(&b, NULL, 1), ERR_OK);
        for (int k = 0; k < 4; k++)
            in[k] = graph_input(g, name[k], DT_F32, k == 0 || k == 3 ? x : v);
        y = graph_node(g, OP_NORM_ACT, &(union attr){.norm = {.eps = 1e-5, .slope = 0.01}}, 4, in);
        sum = op_sum(g, op_mul(g, y, y), ALL_AXES);
        graph_grad(g, sum, 4, in, grad);
        for (int k = 0; k < (used ? 4 : 3); k++)
            graph_output(g, name[k], grad[k]);
        assert_ok(program_new(&p, g, store, &(struct compile){.backend = &b}));
        bytes[used] = program_bytes(p);
        program_free(p);
        store_free(store);
        graph_free(g);
    }
    assert_true(bytes[0] + case_bytes(&(struct dims){5, {2, 3, 5, 55, 48}}, DT_F32) <= bytes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_centred),       cmocka_unit_test(test_far_mean), cmocka_unit_test(test_groups),
        cmocka_unit_test(test_moments),       cmocka_unit_test(test_special),  cmocka_unit_test(test_spare),
        cmocka_unit_test(test_spare_storage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
