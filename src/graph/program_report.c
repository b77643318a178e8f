/* What a program costs, as numbers and as text. */
#include "graph/program_parts.h"

#include "graph/cost.h"
#include <string.h>

uint64_t program_bytes(const struct program *p)
{
    return p->plan.arena + p->kept_bytes;
}

uint64_t program_kept(const struct program *p)
{
    return p->kept_bytes;
}

void program_timing(struct program *p, bool on)
{
    p->timing = on;
    memset(p->seconds, 0, (size_t)p->schedule.count * sizeof *p->seconds);
    memset(p->calls, 0, (size_t)p->schedule.count * sizeof *p->calls);
}

int program_times(const struct program *p, struct program_time *list, int room)
{
    int n = 0;

    for (int i = 0; i < p->schedule.count; i++) {
        const struct step *s = turn_step(&p->schedule, i);
        int at = 0;
        if (!p->calls[i])
            continue;
        while (at < n && strcmp(list[at].op, s->node->op->name))
            at++;
        if (at == room)
            continue;
        if (at == n)
            list[n++] = (struct program_time){.op = s->node->op->name};
        list[at].seconds += p->seconds[i];
        list[at].flops += step_flops(s) * (double)p->calls[i];
        list[at].bytes += step_bytes(s) * (double)p->calls[i];
        list[at].calls += p->calls[i];
    }
    return n;
}

bool program_step_at(const struct program *p, int i, struct program_step *out)
{
    const struct step *s = i < p->schedule.count ? turn_step(&p->schedule, i) : NULL;

    if (!s)
        return false;
    *out = (struct program_step){
        .op = s->node->op->name,
        .kernel = p->plan.done[i] ? "view" : p->kernel[p->schedule.turn[i].step]->name,
        .choice = s->choice,
        .scope = s->node->scope,
        .dims = s->out_dims[0],
        .type = s->out_type[0],
        .flops = step_flops(s),
        .bytes = step_bytes(s),
        .start = p->start[i],
        .seconds = p->last[i],
        .total = p->seconds[i],
        .calls = p->calls[i],
    };
    return true;
}

/* A convolution's hooks and padding. */
static void dump_hooks(const struct node *n, struct str *out)
{
    static const char *const name[] = {" x-stage", " y-stage", " moments", " gate"}, *const padding[] = {
                                                                                         "", " reflect",
                                                                                         " replicate"};
    const bool conv = n->id == OP_CONV || n->id == OP_CONV_DX || n->id == OP_CONV_DW;

    for (int i = 0; conv && i < 4; i++)
        if (n->attr.conv.hooks >> i & 1)
            str_add(out, name[i]);
    if (conv)
        str_add(out, padding[n->attr.conv.pad_mode]);
}

static void dump_turn(const struct program *p, int i, struct str *out)
{
    const struct turn *t = &p->schedule.turn[i];
    const struct node *n = p->steps[t->step].node;
    const struct spot *spot = &p->plan.spot[t->out], *root = &p->plan.spot[spot->root];
    char text[160];

    str_addf(out, "%4d %-14s %-18s", i, n->op->name, p->plan.done[i] ? "view" : p->kernel[t->step]->name);
    dump_hooks(n, out);
    if (!p->plan.done[i] && p->steps[t->step].choice[0])
        str_addf(out, " %s", p->steps[t->step].choice);
    str_addf(out, " %s %-26s at %zu+%zu", dtype_name(n->out_type[0]), dims_text(&n->out_dims[0], text),
             root->offset + spot->shift, root->bytes);
    if (spot->pitch)
        str_addf(out, " pitch %lld", (long long)spot->pitch);
    if (p->steps[t->step].work)
        str_addf(out, " work %zu", p->steps[t->step].work);
    str_addf(out, " live %.1f MB", (double)p->plan.live[i] * 1e-6);
    if (p->calls[i])
        str_addf(out, " %.3f ms", 1e3 * p->seconds[i] / (double)p->calls[i]);
    str_addf(out, "  %s%s\n", n->scope, t->again ? " (again)" : "");
}

void program_dump(const struct program *p, struct str *out)
{
    mem_plan_dump(out, &p->plan, &p->schedule);
    for (int i = 0; i < p->schedule.count; i++)
        dump_turn(p, i, out);
}
