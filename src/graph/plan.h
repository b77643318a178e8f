/* The memory plan: where every edition of a value lies. Editions are inputs (the caller's buffer), states
 * (the store's), or lie in a block of one arena, which several may share: views, results written over an
 * operand that dies, windows of the last axis (a slice reads its source, what is joined is made in its
 * place). Blocks are placed largest first at the lowest offset free over their whole life. */
#ifndef D4M_GRAPH_PLAN_H
#define D4M_GRAPH_PLAN_H

#include "base/str.h"
#include "graph/schedule.h"

/* Blocks begin on cache lines. */
static inline size_t mem_plan_aligned(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

enum place { PLACE_NONE, PLACE_ARENA, PLACE_INPUT, PLACE_STATE, PLACE_CONSTANT };

struct spot {
    enum place place;
    uint32_t root; /* the edition whose storage this one's is part of; itself: a block */
    uint32_t next; /* the next edition of the same root, in a ring */
    bool kept;     /* lives to the end: an output, a constant or the value of an assignment */
    bool rigid;    /* who makes or reads it cannot do with a window of the last axis */
    int made;      /* turn that makes it; -1: a source */
    int read;      /* last turn that reads it or a view of it; -1: none */
    size_t shift;  /* bytes behind the root's start */
    int64_t pitch; /* elements from row to row of the last axis; 0: dense */
    /* of a root: */
    size_t bytes, offset;
    int first, last; /* turns between which it lives */
    int written;     /* last turn that writes all of it */
    int over;        /* first turn that writes over a window that was read before; INT_MAX: none */
};

struct mem_plan {
    struct spot *spot;   /* per edition */
    size_t arena;        /* bytes, scratch included */
    size_t *work_offset; /* per turn */
    size_t *live;        /* per turn: bytes that must exist at once */
    size_t peak;         /* the largest of them: no plan of this schedule needs less */
    bool *done;          /* per turn: nothing to run, its outputs are views */
    int first_update;    /* first turn that writes a state; `count` if none */
    bool *in_place;      /* per assignment: the value is already in the state's storage */
};

/* Everything but the offsets: what a schedule needs, without placing it. `windows`: slices and what is joined
 * may be windows of wider blocks where that raises neither the peak nor, with a limit, what lives above it.
 */
MUST_USE enum err mem_plan_share(struct mem_plan *m, const struct schedule *s, bool windows, size_t limit);
/* Bytes above the limit, summed over the turns. */
double mem_plan_excess(const struct mem_plan *m, const struct schedule *s, size_t limit);
/* With offsets; of the plans with windows and without the one with the smaller arena. Does not look for less
 * than `limit` bytes; 0: as little as possible. */
MUST_USE enum err mem_plan_make(struct mem_plan *m, const struct schedule *s, size_t limit);
/* What runs again, what are windows, and the largest blocks at the fullest turn. */
void mem_plan_dump(struct str *out, const struct mem_plan *m, const struct schedule *s);
void mem_plan_free(struct mem_plan *m);

#endif
