#include "graph/plan.h"

#include "base/mem.h"
#include "graph/op.h"
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

struct planner {
    struct mem_plan *m;
    const struct graph *g;
    const struct step *steps;
    int count;
};

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static struct spot *root_of(struct mem_plan *m, uint32_t id)
{
    while (m->spot[id].root != id)
        id = m->spot[id].root;
    return &m->spot[id];
}

static size_t value_bytes(const struct graph *g, val v)
{
    struct dims d = graph_dims(g, v);

    return (size_t)dims_count(&d) * dtype_size(graph_type(g, v));
}

static enum place place_of(const struct node *n)
{
    return n->id == OP_INPUT      ? PLACE_INPUT
           : n->id == OP_STATE    ? PLACE_STATE
           : n->id == OP_CONSTANT ? PLACE_CONSTANT
                                  : PLACE_ARENA;
}

/* ---- 1: every value its own root, with the steps that make and last read it ---- */

static void lives(struct planner *p)
{
    const struct graph_named *out;
    const struct graph_assignment *assign;
    int outs = graph_outputs(p->g, &out), assigns = graph_assignments(p->g, &assign);

    for (uint32_t id = 1; id <= graph_values(p->g); id++) {
        const struct node *n = graph_node_of(p->g, (val){id});
        p->m->spot[id] = (struct spot){.place = place_of(n),
                                       .root = id,
                                       .bytes = aligned(value_bytes(p->g, (val){id})),
                                       .first = -1,
                                       .last = -1};
        if (p->m->spot[id].place == PLACE_CONSTANT)
            p->m->spot[id].first = 0, p->m->spot[id].last = p->count;
    }
    for (int i = 0; i < p->count; i++) {
        const struct node *n = p->steps[i].node;
        for (int k = 0; k < n->n_in; k++)
            if (p->m->spot[n->in[k].id].last < i)
                p->m->spot[n->in[k].id].last = i;
        for (int k = 0; k < n->n_out; k++) {
            struct spot *s = &p->m->spot[node_out(n, k).id];
            s->first = i;
            s->last = i;
        }
    }
    for (int i = 0; i < outs; i++)
        p->m->spot[out[i].v.id].last = p->count;
    for (int i = 0; i < assigns; i++) {
        p->m->spot[assign[i].value.id].last = p->count;
        if (assign[i].when.id)
            p->m->spot[assign[i].when.id].last = p->count;
    }
}

/* Outputs that nobody reads and their kernel can do without get no storage. */
static void spare(struct planner *p)
{
    for (int i = 0; i < p->count; i++)
        for (int k = 0; k < p->steps[i].node->n_out; k++) {
            struct spot *s = &p->m->spot[node_out(p->steps[i].node, k).id];
            /* an update has more outputs than bits */
            if (k < 32 && (p->steps[i].spare >> k & 1) && s->last == i)
                s->place = PLACE_NONE, s->first = -1;
        }
}

/* ---- 2: values that share storage ---- */

static void join(struct planner *p, uint32_t id, uint32_t with)
{
    struct spot *a = &p->m->spot[id], *b = root_of(p->m, with);

    a->root = (uint32_t)(b - p->m->spot);
    if (b->last < a->last)
        b->last = a->last;
}

static bool dies_here(struct planner *p, uint32_t id, int step)
{
    struct spot *s = root_of(p->m, id);

    return s->place == PLACE_ARENA && s->last == step && s->first >= 0 && s->first < step;
}

static bool same_shape(const struct graph *g, val a, val b)
{
    struct dims x = graph_dims(g, a), y = graph_dims(g, b);

    return dims_equal(&x, &y) && graph_type(g, a) == graph_type(g, b);
}

/* A pointwise result may take the place of an operand of its shape that nobody reads afterwards. Lives of
 * views were joined before, since roots carry the latest reader. */
static void share_pointwise(struct planner *p, const struct node *n, int step)
{
    val out = node_out(n, 0);

    for (int k = 0; k < n->n_in; k++)
        if (dies_here(p, n->in[k].id, step) && same_shape(p->g, n->in[k], out)) {
            join(p, out.id, n->in[k].id);
            return;
        }
}

static void share(struct planner *p)
{
    for (int i = p->count - 1; i >= 0; i--) { /* views first, so that roots know their last reader */
        const struct node *n = p->steps[i].node;
        struct spot *a = &p->m->spot[n->first_out], *b;
        if (!(n->op->flags & OP_VIEW))
            continue;
        b = &p->m->spot[n->in[0].id];
        if (b->last < a->last)
            b->last = a->last;
    }
    for (int i = 0; i < p->count; i++) {
        const struct node *n = p->steps[i].node;
        if (n->op->flags & OP_VIEW)
            join(p, n->first_out, n->in[0].id);
        else if (n->op->flags & OP_INPLACE)
            share_pointwise(p, n, i);
    }
}

/* ---- 3: updates that write over the states they read ---- */

static int assign_slot(const struct node *n, const struct graph_assignment *a)
{
    int out = (int)(a->value.id - n->first_out), slot = n->op->slot ? n->op->slot(n, out) : -1;

    return slot >= 0 && n->in[slot].id == a->state.id ? slot : -1;
}

static bool read_after(struct planner *p, uint32_t id, int step)
{
    const struct graph_named *out;
    const struct graph_assignment *assign;
    int outs = graph_outputs(p->g, &out), assigns = graph_assignments(p->g, &assign);

    for (int i = 0; i < outs; i++)
        if (root_of(p->m, out[i].v.id) == root_of(p->m, id))
            return true;
    for (int i = 0; i < assigns; i++)
        if (root_of(p->m, assign[i].value.id) == root_of(p->m, id))
            return true;
    for (int i = step + 1; i < p->count; i++)
        for (int k = 0; k < p->steps[i].node->n_in; k++)
            if (root_of(p->m, p->steps[i].node->in[k].id) == root_of(p->m, id))
                return true;
    return false;
}

static void write_over(struct planner *p)
{
    const struct graph_assignment *assign;
    int assigns = graph_assignments(p->g, &assign);

    p->m->first_update = p->count;
    for (int i = 0; i < assigns; i++) {
        const struct node *n = graph_node_of(p->g, assign[i].value);
        int step = p->m->spot[assign[i].value.id].first;
        bool guarded = !assign[i].when.id;
        for (int k = 0; k < n->n_in; k++)
            guarded |= n->in[k].id == assign[i].when.id;
        if (!(n->op->flags & OP_UPDATE) || !guarded || assign_slot(n, &assign[i]) < 0 || step < 0 ||
            read_after(p, assign[i].state.id, step))
            continue;
        p->m->spot[assign[i].value.id].place = PLACE_STATE;
        join(p, assign[i].value.id, assign[i].state.id);
        p->m->in_place[i] = true;
        if (step < p->m->first_update)
            p->m->first_update = step;
    }
}

/* ---- 4: offsets ---- */

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

static int blocks(struct planner *p, struct block *list)
{
    int n = 0;

    for (uint32_t id = 1; id <= graph_values(p->g); id++) {
        struct spot *s = &p->m->spot[id];
        if (s->root == id && (s->place == PLACE_ARENA || s->place == PLACE_CONSTANT) && s->first >= 0)
            list[n++] = (struct block){s->bytes, &s->offset, s->first, s->last};
    }
    for (int i = 0; i < p->count; i++)
        if (p->steps[i].work)
            list[n++] = (struct block){aligned(p->steps[i].work), &p->m->work_offset[i], i, i};
    return n;
}

static enum err offsets(struct planner *p)
{
    size_t room = (size_t)graph_values(p->g) + (size_t)p->count + 1;
    struct block *list = mem_new(room, sizeof *list);
    struct block **placed = mem_new(room, sizeof *placed), **busy = mem_new(room, sizeof *busy);
    enum err err = ERR_MEMORY;

    if (list && placed && busy) {
        int n = blocks(p, list);
        qsort(list, (size_t)n, sizeof *list, by_size);
        for (int i = 0; i < n; i++) {
            put(&list[i], placed, i, busy);
            placed[i] = &list[i];
            if (*list[i].offset + list[i].bytes > p->m->arena)
                p->m->arena = *list[i].offset + list[i].bytes;
        }
        err = ERR_OK;
    }
    mem_free(list);
    mem_free(placed);
    mem_free(busy);
    return err;
}

enum err mem_plan_make(struct mem_plan *m, const struct graph *g, const struct step *steps, int count)
{
    struct planner p = {m, g, steps, count};
    const struct graph_assignment *assign;
    size_t assigns = (size_t)graph_assignments(g, &assign);

    memset(m, 0, sizeof *m);
    m->spot = mem_new((size_t)graph_values(g) + 1, sizeof *m->spot);
    m->work_offset = mem_new((size_t)count + 1, sizeof *m->work_offset);
    m->in_place = mem_new(assigns + 1, sizeof *m->in_place);
    if (!m->spot || !m->work_offset || !m->in_place)
        return ERR_MEMORY;
    lives(&p);
    spare(&p);
    share(&p);
    write_over(&p);
    return offsets(&p);
}

void mem_plan_free(struct mem_plan *m)
{
    mem_free(m->spot);
    mem_free(m->work_offset);
    mem_free(m->in_place);
    memset(m, 0, sizeof *m);
}
