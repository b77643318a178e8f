/* What passes share: a graph rebuilt node by node. */
#ifndef D4M_GRAPH_PASS_REBUILD_H
#define D4M_GRAPH_PASS_REBUILD_H

#include "graph/graph.h"

struct pass_rebuild {
    struct graph *from, *to;
    val *map; /* value of from -> value of to; null: not made yet */
};

/* False with the error latched in `from`. */
bool pass_rebuild_begin(struct pass_rebuild *r, struct graph *from);
/* n, a node of from, on the values that its inputs became; in its scope. */
void pass_rebuild_copy(struct pass_rebuild *r, const struct node *n);
/* The same through its expansion. */
void pass_rebuild_expand(struct pass_rebuild *r, const struct node *n);
/* Outputs and assignments; frees the map. The caller's graph, NULL with the error latched in `from`. */
struct graph *pass_rebuild_end(struct pass_rebuild *r);

#endif
