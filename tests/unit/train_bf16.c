/* A training step in bf16: which values become bf16, that float stays the master of weights, what it saves,
 * that it learns like float, and that threads and instruction sets change no bit. */
#include "test.h"

#include "backend/backend.h"
#include "base/file.h"
#include "base/rng.h"
#include "graph/op.h"
#include "graph/pass.h"
#include "graph/program.h"
#include "train/step.h"
#include <math.h>

enum { PATCH = 16, BATCH = 2, STEPS = 20 };

struct training {
    struct graph *g;
    struct nn *m;
    struct store *store, *inputs;
    struct program *p;
};

static void input(struct training *t, const char *name, struct dims d)
{
    struct tensor *x = NULL;

    assert_ok(store_need(t->inputs, name, DT_F32, d, &x));
}

/* Balls of a class each in noise. */
static void fill(struct training *t, int step)
{
    struct tensor *image = store_find(t->inputs, "image"), *labels = store_find(t->inputs, "labels");
    struct rng r = rng_at(5, (uint64_t)step);

    for (int64_t i = 0; i < dims_count(&labels->dims); i++) {
        const int64_t x = i % PATCH, y = i / PATCH % PATCH, z = i / PATCH / PATCH % PATCH;
        const int64_t far = (x - 8) * (x - 8) + (y - 7) * (y - 7) + (z - 8) * (z - 8);
        const double label = far < 9 ? 2 : far < 36 ? 1 : 0;
        tensor_set(labels, i, label);
        tensor_set(image, 2 * i, label + 0.5 * rng_normal(&r));
        tensor_set(image, 2 * i + 1, 0.5 * rng_normal(&r));
    }
}

static void training_build(struct training *t, bool residual)
{
    struct nnunet net;
    struct step_options o = {.net = &net,
                             .batch = BATCH,
                             .patch = {PATCH, PATCH, PATCH},
                             .loss = {.ce_weight = 1},
                             .optim = {.kind = OPTIM_SGD, .momentum = 0.9, .decay = 3e-5, .clip = 12}};

    *t = (struct training){.g = graph_new(DT_F32), .store = store_new(), .inputs = store_new()};
    t->m = nn_new(t->g);
    nnunet_make(&net, residual, 3, 8, 24);
    net.channels = 2;
    net.classes = 3;
    step_build(t->m, &o);
    assert_ok(graph_status(t->g));
    input(t, "image", DIMS5(BATCH, PATCH, PATCH, PATCH, 2));
    input(t, "labels", DIMS5(BATCH, PATCH, PATCH, PATCH, 1));
    input(t, "lr", DIMS0);
    tensor_set(store_find(t->inputs, "lr"), 0, 0.02);
}

static void training_open(struct training *t, bool residual, bool bf16, const char *isa, int threads)
{
    struct backend cpu;

    training_build(t, residual);
    assert_ok(backend_cpu(&cpu, isa, threads));
    assert_ok(program_new(&t->p, t->g, t->store,
                          &(struct compile){.backend = &cpu, .bf16 = bf16, .no_reference = true}));
    assert_ok(nn_init(t->m, t->store, 3));
    for (size_t i = 0; i < store_count(t->inputs); i++)
        assert_ok(program_bind(t->p, store_at(t->inputs, i)->name, store_at(t->inputs, i)->data));
}

static void training_close(struct training *t)
{
    program_free(t->p);
    nn_free(t->m);
    graph_free(t->g);
    store_free(t->store);
    store_free(t->inputs);
}

/* Mean loss of the last five steps; a hash of every state. */
static double training_run(struct training *t, int steps, uint64_t *hash)
{
    double sum = 0;

    for (int i = 0; i < steps; i++) {
        fill(t, i);
        assert_ok(program_run(t->p));
        assert_true(program_scalar(t->p, "finite") == 1);
        sum += i >= steps - 5 ? program_scalar(t->p, "loss") : 0;
    }
    *hash = 0;
    for (size_t i = 0; i < store_count(t->store); i++)
        *hash = bytes_hash(store_at(t->store, i)->data, (size_t)tensor_bytes(store_at(t->store, i)), *hash);
    return sum / 5;
}

static void learns_like_float(void **state)
{
    (void)state;
    for (int residual = 0; residual < 2; residual++) {
        double loss[2], start;
        uint64_t hash[2];
        for (int bf16 = 0; bf16 < 2; bf16++) {
            struct training t;
            training_open(&t, residual, bf16, NULL, 0);
            fill(&t, 0);
            assert_ok(program_run(t.p));
            start = program_scalar(t.p, "loss");
            loss[bf16] = training_run(&t, STEPS, &hash[bf16]);
            printf("%s %s: %.5f after %.5f\n", residual ? "residual" : "plain", bf16 ? "bf16" : "f32",
                   loss[bf16], start);
            assert_true(loss[bf16] < 0.8 * start);
            training_close(&t);
        }
        assert_true(hash[0] != hash[1]);
        assert_true(fabs(loss[1] - loss[0]) < 0.01 * fabs(start));
    }
}

static void bits_do_not_depend_on_threads_or_isa(void **state)
{
    static const int threads[] = {1, 2, 7};
    static const char *const isa[] = {"avx2", "avx512"};
    uint64_t first = 0, hash;
    struct backend cpu;

    (void)state;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 3; k++) {
            struct training t;
            if (backend_cpu(&cpu, isa[i], 1)) {
                printf("skipped: %s, this processor lacks it\n", isa[i]);
                continue;
            }
            training_open(&t, true, true, isa[i], threads[k]);
            training_run(&t, 5, &hash);
            if (!first)
                first = hash;
            assert_int_equal(first, hash);
            training_close(&t);
        }
}

static void saves_memory(void **state)
{
    (void)state;
    for (int residual = 0; residual < 2; residual++) {
        uint64_t bytes[2];
        for (int bf16 = 0; bf16 < 2; bf16++) {
            struct training t;
            training_open(&t, residual, bf16, NULL, 2);
            bytes[bf16] = program_bytes(t.p);
            training_close(&t);
        }
        printf("%s: %.3f MB, in bf16 %.3f MB\n", residual ? "residual" : "plain", 1e-6 * (double)bytes[0],
               1e-6 * (double)bytes[1]);
        assert_true((double)bytes[1] < 0.85 * (double)bytes[0]);
    }
}

/* ---- the graph ---- */

static bool is_conv(const struct node *n)
{
    return n->id == OP_CONV || n->id == OP_CONV_DX || n->id == OP_CONV_DW;
}

static void check_conv(const struct graph *g, const struct node *n)
{
    assert_int_equal(n->attr.conv.hooks & ~(HOOK_X_STAGE | HOOK_Y_STAGE), 0);
    for (int k = 0; k < n->n_in; k++)
        assert_int_equal(graph_type(g, n->in[k]), k < 2 ? DT_BF16 : DT_F32);
    assert_int_equal(n->out_type[0], DT_F32);
}

/* What is neither a cast nor a convolution is float, but for z behind it and operands that are joined. */
static void check_other(const struct graph *g, const struct node *n)
{
    const bool joins = n->id == OP_CONCAT && graph_type(g, n->in[0]) == DT_BF16;
    const bool back = n->id == OP_GATE || n->id == OP_NORM_DX;

    for (int k = 0; k < n->n_out; k++)
        assert_int_equal(n->out_type[k], joins ? DT_BF16 : DT_F32);
    for (int k = 0; k < n->n_in; k++)
        assert_int_equal(graph_type(g, n->in[k]), joins || (back && k == 1) ? DT_BF16 : DT_F32);
}

static int readers(const struct graph *g, const bool *live, val v, bool convs)
{
    int count = 0;

    for (int i = 0; i < graph_count(g); i++)
        for (int k = 0; live[i] && k < graph_at(g, i)->n_in; k++)
            count += graph_at(g, i)->in[k].id == v.id && is_conv(graph_at(g, i)) == convs;
    return count;
}

/* What program_new makes of the graph in bf16. */
static struct graph *lowered(struct graph *g)
{
    struct backend cpu;
    struct graph *fused, *made;

    assert_ok(backend_cpu(&cpu, NULL, 1));
    cpu.f32 = cpu.bf16;
    fused = pass_fuse(g, &cpu);
    assert_non_null(fused);
    made = pass_bf16(fused);
    assert_non_null(made);
    graph_free(fused);
    return made;
}

static void convolutions_become_bf16(void **state)
{
    struct training t;
    struct graph *g;
    const struct graph_assignment *assign;
    int convs = 0, staged = 0, joined = 0, shared = 0, assigns;
    bool *live;

    (void)state;
    training_build(&t, false);
    g = lowered(t.g);
    live = pass_live(g);
    for (int i = 0; i < graph_count(g); i++) {
        const struct node *n = graph_at(g, i);
        if (!live[i])
            continue;
        if (is_conv(n))
            check_conv(g, n);
        else if (n->id != OP_CAST)
            check_other(g, n);
        convs += is_conv(n);
        staged += is_conv(n) && n->attr.conv.hooks;
        joined += n->id == OP_CONCAT && n->out_type[0] == DT_BF16;
        if (n->id == OP_CAST && n->out_type[0] == DT_BF16)
            shared += readers(g, live, node_out(n, 0), true) > 1;
    }
    assert_true(convs > 20);
    assert_true(staged > 10);
    assert_int_equal(joined, 2); /* one per decoder stage: what skips is kept as bf16 */
    assert_true(shared > 10);    /* what a convolution reads, its gradient by w reads too: one cast */
    assigns = graph_assignments(g, &assign);
    assert_true(assigns > 0);
    for (int i = 0; i < assigns; i++)
        assert_int_equal(graph_type(g, assign[i].state), DT_F32);
    mem_free(live);
    graph_free(g);
    training_close(&t);
}

/* An operation on doubles is left alone: f64 is the exact mode. */
static void doubles_stay(void **state)
{
    struct graph *g = graph_new(DT_F64), *made;
    val x = graph_input(g, "x", DT_F64, DIMS5(1, 2, 3, 4, 5)),
        w = graph_state(g, "w", DT_F64, DIMS5(6, 5, 1, 1, 1));

    (void)state;
    graph_output(g, "y", op_conv(g, x, w, (val){0}, &(struct conv){0}));
    made = pass_bf16(g);
    assert_non_null(made);
    for (int i = 0; i < graph_count(made); i++)
        assert_int_equal(graph_at(made, i)->out_type[0], DT_F64);
    graph_free(made);
    graph_free(g);
}

/* bf16 kernels pad with zeros only: a convolution that mirrors runs in float behind one that does not. */
static void mirrored_padding_stays_float(void **state)
{
    const struct conv zero = {.kernel = CUBE(3), .pad = CUBE(1)},
                      mirror = {.kernel = CUBE(3), .pad = CUBE(1), .pad_mode = PAD_REFLECT};
    struct graph *g = graph_new(DT_F32), *made;
    struct store *s = store_new();
    struct program *p = NULL;
    struct str dump = {0};
    struct backend cpu;
    struct tensor *t = NULL;
    val w = graph_state(g, "w", DT_F32, DIMS5(4, 4, 3, 3, 3)), x = op_constant(g, 0.5, DIMS5(1, 4, 5, 6, 4));
    int convs = 0;

    (void)state;
    graph_output(g, "y", op_conv(g, op_conv(g, x, w, (val){0}, &zero), w, (val){0}, &mirror));
    made = lowered(g);
    for (int i = 0; i < graph_count(made); i++) {
        const struct node *n = graph_at(made, i);
        if (n->id != OP_CONV)
            continue;
        assert_int_equal(graph_type(made, n->in[0]), n->attr.conv.pad_mode ? DT_F32 : DT_BF16);
        convs++;
    }
    assert_int_equal(convs, 2);
    graph_free(made);
    assert_ok(backend_cpu(&cpu, NULL, 1));
    assert_ok(store_need(s, "w", DT_F32, DIMS5(4, 4, 3, 3, 3), &t));
    for (int64_t i = 0; i < dims_count(&t->dims); i++)
        tensor_set(t, i, 0.01 * (double)(i % 7));
    assert_ok(program_new(&p, g, s, &(struct compile){.backend = &cpu, .bf16 = true}));
    assert_ok(program_run(p));
    assert_true(fabs((double)((const float *)program_output(p, "y"))[0]) > 0);
    program_dump(p, &dump);
    assert_non_null(strstr(dump.s, " reflect"));
    str_free(&dump);
    program_free(p);
    store_free(s);
    graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_become_bf16),
        cmocka_unit_test(doubles_stay),
        cmocka_unit_test(mirrored_padding_stays_float),
        cmocka_unit_test(learns_like_float),
        cmocka_unit_test(bits_do_not_depend_on_threads_or_isa),
        cmocka_unit_test(saves_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
