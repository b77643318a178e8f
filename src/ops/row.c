#include "ops/row.h"

#include <string.h>

union attr attr_none(void)
{
    union attr a;

    memset(&a, 0, sizeof a);
    return a;
}

enum err infer_like_first(const struct graph *g, struct node *n)
{
    n->n_out = 1;
    n->out_dims[0] = graph_dims(g, n->in[0]);
    n->out_type[0] = graph_type(g, n->in[0]);
    return ERR_OK;
}

enum err infer_broadcast(const struct graph *g, struct node *n)
{
    char a[160], b[160];

    n->n_out = 1;
    n->out_dims[0] = graph_dims(g, n->in[0]);
    n->out_type[0] = graph_type(g, n->in[0]);
    for (int i = 1; i < n->n_in; i++) {
        struct dims d = graph_dims(g, n->in[i]), sofar = n->out_dims[0];
        if (graph_type(g, n->in[i]) != n->out_type[0])
            return err_set(ERR_SHAPE, "operands have types %s and %s", dtype_name(n->out_type[0]),
                           dtype_name(graph_type(g, n->in[i])));
        if (!dims_broadcast(&sofar, &d, &n->out_dims[0]))
            return err_set(ERR_SHAPE, "shapes %s and %s do not broadcast", dims_text(&sofar, a),
                           dims_text(&d, b));
    }
    return ERR_OK;
}

enum err infer_need(const struct graph *g, val v, struct dims need, const char *what)
{
    struct dims d = graph_dims(g, v);
    char a[160], b[160];

    if (!dims_equal(&d, &need))
        return err_set(ERR_SHAPE, "%s %s must be %s", what, dims_text(&d, a), dims_text(&need, b));
    return ERR_OK;
}

struct walk walk_over(const struct dims *dims, const struct dims *operand)
{
    struct walk w = {.dims = *dims};

    if (operand->rank == 0)
        return w;
    dims_strides(operand, w.stride);
    for (int i = 0; i < dims->rank; i++)
        if (operand->n[i] == 1)
            w.stride[i] = 0;
    return w;
}

void walk_next(struct walk *w)
{
    for (int64_t i = w->dims.rank - 1; i >= 0; i--) {
        w->at += w->stride[i];
        if (++w->index[i] < w->dims.n[i])
            return;
        w->at -= w->stride[i] * w->dims.n[i];
        w->index[i] = 0;
    }
}

const struct dims sample_shape[SHAPES] = {
    {0, {0}}, {1, {7}}, {2, {3, 17}}, {5, {2, 3, 2, 5, 4}}, {5, {1, 2, 1, 3, 33}},
};

static void sample_filled(struct sampler *s, int n, enum fill fill)
{
    for (int i = 0; i < SHAPES; i++) {
        struct sample c = {.n_in = n};
        c.attr = attr_none();
        for (int k = 0; k < n; k++) {
            c.in[k] = sample_shape[i];
            c.fill[k] = fill;
        }
        sampler_add(s, &c);
    }
}

void sample_unary(struct sampler *s)
{
    sample_filled(s, 1, FILL_REAL);
}

void sample_positive(struct sampler *s)
{
    sample_filled(s, 1, FILL_POSITIVE);
}

static void sample_spread(struct sampler *s, enum fill fill)
{
    static const struct dims pair[][2] = {
        {{5, {2, 3, 2, 5, 4}}, {5, {1, 1, 1, 1, 4}}},
        {{5, {2, 1, 1, 1, 4}}, {5, {2, 3, 2, 5, 4}}},
        {{3, {3, 1, 5}}, {3, {1, 4, 5}}},
        {{0, {0}}, {2, {3, 17}}},
        {{2, {5, 18}}, {0, {0}}},
    };

    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++) {
        struct sample c = {.n_in = 2, .in = {pair[i][0], pair[i][1]}, .fill = {fill, fill}};
        c.attr = attr_none();
        sampler_add(s, &c);
    }
}

void sample_binary(struct sampler *s)
{
    sample_filled(s, 2, FILL_REAL);
    sample_spread(s, FILL_REAL);
}

void sample_binary_positive(struct sampler *s)
{
    sample_filled(s, 2, FILL_POSITIVE);
    sample_spread(s, FILL_POSITIVE);
}

void sampler_add(struct sampler *s, const struct sample *c)
{
    if (s->count < s->room)
        s->item[s->count] = *c;
    s->count++;
}
