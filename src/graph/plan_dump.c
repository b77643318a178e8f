/* A memory plan in words: what runs again, which values are windows, and what fills the arena at its fullest.
 */
#include "base/mem.h"
#include "graph/cost.h"
#include "graph/op.h"
#include "graph/plan.h"
#include <stdlib.h>

enum { TOP = 12 };

struct lying {
    uint32_t root;
    size_t bytes;
};

static int by_bytes(const void *a, const void *b)
{
    const struct lying *x = a, *y = b;

    return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : (x->root > y->root) - (x->root < y->root);
}

static int peak_turn(const struct mem_plan *m, const struct schedule *s)
{
    int peak = 0;

    for (int i = 1; i < s->count; i++)
        if (m->live[i] > m->live[peak])
            peak = i;
    return peak;
}

static void dump_value(struct str *out, const struct mem_plan *m, const struct schedule *s, uint32_t root)
{
    const struct node *n = graph_node_of(s->g, (val){s->value[root]});
    const struct spot *spot = &m->spot[root];
    struct dims d = graph_dims(s->g, (val){s->value[root]});
    char text[160];

    str_addf(out, "    %9.3f MB  %-14s %-26s turns %d to %d  %s\n", (double)spot->bytes * 1e-6, n->op->name,
             dims_text(&d, text), spot->first, spot->last, n->scope);
}

static void dump_peak(struct str *out, const struct mem_plan *m, const struct schedule *s)
{
    const int peak = peak_turn(m, s);
    struct lying *list = mem_new((size_t)s->editions + 1, sizeof *list);
    int n = 0;

    for (uint32_t e = 1; list && e <= s->editions; e++) {
        const struct spot *spot = &m->spot[e];
        if (spot->root == e && (spot->place == PLACE_ARENA || spot->place == PLACE_CONSTANT) &&
            spot->first >= 0 && spot->first <= peak && spot->last >= peak)
            list[n++] = (struct lying){e, spot->bytes};
    }
    if (!list)
        return;
    qsort(list, (size_t)n, sizeof *list, by_bytes);
    str_addf(out, "fullest at turn %d: %.3f MB in %d blocks and %.3f MB of scratch\n", peak,
             (double)m->live[peak] * 1e-6, n, (double)turn_step(s, peak)->work * 1e-6);
    for (int i = 0; i < n && i < TOP; i++)
        dump_value(out, m, s, list[i].root);
    mem_free(list);
}

void mem_plan_dump(struct str *out, const struct mem_plan *m, const struct schedule *s)
{
    double all = 0, again = 0;
    int turns = 0, windows = 0, copies = 0;

    for (int i = 0; i < s->count; i++) {
        const int id = turn_step(s, i)->node->id;
        double seconds = m->done[i] ? 0 : step_seconds(turn_step(s, i));
        turns += s->turn[i].again;
        again += s->turn[i].again ? seconds : 0;
        all += seconds;
        copies += !m->done[i] && (id == OP_CONCAT || id == OP_SLICE);
    }
    for (uint32_t e = 1; e <= s->editions; e++)
        windows += m->spot[e].pitch != 0;
    str_addf(
        out,
        "%d turns, arena %.3f MB; %d turns again, %.1f %% more time by estimate; %d windows, %d copies\n",
        s->count, (double)m->arena * 1e-6, turns, all > again ? 100 * again / (all - again) : 0.0, windows,
        copies);
    if (s->count)
        dump_peak(out, m, s);
}
