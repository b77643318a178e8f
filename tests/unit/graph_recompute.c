/* Recomputation: a program with less memory gives the same bytes; what cannot fit says so. */
#include "net_run.h"

#include "base/mem.h"
#include "train/step.h"

enum { PATCH = 32 };

static void open_step(struct net_run *r)
{
    struct nnunet net;
    struct step_options o = {
        .net = &net,
        .batch = 2,
        .patch = {PATCH, PATCH, PATCH},
        .loss = {.ce_weight = 1},
        .optim = {.kind = OPTIM_SGD, .momentum = 0.99, .decay = 3e-5, .clip = 12},
    };

    nnunet_make(&net, false, 3, 8, 16);
    net.channels = 2;
    net.classes = 3;
    net.deep_supervision = true;
    net_open(r, DT_F32);
    net_input(r, "image", DIMS5(2, PATCH, PATCH, PATCH, 2));
    net_input(r, "labels", DIMS5(2, PATCH, PATCH, PATCH, 1));
    net_input(r, "lr", DIMS0);
    step_build(r->m, &o);
    net_fill_params(r);
}

/* Turns that run again, from the dump. */
static int turns_again(const struct program *p)
{
    struct str text = {0};
    int n = 0;

    program_dump(p, &text);
    OK(str_status(&text));
    for (const char *at = text.s; (at = strstr(at, "(again)")); at++)
        n++;
    str_free(&text);
    return n;
}

static void train(struct net_run *r)
{
    struct tensor *labels = store_find(r->inputs, "labels");

    tensor_set(store_find(r->inputs, "lr"), 0, 0.05);
    for (int step = 0; step < 3; step++) {
        net_fill_golden(r, "image", step ? "image.next" : "image", 4);
        for (int64_t i = 0; i < dims_count(&labels->dims); i++)
            tensor_set(labels, i, (double)((i / 7 + step) % 3));
        OK(program_run(r->p));
        assert_true(program_scalar(r->p, "finite") == 1);
    }
}

static enum err compile_within(struct net_run *r, uint64_t limit)
{
    struct backend cpu;

    OK(backend_cpu(&cpu, NULL, 1));
    TRY(program_new(&r->p, r->g, r->store, &(struct compile){.backend = &cpu, .memory_max = limit}));
    for (size_t i = 0; i < store_count(r->inputs); i++)
        OK(program_bind(r->p, store_at(r->inputs, i)->name, store_at(r->inputs, i)->data));
    return ERR_OK;
}

static void same_states(const struct store *a, const struct store *b)
{
    assert_int_equal(store_count(a), store_count(b));
    for (size_t i = 0; i < store_count(a); i++) {
        const struct tensor *t = store_at(a, i), *u = store_find(b, t->name);
        assert_non_null(u);
        if (memcmp(t->data, u->data, tensor_bytes(t)))
            fail_msg("%s differs", t->name);
    }
}

static void training_keeps_its_bytes(void **state)
{
    struct net_run plain;
    int again = 0;

    (void)state;
    open_step(&plain);
    OK(compile_within(&plain, 0));
    train(&plain);
    assert_int_equal(turns_again(plain.p), 0);
    for (int percent = 90; percent >= 60; percent -= 10) {
        struct net_run tight;
        uint64_t limit = program_bytes(plain.p) * (uint64_t)percent / 100;
        open_step(&tight);
        OK(compile_within(&tight, limit));
        assert_true(program_bytes(tight.p) <= limit);
        assert_true(turns_again(tight.p) > again / 2);
        again = turns_again(tight.p);
        train(&tight);
        same_states(plain.store, tight.store);
        net_close(&tight);
    }
    net_close(&plain);
}

static void what_cannot_fit_says_so(void **state)
{
    struct net_run r;

    (void)state;
    open_step(&r);
    assert_int_equal(compile_within(&r, 100000), ERR_MEMORY);
    assert_null(r.p);
    assert_non_null(strstr(err_text(), "--mem"));
    assert_non_null(strstr(err_text(), "with recomputation"));
    net_close(&r);
}

/* y = sum of x_i * exp(x_i) taken backwards, where the x_i are random: all of them lie at the middle. */
static void build_random(struct graph *g)
{
    val key = graph_input(g, "key", DT_I64, DIMS0), x[6], sum = op_scalar(g, 0);

    for (int i = 0; i < 6; i++)
        x[i] = op_uniform(g, key, DIMS1(1000));
    for (int i = 0; i < 6; i++)
        sum = op_add(g, sum, op_sum(g, op_exp(g, x[i]), AXIS(0)));
    for (int i = 5; i >= 0; i--)
        sum = op_add(g, sum, op_sum(g, op_mul(g, x[i], sum), AXIS(0)));
    graph_output(g, "y", sum);
}

static double run_random(uint64_t limit, uint64_t *bytes)
{
    struct graph *g = graph_new(DT_F64);
    struct store *s = store_new();
    struct program *p = NULL;
    struct backend cpu;
    int64_t key = 11;
    double y;

    build_random(g);
    OK(backend_cpu(&cpu, NULL, 1));
    OK(program_new(&p, g, s, &(struct compile){.backend = &cpu, .memory_max = limit}));
    OK(program_bind(p, "key", &key));
    OK(program_run(p));
    y = *(const double *)program_output(p, "y");
    assert_int_equal(turns_again(p) > 0, limit > 0);
    *bytes = program_bytes(p);
    program_free(p);
    store_free(s);
    graph_free(g);
    return y;
}

static void random_numbers_are_made_again(void **state)
{
    uint64_t plain, tight;
    double y = run_random(0, &plain);

    (void)state;
    assert_true(run_random(plain / 2, &tight) == y);
    assert_true(tight <= plain / 2);
}

static void allocation_failures_are_errors(void **state)
{
    uint64_t limit;
    struct net_run r;
    bool ended = false;

    (void)state;
    open_step(&r);
    OK(compile_within(&r, 0));
    limit = program_bytes(r.p) * 6 / 10;
    program_free(r.p);
    for (long n = 1; !ended; n += 1 + n / 4) {
        struct backend cpu;
        enum err err;
        r.p = NULL;
        OK(backend_cpu(&cpu, NULL, 1));
        mem_fail_at(n);
        err = program_new(&r.p, r.g, r.store, &(struct compile){.backend = &cpu, .memory_max = limit});
        ended = mem_fail_at(0) < n;
        assert_true(err == ERR_OK || (!ended && err == ERR_MEMORY));
        program_free(r.p);
        /* a graph keeps its first error */
        if (err) {
            r.p = NULL;
            net_close(&r);
            open_step(&r);
        }
    }
    r.p = NULL;
    net_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_keeps_its_bytes),
        cmocka_unit_test(what_cannot_fit_says_so),
        cmocka_unit_test(random_numbers_are_made_again),
        cmocka_unit_test(allocation_failures_are_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
