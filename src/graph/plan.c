#include "graph/plan.h"

#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

enum { BOOSTS = 16 };

struct block {
    size_t bytes, at;
    size_t *offset; /* where the best `at` goes */
    int first, last;
};

static int by_start(const struct block *x, const struct block *y)
{
    return (x->first > y->first) - (x->first < y->first);
}

static int by_size(const void *a, const void *b)
{
    const struct block *x = a, *y = b;

    return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : by_start(x, y);
}

static int by_area(const void *a, const void *b)
{
    const struct block *x = a, *y = b;
    const double p = (double)x->bytes * (x->last - x->first + 1),
                 q = (double)y->bytes * (y->last - y->first + 1);

    return p != q ? (p < q ? 1 : -1) : by_start(x, y);
}

static int by_life(const void *a, const void *b)
{
    const struct block *x = a, *y = b;
    const int p = x->last - x->first, q = y->last - y->first;

    return p != q ? (p < q ? 1 : -1) : by_size(a, b);
}

static int (*const sorts[])(const void *, const void *) = {by_size, by_area, by_life};

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

static size_t put_all(struct block *list, int n, struct block **placed)
{
    size_t top = 0;

    for (int i = 0; i < n; i++) {
        put(&list[i], placed, i);
        top = list[i].at + list[i].bytes > top ? list[i].at + list[i].bytes : top;
    }
    return top;
}

/* Puts the blocks and keeps their places if that is the best so far. */
static void attempt(struct mem_plan *m, struct block *list, int n, struct block **placed)
{
    const size_t top = put_all(list, n, placed);

    if (m->arena && top >= m->arena)
        return;
    m->arena = top;
    for (int i = 0; i < n; i++)
        *list[i].offset = list[i].at;
}

/* The block that reaches highest comes first next time. */
static void boost(struct block *list, int n)
{
    int high = 0;
    struct block b;

    for (int i = 1; i < n; i++)
        if (list[i].at + list[i].bytes > list[high].at + list[high].bytes)
            high = i;
    b = list[high];
    memmove(list + 1, list, (size_t)high * sizeof *list);
    list[0] = b;
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

/* No placing needs less than the peak; which order of placing comes near is found by trying. */
static enum err offsets(struct mem_plan *m, const struct schedule *s, size_t limit)
{
    const size_t room = (size_t)s->editions + (size_t)s->count + 1, goal = m->peak > limit ? m->peak : limit;
    struct block *list = mem_new(room, sizeof *list), **placed = mem_new(room, sizeof *placed);
    const int kinds = (int)(sizeof sorts / sizeof sorts[0]);
    int n;

    if (!list || !placed) {
        mem_free(list);
        mem_free(placed);
        return ERR_MEMORY;
    }
    n = blocks(m, s, list);
    for (int k = 0; k < kinds && (!k || m->arena > goal); k++) {
        qsort(list, (size_t)n, sizeof *list, sorts[k]);
        attempt(m, list, n, placed);
        for (int i = 0; i < BOOSTS && m->arena > goal; i++) {
            boost(list, n);
            attempt(m, list, n, placed);
        }
    }
    mem_free(list);
    mem_free(placed);
    return ERR_OK;
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
