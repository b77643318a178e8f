#include "nn/nn.h"

#include "base/file.h"
#include "base/rng.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_LENGTH = 256 };

struct nn *nn_new(struct graph *g)
{
    struct nn *m = mem_new(1, sizeof(*m));

    if (!m)
        return NULL;
    m->g = g;
    m->real = graph_real(g);
    m->names = arena_new();
    if (!m->names) {
        mem_free(m);
        return NULL;
    }
    return m;
}

void nn_free(struct nn *m)
{
    if (!m)
        return;
    arena_free(m->names);
    mem_free(m->param);
    mem_free(m);
}

void nn_enter(struct nn *m, const char *fmt, ...)
{
    char name[NAME_MAX_LENGTH];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(name, sizeof(name), fmt, ap);
    va_end(ap);
    graph_enter(m->g, "%s", name);
}

void nn_leave(struct nn *m)
{
    graph_leave(m->g);
}

/* A new slot at the end of the list, or NULL. */
static struct param *param_append(struct nn *m)
{
    if (m->count == m->room) {
        size_t room = m->room ? 2 * m->room : 64;
        struct param *grown = mem_resize(m->param, room, sizeof(*grown));

        if (!grown)
            return NULL;
        m->param = grown;
        m->room = room;
    }
    return &m->param[m->count];
}

static val param_declare(struct nn *m, const char *full, struct dims dims, enum init init)
{
    struct param *p = param_append(m);
    const char *name = arena_str(m->names, full);

    if (!p || !name) {
        graph_fail(m->g, ERR_MEMORY);
        return (val){0};
    }
    *p =
        (struct param){.name = name, .dims = dims, .init = init, .v = graph_state(m->g, name, m->real, dims)};
    m->count++;
    return p->v;
}

val nn_param(struct nn *m, const char *name, struct dims dims, enum init init)
{
    const char *scope = graph_scope(m->g);
    char full[NAME_MAX_LENGTH];
    char had[160], wanted[160];

    if (graph_status(m->g))
        return (val){0};
    snprintf(full, sizeof(full), "%s%s%s", scope, scope[0] ? "." : "", name);
    for (size_t i = 0; i < m->count; i++) {
        const struct param *p = &m->param[i];

        if (strcmp(p->name, full))
            continue;
        if (!dims_equal(&p->dims, &dims))
            graph_fail(m->g, err_set(ERR_SHAPE, "parameter %s: declared as %s and again as %s", full,
                                     dims_text(&p->dims, had), dims_text(&dims, wanted)));
        return p->v;
    }
    return param_declare(m, full, dims, init);
}

/* Kaiming normal for a leaky ReLU of slope 0.01 (He et al. 2015, eq. 14). */
static double he_deviation(const struct dims *d)
{
    double fan_in = 1;

    for (int i = 1; i < d->rank; i++)
        fan_in *= (double)d->n[i];
    return sqrt(2 / ((1 + 0.01 * 0.01) * fan_in));
}

static void param_fill(const struct param *p, struct tensor *t, uint64_t seed)
{
    struct rng r = rng_at(seed, bytes_hash(p->name, strlen(p->name), 0));
    double deviation = p->init == INIT_HE ? he_deviation(&p->dims) : 0;
    int64_t n = dims_count(&p->dims);

    for (int64_t i = 0; i < n; i++)
        tensor_set(t, i, p->init == INIT_HE ? deviation * rng_normal(&r) : p->init == INIT_ONES);
}

enum err nn_init(const struct nn *m, struct store *s, uint64_t seed)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct param *p = &m->param[i];
        struct tensor *t = NULL;

        TRY(store_need(s, p->name, m->real, p->dims, &t));
        param_fill(p, t, seed);
    }
    return ERR_OK;
}

int64_t nn_size(const struct nn *m)
{
    int64_t n = 0;

    for (size_t i = 0; i < m->count; i++)
        n += dims_count(&m->param[i].dims);
    return n;
}
