/* Programs that share an arena, and what a program asks of the system once it runs. */
#define _DEFAULT_SOURCE /* getrusage */
#include "net_run.h"

#include "train/step.h"
#include <sys/resource.h>

enum { COUNT = 5000, PATCH = 32, FAULTS = 40 };

/* y = the sum over i of exp(c_i x), all of them alive at the end: longer programs are larger. */
static struct program *chain(struct program_arena *a, struct store *s, int length, const double *x)
{
    struct graph *g = graph_new(DT_F64);
    val in = graph_input(g, "x", DT_F64, DIMS1(COUNT)), part[8], sum;
    struct program *p = NULL;
    struct backend cpu;

    for (int i = 0; i < length; i++)
        part[i] = op_exp(g, op_mul(g, in, op_constant(g, 0.1 * (i + length), DIMS1(COUNT))));
    sum = part[0];
    for (int i = 1; i < length; i++)
        sum = op_add(g, op_mul(g, sum, part[i]), part[length - i]);
    graph_output(g, "y", op_sum(g, sum, AXIS(0)));
    OK(backend_cpu(&cpu, NULL, 2));
    OK(program_new(&p, g, s, &(struct compile){.backend = &cpu, .arena = a}));
    OK(program_bind(p, "x", x));
    graph_free(g);
    return p;
}

static double result(struct program *p)
{
    OK(program_run(p));
    return program_scalar(p, "y");
}

static void programs_share_an_arena(void **state)
{
    struct program_arena *a = NULL;
    struct store *s = store_new();
    struct program *own[3], *shared[3];
    double x[COUNT], want[3];

    (void)state;
    for (int i = 0; i < COUNT; i++)
        x[i] = (i % 100) * 0.01;
    OK(program_arena_new(&a));
    for (int i = 0; i < 3; i++) {
        own[i] = chain(NULL, s, 2 + 2 * i, x);
        want[i] = result(own[i]);
        assert_true(want[i] > 0);
        shared[i] = chain(a, s, 2 + 2 * i, x);
        assert_null(program_output(shared[i], "y"));
        for (int j = 0; j <= i; j++) /* the arena has grown since some of them ran */
            assert_true(result(shared[j]) == want[j]);
        assert_true(program_bytes(shared[i]) == program_bytes(own[i]));
        assert_true(program_arena_bytes(a) == program_bytes(own[i]));
        assert_true(i == 0 || program_bytes(own[i]) > program_bytes(own[i - 1]));
    }
    for (int i = 0; i < 9; i++)
        assert_true(result(shared[i * i % 3]) == want[i * i % 3]);
    for (int i = 0; i < 3; i++) {
        program_free(own[i]);
        program_free(shared[i]);
    }
    program_arena_free(a);
    store_free(s);
}

static long faults(void)
{
    struct rusage r;

    assert_int_equal(getrusage(RUSAGE_SELF, &r), 0);
    return r.ru_minflt;
}

static void step_open(struct net_run *r)
{
    struct nnunet net;
    struct step_options o = {.net = &net,
                             .batch = 2,
                             .patch = {PATCH, PATCH, PATCH},
                             .loss = {.ce_weight = 1},
                             .optim = {.kind = OPTIM_SGD, .momentum = 0.99, .decay = 3e-5, .clip = 12}};

    nnunet_make(&net, false, 3, 16, 32);
    net.channels = 4;
    net.classes = 3;
    net.deep_supervision = true;
    net_open(r, DT_F32);
    net_input(r, "image", DIMS5(2, PATCH, PATCH, PATCH, 4));
    net_input(r, "labels", DIMS5(2, PATCH, PATCH, PATCH, 1));
    net_input(r, "lr", DIMS0);
    step_build(r->m, &o);
    net_fill_params(r);
    net_compile(r);
    net_fill_golden(r, "image", "image", 4);
    tensor_set(store_find(r->inputs, "lr"), 0, 0.01);
}

/* Steps after the first two touch no page for the first time: memory is taken once. */
static void steps_take_no_pages(void **state)
{
    struct net_run r;
    long before;

    (void)state;
    step_open(&r);
    assert_true(program_bytes(r.p) > (16 << 20)); /* 4096 pages: one in a hundred would show */
    for (int step = 0; step < 2; step++)
        OK(program_run(r.p));
    before = faults();
    for (int step = 0; step < 3; step++)
        OK(program_run(r.p));
    before = faults() - before;
    if (before > FAULTS)
        fail_msg("%ld page faults in three steps of a program that has run before", before);
    net_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_share_an_arena),
        cmocka_unit_test(steps_take_no_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
