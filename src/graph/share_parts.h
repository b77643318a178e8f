/* How share.c and share_windows.c decide which editions of a schedule share storage. Inside of graph/. */
#ifndef D4M_GRAPH_SHARE_PARTS_H
#define D4M_GRAPH_SHARE_PARTS_H

#include "graph/op.h"
#include "graph/plan.h"

struct sharing {
    struct mem_plan *m;
    const struct schedule *s;
    size_t limit;
    double cost; /* of what lives now: its peak, with a limit the bytes over it */
};

static inline struct spot *spot_at(struct sharing *p, uint32_t edition)
{
    return &p->m->spot[edition];
}

static inline struct spot *root_of(struct sharing *p, uint32_t edition)
{
    return &p->m->spot[p->m->spot[edition].root];
}

static inline val value_of(const struct sharing *p, uint32_t edition)
{
    return (val){p->s->value[edition]};
}

static inline size_t bytes_of(const struct sharing *p, uint32_t edition)
{
    struct dims d = graph_dims(p->s->g, value_of(p, edition));

    return (size_t)dims_count(&d) * dtype_size(graph_type(p->s->g, value_of(p, edition)));
}

/* The extent of the last axis; 0 of a scalar. */
static inline int64_t row_of(const struct sharing *p, uint32_t edition)
{
    struct dims d = graph_dims(p->s->g, value_of(p, edition));

    return d.rank ? d.n[d.rank - 1] : 0;
}

static inline bool is_view(const struct step *s)
{
    return (s->node->op->flags & OP_VIEW) != 0;
}

/* The block of e becomes part of the one of `with`, `shift` bytes behind its start. */
void mem_plan_join(struct sharing *p, uint32_t e, uint32_t with, size_t shift, int64_t pitch);
double mem_plan_cost(const struct sharing *p); /* see struct sharing */
/* Makes slices and what is joined windows of wider blocks: first those that free memory; of two slices the
 * one that lives shortly, so that the other may be copied. */
MUST_USE enum err mem_plan_windows(struct sharing *p);

#endif
