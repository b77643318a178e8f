/* Walks a memory plan symbolically: every element of every buffer carries the name of the number it holds,
 * and every turn must find the numbers it reads where the plan says, also while it writes and uses its
 * scratch. */
#ifndef D4M_TESTS_PLAN_CHECK_H
#define D4M_TESTS_PLAN_CHECK_H

#include "base/mem.h"
#include "graph/op.h"
#include "graph/plan.h"
#include "test.h"
#include <string.h>

struct plan_walk {
    const struct schedule *s;
    const struct mem_plan *m;
    uint64_t *cell;  /* what each 4 bytes of the arena hold; 0: nothing known */
    uint64_t **name; /* per edition: the names of its elements */
};

static inline int64_t walk_count(const struct plan_walk *w, uint32_t e)
{
    struct dims d = graph_dims(w->s->g, (val){w->s->value[e]});

    return dims_count(&d);
}

static inline int64_t walk_row(const struct plan_walk *w, uint32_t e)
{
    struct dims d = graph_dims(w->s->g, (val){w->s->value[e]});

    return d.rank ? d.n[d.rank - 1] : 1;
}

static inline bool walk_placed(const struct plan_walk *w, uint32_t e)
{
    const struct spot *root = &w->m->spot[w->m->spot[e].root];

    return (root->place == PLACE_ARENA || root->place == PLACE_CONSTANT) && root->first >= 0;
}

/* The cell of element i. */
static inline size_t walk_at(const struct plan_walk *w, uint32_t e, int64_t i)
{
    const struct spot *s = &w->m->spot[e];
    const size_t size = dtype_size(graph_type(w->s->g, (val){w->s->value[e]}));
    const int64_t row = walk_row(w, e), pitch = s->pitch ? s->pitch : row;

    return (w->m->spot[s->root].offset + s->shift + (size_t)(i / row * pitch + i % row) * size) / 4;
}

static inline bool walk_holds(const struct plan_walk *w, uint32_t e)
{
    for (int64_t i = 0; walk_placed(w, e) && i < walk_count(w, e); i++)
        if (w->cell[walk_at(w, e, i)] != w->name[e][i])
            return false;
    return true;
}

static inline void walk_write(const struct plan_walk *w, uint32_t e)
{
    const size_t cells = dtype_size(graph_type(w->s->g, (val){w->s->value[e]})) / 4;

    for (int64_t i = 0; walk_placed(w, e) && i < walk_count(w, e); i++)
        for (size_t k = 0; k < cells; k++)
            w->cell[walk_at(w, e, i) + k] = w->name[e][i];
}

static inline void walk_scratch(const struct plan_walk *w, int turn)
{
    for (size_t i = 0; i < turn_step(w->s, turn)->work / 4; i++)
        w->cell[w->m->work_offset[turn] / 4 + i] = 0;
}

static inline void walk_rename(const struct plan_walk *w, const struct turn *t)
{
    const struct node *n = w->s->steps[t->step].node;
    const int64_t row = walk_row(w, t->out), from = n->n_in ? walk_row(w, t->in[0]) : 0;
    const bool last = n->id == OP_CONCAT && n->attr.axes == AXIS(n->out_dims[0].rank - 1);
    int64_t at = 0;

    for (int k = 0; k < n->n_out; k++)
        for (int64_t i = 0; i < walk_count(w, t->out + (uint32_t)k); i++)
            w->name[t->out + (uint32_t)k][i] =
                (uint64_t)(n->first_out + (uint32_t)k) << 32 | (uint64_t)(i + 1);
    if (n->op->flags & OP_VIEW)
        memcpy(w->name[t->out], w->name[t->in[0]], (size_t)walk_count(w, t->out) * sizeof(uint64_t));
    for (int64_t i = 0; n->id == OP_SLICE && w->m->done[t - w->s->turn] && i < walk_count(w, t->out); i++)
        w->name[t->out][i] =
            w->name[t->in[0]][i / row * from + n->attr.box.start[n->out_dims[0].rank - 1] + i % row];
    for (int k = 0; last && k < n->n_in; k++, at += walk_row(w, t->in[k - 1]))
        for (int64_t i = 0, r = walk_row(w, t->in[k]); i < walk_count(w, t->in[k]); i++)
            w->name[t->out][i / r * row + at + i % r] = w->name[t->in[k]][i];
}

static inline bool walk_same_place(const struct plan_walk *w, uint32_t a, uint32_t b)
{
    const struct spot *x = &w->m->spot[a], *y = &w->m->spot[b];

    return x->root == y->root && x->shift == y->shift && x->pitch == y->pitch &&
           walk_count(w, a) == walk_count(w, b);
}

static inline void walk_turn(const struct plan_walk *w, int i)
{
    const struct turn *t = &w->s->turn[i];
    const struct node *n = w->s->steps[t->step].node;
    const bool in_place = (n->op->flags & (OP_INPLACE | OP_UPDATE)) != 0;

    if (!w->m->done[i])
        walk_scratch(w, i);
    for (int k = 0; k < n->n_in; k++)
        if (!walk_holds(w, t->in[k]))
            fail_msg("turn %d, %s: input %d is not where the plan says", i, n->op->name, k);
    walk_rename(w, t);
    for (int k = 0; k < n->n_out && !w->m->done[i]; k++)
        walk_write(w, t->out + (uint32_t)k);
    if (!w->m->done[i])
        walk_scratch(w, i);
    for (int k = 0; k < n->n_out; k++)
        if (!walk_holds(w, t->out + (uint32_t)k))
            fail_msg("turn %d, %s: output %d is not where the plan says", i, n->op->name, k);
    for (int k = 0; k < n->n_in; k++)
        if (!walk_holds(w, t->in[k]) && !(in_place && walk_same_place(w, t->in[k], t->out)))
            fail_msg("turn %d, %s: input %d is overwritten while it is read", i, n->op->name, k);
}

/* Fails the test if any turn would read something else than what was made for it. */
static inline void plan_check(const struct schedule *s, const struct mem_plan *m)
{
    struct plan_walk w = {s, m, NULL, NULL};
    const struct graph_named *out;
    int outs = graph_outputs(s->g, &out);

    w.cell = mem_new(m->arena / 4 + 1, sizeof *w.cell);
    w.name = mem_new((size_t)s->editions + 1, sizeof *w.name);
    assert_true(w.cell && w.name);
    for (uint32_t e = 1; e <= s->editions; e++) {
        w.name[e] = mem_new((size_t)walk_count(&w, e) + 1, sizeof(uint64_t));
        for (int64_t i = 0; i < walk_count(&w, e); i++)
            w.name[e][i] = (uint64_t)s->value[e] << 32 | (uint64_t)(i + 1);
        if (graph_node_of(s->g, (val){s->value[e]})->id == OP_CONSTANT)
            walk_write(&w, e);
    }
    for (int i = 0; i < 2 * s->count; i++) { /* twice, since constants must outlive a run */
        assert_true(m->live[i % s->count] <= m->peak);
        walk_turn(&w, i % s->count);
    }
    assert_true(m->peak <= m->arena);
    for (int i = 0; i < outs; i++)
        if (!walk_holds(&w, s->latest[out[i].v.id]) || m->spot[s->latest[out[i].v.id]].pitch)
            fail_msg("output %s does not live to the end", out[i].name);
    for (uint32_t e = 1; e <= s->editions; e++)
        mem_free(w.name[e]);
    mem_free(w.name);
    mem_free(w.cell);
}

#endif
