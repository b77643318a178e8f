/* Test helper: a network compiled for the CPU with inputs in PyTorch's order (N, C, D, H, W). */
#ifndef TESTS_NET_RUN_H
#define TESTS_NET_RUN_H

#include "backend/backend.h"
#include "golden.h"
#include "graph/program.h"
#include "nets/nnunet.h"
#include "ops/ops.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* The filling rule of the golden rows for a parameter. */
static inline double golden_param(const char *name, const struct dims *d, int64_t i)
{
    double g = golden_at(golden_hash(name), i);
    size_t n = strlen(name);

    if (d->rank > 1)
        return 2 * g * sqrt(3.0 / (double)(dims_count(d) / d->n[0]));
    if (n >= 4 && !strcmp(name + n - 4, "bias"))
        return 0.2 * g;
    return 1 + 0.4 * g;
}

/* Position in (N, C, D, H, W) of element i of a channels-last tensor (N, D, H, W, C). */
static inline int64_t golden_torch_index(const struct dims *d, int64_t i)
{
    int64_t space = d->n[1] * d->n[2] * d->n[3], channels = d->n[4];
    int64_t c = i % channels, at = i / channels % space, n = i / channels / space;

    return (n * channels + c) * space + at;
}

/* Fails the test with the recorded message. */
#define OK(call)                                                                                             \
    do {                                                                                                     \
        if (call)                                                                                            \
            fail_msg("%s: %s", #call, err_text());                                                           \
    } while (0)

struct net_run {
    struct graph *g;
    struct nn *m;
    struct store *store;  /* parameters */
    struct store *inputs; /* bound by name */
    struct program *p;
    enum dtype real;
};

static inline void net_open(struct net_run *r, enum dtype real)
{
    *r = (struct net_run){.g = graph_new(real), .store = store_new(), .inputs = store_new(), .real = real};
    assert_non_null(r->g);
    r->m = nn_new(r->g);
    assert_non_null(r->m);
    assert_non_null(r->store);
    assert_non_null(r->inputs);
}

static inline void net_close(struct net_run *r)
{
    program_free(r->p);
    nn_free(r->m);
    graph_free(r->g);
    store_free(r->store);
    store_free(r->inputs);
}

/* A graph input with a host buffer behind it; fill it with tensor_set before net_compile or later. */
static inline val net_input(struct net_run *r, const char *name, struct dims d)
{
    struct tensor *t = NULL;

    OK(store_need(r->inputs, name, r->real, d, &t));
    return graph_input(r->g, name, r->real, d);
}

static inline void net_compile(struct net_run *r)
{
    struct backend cpu;

    OK(graph_status(r->g));
    OK(backend_cpu(&cpu, NULL, 0));
    OK(program_new(&r->p, r->g, r->store, &(struct compile){.backend = &cpu}));
    for (size_t i = 0; i < store_count(r->inputs); i++) {
        const struct tensor *t = store_at(r->inputs, i);

        OK(program_bind(r->p, t->name, t->data));
    }
}

/* A borrowed view of an output. */
static inline struct tensor net_output(const struct net_run *r, const char *name, struct dims d)
{
    struct tensor t = {.name = name, .type = r->real, .dims = d};

    t.data = (void *)(uintptr_t)program_output(r->p, name);
    if (!t.data)
        fail_msg("the program has no output %s", name);
    return t;
}

/* scale * G(name), G in PyTorch's order. */
static inline void net_fill_golden(const struct net_run *r, const char *input, const char *name, double scale)
{
    struct tensor *t = store_find(r->inputs, input);
    uint32_t hash = golden_hash(name);
    int64_t n = dims_count(&t->dims);

    for (int64_t i = 0; i < n; i++)
        tensor_set(t, i, scale * golden_at(hash, golden_torch_index(&t->dims, i)));
}

static inline void net_fill_params(const struct net_run *r)
{
    for (size_t i = 0; i < r->m->count; i++) {
        const struct param *p = &r->m->param[i];
        struct tensor *t = NULL;
        int64_t n = dims_count(&p->dims);

        OK(store_need(r->store, p->name, r->real, p->dims, &t));
        for (int64_t k = 0; k < n; k++)
            tensor_set(t, k, golden_param(p->name, &p->dims, k));
    }
}

#endif
