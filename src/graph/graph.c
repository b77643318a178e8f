#include "graph/graph.h"

#include "base/mem.h"
#include "graph/op.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SCOPE_MAX = 256, SCOPE_DEPTH = 32 };

struct graph {
    struct arena *arena;
    enum dtype real;
    enum err status;
    struct node **node;
    int count, room;
    struct node **of_value; /* value id -> node */
    uint32_t values, value_room;
    uint32_t *bucket; /* value numbering: open addressing, node index + 1 */
    uint32_t buckets;
    struct graph_named *output;
    int outputs, output_room;
    struct graph_assignment *assign;
    int assigns, assign_room;
    char scope[SCOPE_MAX];
    size_t scope_end[SCOPE_DEPTH];
    int depth;
    const char *scope_kept; /* arena copy of `scope`, NULL when it changed */
};

struct graph *graph_new(enum dtype real)
{
    struct graph *g = mem_new(1, sizeof *g);

    if (!g)
        return NULL;
    g->real = real;
    g->arena = arena_new();
    if (!g->arena) {
        mem_free(g);
        return NULL;
    }
    return g;
}

void graph_free(struct graph *g)
{
    if (!g)
        return;
    arena_free(g->arena);
    mem_free(g->node);
    mem_free(g->of_value);
    mem_free(g->bucket);
    mem_free(g->output);
    mem_free(g->assign);
    mem_free(g);
}

enum err graph_status(const struct graph *g)
{
    return g->status;
}

void graph_fail(struct graph *g, enum err err)
{
    if (!g->status)
        g->status = err;
}

enum dtype graph_real(const struct graph *g)
{
    return g->real;
}

int graph_count(const struct graph *g)
{
    return g->count;
}

const struct node *graph_at(const struct graph *g, int index)
{
    return g->node[index];
}

uint32_t graph_values(const struct graph *g)
{
    return g->values;
}

const struct node *graph_node_of(const struct graph *g, val v)
{
    return v.id && v.id <= g->values ? g->of_value[v.id] : NULL;
}

struct dims graph_dims(const struct graph *g, val v)
{
    const struct node *n = graph_node_of(g, v);

    return n ? n->out_dims[v.id - n->first_out] : DIMS0;
}

enum dtype graph_type(const struct graph *g, val v)
{
    const struct node *n = graph_node_of(g, v);

    return n ? n->out_type[v.id - n->first_out] : g->real;
}

val graph_out(const struct graph *g, val first, int index)
{
    const struct node *n = graph_node_of(g, first);

    return n && index < n->n_out ? node_out(n, index) : (val){0};
}

/* ---- scopes ---- */

void graph_scope_set(struct graph *g, const char *path)
{
    snprintf(g->scope, sizeof g->scope, "%s", path);
    g->scope_kept = NULL;
}

void graph_enter(struct graph *g, const char *fmt, ...)
{
    size_t end = strlen(g->scope);
    va_list ap;

    if (g->depth == SCOPE_DEPTH) {
        graph_fail(g, err_set(ERR_SHAPE, "scope %s is nested too deeply", g->scope));
        return;
    }
    g->scope_end[g->depth++] = end;
    if (end && end + 1 < sizeof g->scope)
        g->scope[end++] = '.';
    va_start(ap, fmt);
    vsnprintf(g->scope + end, sizeof g->scope - end, fmt, ap);
    va_end(ap);
    g->scope_kept = NULL;
}

void graph_leave(struct graph *g)
{
    if (g->depth == 0)
        return;
    g->scope[g->scope_end[--g->depth]] = 0;
    g->scope_kept = NULL;
}

const char *graph_scope(const struct graph *g)
{
    return g->scope;
}

static const char *scope_keep(struct graph *g)
{
    if (!g->scope_kept)
        g->scope_kept = arena_str(g->arena, g->scope);
    return g->scope_kept;
}

/* ---- nodes ---- */

static uint64_t node_hash(const struct node *n)
{
    const unsigned char *p = (const unsigned char *)&n->attr;
    uint64_t h = 1469598103934665603u ^ (uint64_t)n->id;

    for (size_t i = 0; i < sizeof n->attr; i++)
        h = (h ^ p[i]) * 1099511628211u;
    for (int i = 0; i < n->n_in; i++)
        h = (h ^ n->in[i].id) * 1099511628211u;
    return h ^ (h >> 29);
}

static bool node_equal(const struct node *a, const struct node *b)
{
    return a->id == b->id && a->n_in == b->n_in && !memcmp(&a->attr, &b->attr, sizeof a->attr) &&
           (a->n_in == 0 || !memcmp(a->in, b->in, (size_t)a->n_in * sizeof *a->in));
}

static struct node *find_equal(const struct graph *g, const struct node *n)
{
    if (!g->buckets)
        return NULL;
    for (uint64_t h = node_hash(n);; h++) {
        uint32_t at = g->bucket[h & (g->buckets - 1)];
        if (!at)
            return NULL;
        if (node_equal(g->node[at - 1], n))
            return g->node[at - 1];
    }
}

static void bucket_put(struct graph *g, const struct node *n)
{
    uint64_t h = node_hash(n);

    while (g->bucket[h & (g->buckets - 1)])
        h++;
    g->bucket[h & (g->buckets - 1)] = (uint32_t)n->index + 1;
}

static bool grow(void *list_of_pointer, int *room, int need, size_t size)
{
    void **list = list_of_pointer;
    int more = *room ? *room : 64;
    void *grown;

    if (need <= *room)
        return true;
    while (more < need)
        more *= 2;
    grown = mem_resize(*list, (size_t)more, size);
    if (!grown)
        return false;
    *list = grown;
    *room = more;
    return true;
}

static bool buckets_fit(struct graph *g)
{
    uint32_t need = g->buckets ? g->buckets * 2 : 1024;
    uint32_t *old = g->bucket;

    if ((uint32_t)g->count * 2 + 2 < g->buckets)
        return true;
    g->bucket = mem_new(need, sizeof *g->bucket);
    if (!g->bucket) {
        g->bucket = old;
        return false;
    }
    g->buckets = need;
    for (int i = 0; i < g->count; i++)
        bucket_put(g, g->node[i]);
    mem_free(old);
    return true;
}

static bool keep_arrays(struct graph *g, struct node *n, const struct node *from)
{
    size_t in = (size_t)from->n_in, out = (size_t)from->n_out;
    val *ins = arena_alloc(g->arena, in + 1, sizeof *ins);

    n->out_dims = arena_alloc(g->arena, out, sizeof *n->out_dims);
    n->out_type = arena_alloc(g->arena, out, sizeof *n->out_type);
    n->scope = scope_keep(g);
    if (!ins || !n->out_dims || !n->out_type || !n->scope)
        return false;
    if (in)
        memcpy(ins, from->in, in * sizeof *ins);
    n->in = ins;
    memcpy(n->out_dims, from->out_dims, out * sizeof *n->out_dims);
    memcpy(n->out_type, from->out_type, out * sizeof *n->out_type);
    return true;
}

/* Copies a finished node (with its outputs) into the graph. */
static val node_keep(struct graph *g, const struct node *from)
{
    struct node *n = arena_alloc(g->arena, 1, sizeof *n);
    int room = (int)g->value_room;

    if (!n || !buckets_fit(g) || !grow(&g->node, &g->room, g->count + 1, sizeof *g->node) ||
        !grow(&g->of_value, &room, (int)g->values + from->n_out + 1, sizeof *g->of_value)) {
        graph_fail(g, ERR_MEMORY);
        return (val){0};
    }
    g->value_room = (uint32_t)room;
    memcpy(n, from, sizeof *n);
    if (!keep_arrays(g, n, from)) {
        graph_fail(g, ERR_MEMORY);
        return (val){0};
    }
    n->index = g->count;
    n->first_out = g->values + 1;
    g->node[g->count++] = n;
    for (int i = 0; i < n->n_out; i++)
        g->of_value[++g->values] = n;
    bucket_put(g, n);
    return (val){n->first_out};
}

static enum err check_inputs(const struct graph *g, const struct op *row, int n_in, const val in[])
{
    if (row->arity >= 0 && n_in != row->arity)
        return err_set(ERR_SHAPE, "%s in %s: %d inputs, needs %d", row->name, g->scope, n_in, row->arity);
    for (int i = 0; i < n_in; i++)
        if (!in[i].id || in[i].id > g->values)
            return err_set(ERR_SHAPE, "%s in %s: input %d is the null value", row->name, g->scope, i);
    return ERR_OK;
}

static enum err infer(struct graph *g, struct node *n)
{
    enum err err = n->op->infer(g, n);

    if (err)
        return err_while(err, "building %s in %s", n->op->name, g->scope[0] ? g->scope : "the graph");
    return ERR_OK;
}

val graph_node(struct graph *g, int op, const union attr *attr, int n_in, const val in[])
{
    size_t room = (size_t)(n_in < 4 ? 4 : n_in);
    struct node n, *same;
    val out = {0};
    enum err err;

    if (g->status)
        return out;
    memset(&n, 0, sizeof n);
    n.op = op_rows[op];
    n.id = op;
    n.n_in = n_in;
    n.in = in;
    if (attr)
        memcpy(&n.attr, attr, sizeof n.attr);
    err = check_inputs(g, n.op, n_in, in);
    if (err) {
        graph_fail(g, err);
        return out;
    }
    same = find_equal(g, &n);
    if (same)
        return node_out(same, 0);
    n.out_dims = mem_new(room, sizeof *n.out_dims);
    n.out_type = mem_new(room, sizeof *n.out_type);
    err = n.out_dims && n.out_type ? infer(g, &n) : ERR_MEMORY;
    if (err)
        graph_fail(g, err);
    else
        out = node_keep(g, &n);
    mem_free(n.out_dims);
    mem_free(n.out_type);
    return out;
}

/* ---- sources, outputs, assignments ---- */

static const struct node *find_source(const struct graph *g, int op, const char *name)
{
    for (int i = 0; i < g->count; i++)
        if (g->node[i]->id == op && !strcmp(g->node[i]->attr.name, name))
            return g->node[i];
    return NULL;
}

static val graph_source(struct graph *g, int op, const char *name, enum dtype type, struct dims dims)
{
    const struct node *have = find_source(g, op, name);
    struct node n;

    if (g->status)
        return (val){0};
    if (have) {
        if (have->out_type[0] == type && dims_equal(&have->out_dims[0], &dims))
            return node_out(have, 0);
        graph_fail(
            g, err_set(ERR_SHAPE, "%s %s is declared twice with different shapes", op_rows[op]->name, name));
        return (val){0};
    }
    memset(&n, 0, sizeof n);
    n.op = op_rows[op];
    n.id = op;
    n.attr.name = arena_str(g->arena, name);
    n.n_out = 1;
    n.out_dims = &dims;
    n.out_type = &type;
    if (!n.attr.name) {
        graph_fail(g, ERR_MEMORY);
        return (val){0};
    }
    return node_keep(g, &n);
}

val graph_input(struct graph *g, const char *name, enum dtype type, struct dims dims)
{
    return graph_source(g, OP_INPUT, name, type, dims);
}

val graph_state(struct graph *g, const char *name, enum dtype type, struct dims dims)
{
    return graph_source(g, OP_STATE, name, type, dims);
}

void graph_output(struct graph *g, const char *name, val v)
{
    char *kept = arena_str(g->arena, name);

    if (g->status)
        return;
    if (!kept || !grow(&g->output, &g->output_room, g->outputs + 1, sizeof *g->output))
        graph_fail(g, ERR_MEMORY);
    else if (!graph_node_of(g, v))
        graph_fail(g, err_set(ERR_SHAPE, "output %s is the null value", name));
    else
        g->output[g->outputs++] = (struct graph_named){kept, v};
}

void graph_assign(struct graph *g, val state, val value, val when)
{
    const struct node *s = graph_node_of(g, state);
    struct dims a = graph_dims(g, state), b = graph_dims(g, value);

    if (g->status)
        return;
    if (!s || s->id != OP_STATE || !graph_node_of(g, value) || !dims_equal(&a, &b) ||
        graph_type(g, state) != graph_type(g, value))
        graph_fail(g, err_set(ERR_SHAPE, "assignment in %s: the target must be a state of the value's shape",
                              g->scope));
    else if (!grow(&g->assign, &g->assign_room, g->assigns + 1, sizeof *g->assign))
        graph_fail(g, ERR_MEMORY);
    else
        g->assign[g->assigns++] = (struct graph_assignment){state, value, when};
}

int graph_outputs(const struct graph *g, const struct graph_named **list)
{
    *list = g->output;
    return g->outputs;
}

int graph_assignments(const struct graph *g, const struct graph_assignment **list)
{
    *list = g->assign;
    return g->assigns;
}
