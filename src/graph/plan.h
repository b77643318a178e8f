/* The memory plan: where every value of a program lies. Values are inputs (the caller's buffer), states (the
 * store's), views of another value, or blocks of one arena, placed largest first at the lowest offset free
 * over their whole life. */
#ifndef D4M_GRAPH_PLAN_H
#define D4M_GRAPH_PLAN_H

#include "graph/graph.h"
#include "graph/kernel.h"

enum place { PLACE_NONE, PLACE_ARENA, PLACE_INPUT, PLACE_STATE, PLACE_CONSTANT };

struct spot {
    enum place place;
    uint32_t root; /* the value whose storage this is (itself, or the one it is a view of or written over) */
    size_t bytes, offset; /* of a root in the arena */
    int first, last;      /* steps between which a root lives; constants and outputs live throughout */
};

struct mem_plan {
    struct spot *spot;   /* per value id */
    size_t arena;        /* bytes, scratch included */
    size_t *work_offset; /* per step */
    int first_update;    /* first step that writes a state; `steps` if none */
    bool *in_place;      /* per assignment: the value is already in the state's storage */
};

/* steps[i] is the i-th step's node and scratch, in order. */
MUST_USE enum err mem_plan_make(struct mem_plan *m, const struct graph *g, const struct step *steps,
                                int count);
void mem_plan_free(struct mem_plan *m);

#endif
