#include "graph/pass_split.h"

#include "base/mem.h"
#include "graph/op.h"
#include "graph/pass.h"
#include "graph/pass_rebuild.h"
#include <string.h>

/* ---- who reads what ---- */

static void count_readers(struct pass_readers *r)
{
    const struct graph_named *out;
    const struct graph_assignment *assign;
    int outs = graph_outputs(r->g, &out), assigns = graph_assignments(r->g, &assign);

    for (int i = 0; i < graph_count(r->g); i++)
        for (int k = 0; r->live[i] && k < graph_at(r->g, i)->n_in; k++)
            r->count[graph_at(r->g, i)->in[k].id]++;
    for (int i = 0; i < outs; i++)
        r->count[out[i].v.id]++;
    for (int i = 0; i < assigns; i++) {
        r->count[assign[i].value.id]++;
        r->count[assign[i].when.id]++;
    }
}

bool pass_readers_make(struct pass_readers *r, struct graph *g)
{
    *r = (struct pass_readers){g, pass_live(g), mem_new((size_t)graph_values(g) + 1, sizeof *r->count)};
    if (r->live && r->count) {
        count_readers(r);
        return true;
    }
    graph_fail(g, ERR_MEMORY);
    pass_readers_free(r);
    return false;
}

void pass_readers_free(struct pass_readers *r)
{
    mem_free(r->live);
    mem_free(r->count);
    *r = (struct pass_readers){0};
}

const struct node *pass_reader(const struct pass_readers *r, val v, int after, int *input)
{
    int first = graph_node_of(r->g, v)->index + 1;

    for (int i = after < first ? first : after + 1; i < graph_count(r->g); i++)
        for (int k = 0; r->live[i] && k < graph_at(r->g, i)->n_in; k++)
            if (graph_at(r->g, i)->in[k].id == v.id) {
                *input = k;
                return graph_at(r->g, i);
            }
    return NULL;
}

/* ---- what can be taken apart ---- */

struct split {
    struct pass_rebuild r;
    struct pass_readers readers;
    val *coef, *rstd; /* per node of from: of a norm_act that was taken apart */
};

static bool instance(const struct node *n)
{
    return n->attr.norm.groups == 0;
}

static bool splits(const struct node *n)
{
    return n->id == OP_NORM_ACT && instance(n) && n->attr.norm.slope >= 0 && n->attr.norm.slope <= 1 &&
           (n->out_type[0] == DT_F32 || n->out_type[0] == DT_F64);
}

/* The norm_act whose gradient n is, if that is taken apart and has no residual: behind one, the sign of y is
 * not that of the stage. */
static const struct node *split_forward(const struct split *s, const struct node *n)
{
    const struct node *f = graph_node_of(s->r.from, n->in[1]);
    bool same = splits(f) && f->n_in == 3 && n->in[1].id == f->first_out && n->in[2].id == f->in[0].id &&
                n->in[3].id == node_out(f, 1).id && n->in[4].id == node_out(f, 2).id &&
                n->in[5].id == f->in[1].id && f->attr.norm.eps == n->attr.norm.eps &&
                f->attr.norm.slope == n->attr.norm.slope;

    return same ? f : NULL;
}

/* Where the norms and their gradients read the image that is normalised; -1: nowhere. */
static int image_input(const struct node *n)
{
    return n->id == OP_NORM || n->id == OP_NORM_ACT ? 0
           : n->id == OP_NORM_GRAD                  ? 1
           : n->id == OP_NORM_ACT_GRAD              ? 2
                                                    : -1;
}

/* The mean of an image goes nowhere but into the gradients of its norm. */
static bool mean_hidden(const struct split *s, const struct node *norm)
{
    const val mean = node_out(norm, 1);
    int at, seen = 0;

    for (const struct node *n = pass_reader(&s->readers, mean, -1, &at); n;
         n = pass_reader(&s->readers, mean, n->index, &at), seen++)
        if (image_input(n) < 1 || at != image_input(n) + 1)
            return false;
    return seen == s->readers.count[mean.id];
}

/* Adding a number per channel to v changes nothing: only instance norms read it. */
static bool only_normed(const struct split *s, val v)
{
    int at, seen = 0;

    for (const struct node *n = pass_reader(&s->readers, v, -1, &at); n;
         n = pass_reader(&s->readers, v, n->index, &at), seen++)
        if (image_input(n) != at || !instance(n) || (at == 0 && !mean_hidden(s, n)))
            return false;
    return seen > 0 && seen == s->readers.count[v.id];
}

static bool bias_cancels(const struct split *s, const struct node *n)
{
    return (n->id == OP_CONV || n->id == OP_CONV_DX) && n->n_in == 3 && only_normed(s, node_out(n, 0));
}

/* A sum over space of what an instance norm hands back: zero, as its output does not depend on the mean. */
static bool sum_vanishes(const struct split *s, const struct node *n)
{
    const struct node *of = n->id == OP_SUM ? graph_node_of(s->r.from, n->in[0]) : NULL;

    return of && image_input(of) > 0 && instance(of) && n->in[0].id == of->first_out &&
           (n->attr.axes & AXES_SPACE) == AXES_SPACE;
}

/* ---- the parts ---- */

static union attr none(void)
{
    union attr a;

    memset(&a, 0, sizeof a);
    return a;
}

static val mapped(const struct split *s, val v)
{
    return s->r.map[v.id];
}

/* Row 0 of the moments as (N, C). */
static val mean_of(struct graph *g, val moments)
{
    struct dims d = graph_dims(g, moments);
    union attr window = none(), flat = none();

    memcpy(window.box.size, (int64_t[]){d.n[0], 1, d.n[2]}, 3 * sizeof *window.box.size);
    flat.dims = DIMS2(d.n[0], d.n[2]);
    moments = graph_node(g, OP_SLICE, &window, 1, &moments);
    return graph_node(g, OP_RESHAPE, &flat, 1, &moments);
}

static void split_norm(struct split *s, const struct node *n)
{
    struct graph *g = s->r.to;
    val z = mapped(s, n->in[0]), in[3] = {{0}}, *y = s->r.map + n->first_out;
    union attr a = none();

    a.norm.eps = n->attr.norm.eps;
    a.norm.slope = n->attr.norm.slope;
    in[0] = graph_node(g, OP_MOMENTS, NULL, 1, &z);
    in[1] = mapped(s, n->in[1]);
    in[2] = mapped(s, n->in[2]);
    y[1] = mean_of(g, in[0]);
    s->coef[n->index] = graph_node(g, OP_NORM_COEF, &a, 3, in);
    y[2] = s->rstd[n->index] = graph_out(g, s->coef[n->index], 1);
    in[0] = z;
    in[1] = s->coef[n->index];
    if (n->n_in == 4)
        in[2] = mapped(s, n->in[3]);
    y[0] = graph_node(g, OP_STAGE, NULL, n->n_in == 4 ? 3 : 2, in);
}

/* The gradient before the activation: dy, or the two that were added up for nothing else. */
static int gate_inputs(const struct split *s, val dy, val in[4])
{
    const struct node *sum = graph_node_of(s->r.from, dy);
    struct dims d = graph_dims(s->r.from, dy), a, b;

    in[0] = mapped(s, dy);
    if (sum->id != OP_ADD || s->readers.count[dy.id] != 1)
        return 3;
    a = graph_dims(s->r.from, sum->in[0]);
    b = graph_dims(s->r.from, sum->in[1]);
    if (!dims_equal(&a, &d) || !dims_equal(&b, &d))
        return 3;
    in[0] = mapped(s, sum->in[0]);
    in[3] = mapped(s, sum->in[1]);
    return 4;
}

static void split_grad(struct split *s, const struct node *n, const struct node *forward)
{
    struct graph *g = s->r.to;
    struct dims d = graph_dims(s->r.from, n->in[2]);
    val in[4] = {{0}}, z = mapped(s, n->in[2]), coef = s->coef[forward->index], back,
        *dx = s->r.map + n->first_out;
    union attr a = none();

    in[1] = z;
    in[2] = coef;
    dx[3] = graph_node(g, OP_GATE, NULL, gate_inputs(s, n->in[0], in), in);
    a.count = d.n[1] * d.n[2] * d.n[3];
    back = graph_node(g, OP_NORM_BACK, &a, 3, (val[]){graph_out(g, dx[3], 1), coef, s->rstd[forward->index]});
    dx[1] = graph_out(g, back, 1);
    dx[2] = graph_out(g, back, 2);
    dx[0] = graph_node(g, OP_NORM_DX, NULL, 4, (val[]){dx[3], z, coef, back});
}

static void drop_bias(struct split *s, const struct node *n)
{
    val in[2] = {mapped(s, n->in[0]), mapped(s, n->in[1])};

    s->r.map[n->first_out] = graph_node(s->r.to, n->id, &n->attr, 2, in);
}

static void zeros(struct split *s, const struct node *n)
{
    union attr a = none();

    a.fill.dims = n->out_dims[0];
    s->r.map[n->first_out] = graph_node(s->r.to, OP_CONSTANT, &a, 0, NULL);
}

static void split_node(struct split *s, const struct node *n)
{
    const struct node *forward = n->id == OP_NORM_ACT_GRAD ? split_forward(s, n) : NULL;

    graph_scope_set(s->r.to, n->scope);
    if (splits(n))
        split_norm(s, n);
    else if (forward)
        split_grad(s, n, forward);
    else if (bias_cancels(s, n))
        drop_bias(s, n);
    else if (sum_vanishes(s, n))
        zeros(s, n);
    else
        pass_rebuild_copy(&s->r, n);
}

struct graph *pass_split(struct graph *g)
{
    struct split s;
    struct graph *made = NULL;
    size_t nodes = (size_t)graph_count(g) + 1;

    memset(&s, 0, sizeof s);
    s.coef = mem_new(nodes, sizeof *s.coef);
    s.rstd = mem_new(nodes, sizeof *s.rstd);
    if (!s.coef || !s.rstd)
        graph_fail(g, ERR_MEMORY);
    else if (pass_readers_make(&s.readers, g) && pass_rebuild_begin(&s.r, g)) {
        for (int i = 0; i < graph_count(g); i++)
            if (s.readers.live[i])
                split_node(&s, graph_at(g, i));
        made = pass_rebuild_end(&s.r);
    }
    pass_readers_free(&s.readers);
    mem_free(s.coef);
    mem_free(s.rstd);
    return made;
}
