#include "graph/pass.h"

#include "base/mem.h"
#include "graph/op.h"
#include "graph/pass_rebuild.h"
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

enum { HOOK_INPUTS = 4 }; /* most that pass_takes appends */

/* Kernels see dims and types of the inputs as arrays beside the node. */
static bool step_fill(const struct graph *g, const struct node *n, struct step *s)
{
    size_t in = (size_t)n->n_in + 1 + HOOK_INPUTS;
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

static const struct kernel_class *first_class(const struct backend *b, struct step *s)
{
    s->threads = b->threads;
    s->exact = b->exact;
    s->table = s->type == DT_F64 ? b->f64 : s->type == DT_BF16 ? b->bf16 : b->f32;
    for (int i = 0; b->classes[i]; i++)
        if (b->classes[i]->op == s->node->id && b->classes[i]->accepts(s))
            return b->classes[i];
    return NULL;
}

const struct kernel_class *pass_kernel(const struct backend *b, const struct graph *g, const struct node *n,
                                       struct step *s)
{
    return step_fill(g, n, s) ? first_class(b, s) : NULL;
}

static int append(struct dims *in, enum dtype *type, int at, struct dims d)
{
    in[at] = d;
    type[at] = type[0];
    return at + 1;
}

static struct dims rows(const struct dims *image, int64_t n)
{
    return DIMS3(image->n[0], n, image->n[4]);
}

bool pass_takes(const struct backend *b, const struct graph *g, const struct node *n, int64_t hooks)
{
    struct node with = *n;
    struct dims out[2] = {n->out_dims[0], rows(&n->out_dims[0], 2)}, x, y;
    enum dtype out_type[2] = {n->out_type[0], n->out_type[0]};
    bool takes = false;
    struct step s;

    if (step_fill(g, n, &s)) {
        struct dims *in = (struct dims *)(uintptr_t)s.in_dims;
        enum dtype *type = (enum dtype *)(uintptr_t)s.in_type;
        x = in[n->id == OP_CONV_DW ? 1 : 0];
        y = in[0];
        if (hooks & HOOK_X_STAGE)
            with.n_in = append(in, type, with.n_in, rows(&x, COEF_ROWS));
        if (hooks & HOOK_Y_STAGE)
            with.n_in = append(in, type, with.n_in, rows(&y, COEF_ROWS));
        if (hooks & HOOK_GATE) {
            with.n_in = append(in, type, with.n_in, out[0]);
            with.n_in = append(in, type, with.n_in, rows(&out[0], COEF_ROWS));
        }
        with.n_out = hooks & (HOOK_MOMENTS | HOOK_GATE) ? 2 : 1;
        with.attr.conv.hooks = hooks;
        s.node = &with;
        s.out_dims = out;
        s.out_type = out_type;
        takes = first_class(b, &s) != NULL;
    }
    pass_step_clear(&s);
    return takes;
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

static struct graph *rebuild(struct graph *g, const bool *live, const struct backend *b)
{
    struct pass_rebuild r;

    if (!pass_rebuild_begin(&r, g))
        return NULL;
    for (int i = 0; i < graph_count(g); i++) {
        const struct node *n = graph_at(g, i);
        if (live[i] && needs_expansion(g, n, b))
            pass_rebuild_expand(&r, n);
        else if (live[i])
            pass_rebuild_copy(&r, n);
    }
    return pass_rebuild_end(&r);
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
