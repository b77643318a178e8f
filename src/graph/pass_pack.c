/* Weights packed by a step of their own (src/ops/conv_weights.c), right before the convolution that reads
 * them: the memory plan sees the packed form, and a program with fixed weights makes it once. */
#include "base/mem.h"
#include "graph/op.h"
#include "graph/pass.h"
#include "graph/pass_rebuild.h"
#include <string.h>

/* n with HOOK_PACKED, if its kernel takes that. */
static bool packs(const struct backend *b, const struct graph *g, const struct node *n, struct node *packed)
{
    struct step s;
    bool takes;

    if (n->id != OP_CONV && n->id != OP_CONV_DX)
        return false;
    *packed = *n;
    packed->attr.conv.hooks |= HOOK_PACKED;
    takes = pass_kernel(b, g, packed, &s) != NULL;
    pass_step_clear(&s);
    return takes;
}

static void pack(struct pass_rebuild *r, const struct node *n, const struct node *packed)
{
    const bool by_data = n->id == OP_CONV_DX;
    const struct dims x = by_data ? n->out_dims[0] : graph_dims(r->from, n->in[0]);
    const val w = r->map[n->in[1].id];
    union attr t;

    memset(&t, 0, sizeof t);
    t.pack.conv = n->attr.conv;
    t.pack.conv.hooks = 0;
    memcpy(t.pack.conv.size, x.n + 1, sizeof t.pack.conv.size);
    t.pack.batch = x.n[0];
    t.pack.by_data = by_data;
    graph_scope_set(r->to, n->scope);
    r->map[n->in[1].id] = graph_node(r->to, OP_CONV_WEIGHTS, &t, 1, &w);
    pass_rebuild_copy(r, packed);
    r->map[n->in[1].id] = w;
}

struct graph *pass_pack(struct graph *g, const struct backend *b)
{
    struct pass_rebuild r;

    if (!pass_rebuild_begin(&r, g))
        return NULL;
    for (int i = 0; i < graph_count(g); i++) {
        struct node packed;

        if (packs(b, g, graph_at(g, i), &packed))
            pack(&r, graph_at(g, i), &packed);
        else
            pass_rebuild_copy(&r, graph_at(g, i));
    }
    return pass_rebuild_end(&r);
}
