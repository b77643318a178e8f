#include "graph/program_parts.h"

#include "base/mem.h"
#include "graph/pass.h"
#include "graph/reference.h"
#include "graph/reorder.h"

static enum err no_kernel(const struct node *n)
{
    char text[160];

    return err_set(ERR_INTERNAL, "%s in %s: only the slow reference kernel takes shape %s", n->op->name,
                   n->scope[0] ? n->scope : "the graph", dims_text(&n->out_dims[0], text));
}

static enum err add_step(struct program *p, const struct node *n, const struct compile *c)
{
    struct step *s = &p->steps[p->count];
    const struct kernel_class *k = pass_kernel(c->backend, p->g, n, s);

    p->count++;
    if (!s->in_dims || !s->in_type)
        return ERR_MEMORY;
    if (!k && !(n->op->flags & OP_VIEW)) {
        if (c->no_reference || !reference_class.accepts(s))
            return no_kernel(n);
        k = &reference_class;
    }
    p->kernel[p->count - 1] = k;
    if (k && k->prepare)
        k->prepare(s);
    return ERR_OK;
}

static enum err make_steps(struct program *p, const struct compile *c)
{
    size_t nodes = (size_t)graph_count(p->g) + 1;
    bool *live = pass_live(p->g);
    enum err err = ERR_OK;

    p->steps = mem_new(nodes, sizeof *p->steps);
    p->kernel = mem_new(nodes, sizeof *p->kernel);
    if (!live || !p->steps || !p->kernel)
        err = ERR_MEMORY;
    for (int i = 0; !err && i < graph_count(p->g); i++)
        if (live[i] && !(graph_at(p->g, i)->op->flags & OP_SOURCE))
            err = add_step(p, graph_at(p->g, i), c);
    mem_free(live);
    return err;
}

/* Steps that pack weights of the store: made once if they may take that much. */
static void fix_steps(struct program *p, uint64_t most)
{
    size_t bytes = 0;

    for (int k = 0; most && k < 2; k++) {
        for (int i = 0; i < p->count; i++) {
            struct step *s = &p->steps[i];
            if (!s->out_bytes || graph_node_of(p->g, s->node->in[0])->id != OP_STATE)
                continue;
            bytes += k ? 0 : mem_plan_aligned(s->out_bytes);
            s->fixed = k;
        }
        if (bytes > most)
            return;
    }
    p->kept_bytes = bytes;
}

static enum err too_big(size_t plain, size_t least, size_t allowed)
{
    return err_set(
        ERR_MEMORY,
        "the program needs %.3g GB, with recomputation %.3g GB, but --mem leaves it %.3g GB: use a "
        "smaller patch or batch",
        (double)plain * 1e-9, (double)least * 1e-9, (double)allowed * 1e-9);
}

static enum err plan_order(struct program *p, const struct order *o)
{
    mem_plan_free(&p->plan);
    schedule_free(&p->schedule);
    TRY(schedule_make(&p->schedule, p->g, p->steps, o->step, o->count));
    return mem_plan_make(&p->plan, &p->schedule, o->limit);
}

/* Every step once; if that does not fit, some again. */
static enum err make_plan(struct program *p, struct order *o, size_t limit)
{
    size_t plain, least;

    TRY(order_make(o, p->count));
    TRY(reorder(o, p->g, p->steps));
    TRY(plan_order(p, o));
    plain = p->plan.arena;
    if (!limit || plain <= limit)
        return ERR_OK;
    TRY(recompute(o, p->g, p->steps, limit, &least));
    if (least > limit)
        return too_big(plain, least < plain ? least : plain, limit);
    return plan_order(p, o);
}

static enum err make_room(struct program *p)
{
    size_t widest = 1, turns = (size_t)p->schedule.count + 1;

    for (int i = 0; i < p->count; i++) {
        size_t wide = (size_t)(p->steps[i].node->n_in + p->steps[i].node->n_out);
        widest = wide > widest ? wide : widest;
    }
    p->at = mem_new((size_t)p->schedule.editions + 1, sizeof *p->at);
    p->args = mem_new(widest, sizeof *p->args);
    p->pitch = mem_new(widest, sizeof *p->pitch);
    p->seconds = mem_new(turns, sizeof *p->seconds);
    p->start = mem_new(turns, sizeof *p->start);
    p->last = mem_new(turns, sizeof *p->last);
    p->calls = mem_new(turns, sizeof *p->calls);
    p->kept = mem_big_new(p->kept_bytes + 64);
    if (!p->at || !p->args || !p->pitch || !p->seconds || !p->start || !p->last || !p->calls || !p->kept)
        return ERR_MEMORY;
    if (!p->arena)
        TRY(program_arena_new(&p->own));
    if (p->own)
        p->arena = p->own;
    return program_arena_need(p->arena, p->plan.arena);
}

/* What lies outside the arena: states, and what fixed steps make. */
static enum err place_values(struct program *p, struct store *store)
{
    size_t kept = 0;

    TRY(make_room(p));
    for (int i = 0; i < p->schedule.count; i++)
        if (turn_step(&p->schedule, i)->fixed) {
            p->at[p->schedule.turn[i].out] = p->kept + kept;
            kept += mem_plan_aligned(turn_step(&p->schedule, i)->out_bytes);
        }
    for (uint32_t e = 1; e <= p->schedule.editions; e++) {
        const struct node *n = program_node(p, e);
        const struct spot *s = &p->plan.spot[e];
        struct tensor *t;
        if (s->root != e)
            continue;
        if (n->id == OP_STATE) {
            TRY(store_need(store, n->attr.name, n->out_type[0], n->out_dims[0], &t));
            p->at[e] = t->data;
        }
    }
    for (uint32_t e = 1; e <= p->schedule.editions; e++) {
        const struct spot *s = &p->plan.spot[e];
        if (s->root != e && p->at[s->root])
            p->at[e] = (unsigned char *)p->at[s->root] + s->shift;
    }
    return ERR_OK;
}

static enum err make_copies(struct program *p)
{
    const struct graph_assignment *a;
    const uint32_t *latest = p->schedule.latest;
    int n = graph_assignments(p->g, &a);

    p->copies = mem_new((size_t)n + 1, sizeof *p->copies);
    if (!p->copies)
        return ERR_MEMORY;
    for (int i = 0; i < n; i++) {
        struct dims d = graph_dims(p->g, a[i].state);
        if (!p->plan.in_place[i])
            p->copies[p->n_copies++] =
                (struct copy){latest[a[i].state.id], latest[a[i].value.id], latest[a[i].when.id],
                              (size_t)dims_count(&d) * dtype_size(graph_type(p->g, a[i].state))};
    }
    return ERR_OK;
}

static enum err compile(struct program *p, struct graph *expanded, struct store *store,
                        const struct compile *c)
{
    struct order order = {0};
    enum err err;

    p->g = expanded;
    p->stop = c->stop;
    p->arena = c->arena;
    TRY(make_steps(p, c));
    fix_steps(p, c->memory_max && c->memory_max < c->fixed_max ? c->memory_max : c->fixed_max);
    err = make_plan(p, &order, c->memory_max ? c->memory_max - p->kept_bytes : 0);
    if (err == ERR_MEMORY && p->kept_bytes) {
        for (int i = 0; i < p->count; i++)
            p->steps[i].fixed = false;
        p->kept_bytes = 0;
        order_free(&order);
        err = make_plan(p, &order, c->memory_max);
    }
    order_free(&order);
    TRY(err);
    TRY(place_values(p, store));
    return make_copies(p);
}

uint64_t program_rest(const struct graph *g, const struct store *store, uint64_t limit)
{
    uint64_t held = 0;

    for (size_t i = 0; store && i < store_count(store); i++)
        held += tensor_bytes(store_at(store, i));
    for (int i = 0; i < graph_count(g); i++) {
        const struct node *n = graph_at(g, i);
        if (n->id == OP_INPUT || (n->id == OP_STATE && !(store && store_find(store, n->attr.name))))
            held += (uint64_t)dims_count(&n->out_dims[0]) * dtype_size(n->out_type[0]);
    }
    return !limit ? 0 : limit > held ? limit - held : 1;
}

/* What a pass has made of `before`, which goes; its failure is g's. */
static struct graph *replaced(struct graph *g, struct graph *before, struct graph *made)
{
    if (!made)
        graph_fail(g, graph_status(before));
    graph_free(before);
    return made;
}

/* The graph that runs: the caller's own. */
static struct graph *lowered(struct graph *g, const struct compile *c)
{
    struct backend hooks = *c->backend;
    struct graph *now = pass_expand(g, c->backend);

    if (c->bf16)
        hooks.f32 = hooks.bf16; /* the kernels that will run what pass_fuse makes */
    if (now && !c->no_fusion)
        now = replaced(g, now, pass_fuse(now, &hooks));
    if (now && c->bf16)
        now = replaced(g, now, pass_bf16(now));
    if (now)
        now = replaced(g, now, pass_pack(now, c->backend));
    return now;
}

enum err program_new(struct program **out, struct graph *g, struct store *store, const struct compile *c)
{
    struct program *p;
    struct graph *expanded;
    enum err err;

    TRY(graph_status(g));
    expanded = lowered(g, c);
    if (!expanded)
        return graph_status(g);
    p = mem_new(1, sizeof *p);
    if (!p) {
        graph_free(expanded);
        return ERR_MEMORY;
    }
    err = compile(p, expanded, store, c);
    if (err) {
        program_free(p);
        return err;
    }
    *out = p;
    return ERR_OK;
}

void program_free(struct program *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->count; i++)
        pass_step_clear(&p->steps[i]);
    program_arena_free(p->own);
    mem_big_free(p->kept, p->kept_bytes + 64);
    mem_plan_free(&p->plan);
    schedule_free(&p->schedule);
    graph_free(p->g);
    mem_free(p->steps);
    mem_free(p->kernel);
    mem_free(p->seconds);
    mem_free(p->start);
    mem_free(p->last);
    mem_free(p->calls);
    mem_free(p->at);
    mem_free(p->args);
    mem_free(p->pitch);
    mem_free(p->copies);
    mem_free(p);
}
