#include "graph/pass.h"

#include "base/mem.h"
#include "graph/op.h"
#include "graph/pass_rebuild.h"
#include <string.h>

/* bf16 mode (docs/decisions/0007). Convolutions read bf16 operands and sum in float; everything else stays
 * float: weights are narrowed anew in every step from the float ones that the optimiser updates. What the
 * backward pass needs of the forward one is kept as bf16:
 *
 *     z = conv(narrow(x), narrow(w))        z_b = narrow(z)
 *     y = stage(z, coef)                    y_b = narrow(y), which the next convolution and its gradient by w
 * read
 *     ... gate(dy, z_b, coef), norm_dx(g, z_b, ...)
 *
 * Convolutions with padding other than zero stay float: bf16 kernels pad with zeros only.
 * Value numbering makes one value of what is narrowed twice; z and y die behind their last reader in the
 * forward pass. Casts that nobody reads in the end are dead code. */

static val cast(struct graph *g, val v, enum dtype type)
{
    union attr t;

    memset(&t, 0, sizeof t); /* attributes are compared as bytes */
    t.type = type;
    return graph_node(g, OP_CAST, &t, 1, &v);
}

static val narrow(struct graph *g, val v);

/* Parts of a concatenation are narrowed each: they may be there already. */
static val narrow_parts(struct graph *g, const struct node *n)
{
    val *part = mem_new((size_t)n->n_in, sizeof *part), all = {0};

    if (!part) {
        graph_fail(g, ERR_MEMORY);
        return all;
    }
    for (int k = 0; k < n->n_in; k++)
        part[k] = narrow(g, n->in[k]);
    all = graph_node(g, OP_CONCAT, &n->attr, n->n_in, part);
    mem_free(part);
    return all;
}

static val narrow(struct graph *g, val v)
{
    const struct node *n = graph_node_of(g, v);

    if (n && n->id == OP_CONCAT)
        return narrow_parts(g, n);
    return cast(g, v, DT_BF16);
}

/* Inputs that n reads as bf16: bit k for input k. */
static unsigned narrowed(const struct node *n)
{
    switch (n->id) {
    case OP_CONV:
    case OP_CONV_DX:
    case OP_CONV_DW:
        return n->attr.conv.hooks & (HOOK_MOMENTS | HOOK_GATE) || n->attr.conv.pad_mode ? 0
                                                                                        : 1u << 0 | 1u << 1;
    case OP_GATE:
    case OP_NORM_DX:
        return 1u << 1; /* z */
    default:
        return 0;
    }
}

/* Inputs of n, a row of the backward pass that reads float, that the forward pass has made. */
static unsigned restored(const struct node *n)
{
    switch (n->id) {
    case OP_NORM_GRAD:
        return 1u << 1;
    case OP_NORM_ACT_GRAD:
        return 1u << 1 | 1u << 2;
    default:
        return 0;
    }
}

/* Values that such rows read later are narrowed where they are made, so that they do not live on as float. */
static void keep(struct graph *g, const struct node *n, val first)
{
    if (n->id == OP_CONV || n->id == OP_CONV_DX || n->id == OP_NORM_ACT)
        narrow(g, first);
}

static void rebuild(struct pass_rebuild *r, const struct node *n)
{
    const unsigned down = narrowed(n), back = restored(n);
    val *in, first;

    if (n->out_type[0] != DT_F32 || n->id == OP_INPUT || n->id == OP_STATE) {
        pass_rebuild_copy(r, n);
        return;
    }
    in = mem_new((size_t)n->n_in + 1, sizeof *in);
    if (!in) {
        graph_fail(r->to, ERR_MEMORY);
        return;
    }
    graph_scope_set(r->to, n->scope);
    for (int k = 0; k < n->n_in; k++) {
        in[k] = r->map[n->in[k].id];
        if (k < 32 && down >> k & 1)
            in[k] = narrow(r->to, in[k]);
        else if (k < 32 && back >> k & 1)
            in[k] = cast(r->to, narrow(r->to, in[k]), DT_F32);
    }
    first = graph_node(r->to, n->id, &n->attr, n->n_in, in);
    for (int k = 0; k < n->n_out; k++)
        r->map[n->first_out + (uint32_t)k] = graph_out(r->to, first, k);
    keep(r->to, n, first);
    mem_free(in);
}

struct graph *pass_bf16(struct graph *g)
{
    bool *live = pass_live(g);
    struct pass_rebuild r;

    if (!live) {
        graph_fail(g, ERR_MEMORY);
        return NULL;
    }
    if (!pass_rebuild_begin(&r, g)) {
        mem_free(live);
        return NULL;
    }
    for (int i = 0; i < graph_count(g); i++)
        if (live[i])
            rebuild(&r, graph_at(g, i));
    mem_free(live);
    return pass_rebuild_end(&r);
}
