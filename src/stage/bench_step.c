/* bench step: seconds, operations and bytes of one training step on random data. Its peers are timed by the
 * same recipe. */
#include "stage/bench_step.h"

#include "base/clock.h"
#include "base/cpu.h"
#include "base/json.h"
#include "base/par.h"
#include "base/rng.h"
#include "base/str.h"
#include "backend/backend.h"
#include "graph/program.h"
#include "train/step.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 100, OPS_MAX = 128 };

static const char *const net_names[] = {"nnunet", "nnunet-residual", NULL};

struct bench_step {
    int net;
    int64_t patch[3], batch, channels, classes, steps;
    bool program;
};

static const struct field fields[] = {
    FIELD(struct bench_step, T_CHOICE, net, .names = net_names,
          .help = "network, five stages of 32 to 320 features"),
    FIELD(struct bench_step, T_INT3, patch, .text = "96", .min = 32, .max = 1024,
          .help = "voxels, z,y,x or one for all"),
    FIELD(struct bench_step, T_INT, batch, .def = 2, .min = 1, .max = 1024, .help = "samples"),
    FIELD(struct bench_step, T_INT, channels, .def = 4, .min = 1, .max = 64, .help = "phases"),
    FIELD(struct bench_step, T_INT, classes, .def = 3, .min = 2, .max = 256,
          .help = "classes, background included"),
    FIELD(struct bench_step, T_INT, steps, .def = 3, .min = 1, .max = STEPS_MAX,
          .help = "timed steps behind one that is not; the median counts"),
    FIELD(struct bench_step, T_BOOL, program,
          .help = "also list the program: every kernel with its shape, place and time (not with --json)"),
};

struct bench {
    const struct bench_step *cfg;
    struct graph *g;
    struct nn *m;
    struct store *store, *inputs;
    struct program *p;
    double seconds; /* median of a step */
    struct program_time op[OPS_MAX];
    int ops;
};

static enum err check_patch(const struct bench_step *c)
{
    for (int i = 0; i < 3; i++)
        if (c->patch[i] % 16)
            return err_set(ERR_USAGE, "--patch: %lld is not a multiple of 16, which five stages need",
                           (long long)c->patch[i]);
    return ERR_OK;
}

static enum err build(struct bench *b)
{
    const struct bench_step *c = b->cfg;
    struct nnunet net;
    struct step_options o = {
        .net = &net,
        .batch = c->batch,
        .loss = {.ce_weight = 1},
        .optim = {.kind = OPTIM_SGD, .momentum = 0.99, .decay = 3e-5, .clip = 12},
    };

    nnunet_make(&net, c->net == 1, 5, 32, 320);
    net.channels = c->channels;
    net.classes = c->classes;
    memcpy(o.patch, c->patch, sizeof(o.patch));
    b->g = graph_new(DT_F32);
    b->m = b->g ? nn_new(b->g) : NULL;
    b->store = store_new();
    b->inputs = store_new();
    if (!b->m || !b->store || !b->inputs)
        return ERR_MEMORY;
    step_build(b->m, &o);
    return graph_status(b->g);
}

static enum err bind(struct bench *b, const char *name, struct dims d, struct tensor **t)
{
    TRY(store_need(b->inputs, name, DT_F32, d, t));
    return program_bind(b->p, name, (*t)->data);
}

static enum err bind_inputs(struct bench *b)
{
    const struct bench_step *c = b->cfg;
    struct rng r = rng_at(1, 1);
    struct tensor *image = NULL, *labels = NULL, *lr = NULL;
    int64_t n;

    TRY(bind(b, "image", DIMS5(c->batch, c->patch[0], c->patch[1], c->patch[2], c->channels), &image));
    TRY(bind(b, "labels", DIMS5(c->batch, c->patch[0], c->patch[1], c->patch[2], 1), &labels));
    TRY(bind(b, "lr", DIMS0, &lr));
    n = dims_count(&image->dims);
    for (int64_t i = 0; i < n; i++)
        tensor_set(image, i, rng_normal(&r));
    n = dims_count(&labels->dims);
    for (int64_t i = 0; i < n; i++)
        tensor_set(labels, i, (double)rng_below(&r, (uint64_t)c->classes));
    tensor_set(lr, 0, 0.01);
    return ERR_OK;
}

static enum err compile(struct bench *b, const struct cli *cli)
{
    struct backend cpu;
    struct compile how = {
        .backend = &cpu, .memory_max = (uint64_t)cli->common->mem, .no_reference = true, .stop = cli->stop};

    TRY(backend_cpu(&cpu, cpu_isa_name((enum cpu_isa)cli->common->isa), 0));
    TRY(program_new(&b->p, b->g, b->store, &how));
    return nn_init(b->m, b->store, 1);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int by_seconds(const void *a, const void *b)
{
    const struct program_time *x = a, *y = b;

    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static enum err run_steps(struct bench *b, const struct cli *cli)
{
    double seconds[STEPS_MAX];
    int64_t n = b->cfg->steps;

    TRY(program_run(b->p));
    program_timing(b->p, true);
    for (int64_t i = 0; i < n; i++) {
        double start = clock_now();

        progress_update(cli->progress, "steps", i, n, "%s", "");
        TRY(program_run(b->p));
        seconds[i] = clock_now() - start;
    }
    progress_update(cli->progress, "steps", n, n, "%s", "");
    qsort(seconds, (size_t)n, sizeof(seconds[0]), by_value);
    b->seconds = n % 2 ? seconds[n / 2] : 0.5 * (seconds[n / 2 - 1] + seconds[n / 2]);
    b->ops = program_times(b->p, b->op, OPS_MAX);
    qsort(b->op, (size_t)b->ops, sizeof(b->op[0]), by_seconds);
    return ERR_OK;
}

static double flops_per_step(const struct bench *b)
{
    double sum = 0;

    for (int i = 0; i < b->ops; i++)
        sum += b->op[i].flops;
    return sum / (double)b->cfg->steps;
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
    double steps = (double)b->cfg->steps;

    for (int i = 0; i < b->ops; i++) {
        const struct program_time *t = &b->op[i];

        json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:f, s:f}", "op", t->op, "seconds",
                                              t->seconds / steps, "gflop", 1e-9 * t->flops / steps, "gbyte",
                                              1e-9 * t->bytes / steps, "calls", (double)t->calls / steps));
    }
    return list;
}

static enum err print_json(const struct bench *b, const struct cli *cli)
{
    const struct bench_step *c = b->cfg;
    char cpu[64];
    enum err err;
    json_t *j;

    json_setup();
    j = json_pack("{s:s, s:[I,I,I], s:I, s:I, s:I, s:I, s:s, s:s, s:f, s:f, s:f, s:I, s:I, s:f, s:o}", "net",
                  net_names[c->net], "patch", (json_int_t)c->patch[0], (json_int_t)c->patch[1],
                  (json_int_t)c->patch[2], "batch", (json_int_t)c->batch, "channels", (json_int_t)c->channels,
                  "parameters", (json_int_t)nn_size(b->m), "threads", (json_int_t)par_threads(), "isa",
                  cpu_isa_name((enum cpu_isa)cli->common->isa), "cpu", cpu_model(cpu), "seconds_per_step",
                  b->seconds, "gflop_per_step", 1e-9 * flops_per_step(b), "gflop_per_second",
                  1e-9 * flops_per_step(b) / b->seconds, "planned_bytes", (json_int_t)planned_bytes(b),
                  "peak_bytes", (json_int_t)mem_peak(), "loss", program_scalar(b->p, "loss"), "ops",
                  ops_json(b));

    err = json_print(j);
    json_decref(j);
    return err;
}

static void print_text(const struct bench *b)
{
    const struct bench_step *c = b->cfg;
    double steps = (double)c->steps;

    printf("%s, %lld x %lld channels x %lld x %lld x %lld, %lld parameters, %d threads\n", net_names[c->net],
           (long long)c->batch, (long long)c->channels, (long long)c->patch[0], (long long)c->patch[1],
           (long long)c->patch[2], (long long)nn_size(b->m), par_threads());
    printf("%.3f s per step (median of %lld), %.1f GFLOP/s\n", b->seconds, (long long)c->steps,
           1e-9 * flops_per_step(b) / b->seconds);
    printf("memory: %.2f GB planned, %.2f GB peak\n\n", 1e-9 * (double)planned_bytes(b),
           1e-9 * (double)mem_peak());
    printf("%-16s %10s %7s %10s %10s %7s\n", "op", "s", "%", "GFLOP/s", "GB/s", "calls");
    for (int i = 0; i < b->ops; i++) {
        const struct program_time *t = &b->op[i];
        double s = t->seconds > 0 ? t->seconds : 1e-9;

        printf("%-16s %10.4f %6.1f%% %10.1f %10.1f %7.0f\n", t->op, t->seconds / steps,
               100 * t->seconds / steps / b->seconds, 1e-9 * t->flops / s, 1e-9 * t->bytes / s,
               (double)t->calls / steps);
    }
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

static enum err run(const struct cli *cli, const void *cfg)
{
    struct bench b = {.cfg = cfg};
    enum err err;

    TRY_OR(done, check_patch(cfg));
    TRY_OR(done, build(&b));
    TRY_OR(done, compile(&b, cli));
    TRY_OR(done, bind_inputs(&b));
    TRY_OR(done, run_steps(&b, cli));
    if (cli->common->json)
        err = print_json(&b, cli);
    else
        print_text(&b);
    if (b.cfg->program && !cli->common->json)
        err = print_program(&b);
done:
    program_free(b.p);
    nn_free(b.m);
    graph_free(b.g);
    store_free(b.store);
    store_free(b.inputs);
    return err;
}

const struct command cmd_bench_step = {
    .name = "bench step",
    .summary = "time one training step on random data",
    .example = "--net nnunet --patch 96 --batch 2 --channels 4 --json",
    .table = CFG_TABLE(fields),
    .cfg_size = sizeof(struct bench_step),
    .run = run,
};
