#include "graph/pass_rebuild.h"

#include "base/mem.h"
#include "graph/op.h"

bool pass_rebuild_begin(struct pass_rebuild *r, struct graph *from)
{
    r->from = from;
    r->to = graph_new(graph_real(from));
    r->map = mem_new((size_t)graph_values(from) + 1, sizeof *r->map);
    if (r->to && r->map)
        return true;
    graph_fail(from, ERR_MEMORY);
    graph_free(r->to);
    mem_free(r->map);
    return false;
}

static val copy_source(struct graph *to, const struct node *n)
{
    if (n->id == OP_INPUT)
        return graph_input(to, n->attr.name, n->out_type[0], n->out_dims[0]);
    return graph_state(to, n->attr.name, n->out_type[0], n->out_dims[0]);
}

static void rebuild_node(struct pass_rebuild *r, const struct node *n, bool expand)
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

void pass_rebuild_copy(struct pass_rebuild *r, const struct node *n)
{
    rebuild_node(r, n, false);
}

void pass_rebuild_expand(struct pass_rebuild *r, const struct node *n)
{
    rebuild_node(r, n, true);
}

static void rebuild_ends(struct pass_rebuild *r)
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

struct graph *pass_rebuild_end(struct pass_rebuild *r)
{
    rebuild_ends(r);
    mem_free(r->map);
    if (!graph_status(r->to))
        return r->to;
    graph_fail(r->from, graph_status(r->to));
    graph_free(r->to);
    return NULL;
}
