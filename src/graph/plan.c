#include "graph/plan.h"

#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

struct block {
    size_t bytes, *offset;
    int first, last;
};

static int by_size(const void *a, const void *b)
{
    const struct block *x = a, *y = b;

    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->first != y->first ? (x->first > y->first ? 1 : -1) : 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct block *const *x = a, *const *y = b;

    return *(*x)->offset < *(*y)->offset ? -1 : *(*x)->offset > *(*y)->offset;
}

/* Lowest gap of b's size between the placed blocks that live at the same time. */
static void put(struct block *b, struct block **placed, int count, struct block **busy)
{
    size_t at = 0;
    int n = 0;

    for (int i = 0; i < count; i++)
        if (placed[i]->first <= b->last && b->first <= placed[i]->last)
            busy[n++] = placed[i];
    qsort(busy, (size_t)n, sizeof *busy, by_offset);
    for (int i = 0; i < n; i++) {
        if (*busy[i]->offset >= at + b->bytes)
            break;
        if (*busy[i]->offset + busy[i]->bytes > at)
            at = *busy[i]->offset + busy[i]->bytes;
    }
    *b->offset = at;
}

static int blocks(struct mem_plan *m, const struct schedule *s, struct block *list)
{
    int n = 0;

    for (uint32_t e = 1; e <= s->editions; e++) {
        struct spot *spot = &m->spot[e];
        if (spot->root == e && (spot->place == PLACE_ARENA || spot->place == PLACE_CONSTANT) &&
            spot->first >= 0)
            list[n++] = (struct block){spot->bytes, &spot->offset, spot->first, spot->last};
    }
    for (int i = 0; i < s->count; i++)
        if (!m->done[i] && turn_step(s, i)->work)
            list[n++] = (struct block){mem_plan_aligned(turn_step(s, i)->work), &m->work_offset[i], i, i};
    return n;
}

static enum err offsets(struct mem_plan *m, const struct schedule *s)
{
    size_t room = (size_t)s->editions + (size_t)s->count + 1;
    struct block *list = mem_new(room, sizeof *list);
    struct block **placed = mem_new(room, sizeof *placed), **busy = mem_new(room, sizeof *busy);
    enum err err = ERR_MEMORY;

    if (list && placed && busy) {
        int n = blocks(m, s, list);
        qsort(list, (size_t)n, sizeof *list, by_size);
        for (int i = 0; i < n; i++) {
            put(&list[i], placed, i, busy);
            placed[i] = &list[i];
            if (*list[i].offset + list[i].bytes > m->arena)
                m->arena = *list[i].offset + list[i].bytes;
        }
        err = ERR_OK;
    }
    mem_free(list);
    mem_free(placed);
    mem_free(busy);
    return err;
}

static enum err plan_one(struct mem_plan *m, const struct schedule *s, bool windows)
{
    TRY(mem_plan_share(m, s, windows));
    return offsets(m, s);
}

enum err mem_plan_make(struct mem_plan *m, const struct schedule *s)
{
    struct mem_plan plain;
    enum err err = plan_one(m, s, true);

    if (err)
        return err;
    err = plan_one(&plain, s, false);
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
