/* Windows of the last axis: a slice reads its source where it is, what is joined is made in its place. */
#include "graph/share_parts.h"

#include "base/mem.h"
#include <stdlib.h>

static void adjust(struct sharing *p, const struct spot *root, bool in)
{
    for (int i = root->first; i <= root->last && i < p->s->count; i++)
        p->m->live[i] += in ? root->bytes : (size_t)0 - root->bytes;
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
    if (mem_plan_cost(p) <= p->cost) {
        p->cost = mem_plan_cost(p);
        mem_plan_join(p, spot_at(p, part)->root, whole, spot_at(p, whole)->shift + (size_t)at * size,
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

enum err mem_plan_windows(struct sharing *p)
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
