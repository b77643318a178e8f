/* bench op: every kernel beside the roofline of this machine, on the shapes that the networks here have and
 * on the samples of the op table. */
#include "stage/bench.h"

#include "base/clock.h"
#include "base/cpu.h"
#include "base/json.h"
#include "base/par.h"
#include "base/rng.h"
#include "graph/program.h"
#include "stage/backend.h"
#include "stage/bench_op_cases.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { STEPS_MAX = 64, INPUTS_MAX = 12 };
/* A round repeats what is shorter than this. */
#define ROUND_SECONDS 2e-3

static const char *const lists[] = {"all", "shapes", "samples", NULL};

struct bench_op {
    struct bench_common common;
    const char *op;
    int list;
};

static const struct field fields[] = {
    FIELD(struct bench_op, T_STRING, op, .arg = "NAME", .help = "only this op: conv, conv_dx, norm_act, ..."),
    FIELD(struct bench_op, T_CHOICE, list, .names = lists,
          .help = "shapes of real networks, the small samples of the op table, or both"),
    BENCH_FIELDS(struct bench_op, 5),
};

/* One case: a program of one op, or of one op and its gradients. */
struct trial {
    const struct bench_case *c;
    const struct cli *cli;
    struct graph *g;
    struct store *inputs, *states;
    struct program *p;
    int repeats;            /* runs of a round */
    double best[STEPS_MAX]; /* seconds of each step */
    double own[BENCH_ROUNDS_MAX], peer[BENCH_ROUNDS_MAX], ratio[BENCH_ROUNDS_MAX];
    bool has_peer;
    char form[40]; /* the peer's faster one */
};

struct bench {
    const struct bench_op *cfg;
    const struct cli *cli;
    struct bench_peak peak, after;
    struct bench_peer *peer;
    char peer_name[160];
    struct bench_case *list;
    int count;
    json_t *results;
};

/* ---- building a case ---- */

/* Numbers drawn once and repeated: what they are matters to no kernel's speed. */
static void fill(struct tensor *t, enum fill kind, int64_t classes)
{
    int64_t n = dims_count(&t->dims), drawn = n < 65536 ? n : 65521;
    struct rng r = rng_at(1, (uint64_t)n);
    size_t size = dtype_size(t->type);

    for (int64_t i = 0; i < drawn; i++) {
        double v = kind == FILL_CLASS  ? (double)rng_below(&r, (uint64_t)(classes ? classes : 2))
                   : kind == FILL_KEY  ? 12345
                   : kind == FILL_BOOL ? (double)rng_below(&r, 2)
                                       : rng_normal(&r);
        tensor_set(t, i, kind == FILL_POSITIVE ? 0.5 + fmin(fabs(v), 1.5) : v);
    }
    for (int64_t i = drawn; i < n; i += drawn)
        memcpy((char *)t->data + (size_t)i * size, t->data, (size_t)(n - i < drawn ? n - i : drawn) * size);
}

static enum err input(struct trial *t, const char *name, struct dims d, enum fill kind, val *v)
{
    enum dtype type = kind == FILL_KEY ? DT_I64 : DT_F32;
    struct tensor *x = NULL;

    TRY(store_need(t->inputs, name, type, d, &x));
    fill(x, kind, t->c->sample.classes);
    *v = graph_input(t->g, name, type, d);
    return ERR_OK;
}

static void output(struct graph *g, const char *prefix, int i, val v)
{
    char name[24];

    snprintf(name, sizeof name, "%s%d", prefix, i);
    if (!graph_null(v))
        graph_output(g, name, v);
}

static enum err add_gradients(struct trial *t, val y, const val in[])
{
    val x[INPUTS_MAX], dx[INPUTS_MAX], dy;
    int n = 0;

    for (int k = 0; k < t->c->sample.n_in; k++)
        if (t->c->sample.fill[k] < FILL_CLASS)
            x[n++] = in[k];
    TRY(input(t, "dy", graph_dims(t->g, y), FILL_REAL, &dy));
    graph_vjp(t->g, 1, &y, &dy, n, x, dx);
    for (int k = 0; k < n; k++)
        output(t->g, "dx", k, dx[k]);
    return ERR_OK;
}

static enum err build(struct trial *t)
{
    const struct sample *s = &t->c->sample;
    val in[INPUTS_MAX], y;
    char name[24];

    t->g = graph_new(DT_F32);
    t->inputs = store_new();
    t->states = store_new();
    if (!t->g || !t->inputs || !t->states)
        return ERR_MEMORY;
    for (int k = 0; k < s->n_in; k++) {
        snprintf(name, sizeof name, "x%d", k);
        TRY(input(t, name, s->in[k], s->fill[k], &in[k]));
    }
    y = graph_node(t->g, t->c->op, &s->attr, s->n_in, in);
    TRY(graph_status(t->g));
    if (t->c->is_shape) /* others of its outputs are for gradients */
        output(t->g, "y", 0, y);
    else
        for (int i = 0; i < graph_node_of(t->g, y)->n_out; i++)
            output(t->g, "y", i, graph_out(t->g, y, i));
    if (t->c->grad)
        TRY(add_gradients(t, y, in));
    return graph_status(t->g);
}

static enum err compile(void *ctx, int threads)
{
    struct trial *t = ctx;
    struct backend cpu;
    struct compile how = {.backend = &cpu,
                          .memory_max = program_rest(t->g, NULL, (uint64_t)t->cli->common->mem),
                          .stop = t->cli->stop};

    program_free(t->p);
    t->p = NULL;
    TRY(stage_backend(&cpu, t->cli->common, threads));
    TRY(program_new(&t->p, t->g, t->states, &how));
    for (size_t i = 0; i < store_count(t->inputs); i++) /* a folded graph need not have them all */
        if (program_bind(t->p, store_at(t->inputs, i)->name, store_at(t->inputs, i)->data))
            continue;
    program_timing(t->p, true);
    return ERR_OK;
}

/* ---- timing ---- */

/* The sum of the steps' seconds in the last run; keeps each one's best. */
static double take_times(struct trial *t)
{
    struct program_step s;
    double sum = 0;

    for (int i = 0; program_step_at(t->p, i, &s); i++) {
        if (!s.calls)
            continue;
        sum += s.seconds;
        if (i < STEPS_MAX && (t->best[i] == 0 || s.seconds < t->best[i]))
            t->best[i] = s.seconds;
    }
    return sum;
}

static enum err run_round(void *ctx, double *seconds)
{
    struct trial *t = ctx;
    double least = INFINITY;

    for (int i = 0; i < t->repeats; i++) {
        TRY(program_run(t->p));
        least = fmin(least, take_times(t));
    }
    *seconds = least;
    return ERR_OK;
}

static json_t *dims_json(const struct dims *d)
{
    json_t *list = json_array();

    for (int64_t i = 0; i < d->rank; i++)
        json_array_append_new(list, json_integer(d->n[i]));
    return list;
}

static json_t *three(const int64_t v[3])
{
    return json_pack("[I,I,I]", (json_int_t)v[0], (json_int_t)v[1], (json_int_t)v[2]);
}

/* The case in words; this is what the peer gets, too. */
static json_t *case_json(const struct bench_case *c)
{
    static const char *const padding[] = {"zero", "reflect", "replicate"};
    const struct conv *k = &c->sample.attr.conv;
    json_t *in = json_array(), *j;

    for (int i = 0; i < c->sample.n_in; i++)
        json_array_append_new(in, dims_json(&c->sample.in[i]));
    j = json_pack("{s:s, s:b, s:s, s:o}", "op", op_rows[c->op]->name, "gradients", (int)c->grad, "from",
                  c->is_shape ? "shape" : "sample", "in", in);
    if (c->op == OP_CONV || c->op == OP_CONV_DX || c->op == OP_CONV_DW)
        json_object_set_new(j, "conv",
                            json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:s}", "kernel", three(k->kernel),
                                      "stride", three(k->stride), "pad", three(k->pad), "dilation",
                                      three(k->dilation), "size", three(k->size), "groups",
                                      (json_int_t)k->groups, "padding", padding[k->pad_mode]));
    return j;
}

/* One round of the peer; it answers {"none": true} where it has no such thing. */
static enum err peer_round(struct bench *b, struct trial *t, const char *question, int64_t i)
{
    json_t *answer = NULL;
    const char *form;

    TRY(bench_peer_ask(b->peer, question, &answer));
    t->peer[i] = json_number_value(json_object_get(answer, "seconds"));
    form = json_string_value(json_object_get(answer, "form"));
    snprintf(t->form, sizeof t->form, "%s", form ? form : "");
    t->has_peer = t->peer[i] > 0;
    t->ratio[i] = t->peer[i] / t->own[i];
    json_decref(answer);
    return ERR_OK;
}

static enum err run_rounds(struct bench *b, struct trial *t)
{
    json_t *j = case_json(t->c);
    char *question = json_text(j);
    double first = 0;
    enum err err = question ? ERR_OK : ERR_MEMORY;

    t->repeats = 1;
    if (!err)
        err = run_round(t, &first);
    t->repeats = first > 0 && first < ROUND_SECONDS ? (int)fmin(1000, ceil(ROUND_SECONDS / first)) : 1;
    memset(t->best, 0, sizeof t->best);
    for (int64_t i = 0; !err && i < b->cfg->common.rounds; i++) {
        err = run_round(t, &t->own[i]);
        if (!err && b->peer && t->c->is_shape && (i == 0 || t->has_peer))
            err = peer_round(b, t, question, i);
    }
    mem_free(question);
    json_decref(j);
    return err;
}

/* ---- results ---- */

/* Seconds that the roofline allows. */
static double ideal(const struct bench *b, const struct program_step *s)
{
    return fmax(1e-9 * s->flops / b->peak.gflops, 1e-9 * s->bytes / b->peak.gbytes);
}

static json_t *step_json(const struct bench *b, const struct program_step *s, double seconds)
{
    char shape[160];

    return json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:s, s:f}", "op", s->op, "kernel",
                     s->kernel, "choice", s->choice, "shape", dims_text(&s->dims, shape), "seconds", seconds,
                     "flop", s->flops, "bytes", s->bytes, "gflop_per_second", 1e-9 * s->flops / seconds,
                     "gbyte_per_second", 1e-9 * s->bytes / seconds, "bound",
                     s->flops / b->peak.gflops > s->bytes / b->peak.gbytes ? "compute" : "memory", "roofline",
                     ideal(b, s) / seconds);
}

static enum err keep_result(struct bench *b, struct trial *t)
{
    json_t *j = case_json(t->c), *steps = json_array();
    struct program_step s;
    int64_t rounds = b->cfg->common.rounds;

    for (int i = 0; i < STEPS_MAX && program_step_at(t->p, i, &s); i++)
        if (s.calls)
            json_array_append_new(steps, step_json(b, &s, t->best[i] > 0 ? t->best[i] : 1e-9));
    json_object_set_new(j, "seconds", bench_stat_json(bench_stat(t->own, rounds)));
    json_object_set_new(j, "steps", steps);
    if (t->has_peer)
        json_object_set_new(j, "peer",
                            json_pack("{s:s, s:o, s:o}", "form", t->form, "seconds",
                                      bench_stat_json(bench_stat(t->peer, rounds)), "ratio",
                                      bench_stat_json(bench_stat(t->ratio, rounds))));
    return json_array_append_new(b->results, j) ? err_set(ERR_MEMORY, "out of memory while keeping results")
                                                : ERR_OK;
}

static enum err run_case(struct bench *b, const struct bench_case *c)
{
    struct trial t = {.c = c, .cli = b->cli};
    struct bench_work w = {.round = run_round, .threads = compile, .ctx = &t};
    json_t *scaling = NULL;
    enum err err;

    TRY_OR(done, build(&t));
    TRY_OR(done, compile(&t, par_threads()));
    TRY_OR(done, run_rounds(b, &t));
    TRY_OR(done, keep_result(b, &t));
    if (b->cfg->common.scaling && c->is_shape) {
        TRY_OR(done, bench_scaling(&scaling, &w, b->cfg->common.rounds, b->cli));
        json_object_set_new(json_array_get(b->results, json_array_size(b->results) - 1), "scaling", scaling);
    }
done:
    program_free(t.p);
    graph_free(t.g);
    store_free(t.inputs);
    store_free(t.states);
    return err ? err_while(err, "timing %s", op_rows[c->op]->name) : ERR_OK;
}

static double real_at(const json_t *j, const char *key)
{
    return json_number_value(json_object_get(j, key));
}

static const char *text_at(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));

    return s ? s : "";
}

/* "2x96x96x96x32 32x32x3x3x3": the first three that are no scalars */
static void print_inputs(const json_t *in)
{
    size_t i, k;
    json_t *dims, *n;
    int width = 0, shown = 0;

    json_array_foreach(in, i, dims)
    {
        if (!json_array_size(dims) || shown == 3)
            continue;
        shown++;
        json_array_foreach(dims, k, n) width +=
            printf(k ? "x%lld" : "%lld", (long long)json_integer_value(n));
        width += printf(" ");
    }
    printf("%*s", width < 44 ? 44 - width : 0, "");
}

static void print_case(const json_t *j)
{
    const json_t *steps = json_object_get(j, "steps"), *peer = json_object_get(j, "peer");
    const char *padding = text_at(json_object_get(j, "conv"), "padding");
    size_t i;
    json_t *s;

    printf("%-10s%-3s ", text_at(j, "op"), json_is_true(json_object_get(j, "gradients")) ? "+dx" : "");
    print_inputs(json_object_get(j, "in"));
    printf("%-9s ", strcmp(padding, "zero") ? padding : ""); /* of a convolution */
    printf("%10.3f ms", 1e3 * real_at(json_object_get(j, "seconds"), "median"));
    if (peer)
        printf("  peer %10.3f ms %-6s ratio %5.2f (%.2f-%.2f)",
               1e3 * real_at(json_object_get(peer, "seconds"), "median"), text_at(peer, "form"),
               real_at(json_object_get(peer, "ratio"), "median"),
               real_at(json_object_get(peer, "ratio"), "low"),
               real_at(json_object_get(peer, "ratio"), "high"));
    printf("\n");
    json_array_foreach(steps, i, s)
        printf("    %-14s %-18s %10.3f ms %8.1f GFLOP/s %7.1f GB/s %5.0f%% of the %s roof  %s\n",
               text_at(s, "op"), text_at(s, "kernel"), 1e3 * real_at(s, "seconds"),
               real_at(s, "gflop_per_second"), real_at(s, "gbyte_per_second"), 100 * real_at(s, "roofline"),
               text_at(s, "bound"), text_at(s, "choice"));
    bench_scaling_print(json_object_get(j, "scaling"));
}

static enum err print_all(const struct bench *b)
{
    json_t *j;
    enum err err;
    size_t i;

    if (b->cli->common->json) {
        j = json_pack("{s:s, s:o, s:f, s:f, s:f, s:O}", "bench", "op", "machine", bench_machine(b->cli),
                      "peak_gflops", b->peak.gflops, "peak_gbytes", b->peak.gbytes, "peak_gflops_last",
                      b->after.gflops, "cases", b->results);
        if (b->peer)
            json_object_set_new(j, "peer", json_string(b->peer_name));
        err = json_print(j);
        json_decref(j);
        return err;
    }
    printf("%d threads, %s: %.0f GFLOP/s of fused multiply-adds, %.1f GB/s of a = b + s c\n"
           "GFLOP/s count the direct algorithm, so Winograd may pass the roof; small cases lie in caches, "
           "and may too\n\n",
           par_threads(), cpu_isa_name((enum cpu_isa)b->cli->common->isa), b->peak.gflops, b->peak.gbytes);
    json_array_foreach(b->results, i, j) print_case(j);
    return ERR_OK;
}

static bool is_wanted(const struct bench *b, const struct bench_case *c)
{
    const struct bench_op *o = b->cfg;

    return (o->list == 0 || (o->list == 1) == c->is_shape) &&
           (!o->op || !strcmp(o->op, op_rows[c->op]->name));
}

static enum err run_cases(struct bench *b)
{
    int total = 0, done = 0;

    for (int i = 0; i < b->count; i++)
        total += is_wanted(b, &b->list[i]);
    if (!total)
        return err_set(ERR_USAGE, "--op %s: no op of that name in this list; src/ops/ops.def has them all",
                       b->cfg->op ? b->cfg->op : "");
    for (int i = 0; i < b->count; i++) {
        if (!is_wanted(b, &b->list[i]))
            continue;
        progress_update(b->cli->progress, "cases", done++, total, "%s", op_rows[b->list[i].op]->name);
        if (b->cli->stop && atomic_load(b->cli->stop))
            return err_set(ERR_STOPPED, "stopped");
        TRY(run_case(b, &b->list[i]));
    }
    progress_update(b->cli->progress, "cases", total, total, "%s", "");
    return ERR_OK;
}

static enum err run_all(struct bench *b)
{
    static const char *const args[] = {"torch_op.py", NULL};

    b->list = mem_new(BENCH_CASES_MAX, sizeof *b->list);
    b->results = json_array();
    if (!b->list || !b->results)
        return ERR_MEMORY;
    b->count = bench_cases(b->list);
    TRY(bench_peak(&b->peak, b->cli, true));
    if (b->cfg->common.peer)
        TRY(bench_peer_start(&b->peer, b->cli, &b->cfg->common, args, b->peer_name));
    TRY(run_cases(b));
    TRY(bench_peak(&b->after, b->cli, false));
    if (b->peer)
        bench_warn_busy(b->cli, b->peak.gflops, b->after.gflops);
    return print_all(b);
}

static enum err run(const struct cli *cli, const void *cfg)
{
    struct bench b = {.cfg = cfg, .cli = cli};
    enum err err;

    json_setup();
    err = run_all(&b);
    bench_peer_stop(b.peer);
    mem_free(b.list);
    json_decref(b.results);
    return err;
}

const struct command cmd_bench_op = {
    .name = "bench op",
    .summary = "time every kernel against the machine's roofline",
    .example = "--op conv --list shapes --peer",
    .table = CFG_TABLE(fields),
    .cfg_size = sizeof(struct bench_op),
    .run = run,
};
