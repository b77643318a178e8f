/* Parameters of networks. A network is built in a graph through a `struct nn`, which scopes names
 * ("encoder.stages.0.0.convs.1") and lists every parameter in order of first appearance. The list outlives
 * the graph, so that the same struct initialises, loads and saves the store. Names are the reference
 * implementation's state-dict names. */
#ifndef D4M_NN_NN_H
#define D4M_NN_NN_H

#include "base/mem.h"
#include "graph/graph.h"
#include "tensor/store.h"

enum init {
    INIT_ZEROS,
    INIT_ONES,
    INIT_HE, /* N(0, 2 / ((1 + 0.01^2) fan_in)), fan_in = second extent * kernel volume (seg-backbones.md
                section 7.1) */
};

struct param {
    const char *name; /* scope.name, owned by the nn */
    struct dims dims;
    enum init init;
    val v; /* its state in the graph */
};

struct nn {
    struct graph *g; /* borrowed; may be freed once building is over */
    enum dtype real; /* element type of all parameters */
    struct param *param;
    size_t count;
    size_t room;
    struct arena *names;
};

struct nn *nn_new(struct graph *g); /* NULL on exhaustion */
void nn_free(struct nn *m);

void nn_enter(struct nn *m, const char *fmt, ...) PRINTF_LIKE(2, 3);
void nn_leave(struct nn *m);

/* The parameter `scope.name`; declared at the first call, shared afterwards. Another shape under the same
 * name latches an error in the graph. */
val nn_param(struct nn *m, const char *name, struct dims dims, enum init init);

/* Fills all parameters in the store (created as needed): a function of (seed, name, shape) alone. */
MUST_USE enum err nn_init(const struct nn *m, struct store *s, uint64_t seed);

/* Elements of all parameters. */
int64_t nn_size(const struct nn *m);

#endif
