/* What recompute.c and recompute_drop.c share. Inside of graph/. */
#ifndef D4M_GRAPH_RECOMPUTE_PARTS_H
#define D4M_GRAPH_RECOMPUTE_PARTS_H

#include "graph/plan.h"
#include "graph/recompute.h"

/* An order with its schedule and what it needs. */
struct state {
    struct order order; /* owned */
    struct schedule s;
    struct mem_plan m;
    double excess; /* bytes over the limit, summed over the turns */
};

/* A step to run again before a turn. */
struct again {
    int turn, step;
};

/* One way to go on. */
struct drop {
    struct again *again;
    int count;
    double cost, bytes;
};

struct chooser {
    const struct graph *g;
    const struct step *steps;
    const int *made_by; /* per value: the step, -1 for sources */
    size_t limit;
    double bound; /* seconds of the cheapest order so far that fits, 0: none */
    double base;  /* seconds that every drop costs beside its steps, so that few large ones are preferred */
    struct state now;
    int peak;          /* the turn that needs most */
    int *next;         /* per edition: first turn behind the peak that reads it, 0: none */
    bool *used;        /* per edition: a root that the peak's turn itself needs */
    uint32_t *current; /* per value: its edition at the turn in question */
    uint32_t dropped;  /* root of the block in question */
};

/* Finds the turn that needs most, and fills peak, next and used. */
MUST_USE enum err recompute_find_peak(struct chooser *c);
/* All drops there, cheapest for their bytes first. Freed with recompute_drops_free. */
MUST_USE enum err recompute_drops(struct chooser *c, struct drop **out, int *count, int steps);
void recompute_drops_free(struct drop *list, int count);

#endif
