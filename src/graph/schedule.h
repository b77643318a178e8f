/* The order in which a program runs its steps. A step may run more than once, to make again what was dropped
 * in between: each turn makes new *editions* of the step's outputs, and readers take the latest. The first
 * edition of a value has the value's id, later ones have ids behind the graph's. Rows are pure functions, so
 * all editions of a value hold the same bits. */
#ifndef D4M_GRAPH_SCHEDULE_H
#define D4M_GRAPH_SCHEDULE_H

#include "graph/graph.h"
#include "graph/kernel.h"

struct turn {
    int step;           /* index into the steps */
    bool again;         /* the step has run before */
    const uint32_t *in; /* editions it reads */
    uint32_t out;       /* editions out .. out + n_out - 1 it makes */
};

struct schedule {
    const struct graph *g; /* borrowed, as the steps */
    const struct step *steps;
    struct turn *turn;
    int count;
    uint32_t editions; /* ids are 1 .. this */
    uint32_t *value;   /* of an edition */
    uint32_t *latest;  /* edition of a value at the end */
    uint32_t *reads;   /* what `in` points into */
};

/* order[i] is the step of turn i; every step's inputs come from sources or earlier turns. */
MUST_USE enum err schedule_make(struct schedule *s, const struct graph *g, const struct step *steps,
                                const int *order, int count);
void schedule_free(struct schedule *s);

static inline const struct step *turn_step(const struct schedule *s, int turn)
{
    return &s->steps[s->turn[turn].step];
}

#endif
