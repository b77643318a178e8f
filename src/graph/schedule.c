#include "graph/schedule.h"

#include "base/mem.h"
#include "graph/op.h"
#include <string.h>

static enum err schedule_room(struct schedule *s, const int *order, int count)
{
    size_t reads = 1, editions = (size_t)graph_values(s->g) + 1;

    for (int i = 0; i < count; i++) {
        reads += (size_t)s->steps[order[i]].node->n_in;
        editions += (size_t)s->steps[order[i]].node->n_out;
    }
    s->turn = mem_new((size_t)count + 1, sizeof *s->turn);
    s->reads = mem_new(reads, sizeof *s->reads);
    s->value = mem_new(editions, sizeof *s->value);
    s->latest = mem_new((size_t)graph_values(s->g) + 1, sizeof *s->latest);
    return s->turn && s->reads && s->value && s->latest ? ERR_OK : ERR_MEMORY;
}

static void turn_make(struct schedule *s, struct turn *t, uint32_t *in, bool *ran)
{
    const struct node *n = s->steps[t->step].node;

    for (int k = 0; k < n->n_in; k++)
        in[k] = s->latest[n->in[k].id];
    t->in = in;
    t->again = *ran;
    t->out = *ran ? s->editions + 1 : n->first_out;
    for (int k = 0; *ran && k < n->n_out; k++) {
        s->value[++s->editions] = n->first_out + (uint32_t)k;
        s->latest[n->first_out + (uint32_t)k] = s->editions;
    }
    *ran = true;
}

enum err schedule_make(struct schedule *s, const struct graph *g, const struct step *steps, const int *order,
                       int count)
{
    uint32_t *in;
    bool *ran;
    int last = 0;

    *s = (struct schedule){.g = g, .steps = steps, .count = count, .editions = graph_values(g)};
    for (int i = 0; i < count; i++)
        last = order[i] > last ? order[i] : last;
    ran = mem_new((size_t)last + 1, sizeof *ran);
    if (!ran || schedule_room(s, order, count)) {
        mem_free(ran);
        schedule_free(s);
        return ERR_MEMORY;
    }
    for (uint32_t id = 1; id <= graph_values(g); id++)
        s->value[id] = s->latest[id] = id;
    in = s->reads;
    for (int i = 0; i < count; i++) {
        s->turn[i].step = order[i];
        turn_make(s, &s->turn[i], in, &ran[order[i]]);
        in += steps[order[i]].node->n_in;
    }
    mem_free(ran);
    return ERR_OK;
}

void schedule_free(struct schedule *s)
{
    mem_free(s->turn);
    mem_free(s->reads);
    mem_free(s->value);
    mem_free(s->latest);
    memset(s, 0, sizeof *s);
}
