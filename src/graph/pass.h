/* Passes over a graph before it becomes a program: dead code, the expansion of ops that no kernel accepts,
 * and norms and activations as hooks of convolutions. Common subexpressions and trivial identities never
 * enter a graph: the builders number values and fold. */
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

/* A new graph in which instance norms with a leaky ReLU and their gradients are taken apart
 * (src/ops/stage.c), and convolutions do the parts as hooks where a kernel of `b` takes them: what they read
 * stays as it was before the norm, and no pass of its own makes statistics or activations. Ownership and
 * failure as with pass_expand. */
struct graph *pass_fuse(struct graph *g, const struct backend *b);

/* A new graph in which convolutions of float operands read bf16 ones, and values that the backward pass keeps
 * of the forward one are bf16 (docs/decisions/0007). After pass_fuse. Ownership and failure as with
 * pass_expand. */
struct graph *pass_bf16(struct graph *g);

/* A new graph in which the weights of convolutions whose kernels can take them packed are packed by steps of
 * their own. Ownership and failure as with pass_expand. */
struct graph *pass_pack(struct graph *g, const struct backend *b);

/* First kernel class of the backend that accepts the node, NULL if there is none (the reference then runs
 * it). Either way *s describes the step, and pass_step_clear frees what it holds. */
const struct kernel_class *pass_kernel(const struct backend *b, const struct graph *g, const struct node *n,
                                       struct step *s);
void pass_step_clear(struct step *s);
/* Whether some class takes n, a convolution without hooks, with these. */
bool pass_takes(const struct backend *b, const struct graph *g, const struct node *n, int64_t hooks);

#endif
