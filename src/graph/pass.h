/* Passes over a graph before it becomes a program: dead code, and the expansion of ops that no kernel
 * accepts. Common subexpressions and trivial identities never enter a graph: the builders number values and
 * fold. */
#ifndef D4M_GRAPH_PASS_H
#define D4M_GRAPH_PASS_H

#include "graph/graph.h"
#include "graph/kernel.h"

/* live[i] tells whether node i reaches an output or an assignment; mem_free. NULL on exhaustion. */
bool *pass_live(const struct graph *g);
/* A new graph with g's live nodes, in which every one that no fast kernel of `b` accepts, but that has an
 * expansion, is expanded (repeatedly). The caller frees it; g stays as it is. NULL with the error latched in
 * g on failure. */
struct graph *pass_expand(struct graph *g, const struct backend *b);

/* First kernel class of the backend that accepts the node, NULL if there is none (the reference then runs
 * it). Either way *s describes the step, and pass_step_clear frees what it holds. */
const struct kernel_class *pass_kernel(const struct backend *b, const struct graph *g, const struct node *n,
                                       struct step *s);
void pass_step_clear(struct step *s);

#endif
