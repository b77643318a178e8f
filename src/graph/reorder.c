#include "graph/reorder.h"

#include "base/mem.h"
#include "graph/op.h"
#include <string.h>

enum { PASSES = 200 };

/* A turn and its neighbour. */
struct pair {
    const struct schedule *s;
    const struct mem_plan *m;
    const int64_t *made; /* per turn: bytes of the blocks that begin with it */
    const int64_t *freed;
};

static bool reads_block(const struct pair *p, int turn, uint32_t root)
{
    const struct turn *t = &p->s->turn[turn];

    for (int k = 0; k < turn_step(p->s, turn)->node->n_in; k++)
        if (p->m->spot[t->in[k]].root == root)
            return true;
    return false;
}

static bool depends(const struct schedule *s, int turn, int on)
{
    const struct turn *t = &s->turn[turn], *u = &s->turn[on];
    const uint32_t outs = (uint32_t)turn_step(s, on)->node->n_out;

    for (int k = 0; k < turn_step(s, turn)->node->n_in; k++)
        if (t->in[k] >= u->out && t->in[k] < u->out + outs)
            return true;
    return false;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* What turn i + 1 frees that turn i does not read. */
static int64_t freed_alone(const struct pair *p, int i)
{
    const struct turn *t = &p->s->turn[i + 1];
    int64_t freed = 0;

    for (int k = 0; k < turn_step(p->s, i + 1)->node->n_in; k++) {
        const uint32_t root = p->m->spot[t->in[k]].root;
        const struct spot *s = &p->m->spot[root];
        bool seen = s->place != PLACE_ARENA || s->last != i + 1 || reads_block(p, i, root);
        for (int j = 0; j < k; j++)
            seen |= p->m->spot[t->in[j]].root == root;
        freed += seen ? 0 : (int64_t)s->bytes;
    }
    return freed;
}

static bool better_swapped(const struct pair *p, int i)
{
    const int64_t a = p->made[i], b = p->made[i + 1], wa = (int64_t)turn_step(p->s, i)->work,
                  wb = (int64_t)turn_step(p->s, i + 1)->work, fa = p->freed[i];
    const unsigned flags = turn_step(p->s, i)->node->op->flags | turn_step(p->s, i + 1)->node->op->flags;
    int64_t fb, now, then;

    if ((flags & OP_UPDATE) || depends(p->s, i + 1, i))
        return false;
    fb = freed_alone(p, i);
    now = larger(a + wa, a - fa + b + wb);
    then = larger(b + wb, b - fb + a + wa);
    return then < now || (then == now && b - fb < a - fa);
}

static int64_t *block_bytes(const struct schedule *s, const struct mem_plan *m, bool first)
{
    int64_t *bytes = mem_new((size_t)s->count + 1, sizeof *bytes);

    for (uint32_t e = 1; bytes && e <= s->editions; e++) {
        const struct spot *spot = &m->spot[e];
        if (spot->root == e && spot->place == PLACE_ARENA && spot->first >= 0)
            bytes[first ? spot->first : spot->last] += (int64_t)spot->bytes;
    }
    return bytes;
}

/* One pass; *swaps counts what changed places, *peak is that of the order before. */
static enum err pass(struct order *o, const struct graph *g, const struct step *steps, int *swaps,
                     size_t *peak)
{
    struct schedule s = {0};
    struct mem_plan m = {0};
    int64_t *made = NULL, *freed = NULL;
    enum err err;

    *swaps = 0;
    TRY_OR(done, schedule_make(&s, g, steps, o->step, o->count));
    TRY_OR(done, mem_plan_share(&m, &s, true, 0));
    made = block_bytes(&s, &m, true);
    freed = block_bytes(&s, &m, false);
    err = made && freed ? ERR_OK : ERR_MEMORY;
    *peak = m.peak;
    for (int i = 0; !err && i + 1 < o->count; i++)
        if (better_swapped(&(struct pair){&s, &m, made, freed}, i)) {
            int swap = o->step[i];
            o->step[i] = o->step[i + 1];
            o->step[i + 1] = swap;
            (*swaps)++;
            i++;
        }
done:
    mem_free(made);
    mem_free(freed);
    mem_plan_free(&m);
    schedule_free(&s);
    return err;
}

enum err reorder(struct order *o, const struct graph *g, const struct step *steps)
{
    struct order best;
    size_t least = SIZE_MAX, peak;
    int swaps = 1;
    enum err err;

    TRY(order_make(&best, o->count));
    for (int i = 0; swaps && i < PASSES; i++) {
        struct order before;
        TRY_OR(done, order_make(&before, o->count));
        memcpy(before.step, o->step, (size_t)o->count * sizeof *o->step);
        err = pass(o, g, steps, &swaps, &peak);
        if (!err && peak <= least) {
            struct order swap = best;
            best = before;
            before = swap;
            least = peak;
        }
        order_free(&before);
        if (err)
            goto done;
    }
    memcpy(o->step, best.step, (size_t)o->count * sizeof *o->step);
    err = ERR_OK;
done:
    order_free(&best);
    return err;
}
