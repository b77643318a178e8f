/* Laws of the compiler on random graphs: reuse of buffers changes no result, expanding changes nothing but
 * rounding, live buffers never overlap, states change only where the predicate says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend/backend.h"
#include "base/mem.h"
#include "base/rng.h"
#include "graph/op.h"
#include "graph/pass.h"
#include "graph/plan.h"
#include "graph/program.h"
#include "graph/reference.h"
#include "graph/reorder.h"
#include "ops/ops.h"
#include "plan_check.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { POOL = 24, TRIALS = 24 };

static const struct backend *reference_backend(bool expanding)
{
    static const struct kernel_class *const none[] = {NULL};
    static const struct backend expanded = {.name = "expanded", .classes = none, .threads = 1};
    static struct kernel_class direct[OP_COUNT];
    static const struct kernel_class *all[OP_COUNT];
    static const struct backend refs = {.name = "direct", .classes = all, .threads = 1};

    for (int id = 1; id < OP_COUNT; id++) {
        direct[id] = reference_class;
        direct[id].op = id;
        all[id - 1] = &direct[id];
    }
    return expanding ? &expanded : &refs;
}

/* (4, from, 1, 1, 1) */
static val weights(struct graph *g, int64_t from)
{
    const int64_t start[5] = {0, 8 - from}, size[5] = {4, from, 1, 1, 1};

    return op_slice(g, graph_input(g, "w", DT_F64, DIMS5(4, 8, 1, 1, 1)), start, size);
}

/* One more value made of earlier ones, all (1, 2, 3, 2, C). */
static val grow(struct graph *g, struct rng *r, const val pool[], int n)
{
    val a = pool[rng_below(r, (uint64_t)n)], b = pool[rng_below(r, (uint64_t)n)];
    struct dims d = graph_dims(g, a), e = graph_dims(g, b), flat = DIMS2(12, d.n[4]);
    const int64_t start[5] = {0}, size[5] = {1, 2, 3, 2, 4};

    switch (rng_below(r, 10)) {
    case 0:
        return dims_equal(&d, &e) ? op_add(g, a, b) : op_tanh(g, a);
    case 1:
        return dims_equal(&d, &e) ? op_mul(g, op_tanh(g, a), b) : op_neg(g, b);
    case 2:
        return op_reshape(g, op_sigmoid(g, op_reshape(g, a, flat)), d);
    case 3:
        return op_slice(g, op_concat(g, AXIS_C, a, b), start, size);
    case 4:
        return op_leaky_relu(
            g,
            op_norm(g, a, op_constant(g, 1.5, DIMS1(d.n[4])), op_constant(g, 0.25, DIMS1(d.n[4])), 0, 1e-5),
            0.1);
    case 5:
        return op_sub(g, a, op_mean(g, a, AXES_SPACE));
    case 6:
        return op_softmax(g, a);
    case 7: /* joined, and both parts read again */
        e = graph_dims(g, op_concat(g, AXIS_C, a, op_neg(g, b)));
        return op_mul(g, op_slice(g, op_concat(g, AXIS_C, a, op_neg(g, b)), start, size),
                      op_slice(g, op_concat(g, AXIS_C, a, op_neg(g, b)),
                               (const int64_t[5]){0, 0, 0, 0, e.n[4] - 4}, size));
    case 8: /* a decoder's level */
        return op_conv(g, op_concat(g, AXIS_C, op_conv(g, a, weights(g, 4), (val){0}, &(struct conv){0}), b),
                       weights(g, 8), (val){0}, &(struct conv){0});
    default:
        return op_silu(g, a);
    }
}

struct made {
    struct graph *g;
    val pool[POOL];
    int n;
};

static void make(struct made *m, uint64_t seed)
{
    struct rng r = rng_at(99, seed);

    m->g = graph_new(DT_F64);
    m->pool[0] = graph_input(m->g, "a", DT_F64, DIMS5(1, 2, 3, 2, 4));
    m->pool[1] = graph_input(m->g, "b", DT_F64, DIMS5(1, 2, 3, 2, 4));
    for (m->n = 2; m->n < POOL; m->n++)
        m->pool[m->n] = grow(m->g, &r, m->pool, m->n);
}

static val total(struct graph *g, val v)
{
    return op_reshape(g, op_sum(g, v, ALL_AXES), DIMS0);
}

static double run_scalar(struct made *m, const struct backend *b, const double *const data[3])
{
    static const char *const names[3] = {"a", "b", "w"};
    struct compile how = {.backend = b};
    struct store *s = store_new();
    struct program *p = NULL;
    double loss;

    assert_int_equal(program_new(&p, m->g, s, &how), ERR_OK);
    for (int i = 0; i < 3; i++) {
        enum err err = program_bind(p, names[i], data[i]);
        assert_true(err == ERR_OK || err == ERR_INTERNAL); /* a graph may not read all */
    }
    assert_int_equal(program_run(p), ERR_OK);
    loss = program_scalar(p, "loss");
    program_free(p);
    store_free(s);
    return loss;
}

/* The gradient's squares, so that a wrong buffer anywhere shows. */
static void add_loss(struct made *m)
{
    val loss = total(m->g, op_square(m->g, m->pool[m->n - 1])), grad[2];

    for (int i = m->n - 2; i > m->n - 6; i--)
        loss = op_add(m->g, loss, total(m->g, op_tanh(m->g, m->pool[i])));
    graph_grad(m->g, loss, 2, m->pool, grad);
    loss = op_add(m->g, loss,
                  op_add(m->g, total(m->g, op_square(m->g, grad[0])), total(m->g, op_square(m->g, grad[1]))));
    graph_output(m->g, "loss", loss);
    assert_int_equal(graph_status(m->g), ERR_OK);
}

static void keep_everything(struct graph *g)
{
    uint32_t values = graph_values(g);
    char name[16];

    for (uint32_t id = 1; id <= values; id++) {
        snprintf(name, sizeof name, "v%u", id);
        graph_output(g, name, (val){id});
    }
}

/* The plan of an order is sound; *windows counts the editions that are windows of wider buffers. */
static size_t check_order(const struct graph *g, const struct step *steps, const struct order *o,
                          int *windows)
{
    struct schedule s;
    struct mem_plan plan;
    size_t arena;

    assert_int_equal(schedule_make(&s, g, steps, o->step, o->count), ERR_OK);
    assert_int_equal(mem_plan_make(&plan, &s, o->limit), ERR_OK);
    plan_check(&s, &plan);
    for (uint32_t e = 1; e <= s.editions; e++)
        *windows += plan.spot[e].pitch != 0;
    arena = plan.arena;
    mem_plan_free(&plan);
    schedule_free(&s);
    return arena;
}

/* What m's graph needs on a backend, with as little recomputation as possible down to what can be reached. */
static void check_plan(struct made *m, const struct backend *b, int *windows)
{
    struct graph *g = pass_expand(m->g, b);
    bool *live = pass_live(g);
    struct step *steps = mem_new((size_t)graph_count(g), sizeof *steps);
    struct order order;
    int count = 0;
    size_t plain, least;

    assert_true(g && live && steps);
    for (int i = 0; i < graph_count(g); i++)
        if (live[i] && !(graph_at(g, i)->op->flags & OP_SOURCE)) {
            const struct kernel_class *k = pass_kernel(b, g, graph_at(g, i), &steps[count]);
            if (k && k->prepare)
                k->prepare(&steps[count]);
            count++;
        }
    assert_int_equal(order_make(&order, count), ERR_OK);
    check_order(g, steps, &order, windows);
    assert_int_equal(reorder(&order, g, steps), ERR_OK);
    plain = check_order(g, steps, &order, windows);
    for (int part = 9; part > 0; part -= 2) {
        order_free(&order);
        assert_int_equal(order_make(&order, count), ERR_OK);
        assert_int_equal(recompute(&order, g, steps, plain * (size_t)part / 10, &least), ERR_OK);
        assert_true(check_order(g, steps, &order, windows) <= least);
        if (least > plain * (size_t)part / 10)
            break;
    }
    order_free(&order);
    for (int i = 0; i < count; i++)
        pass_step_clear(&steps[i]);
    mem_free(steps);
    mem_free(live);
    graph_free(g);
}

/* Forward alone most values die soon, so that much is written over. */
static void forward_plans_are_sound(void **state)
{
    struct backend cpu;
    int windows = 0;

    (void)state;
    assert_int_equal(backend_cpu(&cpu, NULL, 1), ERR_OK);
    for (uint64_t seed = 0; seed < 50 * TRIALS; seed++) {
        struct made m;
        make(&m, seed);
        graph_output(m.g, "y", m.pool[m.n - 1]);
        check_plan(&m, &cpu, &windows);
        graph_free(m.g);
    }
    assert_true(windows > TRIALS);
}

/* Values that could be windows but for what is written over a block while the other part is still to be read:
 * `first` is read after `second` has been made in place. */
static void tempting(struct graph *g, int which)
{
    const int64_t low[5] = {0}, size[5] = {1, 2, 3, 2, 4};
    const int turned[5] = {0, 1, 3, 2, 4};
    val a = op_exp(g, graph_input(g, "a", DT_F64, DIMS5(1, 2, 3, 2, 4))),
        b = op_exp(g, graph_input(g, "b", DT_F64, DIMS5(1, 2, 3, 2, 4)));
    val joined = op_concat(g, AXIS_C, a, b), first, second;

    first = which == 0 || which == 3 ? joined : which == 1 ? a : op_slice(g, joined, low, size);
    second = op_tanh(g, which == 0 ? a : which == 3 ? op_slice(g, joined, low, size) : joined);
    graph_output(g, "second", op_transpose(g, second, turned));
    graph_output(g, "first", op_transpose(g, first, turned));
}

static void nothing_is_written_over(void **state)
{
    struct backend cpu;
    int windows = 0;

    (void)state;
    assert_int_equal(backend_cpu(&cpu, NULL, 1), ERR_OK);
    for (int which = 0; which < 4; which++) {
        struct made m = {.g = graph_new(DT_F64)};
        tempting(m.g, which);
        check_plan(&m, &cpu, &windows);
        graph_free(m.g);
    }
}

static void plans_change_nothing(void **state)
{
    double number[3][48];
    const double *const data[3] = {number[0], number[1], number[2]};
    struct rng r = rng_at(7, 7);
    struct backend cpu;
    int windows = 0;

    (void)state;
    assert_int_equal(backend_cpu(&cpu, NULL, 1), ERR_OK);
    for (int i = 0; i < 3 * 48; i++)
        number[i / 48][i % 48] = rng_normal(&r);
    for (uint64_t seed = 0; seed < TRIALS; seed++) {
        struct made m;
        double reused, kept, expanded, fast, fast_kept;
        make(&m, seed);
        add_loss(&m);
        check_plan(&m, &cpu, &windows);
        reused = run_scalar(&m, reference_backend(false), data);
        expanded = run_scalar(&m, reference_backend(true), data);
        fast = run_scalar(&m, &cpu, data);
        keep_everything(m.g);
        kept = run_scalar(&m, reference_backend(false), data);
        fast_kept = run_scalar(&m, &cpu, data);
        if (reused != kept || fast != fast_kept)
            fail_msg("graph %d: %.17g and %.17g with reuse, %.17g and %.17g without", (int)seed, reused, fast,
                     kept, fast_kept);
        if (!(fabs(expanded - kept) <= 1e-9 * (1 + fabs(kept))) ||
            !(fabs(fast - kept) <= 1e-9 * (1 + fabs(kept))))
            fail_msg("graph %d: %.17g expanded, %.17g fast, %.17g directly", (int)seed, expanded, fast, kept);
        graph_free(m.g);
    }
    assert_true(windows > TRIALS); /* slices and joined values were planned as windows */
}

/* A counter that only moves when told to, and an update in place guarded by the same predicate. */
static void predicates_guard_states(void **state)
{
    struct compile how = {.backend = reference_backend(false)};
    struct graph *g = graph_new(DT_F64);
    struct store *s = store_new();
    struct program *p = NULL;
    val when = graph_input(g, "when", DT_F64, DIMS0), w = graph_state(g, "w", DT_F64, DIMS1(3)),
        v = graph_state(g, "v", DT_F64, DIMS1(3));
    val count = graph_state(g, "count", DT_F64, DIMS0), one = op_constant(g, 1, DIMS1(3)), w2, v2;
    struct update u = {.lr = op_scalar(g, 0.5), .scale = op_scalar(g, 1), .when = when, .momentum = 0.5};
    double flag;

    (void)state;
    op_sgd(g, &u, 1, &w, &one, &v, &w2, &v2);
    graph_assign(g, w, w2, when);
    graph_assign(g, v, v2, when);
    graph_assign(g, count, op_add_scalar(g, count, 1), when);
    assert_int_equal(program_new(&p, g, s, &how), ERR_OK);
    assert_int_equal(program_bind(p, "when", &flag), ERR_OK);
    for (int i = 0; i < 6; i++) {
        flag = i % 2;
        assert_int_equal(program_run(p), ERR_OK);
    }
    /* v: 1, 1.5, 1.75; w falls by lr * (1 + v / 2) */
    assert_true(fabs(tensor_get(store_find(s, "v"), 2) - 1.75) < 1e-15);
    assert_true(fabs(tensor_get(store_find(s, "w"), 1) + 0.5 * (1.5 + 1.75 + 1.875)) < 1e-15);
    assert_true(tensor_get(store_find(s, "count"), 0) == 3);
    program_free(p);
    store_free(s);
    graph_free(g);
}

static void replay_names_the_culprit(void **state)
{
    struct compile how = {.backend = reference_backend(false)};
    struct graph *g = graph_new(DT_F64);
    struct store *s = store_new();
    struct program *p = NULL;
    struct str who = {0};
    double x = -1;
    val v = graph_input(g, "x", DT_F64, DIMS0);

    (void)state;
    graph_enter(g, "encoder.stages.%d", 2);
    v = op_log(g, v);
    graph_leave(g);
    graph_output(g, "y", op_exp(g, v));
    assert_int_equal(program_new(&p, g, s, &how), ERR_OK);
    assert_int_equal(program_bind(p, "x", &x), ERR_OK);
    assert_int_equal(program_run(p), ERR_OK);
    assert_int_equal(program_replay(p, &who), ERR_OK);
    assert_string_equal(who.s, "log in encoder.stages.2");
    str_free(&who);
    x = NAN;
    assert_int_equal(program_replay(p, &who), ERR_OK);
    assert_string_equal(who.s, "input x");
    str_free(&who);
    program_free(p);
    store_free(s);
    graph_free(g);
}

static void errors_latch_with_scope(void **state)
{
    struct graph *g = graph_new(DT_F32);
    val a = graph_input(g, "a", DT_F32, DIMS2(2, 3)), b = graph_input(g, "b", DT_F32, DIMS2(4, 3)), c;

    (void)state;
    graph_enter(g, "decoder");
    c = op_add(g, a, b);
    assert_true(graph_null(c));
    assert_true(graph_null(op_exp(g, a)));
    assert_int_equal(graph_status(g), ERR_SHAPE);
    assert_non_null(strstr(err_text(), "(2, 3) and (4, 3)"));
    assert_non_null(strstr(err_text(), "decoder"));
    graph_free(g);
}

static void equal_nodes_are_one(void **state)
{
    struct graph *g = graph_new(DT_F32);
    val a = graph_input(g, "a", DT_F32, DIMS2(2, 3)), key = graph_input(g, "k", DT_I64, DIMS0);

    (void)state;
    assert_int_equal(op_exp(g, a).id, op_exp(g, a).id);
    assert_int_not_equal(op_uniform(g, key, DIMS1(5)).id, op_uniform(g, key, DIMS1(5)).id);
    assert_int_equal(op_add(g, a, op_scalar(g, 0)).id, a.id);
    graph_free(g);
}

static void memory_limit_is_an_error(void **state)
{
    struct compile how = {.backend = reference_backend(false), .memory_max = 1000};
    struct graph *g = graph_new(DT_F32);
    struct store *s = store_new();
    struct program *p = NULL;

    (void)state;
    graph_output(g, "y", op_exp(g, graph_input(g, "x", DT_F32, DIMS1(1 << 20))));
    assert_int_equal(program_new(&p, g, s, &how), ERR_MEMORY);
    assert_null(p);
    assert_non_null(strstr(err_text(), "--mem"));
    store_free(s);
    graph_free(g);
}

/* Every allocation of building, differentiating and compiling may fail: an error comes back, nothing leaks or
 * crashes. */
static void allocation_failures_are_errors(void **state)
{
    struct compile how = {.backend = reference_backend(true)};
    bool ended = false;

    (void)state;
    for (long n = 1; !ended; n += 1 + n / 40) {
        struct program *p = NULL;
        struct graph *g;
        struct store *s;
        enum err err = ERR_MEMORY;
        mem_fail_at(n);
        g = graph_new(DT_F64);
        s = store_new();
        if (g && s) {
            val x = graph_input(g, "x", DT_F64, DIMS5(1, 2, 2, 2, 2)),
                w = graph_state(g, "w", DT_F64, DIMS5(2, 2, 1, 1, 1)), grad;
            val y = op_norm(g, op_conv(g, x, w, (val){0}, &(struct conv){0}), (val){0}, (val){0}, 0, 1e-5);
            graph_grad(g, total(g, op_square(g, op_tanh(g, y))), 1, &w, &grad);
            graph_assign(g, w, op_sub(g, w, grad), (val){0});
            err = program_new(&p, g, s, &how);
        }
        ended = mem_fail_at(0) < n;
        assert_true(ended ? err == ERR_OK : err == ERR_MEMORY || err == ERR_OK);
        program_free(p);
        store_free(s);
        graph_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_plans_are_sound),
        cmocka_unit_test(nothing_is_written_over),
        cmocka_unit_test(plans_change_nothing),
        cmocka_unit_test(predicates_guard_states),
        cmocka_unit_test(replay_names_the_culprit),
        cmocka_unit_test(errors_latch_with_scope),
        cmocka_unit_test(equal_nodes_are_one),
        cmocka_unit_test(memory_limit_is_an_error),
        cmocka_unit_test(allocation_failures_are_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
