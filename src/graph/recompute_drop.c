/* What could be dropped where most lives, and what would have to run again for it. */
#include "graph/recompute_parts.h"

#include "base/mem.h"
#include "graph/cost.h"
#include "graph/op.h"
#include <stdlib.h>

enum { SMALL = 64 /* an input of less than this part of the block is kept rather than made again */ };

enum err recompute_find_peak(struct chooser *c)
{
    const struct state *t = &c->now;

    mem_free(c->next);
    mem_free(c->used);
    c->next = mem_new((size_t)t->s.editions + 1, sizeof *c->next);
    c->used = mem_new((size_t)t->s.editions + 1, sizeof *c->used);
    if (!c->next || !c->used)
        return ERR_MEMORY;
    c->peak = 0;
    for (int i = 1; i < t->s.count; i++)
        if (t->m.live[i] > t->m.live[c->peak])
            c->peak = i;
    for (int i = t->s.count - 1; i > c->peak; i--)
        for (int k = 0; k < turn_step(&t->s, i)->node->n_in; k++)
            c->next[t->s.turn[i].in[k]] = i;
    for (int k = 0; k < turn_step(&t->s, c->peak)->node->n_in; k++)
        c->used[t->m.spot[t->s.turn[c->peak].in[k]].root] = true;
    for (int k = 0; k < turn_step(&t->s, c->peak)->node->n_out; k++)
        c->used[t->m.spot[t->s.turn[c->peak].out + (uint32_t)k].root] = true;
    return ERR_OK;
}

/* Every value's edition as turn `turn` finds it. */
static void editions_at(struct chooser *c, int turn)
{
    const struct schedule *s = &c->now.s;

    for (uint32_t id = 1; id <= graph_values(c->g); id++)
        c->current[id] = id;
    for (int i = 0; i < turn; i++)
        for (int k = 0; k < turn_step(s, i)->node->n_out; k++)
            c->current[turn_step(s, i)->node->first_out + (uint32_t)k] = s->turn[i].out + (uint32_t)k;
}

static bool planned(const struct drop *d, int step)
{
    for (int i = 0; i < d->count; i++)
        if (d->again[i].step == step)
            return true;
    return false;
}

/* Adds to d what must run again before `turn` so that the value is there; false if that cannot be. */
static bool need(struct chooser *c, struct drop *d, uint32_t value, int turn)
{
    const struct mem_plan *m = &c->now.m;
    const struct spot *s = &m->spot[c->current[value]];
    const int step = c->made_by[value];
    const struct node *n;

    if (s->place == PLACE_STATE || turn > m->first_update)
        return turn <= m->first_update;
    if (step < 0 || planned(d, step))
        return true;
    if ((s->root != c->dropped || s->made > c->peak) &&
        (s->read >= turn || (double)s->bytes * SMALL < d->bytes))
        return true;
    n = c->steps[step].node;
    if (n->op->flags & OP_UPDATE)
        return false;
    for (int k = 0; k < n->n_in; k++)
        if (!need(c, d, n->in[k].id, turn))
            return false;
    if (!planned(d, step)) {
        d->again[d->count++] = (struct again){turn, step};
        d->cost += step_seconds(&c->steps[step]);
    }
    return true;
}

/* The block lies there at the peak, all its editions are made before it and none is read by it. */
static bool only_lies(const struct chooser *c, uint32_t root)
{
    const struct spot *s = &c->now.m.spot[root];

    return s->root == root && s->place == PLACE_ARENA && !s->kept && s->first >= 0 && s->first < c->peak &&
           s->last > c->peak && !c->used[root];
}

/* What to run again so that the block can be given up at the peak. */
static bool drop_make(struct chooser *c, struct drop *d, uint32_t root)
{
    const struct mem_plan *m = &c->now.m;
    uint32_t e = root;

    d->count = 0;
    d->cost = 0;
    d->bytes = (double)m->spot[root].bytes;
    c->dropped = root;
    do {
        const int turn = c->next[e];
        if (turn && m->spot[e].made < c->peak) {
            editions_at(c, turn);
            if (m->spot[e].kept || !need(c, d, c->now.s.value[e], turn))
                return false;
        }
        e = m->spot[e].next;
    } while (e != root);
    return d->count > 0;
}

static int drop_cmp(const void *a, const void *b)
{
    const struct drop *x = a, *y = b;
    const double p = x->cost * y->bytes, q = y->cost * x->bytes;

    return (p > q) - (p < q);
}

void recompute_drops_free(struct drop *list, int count)
{
    for (int i = 0; i < count; i++)
        mem_free(list[i].again);
    mem_free(list);
}

enum err recompute_drops(struct chooser *c, struct drop **out, int *count, int steps)
{
    struct drop *list = mem_new((size_t)c->now.s.editions + 1, sizeof *list);
    int n = 0;

    if (!list)
        return ERR_MEMORY;
    for (uint32_t e = 1; e <= c->now.s.editions; e++) {
        if (!only_lies(c, e))
            continue;
        list[n].again = mem_new((size_t)steps + 1, sizeof *list[n].again);
        if (!list[n].again) {
            recompute_drops_free(list, n);
            return ERR_MEMORY;
        }
        if (drop_make(c, &list[n], e))
            n++;
        else
            mem_free(list[n].again);
    }
    qsort(list, (size_t)n, sizeof *list, drop_cmp);
    *out = list;
    *count = n;
    return ERR_OK;
}
