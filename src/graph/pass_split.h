/* First half of pass_fuse. */
#ifndef D4M_GRAPH_PASS_SPLIT_H
#define D4M_GRAPH_PASS_SPLIT_H

#include "graph/graph.h"

/* A new graph of g's live nodes with norm_act and norm_act_grad as the rows of src/ops/stage.c, and without
 * the biases that a norm takes away again. The caller's; NULL with the error latched in g. */
struct graph *pass_split(struct graph *g);

/* Live readers of values; inputs of nodes count each time, outputs and assignments once. */
struct pass_readers {
    const struct graph *g;
    bool *live; /* per node */
    int *count; /* per value */
};

bool pass_readers_make(struct pass_readers *r, struct graph *g); /* false with the error latched in g */
void pass_readers_free(struct pass_readers *r);
/* The next live node behind node `after` (-1: from the start) that reads v; *input is where. NULL: no more.
 * Nodes that read it twice are found once. */
const struct node *pass_reader(const struct pass_readers *r, val v, int after, int *input);

#endif
