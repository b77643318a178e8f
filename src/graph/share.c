/* Which editions of a schedule share storage, and how long each block lives. */
#include "graph/plan.h"

#include "base/mem.h"
#include "graph/op.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { MASK_BITS = 32 };

struct sharing {
    struct mem_plan *m;
    const struct schedule *s;
    size_t limit;
    double cost; /* of what lives now: its peak, with a limit the bytes over it */
};

static struct spot *spot_at(struct sharing *p, uint32_t edition)
{
    return &p->m->spot[edition];
}

static struct spot *root_of(struct sharing *p, uint32_t edition)
{
    return &p->m->spot[p->m->spot[edition].root];
}

static val value_of(const struct sharing *p, uint32_t edition)
{
    return (val){p->s->value[edition]};
}

static size_t bytes_of(const struct sharing *p, uint32_t edition)
{
    struct dims d = graph_dims(p->s->g, value_of(p, edition));

    return (size_t)dims_count(&d) * dtype_size(graph_type(p->s->g, value_of(p, edition)));
}

/* The extent of the last axis; 0 of a scalar. */
static int64_t row_of(const struct sharing *p, uint32_t edition)
{
    struct dims d = graph_dims(p->s->g, value_of(p, edition));

    return d.rank ? d.n[d.rank - 1] : 0;
}

static enum place place_of(const struct node *n)
{
    return n->id == OP_INPUT      ? PLACE_INPUT
           : n->id == OP_STATE    ? PLACE_STATE
           : n->id == OP_CONSTANT ? PLACE_CONSTANT
                                  : PLACE_ARENA;
}

static bool is_view(const struct step *s)
{
    return (s->node->op->flags & OP_VIEW) != 0;
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

/* The block of e becomes part of the one of `with`, `shift` bytes behind its start. */
static void join(struct sharing *p, uint32_t e, uint32_t with, size_t shift, int64_t pitch)
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
            join(p, t->out, t->in[k], 0, 0);
            return;
        }
    }
}

static void same_storage(struct sharing *p)
{
    for (int i = 0; i < p->s->count; i++) {
        const struct turn *t = &p->s->turn[i];
        if (is_view(turn_step(p->s, i)))
            join(p, t->out, t->in[0], 0, 0);
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
        join(p, value, assign[i].state.id, 0, 0);
        p->m->in_place[i] = true;
        if (turn < p->m->first_update)
            p->m->first_update = turn;
    }
}

/* ---- 4: windows of the last axis ---- */

static void adjust(struct sharing *p, const struct spot *root, bool in)
{
    for (int i = root->first; i <= root->last && i < p->s->count; i++)
        p->m->live[i] += in ? root->bytes : (size_t)0 - root->bytes;
}

static size_t peak_of(const struct sharing *p)
{
    size_t peak = 0;

    for (int i = 0; i < p->s->count; i++)
        peak = p->m->live[i] > peak ? p->m->live[i] : peak;
    return peak;
}

static double cost_of(const struct sharing *p)
{
    return p->limit ? mem_plan_excess(p->m, p->s, p->limit) : (double)peak_of(p);
}

/* First turn behind `turn` that writes over e's block. */
static int written_over(struct sharing *p, uint32_t e, int turn)
{
    int over = root_of(p, e)->over;
    uint32_t member = e;

    do {
        const struct spot *s = spot_at(p, member);
        if (s->made > turn && s->made < over && !is_view(turn_step(p->s, s->made)))
            over = s->made;
        member = s->next;
    } while (member != e);
    return over;
}

/* Gives `part`'s block a place in the one of `whole`, unless more would have to live at once or one is
 * written over while the other is still to be read. Turn i makes one from the other. */
static void window_join(struct sharing *p, uint32_t part, uint32_t whole, int64_t at, int i)
{
    struct spot *a = root_of(p, part), *b = root_of(p, whole);
    const size_t size = dtype_size(graph_type(p->s->g, value_of(p, whole)));
    const struct spot before = *b;
    const int over = written_over(p, part, i);

    if (b->last >= over || a->last >= b->over)
        return;
    adjust(p, a, false);
    adjust(p, b, false);
    b->first = a->first < b->first ? a->first : b->first;
    b->last = a->last > b->last ? a->last : b->last;
    b->over = over < b->over ? over : b->over;
    adjust(p, b, true);
    if (cost_of(p) <= p->cost) {
        p->cost = cost_of(p);
        join(p, spot_at(p, part)->root, whole, spot_at(p, whole)->shift + (size_t)at * size,
             spot_at(p, whole)->pitch ? spot_at(p, whole)->pitch : row_of(p, whole));
        return;
    }
    adjust(p, b, false);
    *b = before;
    adjust(p, b, true);
    adjust(p, a, true);
}

/* Every member of e's block can be a window, and e is all of it. */
static bool can_move(struct sharing *p, uint32_t e)
{
    const struct spot *root = root_of(p, e);
    uint32_t member = e;

    if (root->place != PLACE_ARENA || root->first < 0 || spot_at(p, e)->pitch || spot_at(p, e)->shift ||
        mem_plan_aligned(bytes_of(p, e)) != root->bytes)
        return false;
    do {
        const struct spot *s = spot_at(p, member);
        if (s->rigid || s->kept)
            return false;
        member = s->next;
    } while (member != e);
    return true;
}

/* A window that could be: a part of a whole along the last axis, of which turn i makes one from the other. */
struct window {
    uint32_t part, whole;
    int64_t at; /* first element of a row */
    int turn;
    double growth; /* bytes times turns that the whole would live longer, less those of the part */
};

static void window_add(struct sharing *p, struct window *list, int *n, struct window w)
{
    const struct spot *a = root_of(p, w.part), *b = root_of(p, w.whole);
    const int first = a->first < b->first ? a->first : b->first, last = a->last > b->last ? a->last : b->last;

    w.growth = (double)b->bytes * (last - first - (b->last - b->first)) -
               (double)a->bytes * (a->last - a->first + 1);
    list[(*n)++] = w;
}

/* What is joined along the last axis could be made in its place in the result. */
static void inputs_of_join(struct sharing *p, int i, struct window *list, int *n)
{
    const struct turn *t = &p->s->turn[i];
    const struct node *node = turn_step(p->s, i)->node;
    const struct dims *d = &node->out_dims[0];
    int64_t at = 0;

    if (d->rank < 1 || node->attr.axes != AXIS(d->rank - 1))
        return;
    for (int k = 0; k < node->n_in; k++) {
        window_add(p, list, n, (struct window){.part = t->in[k], .whole = t->out, .at = at, .turn = i});
        at += row_of(p, t->in[k]);
    }
}

/* A slice of the last axis could be read where it stands. */
static void slice_of_whole(struct sharing *p, int i, struct window *list, int *n)
{
    const struct turn *t = &p->s->turn[i];
    const struct node *node = turn_step(p->s, i)->node;
    const struct dims *from = &turn_step(p->s, i)->in_dims[0], *to = &node->out_dims[0];

    for (int a = 0; a + 1 < from->rank; a++)
        if (from->n[a] != to->n[a])
            return;
    if (from->rank > 0)
        window_add(
            p, list, n,
            (struct window){
                .part = t->out, .whole = t->in[0], .at = node->attr.box.start[from->rank - 1], .turn = i});
}

/* The whole is complete when the turn is done, and nobody writes over it later. */
static bool can_hold(struct sharing *p, const struct window *w)
{
    const struct spot *root = root_of(p, w->whole);
    const bool joined = turn_step(p->s, w->turn)->node->id == OP_CONCAT;

    return root->place == PLACE_ARENA && root->first >= 0 &&
           (joined ? spot_at(p, w->whole)->written == w->turn : root->written < w->turn);
}

static int by_growth(const void *a, const void *b)
{
    const struct window *x = a, *y = b;

    return x->growth != y->growth
               ? (x->growth < y->growth ? -1 : 1)
               : (x->turn != y->turn ? (x->turn < y->turn ? -1 : 1) : (x->at > y->at) - (x->at < y->at));
}

/* First those that free memory: of two slices the one that lives shortly, so that the other may be copied. */
static enum err windows(struct sharing *p)
{
    size_t room = 1;
    struct window *list;
    int n = 0;

    for (int i = 0; i < p->s->count; i++)
        room += (size_t)turn_step(p->s, i)->node->n_in;
    list = mem_new(room, sizeof *list);
    if (!list)
        return ERR_MEMORY;
    for (int i = 0; i < p->s->count; i++)
        if (turn_step(p->s, i)->node->id == OP_CONCAT)
            inputs_of_join(p, i, list, &n);
        else if (turn_step(p->s, i)->node->id == OP_SLICE)
            slice_of_whole(p, i, list, &n);
    qsort(list, (size_t)n, sizeof *list, by_growth);
    for (int i = 0; i < n; i++)
        if (can_hold(p, &list[i]) && can_move(p, list[i].part))
            window_join(p, list[i].part, list[i].whole, list[i].at, list[i].turn);
    mem_free(list);
    return ERR_OK;
}

/* ---- 5: what must exist when ---- */

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
    p.cost = cost_of(&p);
    if (with_windows)
        TRY(windows(&p));
    m->peak = peak_of(&p);
    find_done(&p);
    return ERR_OK;
}
