/* Recomputation: a schedule that drops values and makes them again right before their next use, so that its
 * plan fits a limit. What is dropped is chosen by a cost model (graph/cost.h): at the turn that needs most,
 * of the blocks that only lie there, the one that costs least time per byte. Results keep their bits, since
 * steps are pure. */
#ifndef D4M_GRAPH_RECOMPUTE_H
#define D4M_GRAPH_RECOMPUTE_H

#include "graph/plan.h"

struct order {
    int *step; /* step of each turn */
    int count;
    size_t limit; /* what mem_plan_make is to be given with it */
};

/* Every step once, as the graph has them. */
MUST_USE enum err order_make(struct order *o, int steps);
void order_free(struct order *o);

/* Lengthens the order until the plan's arena fits `limit` or nothing helps any more; *arena is what it then
 * needs. */
MUST_USE enum err recompute(struct order *o, const struct graph *g, const struct step *steps, size_t limit,
                            size_t *arena);

#endif
