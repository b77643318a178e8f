/* Runs one op on the CPU backend's kernel class: buffers with guard bytes, any instruction set and thread
 * count. */
#ifndef D4M_TESTS_BACKEND_CASE_H
#define D4M_TESTS_BACKEND_CASE_H

#include "test.h"

#include "backend/backend.h"
#include "base/mem.h"
#include "base/rng.h"
#include "graph/op.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CASE_IN = 12, CASE_OUT = 12, CASE_GUARD = 64 };

/* Inputs are filled by sample.fill; those of `shift` and `scale` (if scale is not 0) as shift + scale N(0,
 * 1). */
struct backend_case {
    struct sample sample;
    int op;
    enum dtype real;
    uint64_t seed;
    double shift, scale;          /* of input 0 */
    const double *given[CASE_IN]; /* numbers of an input; NULL: drawn */
    bool spare; /* outputs that the kernel can do without are not asked for: NULL in out[] */

    struct graph *graph;
    const struct node *node;
    struct dims in_dims[CASE_IN];
    enum dtype in_type[CASE_IN];
    double *in[CASE_IN]; /* as doubles, rounded to `real` */
    void *raw[CASE_IN];  /* in their type */
    double *ref[CASE_OUT];
};

static inline size_t case_bytes(const struct dims *d, enum dtype t)
{
    return (size_t)dims_count(d) * dtype_size(t);
}

static inline double case_number(const struct backend_case *c, int k, int64_t i, struct rng *r)
{
    double v;

    switch (c->sample.fill[k]) {
    case FILL_POSITIVE:
        return 0.5 + 1.5 * rng_unit(r);
    case FILL_CLASS:
        return (double)rng_below(r, (uint64_t)(c->sample.classes ? c->sample.classes : 4));
    case FILL_KEY:
        return 12345 + (double)i;
    case FILL_BOOL:
        return (double)rng_below(r, 2);
    default:
        v = rng_normal(r);
        v += v < 0 ? -0.05 : 0.05;
        return k == 0 && c->scale != 0 ? c->shift + c->scale * v : v;
    }
}

static inline void case_store(void *to, const double *from, int64_t n, enum dtype t)
{
    for (int64_t i = 0; i < n; i++) {
        if (t == DT_F32)
            ((float *)to)[i] = (float)from[i];
        else if (t == DT_F64)
            ((double *)to)[i] = from[i];
        else
            ((int64_t *)to)[i] = (int64_t)from[i];
    }
}

static inline void case_load(double *to, const void *from, int64_t n, enum dtype t)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = t == DT_F32   ? (double)((const float *)from)[i]
                : t == DT_F64 ? ((const double *)from)[i]
                              : (double)((const int64_t *)from)[i];
}

static inline void *case_alloc(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);

    assert_non_null(p);
    return p;
}

/* Builds the node, its inputs and the reference outputs. */
static inline void case_open(struct backend_case *c)
{
    val in[CASE_IN];
    struct rng r = rng_at(c->seed + 7, 1);
    struct ref_args args;

    c->graph = graph_new(c->real);
    assert_non_null(c->graph);
    for (int k = 0; k < c->sample.n_in; k++) {
        char name[16];
        const int64_t n = dims_count(&c->sample.in[k]);

        snprintf(name, sizeof name, "in%d", k);
        c->in_type[k] = c->sample.fill[k] == FILL_KEY ? DT_I64 : c->real;
        c->in_dims[k] = c->sample.in[k];
        in[k] = graph_input(c->graph, name, c->in_type[k], c->in_dims[k]);
        c->in[k] = case_alloc((size_t)n * sizeof(double));
        c->raw[k] = case_alloc(case_bytes(&c->in_dims[k], c->in_type[k]));
        for (int64_t i = 0; i < n; i++)
            c->in[k][i] = c->given[k] ? c->given[k][i] : case_number(c, k, i, &r);
        case_store(c->raw[k], c->in[k], n, c->in_type[k]);
        case_load(c->in[k], c->raw[k], n, c->in_type[k]);
    }
    c->node = graph_node_of(c->graph, graph_node(c->graph, c->op, &c->sample.attr, c->sample.n_in, in));
    if (graph_status(c->graph))
        fail_msg("%s: %s", op_rows[c->op]->name, err_text());
    for (int k = 0; k < c->node->n_out; k++)
        c->ref[k] = case_alloc((size_t)dims_count(&c->node->out_dims[k]) * sizeof(double));
    args = (struct ref_args){c->node, (const double *const *)c->in, c->ref, c->in_dims, c->node->out_dims};
    op_rows[c->op]->ref(&args);
}

static inline void case_close(struct backend_case *c)
{
    for (int k = 0; k < c->sample.n_in; k++)
        free(c->in[k]), free(c->raw[k]);
    for (int k = 0; k < c->node->n_out; k++)
        free(c->ref[k]);
    graph_free(c->graph);
}

/* Runs the first class that accepts into out[] (allocated here, free each). False if none accepts. `reuse`
 * runs it with output 0 in input 0's buffer, which must have its size. */
static inline bool case_run(const struct backend_case *c, const char *isa, int threads, bool reuse,
                            void *out[])
{
    struct backend b;
    struct step s = {.node = c->node,
                     .in_dims = c->in_dims,
                     .out_dims = c->node->out_dims,
                     .in_type = c->in_type,
                     .out_type = c->node->out_type,
                     .type = c->real,
                     .threads = threads};
    const struct kernel_class *const *k;
    const void *in[CASE_IN];
    struct run run = {.step = &s, .in = in, .out = out};

    assert_int_equal(backend_cpu(&b, isa, threads), ERR_OK);
    s.table = c->real == DT_F32 ? b.f32 : b.f64;
    for (k = b.classes; *k && !((*k)->op == c->op && (*k)->accepts(&s)); k++)
        ;
    if (!*k)
        return false;
    if ((*k)->prepare)
        (*k)->prepare(&s);
    run.work = case_alloc(s.work + CASE_GUARD);
    memset(run.work, 0xa5, s.work + CASE_GUARD);
    for (int i = 0; i < c->sample.n_in; i++)
        in[i] = c->raw[i];
    for (int i = 0; i < c->node->n_out; i++) {
        const size_t bytes = case_bytes(&c->node->out_dims[i], c->node->out_type[i]);

        out[i] = NULL;
        if (c->spare && s.spare >> i & 1)
            continue;
        out[i] = case_alloc(bytes + CASE_GUARD);
        memset(out[i], 0xa5, bytes + CASE_GUARD);
        if (i == 0 && reuse) {
            memcpy(out[0], c->raw[0], bytes);
            in[0] = out[0];
        }
    }
    (*k)->run(&run);
    for (int g = 0; g < CASE_GUARD; g++)
        assert_int_equal(((unsigned char *)run.work)[s.work + (size_t)g], 0xa5);
    for (int i = 0; i < c->node->n_out; i++)
        for (int g = 0; g < CASE_GUARD && out[i]; g++)
            assert_int_equal(
                ((unsigned char *)
                     out[i])[case_bytes(&c->node->out_dims[i], c->node->out_type[i]) + (size_t)g],
                0xa5);
    free(run.work);
    return true;
}

static inline bool case_has_avx512(void)
{
    struct backend b;

    return backend_cpu(&b, "avx512", 1) == ERR_OK;
}

#endif
