/* bench step: seconds, operations and bytes of one training step (or of the inference alone) on random data.
 * Its peer, bench/peers/torch_step.py, is timed by the same recipe. */
#include "stage/bench.h"

#include "base/clock.h"
#include "base/cpu.h"
#include "base/json.h"
#include "base/par.h"
#include "base/rng.h"
#include "base/str.h"
#include "stage/backend.h"
#include "graph/program.h"
#include "stage/bench_trace.h"
#include "train/step.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPS_MAX = 128, STAGES = 5, STAGES_2D = 7 };

static const char *const net_names[] = {"nnunet", "nnunet-residual", NULL};

struct bench_step {
    struct bench_common common;
    int net, precision;
    int64_t patch[3], batch, channels, classes;
    bool forward, program;
    const char *trace;
    struct cfg_list form;
};

static const struct field fields[] = {
    FIELD(struct bench_step, T_CHOICE, net, .names = net_names,
          .help = "network: five stages of 32 to 320 features; with --patch 1,H,W seven stages in 2D"),
    FIELD(struct bench_step, T_INT3, patch, .text = "96", .min = 1, .max = 1024,
          .help = "voxels, z,y,x or one for all"),
    FIELD(struct bench_step, T_INT, batch, .def = 2, .min = 1, .max = 1024, .help = "samples"),
    FIELD(struct bench_step, T_INT, channels, .def = 4, .min = 1, .max = 64, .help = "phases"),
    FIELD(struct bench_step, T_INT, classes, .def = 3, .min = 2, .max = 256,
          .help = "classes, background included"),
    STAGE_PRECISION(struct bench_step),
    FIELD(struct bench_step, T_BOOL, forward,
          .help = "the inference alone, as predict runs it, instead of a training step"),
    BENCH_FIELDS(struct bench_step, 3),
    FIELD(struct bench_step, T_LIST, form, .arg = "FORM",
          .help =
              "forms of the peer such as compiled-ndhwc-f32 (several: repeat it); without it all: eager or "
              "compiled, ncdhw or ndhwc, f32 or bf16"),
    FIELD(struct bench_step, T_STRING, trace, .arg = "FILE.json",
          .help = "write one step as a trace that ui.perfetto.dev opens"),
    FIELD(struct bench_step, T_BOOL, program,
          .help = "also list the program: every kernel with its shape, place and time (not with --json)"),
};

struct bench {
    const struct bench_step *cfg;
    const struct cli *cli;
    struct nnunet net;
    struct graph *g;
    struct nn *m;
    struct store *store, *inputs;
    struct program *p;
    struct bench_stat seconds;
    uint64_t peak; /* bytes, before any peer was started */
    struct program_time op[OPS_MAX];
    int ops;
    bool warm;
    struct bench_duels duels;
    json_t *scaling;
};

static bool is_flat(const struct bench_step *c)
{
    return c->patch[0] == 1;
}

static enum err check_patch(const struct bench_step *c)
{
    int64_t by = is_flat(c) ? 1 << (STAGES_2D - 1) : 1 << (STAGES - 1);

    for (int i = is_flat(c); i < 3; i++)
        if (c->patch[i] % by || c->patch[i] < 2 * by)
            return err_set(
                ERR_USAGE, "--patch: %lld is not a multiple of %lld and at least %lld, which %d stages need",
                (long long)c->patch[i], (long long)by, (long long)(2 * by), is_flat(c) ? STAGES_2D : STAGES);
    return ERR_OK;
}

static void make_net(struct nnunet *net, const struct bench_step *c)
{
    nnunet_make(net, c->net == 1, is_flat(c) ? STAGES_2D : STAGES, 32, 320);
    net->channels = c->channels;
    net->classes = c->classes;
    net->deep_supervision = !c->forward;
    for (int s = 0; is_flat(c) && s < net->stages; s++)
        net->kernel[s][0] = net->stride[s][0] = 1;
}

static void build_forward(struct bench *b)
{
    const struct bench_step *c = b->cfg;
    val out[NNUNET_STAGES_MAX] = {{0}};
    int n = 0;

    nnunet(b->m,
           graph_input(b->g, "image", DT_F32,
                       DIMS5(c->batch, c->patch[0], c->patch[1], c->patch[2], c->channels)),
           &b->net, out, &n);
    graph_output(b->g, "logits", out[0]);
}

static enum err build(struct bench *b)
{
    const struct bench_step *c = b->cfg;
    struct step_options o = {
        .net = &b->net,
        .batch = c->batch,
        .loss = {.ce_weight = 1},
        .optim = {.kind = OPTIM_SGD, .momentum = 0.99, .decay = 3e-5, .clip = 12},
    };

    make_net(&b->net, c);
    memcpy(o.patch, c->patch, sizeof(o.patch));
    b->g = graph_new(DT_F32);
    b->m = b->g ? nn_new(b->g) : NULL;
    b->store = store_new();
    b->inputs = store_new();
    if (!b->m || !b->store || !b->inputs)
        return ERR_MEMORY;
    if (c->forward)
        build_forward(b);
    else
        step_build(b->m, &o);
    return graph_status(b->g);
}

static enum err input(struct bench *b, const char *name, struct dims d, struct tensor **t)
{
    return store_need(b->inputs, name, DT_F32, d, t);
}

static enum err make_inputs(struct bench *b)
{
    const struct bench_step *c = b->cfg;
    struct rng r = rng_at(1, 1);
    struct tensor *image = NULL, *labels = NULL, *lr = NULL;
    int64_t n;

    TRY(input(b, "image", DIMS5(c->batch, c->patch[0], c->patch[1], c->patch[2], c->channels), &image));
    n = dims_count(&image->dims);
    for (int64_t i = 0; i < n; i++)
        tensor_set(image, i, rng_normal(&r));
    if (c->forward)
        return ERR_OK;
    TRY(input(b, "labels", DIMS5(c->batch, c->patch[0], c->patch[1], c->patch[2], 1), &labels));
    TRY(input(b, "lr", DIMS0, &lr));
    n = dims_count(&labels->dims);
    for (int64_t i = 0; i < n; i++)
        tensor_set(labels, i, (double)rng_below(&r, (uint64_t)c->classes));
    tensor_set(lr, 0, 0.01);
    return ERR_OK;
}

static bool in_bf16(const struct bench *b)
{
    return stage_bf16(b->cli->common, b->cfg->precision);
}

/* Compiles anew for this many threads; parameters start again. */
static enum err use_threads(void *ctx, int threads)
{
    struct bench *b = ctx;
    struct backend cpu;
    struct compile how = {.backend = &cpu,
                          .memory_max = program_rest(b->g, NULL, (uint64_t)b->cli->common->mem),
                          .bf16 = in_bf16(b),
                          .fixed_max = b->cfg->forward ? (uint64_t)b->cli->common->mem / 8 : 0,
                          .no_reference = true,
                          .stop = b->cli->stop};

    program_free(b->p);
    b->p = NULL;
    b->warm = false;
    TRY(stage_backend(&cpu, b->cli->common, threads));
    TRY(program_new(&b->p, b->g, b->store, &how));
    TRY(nn_init(b->m, b->store, 1));
    for (size_t i = 0; i < store_count(b->inputs); i++)
        TRY(program_bind(b->p, store_at(b->inputs, i)->name, store_at(b->inputs, i)->data));
    return ERR_OK;
}

static enum err run_once(void *ctx, double *seconds)
{
    struct bench *b = ctx;
    double start = clock_now();

    TRY(program_run(b->p));
    *seconds = clock_now() - start;
    if (!b->warm) /* the first run touches all pages: times count from here */
        program_timing(b->p, true);
    b->warm = true;
    return ERR_OK;
}

static int by_seconds(const void *a, const void *b)
{
    const struct program_time *x = a, *y = b;

    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static struct bench_work work_of(struct bench *b)
{
    return (struct bench_work){.round = run_once, .threads = use_threads, .ctx = b};
}

static enum err measure(struct bench *b)
{
    struct bench_work w = work_of(b);

    TRY(use_threads(b, par_threads()));
    TRY(bench_run(&b->seconds, &w, b->cfg->common.rounds, b->cli));
    b->ops = program_times(b->p, b->op, OPS_MAX);
    qsort(b->op, (size_t)b->ops, sizeof(b->op[0]), by_seconds);
    b->peak = mem_peak();
    return ERR_OK;
}

/* ---- peers ---- */

struct form {
    const char *name, *layout, *precision;
    bool compiled;
};

static const struct form forms[] = {
    {"eager-ncdhw-f32", "ncdhw", "f32", false},     {"eager-ndhwc-f32", "ndhwc", "f32", false},
    {"compiled-ncdhw-f32", "ncdhw", "f32", true},   {"compiled-ndhwc-f32", "ndhwc", "f32", true},
    {"eager-ncdhw-bf16", "ncdhw", "bf16", false},   {"eager-ndhwc-bf16", "ndhwc", "bf16", false},
    {"compiled-ncdhw-bf16", "ncdhw", "bf16", true}, {"compiled-ndhwc-bf16", "ndhwc", "bf16", true},
};
enum { FORMS = sizeof forms / sizeof *forms };

static bool is_asked(const struct form *f, const struct bench_step *c)
{
    bool asked = !c->form.count;

    for (size_t i = 0; i < c->form.count; i++)
        asked = asked || !strcmp(c->form.item[i], f->name);
    return asked;
}

static enum err check_forms(const struct bench_step *c)
{
    for (size_t i = 0; i < c->form.count; i++) {
        int k = 0;
        while (k < FORMS && strcmp(forms[k].name, c->form.item[i]))
            k++;
        if (k == FORMS)
            return err_set(
                ERR_USAGE,
                "--form %s: not one of eager or compiled, ncdhw or ndhwc, f32 or bf16, joined by -",
                c->form.item[i]);
    }
    return ERR_OK;
}

static enum err duel(struct bench *b, const struct form *f)
{
    const struct bench_step *c = b->cfg;
    const int64_t number[] = {c->patch[0], c->patch[1], c->patch[2],  c->batch,
                              c->channels, c->classes,  b->net.stages};
    const char *args[BENCH_ARGS_MAX] = {"torch_step.py", "--net",       net_names[c->net], "--layout",
                                        f->layout,       "--precision", f->precision,      "--patch"};
    static const char *const name[] = {NULL, NULL, NULL, "--batch", "--channels", "--classes", "--stages"};
    struct bench_work w = work_of(b);
    char text[7][24];
    int n = 8;

    for (int i = 0; i < 7; i++) {
        snprintf(text[i], sizeof text[i], "%lld", (long long)number[i]);
        if (name[i])
            args[n++] = name[i];
        args[n++] = text[i];
    }
    if (f->compiled)
        args[n++] = "--compile";
    if (c->forward)
        args[n++] = "--forward";
    return bench_duel(&b->duels, b->cli, &c->common, args, &w);
}

static enum err run_peers(struct bench *b)
{
    TRY(bench_duels_begin(&b->duels, b->cli));
    for (int i = 0; i < FORMS; i++)
        if (is_asked(&forms[i], b->cfg))
            TRY(duel(b, &forms[i]));
    return bench_duels_end(&b->duels, b->cli);
}

/* ---- results ---- */

static double flops_per_step(const struct bench *b)
{
    double sum = 0;

    for (int i = 0; i < b->ops; i++)
        sum += b->op[i].flops;
    return sum / (double)b->cfg->common.rounds;
}

/* What the plan says: arena, scratch, parameters, momenta and inputs. */
static uint64_t planned_bytes(const struct bench *b)
{
    uint64_t sum = program_bytes(b->p);

    for (size_t i = 0; i < store_count(b->store); i++)
        sum += tensor_bytes(store_at(b->store, i));
    for (size_t i = 0; i < store_count(b->inputs); i++)
        sum += tensor_bytes(store_at(b->inputs, i));
    return sum;
}

static json_t *ops_json(const struct bench *b)
{
    json_t *list = json_array();
    double runs = (double)b->cfg->common.rounds;

    for (int i = 0; i < b->ops; i++) {
        const struct program_time *t = &b->op[i];

        json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:f, s:f}", "op", t->op, "seconds",
                                              t->seconds / runs, "gflop", 1e-9 * t->flops / runs, "gbyte",
                                              1e-9 * t->bytes / runs, "calls", (double)t->calls / runs));
    }
    return list;
}

static enum err print_json(const struct bench *b)
{
    const struct bench_step *c = b->cfg;
    json_t *j;

    j = json_pack("{s:s, s:s, s:s, s:[I,I,I], s:I, s:I, s:b, s:I, s:o, s:f, s:o, s:f, s:f, s:I, s:I, s:o}",
                  "bench", "step", "precision", in_bf16(b) ? "bf16" : "f32", "net", net_names[c->net],
                  "patch", (json_int_t)c->patch[0], (json_int_t)c->patch[1], (json_int_t)c->patch[2], "batch",
                  (json_int_t)c->batch, "channels", (json_int_t)c->channels, "forward", (int)c->forward,
                  "parameters", (json_int_t)nn_size(b->m), "machine", bench_machine(b->cli),
                  "seconds_per_step", b->seconds.median, "seconds", bench_stat_json(b->seconds),
                  "gflop_per_step", 1e-9 * flops_per_step(b), "gflop_per_second",
                  1e-9 * flops_per_step(b) / b->seconds.median, "planned_bytes", (json_int_t)planned_bytes(b),
                  "peak_bytes", (json_int_t)b->peak, "ops", ops_json(b));
    if (!c->forward)
        json_object_set_new(j, "loss", json_number(program_scalar(b->p, "loss")));
    return bench_json_print(j, b->scaling, c->common.peer ? &b->duels : NULL);
}

static void print_text(const struct bench *b)
{
    const struct bench_step *c = b->cfg;
    double runs = (double)b->cfg->common.rounds;

    printf("%s, %s, %lld x %lld channels x %lld x %lld x %lld, %lld parameters, %d threads, %s, %s\n",
           net_names[c->net], c->forward ? "inference" : "training step", (long long)c->batch,
           (long long)c->channels, (long long)c->patch[0], (long long)c->patch[1], (long long)c->patch[2],
           (long long)nn_size(b->m), par_threads(), cpu_isa_name((enum cpu_isa)b->cli->common->isa),
           in_bf16(b) ? "bf16" : "f32");
    printf("%.4g s (median of %lld, %.4g to %.4g), %.1f GFLOP/s\n", b->seconds.median,
           (long long)c->common.rounds, b->seconds.low, b->seconds.high,
           1e-9 * flops_per_step(b) / b->seconds.median);
    printf("memory: %.2f GB planned, %.2f GB peak\n\n", 1e-9 * (double)planned_bytes(b),
           1e-9 * (double)b->peak);
    printf("%-16s %10s %7s %10s %10s %7s\n", "op", "s", "%", "GFLOP/s", "GB/s", "calls");
    for (int i = 0; i < b->ops; i++) {
        const struct program_time *t = &b->op[i];
        double s = t->seconds > 0 ? t->seconds : 1e-9;

        printf("%-16s %10.4f %6.1f%% %10.1f %10.1f %7.0f\n", t->op, t->seconds / runs,
               100 * t->seconds / runs / b->seconds.median, 1e-9 * t->flops / s, 1e-9 * t->bytes / s,
               (double)t->calls / runs);
    }
    bench_scaling_print(b->scaling);
    bench_duels_print(&b->duels, b->peak);
}

static enum err print_program(const struct bench *b)
{
    struct str text = {0};
    enum err err;

    program_dump(b->p, &text);
    err = str_status(&text);
    if (!err)
        printf("\n%s", text.s);
    str_free(&text);
    return err;
}

static enum err run_all(struct bench *b)
{
    const struct bench_step *c = b->cfg;
    struct bench_work w = work_of(b);

    TRY(check_patch(c));
    TRY(check_forms(c));
    TRY(build(b));
    TRY(make_inputs(b));
    TRY(measure(b));
    if (c->trace)
        TRY(bench_trace_write(b->p, b->cli->command_line, c->trace));
    if (c->common.scaling)
        TRY(bench_scaling(&b->scaling, &w, c->common.rounds, b->cli));
    if (c->common.peer)
        TRY(run_peers(b));
    if (b->cli->common->json)
        return print_json(b);
    print_text(b);
    return c->program ? print_program(b) : ERR_OK;
}

static enum err run(const struct cli *cli, const void *cfg)
{
    struct bench b = {.cfg = cfg, .cli = cli};
    enum err err;

    json_setup();
    err = run_all(&b);
    program_free(b.p);
    nn_free(b.m);
    graph_free(b.g);
    store_free(b.store);
    store_free(b.inputs);
    json_decref(b.scaling);
    return err;
}

const struct command cmd_bench_step = {
    .name = "bench step",
    .summary = "time a training step or the inference on random data",
    .example = "--net nnunet --patch 96 --batch 2 --channels 4 --peer --trace step.json",
    .table = CFG_TABLE(fields),
    .cfg_size = sizeof(struct bench_step),
    .run = run,
};
