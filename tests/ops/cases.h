/* Trials for the generated op tests: a row, one of its samples with drawn numbers, its reference results.
 * Header-only, since every test file is a program. */
#ifndef D4M_TESTS_OPS_CASES_H
#define D4M_TESTS_OPS_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "graph/op.h"
#include "graph/pass.h"
#include "graph/program.h"
#include "graph/reference.h"
#include "ops/ops.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CASES_MAX = 64, OUT_MAX = 8, IN_MAX = 12 };

struct trial {
    const struct op *row;
    int id, number, n_out;
    struct sample c;
    struct node node; /* inferred; for calling the reference directly */
    struct dims out_dims[OUT_MAX];
    bool narrow; /* its result is not double in a double graph: nothing for the mathematics */
    double *in[IN_MAX], *direction[IN_MAX], *second[IN_MAX];
    double *out[OUT_MAX], *cotangent[OUT_MAX], scale[OUT_MAX];
};

static void cases_of(struct sampler *s, int id)
{
    op_rows[id]->sample(s);
    assert_in_range(s->count, 1, s->room);
}

static inline void trial_near(const struct trial *t, const char *what, double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance) && !(isnan(a) && isnan(b)) && a != b)
        fail_msg("%s, sample %d: %s: %.17g is not %.17g (within %.3g)", t->row->name, t->number, what, a, b,
                 tolerance);
}

/* ---- numbers ---- */

static double drawn(struct rng *r, const struct sample *c, enum fill fill)
{
    double v;

    switch (fill) {
    case FILL_POSITIVE:
        return rng_between(r, 0.5, 2);
    case FILL_CLASS:
        return (double)rng_below(r, (uint64_t)c->classes);
    case FILL_KEY:
        return (double)rng_below(r, 1u << 30);
    case FILL_BOOL:
        return (double)rng_below(r, 2);
    default:
        v = rng_normal(r);
        return v + (v < 0 ? -0.05 : 0.05);
    }
}

static double *numbers(const struct dims *d, struct rng *r, const struct sample *c, enum fill fill)
{
    int64_t n = dims_count(d);
    double *x = mem_new((size_t)n + 1, sizeof *x);

    assert_non_null(x);
    for (int64_t i = 0; i < n; i++)
        x[i] = drawn(r, c, fill);
    return x;
}

static inline void trial_run(struct trial *t)
{
    struct ref_args a = {&t->node, (const double *const *)t->in, t->out, t->c.in, t->out_dims};

    t->row->ref(&a);
    for (int k = 0; k < t->n_out; k++) {
        t->scale[k] = 0;
        for (int64_t i = 0; i < dims_count(&t->out_dims[k]); i++)
            t->scale[k] = fmax(t->scale[k], isfinite(t->out[k][i]) ? fabs(t->out[k][i]) : 0);
    }
}

/* Inputs of a sample in a fresh graph; the row's node on them. */
static val trial_build(const struct trial *t, struct graph *g, val in[IN_MAX])
{
    char name[16];

    for (int k = 0; k < t->c.n_in; k++) {
        snprintf(name, sizeof name, "x%d", k);
        in[k] = graph_input(g, name, t->c.fill[k] == FILL_KEY ? DT_I64 : graph_real(g), t->c.in[k]);
    }
    return graph_node(g, t->id, &t->c.attr, t->c.n_in, in);
}

static void trial_outputs(struct trial *t)
{
    struct graph *g = graph_new(DT_F64);
    val in[IN_MAX], y = trial_build(t, g, in);
    const struct node *n = graph_node_of(g, y);

    if (graph_status(g))
        fail_msg("%s, sample %d: %s", t->row->name, t->number, err_text());
    t->node = *n;
    t->node.in = NULL;
    t->n_out = n->n_out;
    t->narrow = n->out_type[0] == DT_F32;
    assert_true(t->n_out <= OUT_MAX);
    memcpy(t->out_dims, n->out_dims, (size_t)n->n_out * sizeof *n->out_dims);
    t->node.out_dims = t->out_dims;
    graph_free(g);
}

static inline void trial_new(struct trial *t, int id, const struct sample *c, int number)
{
    struct rng r = rng_at((uint64_t)id, (uint64_t)number);

    memset(t, 0, sizeof *t);
    t->row = op_rows[id];
    t->id = id;
    t->number = number;
    t->c = *c;
    trial_outputs(t);
    for (int k = 0; k < c->n_in; k++) {
        t->in[k] = numbers(&c->in[k], &r, c, c->fill[k]);
        t->direction[k] = numbers(&c->in[k], &r, c, FILL_REAL);
        t->second[k] = numbers(&c->in[k], &r, c, FILL_REAL);
    }
    for (int k = 0; k < t->n_out; k++) {
        t->out[k] = numbers(&t->out_dims[k], &r, c, FILL_REAL);
        t->cotangent[k] = numbers(&t->out_dims[k], &r, c, FILL_REAL);
    }
    trial_run(t);
}

static inline void trial_free(struct trial *t)
{
    for (int k = 0; k < t->c.n_in; k++) {
        mem_free(t->in[k]);
        mem_free(t->direction[k]);
        mem_free(t->second[k]);
    }
    for (int k = 0; k < t->n_out; k++) {
        mem_free(t->out[k]);
        mem_free(t->cotangent[k]);
    }
}

static inline void trial_shift(struct trial *t, int k, double h)
{
    for (int64_t i = 0; i < dims_count(&t->c.in[k]); i++)
        t->in[k][i] += h * t->direction[k][i];
}

static inline void each_trial(void (*check)(struct trial *))
{
    for (int id = 1; id < OP_COUNT; id++) {
        struct sample item[CASES_MAX];
        struct sampler list = {.item = item, .room = CASES_MAX};
        if (op_rows[id]->flags & OP_SOURCE)
            continue;
        cases_of(&list, id);
        for (int i = 0; i < list.count; i++) {
            struct trial t;
            trial_new(&t, id, &list.item[i], i);
            check(&t);
            trial_free(&t);
        }
    }
}

/* ---- graphs made of a row, evaluated with reference kernels in double ---- */

struct eval {
    struct program *p;
    struct store *store;
    const double *out[IN_MAX];
    double key[IN_MAX];
};

typedef void build_fn(const struct trial *t, struct graph *g, const val in[], val y);

static void numbered_output(struct graph *g, int k, val v)
{
    char name[16];

    snprintf(name, sizeof name, "o%d", k);
    graph_output(g, name, v);
}

static val cotangent_sum(const struct trial *t, struct graph *g, val y)
{
    val sum = op_scalar(g, 0);
    char name[16];

    for (int k = 0; k < t->n_out; k++) {
        val c;
        snprintf(name, sizeof name, "c%d", k);
        c = graph_input(g, name, graph_real(g), t->out_dims[k]);
        sum = op_add(g, sum, op_reshape(g, op_sum(g, op_mul(g, c, graph_out(g, y, k)), ALL_AXES), DIMS0));
    }
    return sum;
}

static int differentiable(const struct trial *t, const val in[], val wrt[])
{
    int n = 0;

    for (int k = 0; k < t->c.n_in; k++)
        if (t->c.fill[k] < FILL_CLASS)
            wrt[n++] = in[k];
    return n;
}

static void output_gradients(const struct trial *t, struct graph *g, const val grad[])
{
    for (int k = 0, n = 0; k < t->c.n_in; k++)
        numbered_output(g, k, t->c.fill[k] < FILL_CLASS ? grad[n++] : op_scalar(g, 0));
}

static inline void grad_build(const struct trial *t, struct graph *g, const val in[], val y)
{
    val wrt[IN_MAX], grad[IN_MAX];
    int n = differentiable(t, in, wrt);

    graph_grad(g, cotangent_sum(t, g, y), n, wrt, grad);
    output_gradients(t, g, grad);
}

static inline void second_build(const struct trial *t, struct graph *g, const val in[], val y)
{
    val wrt[IN_MAX], grad[IN_MAX], sum = op_scalar(g, 0);
    int n = differentiable(t, in, wrt), at = 0;
    char name[16];

    graph_grad(g, cotangent_sum(t, g, y), n, wrt, grad);
    for (int k = 0; k < t->c.n_in; k++) {
        val e;
        if (t->c.fill[k] >= FILL_CLASS)
            continue;
        snprintf(name, sizeof name, "e%d", k);
        e = graph_input(g, name, graph_real(g), t->c.in[k]);
        sum = op_add(g, sum, op_reshape(g, op_sum(g, op_mul(g, e, grad[at++]), ALL_AXES), DIMS0));
    }
    graph_grad(g, sum, n, wrt, grad);
    output_gradients(t, g, grad);
}

static void plain_build(const struct trial *t, struct graph *g, const val in[], val y)
{
    (void)in;
    for (int k = 0; k < t->n_out; k++)
        numbered_output(g, k, graph_out(g, y, k));
}

static void bind_list(struct program *p, const char *prefix, double *const *list, int n)
{
    char name[16];

    for (int k = 0; k < n; k++) {
        snprintf(name, sizeof name, "%s%d", prefix, k);
        if (program_bind(p, name, list[k]))
            continue; /* not every graph reads every input */
    }
}

/* Backends without fast kernels: one on which every op that can be expanded is, one that runs every row's
 * reference. */
enum meaning { EXPANDED, DIRECT };

static const struct backend *slow_backend(enum meaning m)
{
    static const struct kernel_class *const none[] = {NULL};
    static const struct backend expanding = {.name = "expanded", .classes = none, .threads = 1};
    static struct kernel_class direct[OP_COUNT];
    static const struct kernel_class *all[OP_COUNT];
    static struct backend refs = {.name = "direct", .classes = all, .threads = 1};

    for (int id = 1; id < OP_COUNT; id++) {
        direct[id] = reference_class;
        direct[id].op = id;
        all[id - 1] = &direct[id];
    }
    return m == EXPANDED ? &expanding : &refs;
}

/* Evaluates what `build` outputs (NULL: the row itself). */
static inline void eval_graph(const struct trial *t, struct eval *e, build_fn *build, enum meaning m)
{
    const struct compile c = {.backend = slow_backend(m)};
    struct graph *g = graph_new(DT_F64);
    val in[IN_MAX], y = trial_build(t, g, in);
    int outs = build ? t->c.n_in : t->n_out;
    char name[16];

    memset(e, 0, sizeof *e);
    e->store = store_new();
    (build ? build : plain_build)(t, g, in, y);
    if (program_new(&e->p, g, e->store, &c))
        fail_msg("%s, sample %d: %s", t->row->name, t->number, err_text());
    bind_list(e->p, "x", t->in, t->c.n_in);
    bind_list(e->p, "c", t->cotangent, t->n_out);
    bind_list(e->p, "e", t->second, t->c.n_in);
    if (program_run(e->p))
        fail_msg("%s, sample %d: %s", t->row->name, t->number, err_text());
    for (int k = 0; k < outs; k++) {
        snprintf(name, sizeof name, "o%d", k);
        e->out[k] = program_output(e->p, name);
    }
    graph_free(g);
}

static inline void eval_free(struct eval *e)
{
    program_free(e->p);
    store_free(e->store);
}

#endif
