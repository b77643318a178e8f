/* Norms and activations as hooks of convolutions change nothing but rounding: forward, gradients and whole
 * training steps of small networks, on the CPU's kernels and on references, which take every hook. */
#include "net_run.h"

#include "base/mem.h"
#include "graph/pass.h"
#include "graph/reference.h"
#include "nn/loss.h"
#include "train/step.h"

static struct nnunet small(bool residual, int64_t width)
{
    struct nnunet net;

    nnunet_make(&net, residual, 3, width, 2 * width);
    net.channels = 2;
    net.classes = 3;
    for (int s = 0; s < 3; s++)
        net.convs[s] = residual ? 1 + s : 2;
    return net;
}

/* Runs every row's reference, hooks included. */
static struct backend references(void)
{
    static struct kernel_class direct[OP_COUNT];
    static const struct kernel_class *all[OP_COUNT];

    for (int id = 1; id < OP_COUNT; id++) {
        direct[id] = reference_class;
        direct[id].op = id;
        all[id - 1] = &direct[id];
    }
    return (struct backend){.name = "references", .classes = all, .threads = 1};
}

static struct backend cpu(void)
{
    struct backend b;

    OK(backend_cpu(&b, NULL, 2));
    return b;
}

/* ---- one network, compiled in two ways ---- */

static void fill_inputs(struct net_run *r, int step, int64_t classes)
{
    char name[32];
    struct tensor *t = store_find(r->inputs, "labels");

    snprintf(name, sizeof name, "image%d", step);
    net_fill_golden(r, "image", name, 4);
    for (int64_t i = 0; t && i < dims_count(&t->dims); i++)
        tensor_set(t, i,
                   floor((double)classes * (golden_at(golden_hash("labels") + (uint32_t)step, i) + 0.5)));
}

static void start(struct net_run *r, const struct backend *b, bool fused)
{
    net_fill_params(r);
    OK(graph_status(r->g));
    OK(program_new(&r->p, r->g, r->store, &(struct compile){.backend = b, .no_fusion = !fused}));
    for (size_t i = 0; i < store_count(r->inputs); i++)
        OK(program_bind(r->p, store_at(r->inputs, i)->name, store_at(r->inputs, i)->data));
}

static void open_forward(struct net_run *r, const struct nnunet *net, enum dtype real,
                         const struct backend *b, bool fused)
{
    val out[NNUNET_STAGES_MAX];
    int n;

    net_open(r, real);
    nnunet(r->m, net_input(r, "image", DIMS5(2, 8, 12, 8, net->channels)), net, out, &n);
    graph_output(r->g, "logits", out[0]);
    graph_output(r->g, "deep", out[1]);
    start(r, b, fused);
    fill_inputs(r, 0, net->classes);
    OK(program_run(r->p));
}

/* The gradients themselves are outputs as well: momentum after one step. */
static void open_step(struct net_run *r, const struct nnunet *net, enum dtype real, const struct backend *b,
                      bool fused)
{
    const struct step_options o = {.net = net,
                                   .batch = 2,
                                   .patch = {8, 12, 8},
                                   .loss = {.ce_weight = 1},
                                   .optim = {.kind = OPTIM_SGD, .momentum = 0.9, .decay = 3e-5, .clip = 12}};

    net_open(r, real);
    net_input(r, "image", DIMS5(2, 8, 12, 8, net->channels));
    net_input(r, "labels", DIMS5(2, 8, 12, 8, 1));
    net_input(r, "lr", DIMS0);
    step_build(r->m, &o);
    start(r, b, fused);
    tensor_set(store_find(r->inputs, "lr"), 0, 0.01);
    for (int step = 0; step < 2; step++) {
        fill_inputs(r, step, net->classes);
        OK(program_run(r->p));
        assert_true(program_scalar(r->p, "finite") == 1);
    }
}

static double largest(const struct tensor *t)
{
    double most = 0;

    for (int64_t i = 0; i < dims_count(&t->dims); i++)
        most = fmax(most, fabs(tensor_get(t, i)));
    return most;
}

/* Relative to the tensor's largest number; what is zero but for rounding, to `floor`. */
static void same(const struct tensor *is, const struct tensor *want, double tolerance, double floor_)
{
    const double size = fmax(largest(want), floor_);

    for (int64_t i = 0; i < dims_count(&want->dims); i++)
        if (!(fabs(tensor_get(is, i) - tensor_get(want, i)) <= tolerance * size))
            fail_msg("%s[%d]: fused %.17g, unfused %.17g of %.3g", want->name, (int)i, tensor_get(is, i),
                     tensor_get(want, i), size);
}

static void same_forward(const struct nnunet *net, enum dtype real, const struct backend *b, double tolerance)
{
    struct net_run fused, plain;
    const struct dims d = DIMS5(2, 8, 12, 8, 3), deep = DIMS5(2, 4, 6, 4, 3);
    struct tensor is, want;

    open_forward(&fused, net, real, b, true);
    open_forward(&plain, net, real, b, false);
    is = net_output(&fused, "logits", d), want = net_output(&plain, "logits", d);
    same(&is, &want, tolerance, 0);
    is = net_output(&fused, "deep", deep), want = net_output(&plain, "deep", deep);
    same(&is, &want, tolerance, 0);
    net_close(&fused);
    net_close(&plain);
}

static void same_step(const struct nnunet *net, enum dtype real, const struct backend *b, double tolerance)
{
    struct net_run fused, plain;
    double a, c;

    open_step(&fused, net, real, b, true);
    open_step(&plain, net, real, b, false);
    a = program_scalar(fused.p, "loss"), c = program_scalar(plain.p, "loss");
    assert_true(fabs(a - c) <= tolerance * fabs(c));
    a = program_scalar(fused.p, "norm"), c = program_scalar(plain.p, "norm");
    assert_true(fabs(a - c) <= tolerance * c);
    assert_int_equal(store_count(fused.store), store_count(plain.store));
    for (size_t i = 0; i < store_count(plain.store); i++)
        same(store_find(fused.store, store_at(plain.store, i)->name), store_at(plain.store, i), tolerance,
             1e-2);
    net_close(&fused);
    net_close(&plain);
}

static void both_ways(void **state)
{
    const struct backend fast = cpu();

    (void)state;
    for (int residual = 0; residual < 2; residual++) {
        const struct nnunet wide = small(residual, 16), odd = small(residual, 5);

        same_forward(&wide, DT_F64, &fast, 1e-9);
        same_step(&wide, DT_F64, &fast, 1e-9);
        same_step(&odd, DT_F64, &fast, 1e-9);
        same_forward(&wide, DT_F32, &fast, 1e-4);
        same_step(&wide, DT_F32, &fast, 1e-3);
    }
}

static void every_hook(void **state)
{
    const struct backend slow = references();

    (void)state;
    for (int residual = 0; residual < 2; residual++) {
        const struct nnunet net = small(residual, 3);

        same_forward(&net, DT_F64, &slow, 1e-9);
        same_step(&net, DT_F64, &slow, 1e-9);
    }
}

/* ---- what the program looks like ---- */

static int times(const char *text, const char *what)
{
    int n = 0;

    for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
        n++;
    return n;
}

/* With every hook: no activation is a tensor, no pass of its own makes statistics, and what is left are the
 * gates of maps with two readers and norm_dx. */
static void nothing_left_over(void **state)
{
    const struct backend slow = references();
    const struct nnunet net = small(false, 3);
    struct net_run r;
    struct str dump = {0};

    (void)state;
    open_step(&r, &net, DT_F64, &slow, true);
    program_dump(r.p, &dump);
    assert_int_equal(times(dump.s, " stage "), 0);
    assert_int_equal(times(dump.s, " moments        "), 0);
    assert_int_equal(times(dump.s, "norm_act"), 0);
    assert_int_equal(times(dump.s, " norm_dx "), 10);
    assert_int_equal(times(dump.s, " moments f64"), 10);    /* hooks */
    assert_int_equal(times(dump.s, " gate           "), 2); /* the skips; the coarsest head has no weight */
    str_free(&dump);
    net_close(&r);
}

/* A bias before an instance norm: not read, its gradient exactly zero. */
static void bias_cancels(void **state)
{
    const struct backend fast = cpu();
    const struct nnunet net = small(false, 16);
    struct net_run r;
    struct tensor *v;

    (void)state;
    open_step(&r, &net, DT_F32, &fast, true);
    v = store_find(r.store, "optim.encoder.stages.0.0.convs.1.conv.bias.m");
    assert_non_null(v);
    assert_true(largest(v) < 3e-5); /* decay alone */
    net_close(&r);
}

/* ---- hooks against the rows they replace ---- */

struct layer {
    int64_t in[3], ci, co;
    struct conv c;
};

static const struct layer layers[] = {
    {{12, 13, 12}, 16, 32, {.kernel = CUBE(3), .pad = CUBE(1)}}, /* Winograd */
    {{1, 40, 48}, 32, 48, {.kernel = {1, 3, 3}, .pad = {0, 1, 1}}},
    {{9, 6, 7}, 16, 24, {.kernel = CUBE(3), .pad = CUBE(1), .stride = CUBE(2)}}, /* direct */
    {{7, 5, 6}, 5, 17, {.kernel = CUBE(3), .pad = CUBE(1)}},
    {{4, 5, 6}, 33, 3, {.kernel = CUBE(1)}},
    {{6, 4, 8}, 16, 32, {.kernel = CUBE(2), .stride = CUBE(2)}},
};
enum { LAYERS = sizeof layers / sizeof *layers };

static val coefficients(struct net_run *r, const char *name, int64_t channels)
{
    return net_input(r, name, DIMS3(2, COEF_ROWS, channels));
}

static val row(struct graph *g, int op, int n, const val in[])
{
    return graph_node(g, op, NULL, n, in);
}

/* y = conv of a staged x with its moments; dx of a staged y behind a gate; dw of both staged. */
static void build_layer(struct net_run *r, const struct layer *l)
{
    const struct dims x_dims = DIMS5(2, l->in[0], l->in[1], l->in[2], l->ci);
    const struct dims w_dims = DIMS5(l->co, l->ci, l->c.kernel[0], l->c.kernel[1], l->c.kernel[2]);
    struct conv c = l->c;
    val x = net_input(r, "x", x_dims), w = net_input(r, "w", w_dims), y, z, dx, plain[2];

    memcpy(c.size, l->in, sizeof c.size);
    plain[0] = row(r->g, OP_STAGE, 2, (val[]){x, coefficients(r, "x_coef", l->ci)});
    y = op_conv(r->g, plain[0], w, (val){0}, &c);
    graph_output(r->g, "y", y);
    graph_output(r->g, "moments", row(r->g, OP_MOMENTS, 1, &y));
    z = net_input(r, "z", x_dims);
    plain[1] = net_input(r, "dy", graph_dims(r->g, y));
    plain[1] = row(r->g, OP_STAGE, 2, (val[]){plain[1], coefficients(r, "y_coef", l->co)});
    dx = op_conv_dx(r->g, plain[1], w, (val){0}, &c);
    dx = row(r->g, OP_GATE, 3, (val[]){dx, z, coefficients(r, "z_coef", l->ci)});
    graph_output(r->g, "dx", dx);
    graph_output(r->g, "sums", graph_out(r->g, dx, 1));
    graph_output(r->g, "dw", op_conv_dw(r->g, plain[1], plain[0], &c));
}

static void run_layer(struct net_run *r, const struct layer *l, const struct backend *b, bool fused)
{
    net_open(r, DT_F32);
    build_layer(r, l);
    for (size_t i = 0; i < store_count(r->inputs); i++) {
        struct tensor *t = store_find(r->inputs, store_at(r->inputs, i)->name);
        const bool coef = t->dims.rank == 3;
        for (int64_t k = 0; k < dims_count(&t->dims); k++)
            tensor_set(t, k,
                       coef && k / t->dims.n[2] % COEF_ROWS == COEF_SLOPE
                           ? 0.01
                           : 2 * golden_at(golden_hash(t->name), k));
    }
    start(r, b, fused);
    OK(program_run(r->p));
}

/* Every number that is not a sum over tasks has the same bits; a sum is as near as its order lets it be. */
static void hooks_are_the_rows(void **state)
{
    static const char *const exact[] = {"y", "dx", "dw"}, *const near[] = {"moments", "sums"};
    const struct backend fast = cpu();

    (void)state;
    for (int i = 0; i < LAYERS; i++) {
        const struct layer *l = &layers[i];
        struct net_run fused, rows;

        run_layer(&fused, l, &fast, true);
        run_layer(&rows, l, &fast, false);
        for (int k = 0; k < 3; k++) {
            const struct graph_named *out;
            struct dims d = DIMS0;
            for (int n = graph_outputs(rows.g, &out); n-- > 0;)
                if (!strcmp(out[n].name, exact[k]))
                    d = graph_dims(rows.g, out[n].v);
            if (memcmp(program_output(fused.p, exact[k]), program_output(rows.p, exact[k]),
                       (size_t)dims_count(&d) * sizeof(float)))
                fail_msg("layer %d: %s of hooks is not that of the rows", i, exact[k]);
        }
        for (int k = 0; k < 2; k++) {
            const struct dims d = DIMS3(2, 2, k ? l->ci : l->co);
            struct tensor is = net_output(&fused, near[k], d), want = net_output(&rows, near[k], d);
            same(&is, &want, 1e-6, 0);
        }
        net_close(&fused);
        net_close(&rows);
    }
}

/* Two convolutions that mirror their padding, each with norm and activation, and one that repeats it; the
 * gradients of all weights and of the image. */
static void open_mirrored(struct net_run *r, enum dtype real, const struct backend *b, bool fused)
{
    const enum pad_mode mode[] = {PAD_REFLECT, PAD_REFLECT, PAD_REPLICATE};
    val x, wrt[4], grad[4], scale, shift;

    net_open(r, real);
    scale = op_constant(r->g, 1.5, DIMS1(16));
    shift = op_constant(r->g, 0.5, DIMS1(16));
    x = wrt[3] = net_input(r, "image", DIMS5(2, 12, 12, 14, 16));
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        wrt[i] = nn_param(r->m, name, DIMS5(16, 16, 3, 3, 3), INIT_HE);
        x = op_conv(r->g, x, wrt[i], (val){0},
                    &(struct conv){.kernel = CUBE(3), .pad = CUBE(1), .pad_mode = mode[i]});
        if (i < 2)
            x = op_leaky_relu(r->g, op_norm(r->g, x, scale, shift, 0, 1e-5), 0.01);
    }
    graph_output(r->g, "y", x);
    graph_grad(r->g, op_sum(r->g, op_square(r->g, x), ALL_AXES), 4, wrt, grad);
    for (int i = 0; i < 4; i++)
        graph_output(r->g, i < 3 ? r->m->param[i].name : "dx", grad[i]);
    start(r, b, fused);
    fill_inputs(r, 0, 0);
    OK(program_run(r->p));
}

/* Mirrored and repeated voxels pass a stage like all others; what belongs to them is there before a gate. */
static void mirrored_padding(void **state)
{
    const struct backend b = cpu();

    (void)state;
    for (int real = 0; real < 2; real++) {
        const enum dtype type = real ? DT_F64 : DT_F32;
        struct net_run fused, plain;
        struct str dump = {0};
        open_mirrored(&fused, type, &b, true);
        open_mirrored(&plain, type, &b, false);
        program_dump(fused.p, &dump);
        assert_non_null(strstr(dump.s, "conv.winograd      x-stage moments reflect"));
        str_free(&dump);
        for (int i = 0; i < 5; i++) {
            const char *name = i < 3 ? fused.m->param[i].name : i == 3 ? "dx" : "y";
            const struct dims d = i < 3 ? fused.m->param[i].dims : DIMS5(2, 12, 12, 14, 16);
            const struct tensor is = net_output(&fused, name, d), want = net_output(&plain, name, d);
            same(&is, &want, real ? 1e-11 : 1e-4, 0);
        }
        net_close(&fused);
        net_close(&plain);
    }
}

/* Convolution, norm, activation; joined with the image, convolved again; a gradient step on the weights. */
static void build_joined(struct graph *g)
{
    const struct conv c = {.kernel = {1, 3, 3}, .pad = {0, 1, 1}};
    val x = graph_input(g, "x", DT_F64, DIMS5(1, 1, 3, 3, 2)), y, grad;
    val w = graph_state(g, "w", DT_F64, DIMS5(2, 2, 1, 3, 3)),
        v = graph_state(g, "v", DT_F64, DIMS5(2, 4, 1, 3, 3));

    y = op_norm(g, op_conv(g, x, w, (val){0}, &c), op_constant(g, 1.5, DIMS1(2)),
                op_constant(g, 0.5, DIMS1(2)), 0, 1e-5);
    y = op_conv(g, op_concat(g, AXIS_C, op_leaky_relu(g, y, 0.1), x), v, (val){0}, &c);
    graph_grad(g, op_sum(g, op_tanh(g, y), ALL_AXES), 1, &w, &grad);
    graph_assign(g, w, op_sub(g, w, grad), (val){0});
}

static void allocation_failures_are_errors(void **state)
{
    const struct backend slow = references();
    const struct compile how = {.backend = &slow};
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
            build_joined(g);
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
        cmocka_unit_test(both_ways),
        cmocka_unit_test(every_hook),
        cmocka_unit_test(nothing_left_over),
        cmocka_unit_test(bias_cancels),
        cmocka_unit_test(hooks_are_the_rows),
        cmocka_unit_test(mirrored_padding),
        cmocka_unit_test(allocation_failures_are_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
