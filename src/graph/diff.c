/* Reverse mode, graph to graph. A sweep walks the nodes from the last to the first and asks each row for its
 * vjp; rows without one are differentiated through their expansion. Since gradients are built from public
 * ops, sweeps can be nested and repeated: second derivatives need nothing more. */
#include "graph/graph.h"

#include "base/mem.h"
#include "graph/op.h"
#include <string.h>

struct sweep {
    struct graph *g;
    uint32_t values; /* ids at the start; nodes built by the sweep lie beyond */
    val *slot;       /* gradient collected so far, per value */
    bool *need;      /* does the value depend on an x? */
    bool *leaf;      /* x themselves: nothing is carried through them when `stop` is set */
    bool stop;
};

static val add(struct graph *g, val a, val b)
{
    if (graph_null(a))
        return b;
    return graph_node(g, OP_ADD, NULL, 2, (val[]){a, b});
}

static val filled(struct graph *g, double value, val like)
{
    union attr a;
    struct dims d = graph_dims(g, like);

    memset(&a, 0, sizeof a);
    a.fill.value = value;
    a.fill.dims = d;
    return graph_node(g, OP_CONSTANT, &a, 0, NULL);
}

static void mark_need(struct sweep *s, int last)
{
    for (int i = 0; i <= last; i++) {
        const struct node *n = graph_at(s->g, i);
        bool need = false;
        for (int k = 0; k < n->n_in; k++)
            need |= s->need[n->in[k].id];
        if (!need || (n->op->flags & OP_FLAT))
            continue;
        for (int k = 0; k < n->n_out; k++)
            s->need[n->first_out + (uint32_t)k] = true;
    }
}

static void no_gradient(struct graph *g, const struct node *n)
{
    graph_fail(g, err_set(ERR_SHAPE, "%s in %s has no derivative", n->op->name, n->scope));
}

void graph_vjp_by_expand(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    val *y;

    if (!op_expands(n)) {
        no_gradient(g, n);
        return;
    }
    y = mem_new((size_t)n->n_out, sizeof *y);
    if (!y) {
        graph_fail(g, ERR_MEMORY);
        return;
    }
    n->op->expand(g, n, y);
    graph_vjp(g, n->n_out, y, dy, n->n_in, n->in, dx);
    for (int i = 1; i < n->n_in; i++) /* the same value twice: its gradient counts once */
        for (int k = 0; k < i; k++)
            if (n->in[k].id == n->in[i].id)
                dx[i] = (val){0};
    mem_free(y);
}

static bool gather(const struct sweep *s, const struct node *n, val dy[])
{
    bool any = false;

    for (int k = 0; k < n->n_out; k++) {
        uint32_t id = n->first_out + (uint32_t)k;
        dy[k] = s->stop && s->leaf[id] ? (val){0} : s->slot[id];
        any |= !graph_null(dy[k]);
    }
    return any;
}

static void sweep_node(struct sweep *s, const struct node *n)
{
    size_t in = (size_t)n->n_in;
    val *dy, *dx;

    if (!n->n_in || !s->need[n->first_out])
        return;
    dy = mem_new((size_t)n->n_out + in, sizeof *dy);
    if (!dy) {
        graph_fail(s->g, ERR_MEMORY);
        return;
    }
    dx = dy + n->n_out;
    if (gather(s, n, dy)) {
        graph_scope_set(s->g, n->scope);
        if (n->op->vjp)
            n->op->vjp(s->g, n, dy, dx);
        else
            graph_vjp_by_expand(s->g, n, dy, dx);
        for (size_t k = 0; k < in; k++)
            if (!graph_null(dx[k]) && s->need[n->in[k].id])
                s->slot[n->in[k].id] = add(s->g, s->slot[n->in[k].id], dx[k]);
    }
    mem_free(dy);
}

static int last_node(const struct graph *g, int n, const val y[])
{
    int last = -1;

    for (int i = 0; i < n; i++) {
        const struct node *node = graph_node_of(g, y[i]);
        if (node && node->index > last)
            last = node->index;
    }
    return last;
}

static void sweep_run(struct sweep *s, int n_y, const val y[], const val dy[])
{
    char scope[256];
    int last = last_node(s->g, n_y, y);

    memcpy(scope, graph_scope(s->g), sizeof scope);
    mark_need(s, last);
    for (int i = 0; i < n_y; i++)
        if (!graph_null(dy[i]))
            s->slot[y[i].id] = add(s->g, s->slot[y[i].id], dy[i]);
    for (int i = last; i >= 0 && !graph_status(s->g); i--)
        sweep_node(s, graph_at(s->g, i));
    graph_scope_set(s->g, scope);
}

static void vjp(struct graph *g, bool stop, int n_y, const val y[], const val dy[], int n_x, const val x[],
                val dx[])
{
    struct sweep s = {.g = g, .values = graph_values(g), .stop = stop};
    size_t size = (size_t)s.values + 1;

    memset(dx, 0, (size_t)n_x * sizeof *dx);
    if (graph_status(g))
        return;
    s.slot = mem_new(size, sizeof *s.slot);
    s.need = mem_new(size, sizeof *s.need);
    s.leaf = mem_new(size, sizeof *s.leaf);
    if (s.slot && s.need && s.leaf) {
        for (int i = 0; i < n_x; i++)
            s.need[x[i].id] = s.leaf[x[i].id] = true;
        sweep_run(&s, n_y, y, dy);
        for (int i = 0; i < n_x; i++)
            dx[i] = s.slot[x[i].id];
    } else {
        graph_fail(g, ERR_MEMORY);
    }
    mem_free(s.slot);
    mem_free(s.need);
    mem_free(s.leaf);
}

void graph_vjp(struct graph *g, int n_y, const val y[], const val dy[], int n_x, const val x[], val dx[])
{
    vjp(g, true, n_y, y, dy, n_x, x, dx);
}

void graph_grad(struct graph *g, val y, int n, const val wrt[], val grad[])
{
    val one = filled(g, 1, y);

    vjp(g, false, 1, &y, &one, n, wrt, grad);
    for (int i = 0; i < n; i++)
        if (graph_null(grad[i]))
            grad[i] = filled(g, 0, wrt[i]);
}
