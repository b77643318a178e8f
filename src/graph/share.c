/* Which editions of a schedule share storage, and how long each block lives. */
#include "graph/share_parts.h"

#include "base/mem.h"
#include <limits.h>
#include <string.h>

enum { MASK_BITS = 32 };

static enum place place_of(const struct node *n)
{
    return n->id == OP_INPUT      ? PLACE_INPUT
           : n->id == OP_STATE    ? PLACE_STATE
           : n->id == OP_CONSTANT ? PLACE_CONSTANT
                                  : PLACE_ARENA;
}

static bool bit(unsigned mask, int k)
{
    return k < MASK_BITS && (mask >> k & 1);
}

/* ---- 1: every edition its own root, with the turns that make and last read it ---- */

static void keep(struct sharing *p, val v)
{
    struct spot *s = v.id ? spot_at(p, p->s->latest[v.id]) : NULL;

    if (s)
        s->read = p->s->count, s->kept = true;
}

static void turn_lives(struct sharing *p, int i)
{
    const struct turn *t = &p->s->turn[i];
    const struct step *step = turn_step(p->s, i);
    const bool view = is_view(step), rows = view && row_of(p, t->in[0]) == row_of(p, t->out);

    for (int k = 0; k < step->node->n_in; k++) {
        struct spot *s = spot_at(p, t->in[k]);
        s->read = s->read > i ? s->read : i;
        s->rigid |= view ? !rows : !bit(step->pitch_in, k);
    }
    for (int k = 0; k < step->node->n_out; k++) {
        struct spot *s = spot_at(p, t->out + (uint32_t)k);
        s->first = s->made = i;
        s->written = view ? -1 : i;
        s->rigid |= view ? !rows : !bit(step->pitch_out, k);
    }
}

static void lives(struct sharing *p)
{
    const struct graph_named *out;
    const struct graph_assignment *assign;
    int outs = graph_outputs(p->s->g, &out), assigns = graph_assignments(p->s->g, &assign);

    for (uint32_t e = 1; e <= p->s->editions; e++) {
        enum place place = place_of(graph_node_of(p->s->g, value_of(p, e)));
        *spot_at(p, e) = (struct spot){.place = place,
                                       .root = e,
                                       .next = e,
                                       .bytes = mem_plan_aligned(bytes_of(p, e)),
                                       .kept = place == PLACE_CONSTANT,
                                       .first = place == PLACE_CONSTANT ? 0 : -1,
                                       .read = place == PLACE_CONSTANT ? p->s->count : -1,
                                       .made = -1,
                                       .written = -1,
                                       .over = INT_MAX};
    }
    for (int i = 0; i < p->s->count; i++) {
        struct spot *made = spot_at(p, p->s->turn[i].out);
        if (turn_step(p->s, i)->out_bytes)
            made->bytes = mem_plan_aligned(turn_step(p->s, i)->out_bytes);
        if (turn_step(p->s, i)->fixed)
            made->place = PLACE_STATE;
        turn_lives(p, i);
    }
    for (int i = 0; i < outs; i++)
        keep(p, out[i].v);
    for (int i = 0; i < assigns; i++) {
        keep(p, assign[i].value);
        keep(p, assign[i].when);
    }
    for (int i = p->s->count - 1; i >= 0; i--) /* who reads a view reads its source */
        if (is_view(turn_step(p->s, i))) {
            struct spot *from = spot_at(p, p->s->turn[i].in[0]), *to = spot_at(p, p->s->turn[i].out);
            from->read = from->read > to->read ? from->read : to->read;
            from->kept |= to->kept;
        }
    for (uint32_t e = 1; e <= p->s->editions; e++)
        spot_at(p, e)->last =
            spot_at(p, e)->first > spot_at(p, e)->read ? spot_at(p, e)->first : spot_at(p, e)->read;
}

/* Outputs that nobody reads and their kernel can do without get no storage. */
static void spare(struct sharing *p)
{
    for (int i = 0; i < p->s->count; i++)
        for (int k = 0; k < turn_step(p->s, i)->node->n_out; k++) {
            struct spot *s = spot_at(p, p->s->turn[i].out + (uint32_t)k);
            if (bit(turn_step(p->s, i)->spare, k) && s->read < 0)
                s->place = PLACE_NONE, s->first = -1;
        }
}

/* ---- 2: the same storage ---- */

void mem_plan_join(struct sharing *p, uint32_t e, uint32_t with, size_t shift, int64_t pitch)
{
    struct spot *from = spot_at(p, e), *to = root_of(p, with);
    uint32_t member = e, next = from->next;

    do {
        struct spot *s = spot_at(p, member);
        s->root = spot_at(p, with)->root;
        s->shift += shift;
        s->pitch = pitch ? pitch : s->pitch;
        member = s->next;
    } while (member != e);
    from->next = to->next;
    to->next = next;
    to->first = to->first < from->first ? to->first : from->first;
    to->last = to->last > from->last ? to->last : from->last;
    to->over = to->over < from->over ? to->over : from->over;
    if (!pitch && to->written < from->written)
        to->written = from->written;
}

static bool same_shape(const struct sharing *p, uint32_t a, uint32_t b)
{
    struct dims x = graph_dims(p->s->g, value_of(p, a)), y = graph_dims(p->s->g, value_of(p, b));

    return dims_equal(&x, &y) && graph_type(p->s->g, value_of(p, a)) == graph_type(p->s->g, value_of(p, b));
}

/* A pointwise result may take the place of an operand of its shape that nobody reads afterwards. */
static void share_pointwise(struct sharing *p, int i)
{
    const struct turn *t = &p->s->turn[i];

    for (int k = 0; k < turn_step(p->s, i)->node->n_in; k++) {
        struct spot *s = root_of(p, t->in[k]);
        if (s->place == PLACE_ARENA && s->last == i && s->first >= 0 && s->first < i &&
            same_shape(p, t->in[k], t->out)) {
            mem_plan_join(p, t->out, t->in[k], 0, 0);
            return;
        }
    }
}

static void same_storage(struct sharing *p)
{
    for (int i = 0; i < p->s->count; i++) {
        const struct turn *t = &p->s->turn[i];
        if (is_view(turn_step(p->s, i)))
            mem_plan_join(p, t->out, t->in[0], 0, 0);
        else if (turn_step(p->s, i)->node->op->flags & OP_INPLACE)
            share_pointwise(p, i);
    }
}

/* ---- 3: updates that write over the states they read ---- */

static bool fills_state(const struct node *n, const struct graph_assignment *a)
{
    int out = (int)(a->value.id - n->first_out), slot = n->op->slot ? n->op->slot(n, out) : -1;
    bool guarded = !a->when.id;

    for (int k = 0; k < n->n_in; k++)
        guarded |= n->in[k].id == a->when.id;
    return (n->op->flags & OP_UPDATE) && guarded && slot >= 0 && n->in[slot].id == a->state.id;
}

static void write_over(struct sharing *p)
{
    const struct graph_assignment *assign;
    const struct graph_named *out;
    int assigns = graph_assignments(p->s->g, &assign), outs = graph_outputs(p->s->g, &out);

    for (int i = 0; i < outs; i++)
        root_of(p, p->s->latest[out[i].v.id])->kept = true;
    for (int i = 0; i < assigns; i++)
        root_of(p, p->s->latest[assign[i].value.id])->kept = true;
    p->m->first_update = p->s->count;
    for (int i = 0; i < assigns; i++) {
        uint32_t value = p->s->latest[assign[i].value.id];
        struct spot *v = spot_at(p, value), *state = spot_at(p, assign[i].state.id);
        int turn = v->first;
        if (v->root != value || turn < 0 || state->kept || state->last > turn ||
            !fills_state(graph_node_of(p->s->g, assign[i].value), &assign[i]))
            continue;
        v->place = PLACE_STATE;
        mem_plan_join(p, value, assign[i].state.id, 0, 0);
        p->m->in_place[i] = true;
        if (turn < p->m->first_update)
            p->m->first_update = turn;
    }
}

/* ---- 4: what must exist when ---- */

static size_t peak_of(const struct sharing *p)
{
    size_t peak = 0;

    for (int i = 0; i < p->s->count; i++)
        peak = p->m->live[i] > peak ? p->m->live[i] : peak;
    return peak;
}

double mem_plan_cost(const struct sharing *p)
{
    return p->limit ? mem_plan_excess(p->m, p->s, p->limit) : (double)peak_of(p);
}

static void live_bytes(struct sharing *p)
{
    size_t now = 0, *live = p->m->live;

    for (uint32_t e = 1; e <= p->s->editions; e++) {
        const struct spot *s = spot_at(p, e);
        if (s->root != e || (s->place != PLACE_ARENA && s->place != PLACE_CONSTANT) || s->first < 0)
            continue;
        live[s->first] += s->bytes;
        if (s->last < p->s->count)
            live[s->last + 1] -= s->bytes;
    }
    for (int i = 0; i < p->s->count; i++) {
        now += live[i];
        live[i] = now + mem_plan_aligned(turn_step(p->s, i)->work);
    }
}

/* All inputs of a joined result stand in their places. */
static bool all_joined(struct sharing *p, int i)
{
    const struct turn *t = &p->s->turn[i];
    const struct node *n = turn_step(p->s, i)->node;
    const struct spot *whole = spot_at(p, t->out);
    size_t at = whole->shift, size = dtype_size(n->out_type[0]);

    for (int k = 0; k < n->n_in; k++) {
        const struct spot *s = spot_at(p, t->in[k]);
        if (s->root != whole->root || s->shift != at)
            return false;
        at += (size_t)row_of(p, t->in[k]) * size;
    }
    return true;
}

/* A slice stands where its elements are in the source. */
static bool slice_stands(struct sharing *p, int i)
{
    const struct turn *t = &p->s->turn[i];
    const struct node *n = turn_step(p->s, i)->node;
    const struct spot *from = spot_at(p, t->in[0]), *to = spot_at(p, t->out);
    const size_t size = dtype_size(n->out_type[0]);

    return to->pitch && to->root == from->root &&
           to->shift == from->shift + (size_t)n->attr.box.start[n->out_dims[0].rank - 1] * size;
}

static void find_done(struct sharing *p)
{
    for (int i = 0; i < p->s->count; i++) {
        const int id = turn_step(p->s, i)->node->id;
        p->m->done[i] = is_view(turn_step(p->s, i)) || (id == OP_CONCAT && all_joined(p, i)) ||
                        (id == OP_SLICE && slice_stands(p, i));
    }
}

double mem_plan_excess(const struct mem_plan *m, const struct schedule *s, size_t limit)
{
    double excess = 0;

    for (int i = 0; i < s->count; i++)
        excess += m->live[i] > limit ? (double)(m->live[i] - limit) : 0;
    return excess;
}

enum err mem_plan_share(struct mem_plan *m, const struct schedule *s, bool with_windows, size_t limit)
{
    struct sharing p = {.m = m, .s = s, .limit = limit};
    const struct graph_assignment *assign;
    size_t assigns = (size_t)graph_assignments(s->g, &assign), turns = (size_t)s->count + 1;

    memset(m, 0, sizeof *m);
    m->spot = mem_new((size_t)s->editions + 1, sizeof *m->spot);
    m->work_offset = mem_new(turns, sizeof *m->work_offset);
    m->live = mem_new(turns, sizeof *m->live);
    m->done = mem_new(turns, sizeof *m->done);
    m->in_place = mem_new(assigns + 1, sizeof *m->in_place);
    if (!m->spot || !m->work_offset || !m->live || !m->done || !m->in_place)
        return ERR_MEMORY;
    lives(&p);
    spare(&p);
    same_storage(&p);
    write_over(&p);
    live_bytes(&p);
    p.cost = mem_plan_cost(&p);
    if (with_windows)
        TRY(mem_plan_windows(&p));
    m->peak = peak_of(&p);
    find_done(&p);
    return ERR_OK;
}
