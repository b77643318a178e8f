#include "graph/pass.h"

#include "base/mem.h"
#include "graph/op.h"
#include <string.h>

bool *pass_live(const struct graph *g)
{
    bool *live = mem_new((size_t)graph_count(g) + 1, sizeof *live);
    const struct graph_named *out;
    const struct graph_assignment *assign;
    int outs = graph_outputs(g, &out), assigns = graph_assignments(g, &assign);

    if (!live)
        return NULL;
    for (int i = 0; i < outs; i++)
        live[graph_node_of(g, out[i].v)->index] = true;
    for (int i = 0; i < assigns; i++) {
        live[graph_node_of(g, assign[i].state)->index] = true;
        live[graph_node_of(g, assign[i].value)->index] = true;
        if (assign[i].when.id)
            live[graph_node_of(g, assign[i].when)->index] = true;
    }
    for (int i = graph_count(g) - 1; i >= 0; i--) {
        const struct node *n = graph_at(g, i);
        for (int k = 0; live[i] && k < n->n_in; k++)
            live[graph_node_of(g, n->in[k])->index] = true;
    }
    return live;
}

/* ---- kernel choice ---- */

static enum dtype work_type(const struct node *n, const enum dtype *in_type)
{
    for (int k = 0; k < n->n_in; k++)
        if (in_type[k] != DT_I64)
            return in_type[k];
    return n->out_type[0] == DT_I64 ? DT_F64 : n->out_type[0];
}

/* Kernels see dims and types of the inputs as arrays beside the node. */
static bool step_fill(const struct graph *g, const struct node *n, struct step *s)
{
    size_t in = (size_t)n->n_in + 1;
    struct dims *dims = mem_new(in, sizeof *dims);
    enum dtype *type = mem_new(in, sizeof *type);

    memset(s, 0, sizeof *s);
    s->node = n;
    s->in_dims = dims;
    s->in_type = type;
    s->out_dims = n->out_dims;
    s->out_type = n->out_type;
    if (!dims || !type)
        return false;
    for (int k = 0; k < n->n_in; k++) {
        dims[k] = graph_dims(g, n->in[k]);
        type[k] = graph_type(g, n->in[k]);
    }
    s->type = work_type(n, type);
    return true;
}

void pass_step_clear(struct step *s)
{
    mem_free((void *)(uintptr_t)s->in_dims);
    mem_free((void *)(uintptr_t)s->in_type);
}

const struct kernel_class *pass_kernel(const struct backend *b, const struct graph *g, const struct node *n,
                                       struct step *s)
{
    if (!step_fill(g, n, s))
        return NULL;
    s->threads = b->threads;
    s->table = s->type == DT_F64 ? b->f64 : b->f32;
    for (int i = 0; b->classes[i]; i++)
        if (b->classes[i]->op == n->id && b->classes[i]->accepts(s))
            return b->classes[i];
    return NULL;
}

static bool needs_expansion(const struct graph *g, const struct node *n, const struct backend *b)
{
    struct step s;
    bool fast;

    if (!op_expands(n) || (n->op->flags & (OP_SOURCE | OP_VIEW)))
        return false;
    fast = pass_kernel(b, g, n, &s) != NULL;
    pass_step_clear(&s);
    return !fast;
}

/* ---- expansion ---- */

struct rebuild {
    const struct graph *from;
    struct graph *to;
    val *map; /* value of from -> value of to */
};

static val copy_source(struct graph *to, const struct node *n)
{
    if (n->id == OP_INPUT)
        return graph_input(to, n->attr.name, n->out_type[0], n->out_dims[0]);
    return graph_state(to, n->attr.name, n->out_type[0], n->out_dims[0]);
}

static void rebuild_node(struct rebuild *r, const struct node *n, bool expand)
{
    size_t in = (size_t)n->n_in, out = (size_t)n->n_out;
    val *mapped = mem_new(in + out + 1, sizeof *mapped), *y;
    struct node view = *n;

    if (!mapped) {
        graph_fail(r->to, ERR_MEMORY);
        return;
    }
    y = mapped + in;
    for (size_t k = 0; k < in; k++)
        mapped[k] = r->map[n->in[k].id];
    graph_scope_set(r->to, n->scope);
    view.in = mapped;
    if (n->id == OP_INPUT || n->id == OP_STATE) {
        y[0] = copy_source(r->to, n);
    } else if (expand) {
        view.first_out = 0;
        n->op->expand(r->to, &view, y);
    } else {
        val first = graph_node(r->to, n->id, &n->attr, n->n_in, mapped);
        for (size_t k = 0; k < out; k++)
            y[k] = graph_out(r->to, first, (int)k);
    }
    for (size_t k = 0; k < out; k++)
        r->map[n->first_out + k] = y[k];
    mem_free(mapped);
}

static void rebuild_ends(struct rebuild *r)
{
    const struct graph_named *out;
    const struct graph_assignment *assign;
    int outs = graph_outputs(r->from, &out), assigns = graph_assignments(r->from, &assign);

    for (int i = 0; i < outs; i++)
        graph_output(r->to, out[i].name, r->map[out[i].v.id]);
    for (int i = 0; i < assigns; i++)
        graph_assign(r->to, r->map[assign[i].state.id], r->map[assign[i].value.id],
                     r->map[assign[i].when.id]);
}

static struct graph *rebuild(struct graph *g, const bool *live, const struct backend *b)
{
    struct rebuild r = {.from = g, .to = graph_new(graph_real(g))};

    r.map = mem_new((size_t)graph_values(g) + 1, sizeof *r.map);
    if (!r.to || !r.map) {
        graph_fail(g, ERR_MEMORY);
        graph_free(r.to);
        mem_free(r.map);
        return NULL;
    }
    for (int i = 0; i < graph_count(g); i++)
        if (live[i])
            rebuild_node(&r, graph_at(g, i), needs_expansion(g, graph_at(g, i), b));
    rebuild_ends(&r);
    mem_free(r.map);
    if (graph_status(r.to)) {
        graph_fail(g, graph_status(r.to));
        graph_free(r.to);
        return NULL;
    }
    return r.to;
}

static bool any_expansion(const struct graph *g, const bool *live, const struct backend *b)
{
    for (int i = 0; i < graph_count(g); i++)
        if (live[i] && needs_expansion(g, graph_at(g, i), b))
            return true;
    return false;
}

struct graph *pass_expand(struct graph *g, const struct backend *b)
{
    struct graph *now = g;

    for (;;) {
        bool *live = pass_live(now);
        struct graph *next = now;
        if (!live)
            graph_fail(now, ERR_MEMORY);
        if (!live || now == g || any_expansion(now, live, b))
            next = live ? rebuild(now, live, b) : NULL;
        mem_free(live);
        if (next == now)
            return now;
        if (now != g) {
            graph_fail(g, next ? ERR_OK : graph_status(now));
            graph_free(now);
        }
        now = next;
        if (!now)
            return NULL;
    }
}
