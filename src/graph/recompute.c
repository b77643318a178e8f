#include "graph/recompute_parts.h"

#include "base/mem.h"
#include "graph/cost.h"
#include "graph/op.h"
#include <stdlib.h>
#include <string.h>

enum {
    TRIES = 12,     /* candidates whose whole effect is computed */
    GROWTH = 2,     /* times as many turns as steps, at most */
    ROUNDS_MAX = 8, /* of tightening the limit when placing wastes some */
};

enum err order_make(struct order *o, int steps)
{
    o->step = mem_new((size_t)steps + 1, sizeof *o->step);
    o->count = steps;
    for (int i = 0; o->step && i < steps; i++)
        o->step[i] = i;
    return o->step ? ERR_OK : ERR_MEMORY;
}

void order_free(struct order *o)
{
    mem_free(o->step);
    *o = (struct order){0};
}

/* Drops that take away less of the excess lead nowhere, at great length. */
#define PROGRESS 0.01

/* ---- states ---- */

static void state_free(struct state *t)
{
    order_free(&t->order);
    schedule_free(&t->s);
    mem_plan_free(&t->m);
}

/* Takes the order. */
static enum err state_make(struct state *t, const struct chooser *c, struct order *order)
{
    *t = (struct state){.order = *order};
    *order = (struct order){0};
    TRY(schedule_make(&t->s, c->g, c->steps, t->order.step, t->order.count));
    TRY(mem_plan_share(&t->m, &t->s, true, c->limit));
    t->excess = mem_plan_excess(&t->m, &t->s, c->limit);
    return ERR_OK;
}

static int again_cmp(const void *a, const void *b)
{
    const struct again *x = a, *y = b;

    return x->turn != y->turn ? x->turn - y->turn : x->step - y->step;
}

/* The present order with a drop's steps in it. Steps of one turn come in the graph's order, so that inputs
 * are made before they are read. */
static enum err order_with(struct order *out, const struct order *o, struct drop *d)
{
    int n = 0, k = 0;

    qsort(d->again, (size_t)d->count, sizeof *d->again, again_cmp);
    out->step = mem_new((size_t)(o->count + d->count) + 1, sizeof *out->step);
    if (!out->step)
        return ERR_MEMORY;
    for (int i = 0; i < o->count; i++) {
        for (; k < d->count && d->again[k].turn == i; k++)
            out->step[n++] = d->again[k].step;
        out->step[n++] = o->step[i];
    }
    out->count = n;
    return ERR_OK;
}

/* ---- choosing ---- */

/* Tries the cheapest drops and keeps the one with the best effect for its cost; *better tells whether there
 * is one. */
static enum err improve(struct chooser *c, int steps, bool *better)
{
    struct drop *list = NULL;
    struct state best = {.excess = c->now.excess};
    double best_rate = 0;
    int n = 0;
    enum err err;

    *better = false;
    TRY(recompute_find_peak(c));
    err = recompute_drops(c, &list, &n, steps);
    for (int i = 0; !err && i < n && (i < TRIES || !*better); i++) {
        struct order order = {0};
        struct state t = {0};
        double rate;
        TRY_OR(next, order_with(&order, &c->now.order, &list[i]));
        TRY_OR(next, state_make(&t, c, &order));
        rate = (c->now.excess - t.excess) / (list[i].cost + c->base);
        if (rate > best_rate && c->now.excess - t.excess > PROGRESS * c->now.excess) {
            struct state swap = best;
            best = t;
            t = swap;
            best_rate = rate;
            *better = true;
        }
    next:
        order_free(&order);
        state_free(&t);
    }
    if (!err && *better) {
        state_free(&c->now);
        c->now = best;
    } else {
        state_free(&best);
    }
    recompute_drops_free(list, n);
    return err;
}

/* ---- the whole ---- */

static double order_seconds(const struct order *o, const struct step *steps)
{
    double sum = 0;

    for (int i = 0; i < o->count; i++)
        sum += step_seconds(&steps[o->step[i]]);
    return sum;
}

static enum err order_copy(struct order *to, const struct order *from)
{
    TRY(order_make(to, from->count));
    memcpy(to->step, from->step, (size_t)from->count * sizeof *from->step);
    return ERR_OK;
}

static enum err placed_bytes(const struct schedule *s, size_t limit, size_t *arena)
{
    struct mem_plan m;
    enum err err = mem_plan_make(&m, s, limit);

    *arena = m.arena;
    mem_plan_free(&m);
    return err;
}

/* The present order without turn i takes its place if nothing then lives above the limit. */
static enum err leave_out(struct chooser *c, int i)
{
    struct order order;
    struct state t = {0};
    enum err err;

    TRY(order_make(&order, c->now.order.count));
    for (int k = 0, n = 0; k < c->now.order.count; k++)
        if (k != i)
            order.step[n++] = c->now.order.step[k];
    order.count = c->now.order.count - 1;
    err = state_make(&t, c, &order);
    if (!err && t.excess <= 0) {
        struct state swap = c->now;
        c->now = t;
        t = swap;
    }
    order_free(&order);
    state_free(&t);
    return err;
}

/* Takes out what need not run again after all, from the end, unless it then no longer fits. */
static enum err trim(struct chooser *c, size_t limit, size_t *arena)
{
    struct order before;
    size_t bytes = 0;
    enum err err = ERR_OK;

    TRY(order_copy(&before, &c->now.order));
    for (int i = c->now.s.count - 1; !err && i >= 0; i--)
        if (c->now.s.turn[i].again && step_seconds(turn_step(&c->now.s, i)) > 0)
            err = leave_out(c, i);
    if (!err)
        err = placed_bytes(&c->now.s, c->limit, &bytes);
    if (!err && bytes <= limit) {
        *arena = bytes;
    } else if (!err) {
        state_free(&c->now);
        err = state_make(&c->now, c, &before);
    }
    order_free(&before);
    return err;
}

/* Placing wastes some bytes of one order and others of the next: so first a part of what it wasted, at least
 * a hundredth of the limit, then more. */
static size_t tightening(int round, size_t wasted, size_t limit)
{
    const size_t part = wasted / 4 * (size_t)(round + 1), least = limit / 100,
                 cut = part > least ? part : least;

    return cut < wasted ? cut : wasted;
}

static enum err fit(struct chooser *c, size_t limit, size_t *arena, int steps)
{
    for (int round = 0;; round++) {
        bool better = true;
        while (c->now.excess > 0 && better && c->now.order.count < GROWTH * steps) {
            TRY(improve(c, steps, &better));
            if (c->bound > 0 && order_seconds(&c->now.order, c->steps) >= c->bound)
                break;
        }
        TRY(placed_bytes(&c->now.s, c->limit, arena));
        if (*arena <= limit)
            return trim(c, limit, arena);
        if (c->now.excess > 0 || round == ROUNDS_MAX || *arena - limit >= c->limit)
            return ERR_OK;
        c->limit -= tightening(round, *arena - limit, limit);
        c->now.excess = mem_plan_excess(&c->now.m, &c->now.s, c->limit);
    }
}

static enum err chooser_make(struct chooser *c, int *made_by, int steps)
{
    size_t values = (size_t)graph_values(c->g) + 1;

    for (size_t id = 0; id < values; id++)
        made_by[id] = -1;
    for (int i = 0; i < steps; i++)
        for (int k = 0; k < c->steps[i].node->n_out; k++)
            made_by[c->steps[i].node->first_out + (uint32_t)k] = i;
    c->made_by = made_by;
    c->current = mem_new(values, sizeof *c->current);
    return c->current ? ERR_OK : ERR_MEMORY;
}

/* One way through. Takes the order and gives back what it became. */
static enum err try_base(struct order *o, struct chooser *c, size_t limit, double base, size_t *arena)
{
    const int steps = o->count;
    enum err err;

    c->limit = limit;
    c->base = base;
    err = state_make(&c->now, c, o);
    if (!err)
        err = fit(c, limit, arena, steps);
    *o = c->now.order;
    o->limit = c->limit;
    c->now.order = (struct order){0};
    state_free(&c->now);
    return err;
}

/* No preference for large drops is best everywhere: of some the cheapest result that fits, else the smallest.
 */
static enum err try_all(struct order *o, struct chooser *c, size_t limit, size_t *arena)
{
    static const struct {
        double base, limit; /* parts of the time of all steps, of the limit */
    } trial[] = {{1e-2, 1}, {3e-2, 1}, {1e-3, 1}, {1e-1, 1}, {1e-2, 0.985}, {1e-2, 0.96}, {1e-2, 0.93}};
    const double plain = order_seconds(o, c->steps);
    struct order best = {0};

    *arena = SIZE_MAX;
    for (size_t i = 0; i < sizeof trial / sizeof *trial; i++) {
        struct order order = {0};
        size_t bytes = 0;
        enum err err = order_copy(&order, o);
        if (!err)
            err =
                try_base(&order, c, (size_t)((double)limit * trial[i].limit), plain * trial[i].base, &bytes);
        if (!err && (bytes <= limit && *arena <= limit
                         ? order_seconds(&order, c->steps) < order_seconds(&best, c->steps)
                         : bytes < *arena)) {
            struct order swap = best;
            best = order;
            order = swap;
            *arena = bytes;
            if (bytes <= limit)
                c->bound = order_seconds(&best, c->steps);
        }
        order_free(&order);
        if (err) {
            order_free(&best);
            return err;
        }
    }
    order_free(o);
    *o = best;
    return ERR_OK;
}

enum err recompute(struct order *o, const struct graph *g, const struct step *steps, size_t limit,
                   size_t *arena)
{
    struct chooser c = {.g = g, .steps = steps};
    int *made_by = mem_new((size_t)graph_values(g) + 1, sizeof *made_by);
    enum err err = made_by ? chooser_make(&c, made_by, o->count) : ERR_MEMORY;

    if (!err)
        err = try_all(o, &c, limit, arena);
    mem_free(c.next);
    mem_free(c.used);
    mem_free(c.current);
    mem_free(made_by);
    return err;
}
