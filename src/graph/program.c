#include "graph/program_parts.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/par.h"
#include <math.h>
#include <string.h>

/* SLACK: bytes behind the arena that a kernel may read, not use. */
enum { PAGE = 4096, TOUCH = 8 << 20, SLACK = 64 };

enum err program_bind(struct program *p, const char *input, const void *data)
{
    bool found = false;

    for (uint32_t e = 1; e <= p->schedule.editions; e++) {
        const struct node *root = program_node(p, p->plan.spot[e].root);
        if (root->id == OP_INPUT && !strcmp(root->attr.name, input)) {
            p->at[e] = (void *)(uintptr_t)data; /* kernels only read inputs */
            found = true;
        }
    }
    return found ? ERR_OK : err_set(ERR_INTERNAL, "the program has no input %s", input);
}

enum err program_check_bound(const struct program *p)
{
    for (int i = 0; i < graph_count(p->g); i++) {
        const struct node *n = graph_at(p->g, i);
        if (n->id == OP_INPUT && !p->at[n->first_out])
            return err_set(ERR_INTERNAL, "input %s is not bound", n->attr.name);
    }
    return ERR_OK;
}

/* ---- the arena ---- */

/* Pages come from the system when they are first written: here, by all threads, once. */
static void touch(void *ctx, int64_t i)
{
    const struct program_arena *a = ctx;
    const size_t from = (size_t)i * TOUCH, end = from + TOUCH < a->bytes ? from + TOUCH : a->bytes;

    for (size_t at = from; at < end; at += PAGE)
        ((volatile unsigned char *)a->data)[at] = 0;
}

static void fill_constant(void *to, const struct node *n)
{
    double v = n->attr.fill.value;

    for (int64_t i = 0; i < dims_count(&n->out_dims[0]); i++) {
        if (n->out_type[0] == DT_F32)
            ((float *)to)[i] = (float)v;
        else if (n->out_type[0] == DT_F64)
            ((double *)to)[i] = v;
        else
            ((int64_t *)to)[i] = (int64_t)v;
    }
}

/* Where editions lie that are roots in the arena, or part of them. */
static void place(struct program *p)
{
    for (int parts = 0; parts < 2; parts++)
        for (uint32_t e = 1; e <= p->schedule.editions; e++) {
            const struct spot *s = &p->plan.spot[e], *root = &p->plan.spot[s->root];
            if ((root->place != PLACE_ARENA && root->place != PLACE_CONSTANT) || root->first < 0)
                continue;
            if (!parts && s->root == e)
                p->at[e] = p->arena->data + s->offset;
            else if (parts && s->root != e)
                p->at[e] = (unsigned char *)p->at[s->root] + s->shift;
        }
    p->base = p->arena->data;
}

void program_enter(struct program *p)
{
    struct program_arena *a = p->arena;

    if (!a->touched)
        par_for((int64_t)((a->bytes + TOUCH - 1) / TOUCH), touch, a);
    a->touched = true;
    if (a->user == p && p->base == a->data)
        return;
    if (p->base != a->data)
        place(p);
    for (uint32_t e = 1; e <= p->schedule.editions; e++)
        if (program_node(p, e)->id == OP_CONSTANT && p->plan.spot[e].root == e && p->at[e])
            fill_constant(p->at[e], program_node(p, e));
    a->user = p;
}

enum err program_arena_new(struct program_arena **out)
{
    *out = mem_new(1, sizeof **out);
    return *out ? ERR_OK : ERR_MEMORY;
}

void program_arena_free(struct program_arena *a)
{
    if (!a)
        return;
    mem_big_free(a->data, a->bytes + SLACK);
    mem_free(a);
}

uint64_t program_arena_bytes(const struct program_arena *a)
{
    return a->bytes;
}

enum err program_arena_need(struct program_arena *a, size_t bytes)
{
    unsigned char *data;

    if (a->data && bytes <= a->bytes)
        return ERR_OK;
    data = mem_big_new(bytes + SLACK);
    if (!data)
        return ERR_MEMORY;
    mem_big_free(a->data, a->bytes + SLACK);
    *a = (struct program_arena){.data = data, .bytes = bytes};
    return ERR_OK;
}

/* ---- running ---- */

void program_turn(struct program *p, int i)
{
    const struct turn *t = &p->schedule.turn[i];
    const struct step *s = &p->steps[t->step];
    const struct kernel_class *k = p->kernel[t->step];
    const int ins = s->node->n_in;
    struct run r = {.step = s,
                    .in = (const void *const *)p->args,
                    .out = p->args + ins,
                    .work = p->base + p->plan.work_offset[i],
                    .in_pitch = p->pitch,
                    .out_pitch = p->pitch + ins};

    if (p->plan.done[i])
        return; /* a view */
    for (int j = 0; j < ins + s->node->n_out; j++) {
        uint32_t e = j < ins ? t->in[j] : t->out + (uint32_t)(j - ins);
        p->args[j] = p->at[e];
        p->pitch[j] = p->plan.spot[e].pitch;
    }
    if (p->timing) {
        p->start[i] = clock_now();
        k->run(&r);
        p->last[i] = clock_now() - p->start[i];
        p->seconds[i] += p->last[i];
        p->calls[i]++;
    } else {
        k->run(&r);
    }
}

static double scalar_at(const struct program *p, uint32_t edition)
{
    const void *data = p->at[edition];
    enum dtype type = graph_type(p->g, (val){p->schedule.value[edition]});

    if (!data)
        return NAN;
    return type == DT_F32   ? (double)*(const float *)data
           : type == DT_F64 ? *(const double *)data
                            : (double)*(const int64_t *)data;
}

enum err program_run(struct program *p)
{
    TRY(program_check_bound(p));
    program_enter(p);
    for (int i = 0; i < p->schedule.count; i++) {
        if (p->stop && i <= p->plan.first_update && atomic_load(p->stop))
            return err_set(ERR_STOPPED, "stopped");
        if (!p->kept_made || !turn_step(&p->schedule, i)->fixed)
            program_turn(p, i);
    }
    p->kept_made = true;
    for (int i = 0; i < p->n_copies; i++) {
        const struct copy *c = &p->copies[i];
        if (!c->when || scalar_at(p, c->when) != 0)
            memmove(p->at[c->state], p->at[c->value], c->bytes);
    }
    return ERR_OK;
}

static const struct graph_named *find_output(const struct program *p, const char *name)
{
    const struct graph_named *list;
    int n = graph_outputs(p->g, &list);

    for (int i = 0; i < n; i++)
        if (!strcmp(list[i].name, name))
            return &list[i];
    return NULL;
}

const void *program_output(const struct program *p, const char *name)
{
    const struct graph_named *o = find_output(p, name);

    return o ? p->at[p->schedule.latest[o->v.id]] : NULL;
}

double program_scalar(const struct program *p, const char *name)
{
    const struct graph_named *o = find_output(p, name);

    return o ? scalar_at(p, p->schedule.latest[o->v.id]) : NAN;
}
