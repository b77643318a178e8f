/* Norm and activation as hooks of the convolutions around them (docs/decisions/0005). Two rebuilds:
 * pass_split takes the norms apart; then, for every convolution, what a kernel takes is decided on the old
 * graph and built into the new one. A stage is made at its first reader that needs it, if there is one: not
 * in the forward pass for a reader in the backward one. */
#include "base/mem.h"
#include "graph/op.h"
#include "graph/pass.h"
#include "graph/pass_rebuild.h"
#include "graph/pass_split.h"
#include <string.h>

struct fuse {
    struct pass_rebuild r;
    struct pass_readers readers;
    const struct backend *b;
    int64_t *hooks; /* per node: of a convolution */
    bool *done;     /* per node: a convolution makes its outputs */
};

/* One that may get hooks; what has some already stays as it is. */
static bool is_conv(const struct node *n)
{
    return (n->id == OP_CONV || n->id == OP_CONV_DX || n->id == OP_CONV_DW) && !n->attr.conv.hooks;
}

/* The hook through which a node reads input k; 0: none. */
static int64_t stage_hook(const struct node *n, int k)
{
    if (n->id == OP_CONV)
        return k == 0 ? HOOK_X_STAGE : 0;
    if (n->id == OP_CONV_DX)
        return k == 0 ? HOOK_Y_STAGE : 0;
    return n->id != OP_CONV_DW ? 0 : k == 0 ? HOOK_Y_STAGE : HOOK_X_STAGE;
}

static bool takes(const struct fuse *f, const struct node *n, int64_t hooks)
{
    return pass_takes(f->b, f->r.from, n, hooks);
}

/* ---- deciding ---- */

static bool is_stage(const struct node *n)
{
    return n->id == OP_STAGE && n->n_in == 2;
}

/* Every reader is a convolution that takes the stage. */
static bool all_take(const struct fuse *f, val v)
{
    int at, seen = 0;

    for (const struct node *n = pass_reader(&f->readers, v, -1, &at); n;
         n = pass_reader(&f->readers, v, n->index, &at), seen++)
        if (!stage_hook(n, at) || !takes(f, n, stage_hook(n, at)))
            return false;
    return seen > 0 && seen == f->readers.count[v.id];
}

/* Whether v can be read through coefficients: a stage, or channels joined of which some are. The latter are
 * joined before the stage or behind it, not both. */
static bool staged(const struct fuse *f, val v)
{
    const struct node *n = graph_node_of(f->r.from, v);

    if (n->id != OP_CONCAT || n->attr.axes != AXIS_C || n->out_dims[0].rank != 5 || f->r.map[v.id].id)
        return is_stage(n);
    for (int k = 0; k < n->n_in; k++)
        if (is_stage(graph_node_of(f->r.from, n->in[k])))
            return all_take(f, v);
    return false;
}

/* The gate that is all that becomes of v, if its z and coefficients are there before node n. */
static const struct node *gate_of(const struct fuse *f, const struct node *n)
{
    const val v = node_out(n, 0);
    int at;
    const struct node *gate = pass_reader(&f->readers, v, -1, &at);
    bool fits = gate && gate->id == OP_GATE && gate->n_in == 3 && at == 0 && f->readers.count[v.id] == 1 &&
                graph_node_of(f->r.from, gate->in[1])->index < n->index &&
                graph_node_of(f->r.from, gate->in[2])->index < n->index;

    return fits ? gate : NULL;
}

static const struct node *moments_of(const struct fuse *f, const struct node *n)
{
    int at;
    const struct node *reader = pass_reader(&f->readers, node_out(n, 0), -1, &at);

    while (reader && reader->id != OP_MOMENTS)
        reader = pass_reader(&f->readers, node_out(n, 0), reader->index, &at);
    return reader;
}

static void decide(struct fuse *f, const struct node *n)
{
    int64_t *hooks = &f->hooks[n->index];
    const struct node *moments = moments_of(f, n), *gate = gate_of(f, n);

    for (int k = 0; k < 2; k++)
        if (stage_hook(n, k) && staged(f, n->in[k]) && takes(f, n, *hooks | stage_hook(n, k)))
            *hooks |= stage_hook(n, k);
    if (n->id == OP_CONV_DW)
        return;
    if (moments && takes(f, n, *hooks | HOOK_MOMENTS)) {
        *hooks |= HOOK_MOMENTS;
        f->done[moments->index] = true;
    } else if (gate && takes(f, n, *hooks | HOOK_GATE)) {
        *hooks |= HOOK_GATE;
        f->done[gate->index] = true;
    }
}

/* ---- building ---- */

/* v in the new graph; stages and what they are joined to are made on demand. */
static val made(struct fuse *f, val v)
{
    const struct node *n = graph_node_of(f->r.from, v);

    if (v.id && !f->r.map[v.id].id) {
        for (int k = 0; k < n->n_in; k++)
            made(f, n->in[k]);
        pass_rebuild_copy(&f->r, n);
    }
    return f->r.map[v.id];
}

static val filled(struct graph *g, double value, struct dims d)
{
    union attr a;

    memset(&a, 0, sizeof a);
    a.fill.value = value;
    a.fill.dims = d;
    return graph_node(g, OP_CONSTANT, &a, 0, NULL);
}

static val joined(struct graph *g, unsigned axis, int n, const val v[])
{
    union attr a;

    memset(&a, 0, sizeof a);
    a.axes = axis;
    return graph_node(g, OP_CONCAT, &a, n, v);
}

/* Coefficients through which x is read as it is. */
static val identity(struct graph *g, const struct dims *x)
{
    static const double value[COEF_ROWS] = {[COEF_SCALE] = 1, [COEF_SLOPE] = 1};
    val row[COEF_ROWS];

    for (int i = 0; i < COEF_ROWS; i++)
        row[i] = filled(g, value[i], DIMS3(x->n[0], 1, x->n[4]));
    return joined(g, AXIS(1), COEF_ROWS, row);
}

struct source {
    val z, coef;
};

static struct source source_of(struct fuse *f, val v);

static struct source source_joined(struct fuse *f, const struct node *n)
{
    val *part = mem_new(2 * (size_t)n->n_in, sizeof *part), *coef = part ? part + n->n_in : NULL;
    struct source s = {{0}, {0}};

    if (!part) {
        graph_fail(f->r.to, ERR_MEMORY);
        return s;
    }
    for (int k = 0; k < n->n_in; k++) {
        const struct source one = source_of(f, n->in[k]);
        part[k] = one.z;
        coef[k] = one.coef;
    }
    graph_scope_set(f->r.to, n->scope);
    s.z = joined(f->r.to, AXIS_C, n->n_in, part);
    s.coef = joined(f->r.to, AXIS(2), n->n_in, coef);
    mem_free(part);
    return s;
}

/* What v is a stage of, and its coefficients. */
static struct source source_of(struct fuse *f, val v)
{
    const struct node *n = graph_node_of(f->r.from, v);
    struct source s;

    if (staged(f, v) && n->id == OP_CONCAT)
        return source_joined(f, n);
    if (is_stage(n))
        return (struct source){made(f, n->in[0]), made(f, n->in[1])};
    s.z = made(f, v);
    s.coef = identity(f->r.to, &n->out_dims[0]);
    return s;
}

/* The moments or the gate that a convolution makes as well. */
static void adopt(struct fuse *f, const struct node *n, val first)
{
    const int64_t hooks = f->hooks[n->index];
    const struct node *of = hooks & HOOK_MOMENTS ? moments_of(f, n)
                            : hooks & HOOK_GATE  ? gate_of(f, n)
                                                 : NULL;

    f->r.map[n->first_out] = first;
    if (!of)
        return;
    f->r.map[of->first_out] = graph_out(f->r.to, first, hooks & HOOK_MOMENTS ? 1 : 0);
    if (hooks & HOOK_GATE)
        f->r.map[node_out(of, 1).id] = graph_out(f->r.to, first, 1);
}

static void build_conv(struct fuse *f, const struct node *n)
{
    const int64_t hooks = f->hooks[n->index];
    const struct node *gate = hooks & HOOK_GATE ? gate_of(f, n) : NULL;
    union attr a = n->attr;
    val in[7], x_coef = {0}, y_coef = {0};
    int n_in = n->n_in;

    for (int k = 0; k < n_in; k++) {
        if (hooks & stage_hook(n, k)) {
            const struct source s = source_of(f, n->in[k]);
            *(stage_hook(n, k) == HOOK_X_STAGE ? &x_coef : &y_coef) = s.coef;
            in[k] = s.z;
        } else {
            in[k] = made(f, n->in[k]);
        }
    }
    if (x_coef.id)
        in[n_in++] = x_coef;
    if (y_coef.id)
        in[n_in++] = y_coef;
    if (gate) {
        in[n_in++] = made(f, gate->in[1]);
        in[n_in++] = made(f, gate->in[2]);
    }
    a.conv.hooks = hooks;
    graph_scope_set(f->r.to, n->scope);
    adopt(f, n, graph_node(f->r.to, n->id, &a, n_in, in));
}

static void build(struct fuse *f, const struct node *n)
{
    if (is_stage(n) || f->done[n->index] || staged(f, node_out(n, 0)))
        return;
    if (is_conv(n)) {
        build_conv(f, n);
        return;
    }
    for (int k = 0; k < n->n_in; k++)
        made(f, n->in[k]);
    pass_rebuild_copy(&f->r, n);
}

static void build_all(struct fuse *f)
{
    const struct graph_named *out;
    const struct graph_assignment *assign;
    int outs = graph_outputs(f->r.from, &out), assigns = graph_assignments(f->r.from, &assign);

    for (int i = 0; i < graph_count(f->r.from); i++)
        if (f->readers.live[i] && is_conv(graph_at(f->r.from, i)))
            decide(f, graph_at(f->r.from, i));
    for (int i = 0; i < graph_count(f->r.from); i++)
        if (f->readers.live[i])
            build(f, graph_at(f->r.from, i));
    for (int i = 0; i < outs; i++)
        made(f, out[i].v);
    for (int i = 0; i < assigns; i++) {
        made(f, assign[i].value);
        made(f, assign[i].when);
    }
}

static struct graph *absorb(struct graph *g, const struct backend *b)
{
    struct fuse f = {.b = b};
    struct graph *made_of = NULL;
    size_t nodes = (size_t)graph_count(g) + 1;

    f.hooks = mem_new(nodes, sizeof *f.hooks);
    f.done = mem_new(nodes, sizeof *f.done);
    if (!f.hooks || !f.done)
        graph_fail(g, ERR_MEMORY);
    else if (pass_readers_make(&f.readers, g) && pass_rebuild_begin(&f.r, g)) {
        build_all(&f);
        made_of = pass_rebuild_end(&f.r);
    }
    pass_readers_free(&f.readers);
    mem_free(f.hooks);
    mem_free(f.done);
    return made_of;
}

struct graph *pass_fuse(struct graph *g, const struct backend *b)
{
    struct graph *parts = pass_split(g), *fused;

    if (!parts)
        return NULL;
    fused = absorb(parts, b);
    graph_fail(g, fused ? ERR_OK : graph_status(parts));
    graph_free(parts);
    return fused;
}
