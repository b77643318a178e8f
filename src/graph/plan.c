#include "graph/plan.h"

#include "base/mem.h"
#include "base/rng.h"
#include <stdlib.h>
#include <string.h>

enum {
    SEARCH = 3000,         /* random changes of the order that are tried for the smallest arena, */
    SEARCH_LEAST = 100,    /* and for one that fits a limit this many, */
    SEARCH_FIT = 40000000, /* or as many as make so many comparisons of two blocks */
    LARGE = 1000,          /* blocks of less than this part of the peak are put behind the others */
};

struct block {
    size_t bytes, at;
    size_t *offset; /* where the best `at` goes */
    int first, last;
};

static int by_start(const void *a, const void *b)
{
    const struct block *x = a, *y = b;

    return x->first != y->first ? (x->first > y->first ? 1 : -1)
                                : (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static int by_size(const void *a, const void *b)
{
    const struct block *x = a, *y = b;

    return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1)
                                : (x->first > y->first) - (x->first < y->first);
}

static int by_end(const void *a, const void *b)
{
    const struct block *x = a, *y = b;

    return x->last != y->last ? (x->last < y->last ? 1 : -1) : by_size(a, b);
}

static int (*const sorts[])(const void *, const void *) = {by_size, by_start, by_end};

/* At the lowest gap of b's size between the placed blocks that live at the same time. `placed` is in order of
 * their places and stays so. */
static void put(struct block *b, struct block **placed, int count)
{
    int i = 0;

    b->at = 0;
    for (int k = 0; k < count; k++) {
        const struct block *p = placed[k];
        if (p->first > b->last || b->first > p->last)
            continue;
        if (p->at >= b->at + b->bytes)
            break;
        if (p->at + p->bytes > b->at)
            b->at = p->at + p->bytes;
    }
    while (i < count && placed[i]->at <= b->at)
        i++;
    memmove(placed + i + 1, placed + i, (size_t)(count - i) * sizeof *placed);
    placed[i] = b;
}

/* Blocks in the order in which they are put, the small ones last, and the best order of the large ones so
 * far. */
struct placing {
    struct mem_plan *m;
    struct block *list, *best, **placed;
    int n, large;
};

/* Puts the first n blocks; stops above `most` bytes. */
static size_t put_all(struct placing *p, int n, size_t most)
{
    size_t top = 0;

    for (int i = 0; i < n && top <= most; i++) {
        put(&p->list[i], p->placed, i);
        top = p->list[i].at + p->list[i].bytes > top ? p->list[i].at + p->list[i].bytes : top;
    }
    return top;
}

/* Puts the large blocks and keeps the order if it needs no more than the best so far. */
static void attempt(struct placing *p)
{
    const size_t top = put_all(p, p->large, p->m->arena ? p->m->arena : SIZE_MAX);

    if (p->m->arena && top > p->m->arena)
        return;
    p->m->arena = top;
    memcpy(p->best, p->list, (size_t)p->large * sizeof *p->list);
}

static void move_block(struct block *list, int from, int to)
{
    const struct block b = list[from];

    if (from < to)
        memmove(list + from, list + from + 1, (size_t)(to - from) * sizeof *list);
    else
        memmove(list + to + 1, list + to, (size_t)(from - to) * sizeof *list);
    list[to] = b;
}

/* No placing needs less than the peak. Which order of putting comes near is found by trying: some sorts, then
 * random changes of the best, always the same ones. */
static void search(struct placing *p, size_t goal, bool fit)
{
    struct rng r = rng_at(1, 1);
    int tries = SEARCH;

    qsort(p->list, (size_t)p->n, sizeof *p->list, by_size);
    for (p->large = 0; p->large < p->n && p->list[p->large].bytes > p->m->peak / LARGE;)
        p->large++;
    for (size_t k = 0; k < sizeof sorts / sizeof *sorts && (!k || p->m->arena > goal); k++) {
        qsort(p->list, (size_t)p->large, sizeof *p->list, sorts[k]);
        attempt(p);
    }
    if (fit && p->large > 0) {
        int64_t most = SEARCH_FIT / ((int64_t)p->large * p->large);
        tries = most > SEARCH ? SEARCH : most < SEARCH_LEAST ? SEARCH_LEAST : (int)most;
    }
    for (int i = 0; p->large > 1 && i < tries && p->m->arena > goal; i++) {
        memcpy(p->list, p->best, (size_t)p->large * sizeof *p->list);
        move_block(p->list, (int)rng_below(&r, (uint64_t)p->large), (int)rng_below(&r, (uint64_t)p->large));
        attempt(p);
    }
    memcpy(p->list, p->best, (size_t)p->large * sizeof *p->list);
    p->m->arena = put_all(p, p->n, SIZE_MAX);
    for (int i = 0; i < p->n; i++)
        *p->list[i].offset = p->list[i].at;
}

static int blocks(struct mem_plan *m, const struct schedule *s, struct block *list)
{
    int n = 0;

    for (uint32_t e = 1; e <= s->editions; e++) {
        struct spot *b = &m->spot[e];
        if (b->root == e && (b->place == PLACE_ARENA || b->place == PLACE_CONSTANT) && b->first >= 0)
            list[n++] =
                (struct block){.bytes = b->bytes, .offset = &b->offset, .first = b->first, .last = b->last};
    }
    for (int i = 0; i < s->count; i++)
        if (!m->done[i] && turn_step(s, i)->work)
            list[n++] = (struct block){.bytes = mem_plan_aligned(turn_step(s, i)->work),
                                       .offset = &m->work_offset[i],
                                       .first = i,
                                       .last = i};
    return n;
}

static enum err offsets(struct mem_plan *m, const struct schedule *s, size_t limit)
{
    const size_t room = (size_t)s->editions + (size_t)s->count + 1, goal = m->peak > limit ? m->peak : limit;
    struct placing p = {.m = m,
                        .list = mem_new(room, sizeof *p.list),
                        .best = mem_new(room, sizeof *p.best),
                        .placed = mem_new(room, sizeof *p.placed)};
    const bool ok = p.list && p.best && p.placed;

    if (ok) {
        p.n = blocks(m, s, p.list);
        search(&p, goal, limit > 0);
    }
    mem_free(p.list);
    mem_free(p.best);
    mem_free(p.placed);
    return ok ? ERR_OK : ERR_MEMORY;
}

static enum err plan_one(struct mem_plan *m, const struct schedule *s, bool windows, size_t limit)
{
    TRY(mem_plan_share(m, s, windows, limit));
    return offsets(m, s, limit);
}

enum err mem_plan_make(struct mem_plan *m, const struct schedule *s, size_t limit)
{
    struct mem_plan plain;
    enum err err = plan_one(m, s, true, limit);

    if (err || limit)
        return err;
    err = plan_one(&plain, s, false, limit);
    if (!err && plain.arena < m->arena) {
        struct mem_plan better = plain;
        plain = *m;
        *m = better;
    }
    mem_plan_free(&plain);
    return err;
}

void mem_plan_free(struct mem_plan *m)
{
    mem_free(m->spot);
    mem_free(m->work_offset);
    mem_free(m->live);
    mem_free(m->done);
    mem_free(m->in_place);
    memset(m, 0, sizeof *m);
}
