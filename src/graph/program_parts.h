/* What a program is: made by program_compile.c, run by program.c, looked at by program_replay.c and
 * program_report.c. Inside of graph/. */
#ifndef D4M_GRAPH_PROGRAM_PARTS_H
#define D4M_GRAPH_PROGRAM_PARTS_H

#include "graph/plan.h"
#include "graph/program.h"

struct copy { /* an assignment that is not done in place; editions */
    uint32_t state, value, when;
    size_t bytes;
};

struct program_arena {
    unsigned char *data;
    size_t bytes;
    const struct program *user; /* whose constants are in it */
    bool touched;
};
/* At least this many bytes; what was in it is lost if it grows. */
MUST_USE enum err program_arena_need(struct program_arena *a, size_t bytes);

struct program {
    struct graph *g; /* owned: steps point at its nodes */
    struct step *steps;
    const struct kernel_class **kernel; /* per step; NULL: a view */
    int count;                          /* steps */
    struct schedule schedule;
    struct mem_plan plan;
    struct program_arena *arena, *own; /* own: NULL if the arena is shared */
    unsigned char *base;               /* where the arena was when `at` was made */
    unsigned char *kept;               /* what fixed steps make */
    size_t kept_bytes;
    bool kept_made;
    void **at;      /* per edition: its storage */
    void **args;    /* inputs then outputs of the running step */
    int64_t *pitch; /* theirs */
    struct copy *copies;
    int n_copies;
    atomic_int *stop;
    bool timing;
    double *seconds, *start, *last; /* of all runs; of the last one */
    int64_t *calls;
};

static inline const struct node *program_node(const struct program *p, uint32_t edition)
{
    return graph_node_of(p->g, (val){p->schedule.value[edition]});
}

/* ERR_INTERNAL if an input has no buffer yet. */
MUST_USE enum err program_check_bound(const struct program *p);
/* Before turns run: the arena is this program's, with its constants. */
void program_enter(struct program *p);
void program_turn(struct program *p, int turn); /* runs one, unless it is a view */

#endif
