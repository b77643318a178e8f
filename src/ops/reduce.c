/* Reductions over sets of axes; reduced extents become 1. */
#include "ops/row.h"

#include <math.h>

static enum err reduce_infer(const struct graph *g, struct node *n)
{
    infer_like_first(g, n);
    for (int i = 0; i < n->out_dims[0].rank; i++)
        if (n->attr.axes & AXIS(i))
            n->out_dims[0].n[i] = 1;
    return ERR_OK;
}

static void sum_ref(const struct ref_args *a)
{
    struct walk w = walk_over(&a->in_dims[0], &a->out_dims[0]);

    for (int64_t i = 0; i < dims_count(&a->out_dims[0]); i++)
        a->out[0][i] = 0;
    for (int64_t i = 0; i < dims_count(&a->in_dims[0]); i++, walk_next(&w))
        a->out[0][w.at] += a->in[0][i];
}

static void max_over_ref(const struct ref_args *a)
{
    struct walk w = walk_over(&a->in_dims[0], &a->out_dims[0]);

    for (int64_t i = 0; i < dims_count(&a->out_dims[0]); i++)
        a->out[0][i] = -INFINITY;
    for (int64_t i = 0; i < dims_count(&a->in_dims[0]); i++, walk_next(&w))
        if (a->in[0][i] > a->out[0][w.at])
            a->out[0][w.at] = a->in[0][i];
}

static int axis_of(unsigned axes)
{
    int axis = 0;

    while (axis < DIMS_MAX && !(axes & AXIS(axis)))
        axis++;
    return axis;
}

static enum err argmax_infer(const struct graph *g, struct node *n)
{
    if (axis_of(n->attr.axes) >= graph_dims(g, n->in[0]).rank || n->attr.axes != AXIS(axis_of(n->attr.axes)))
        return err_set(ERR_SHAPE, "argmax needs one axis of its input");
    return reduce_infer(g, n);
}

static void argmax_ref(const struct ref_args *a)
{
    int axis = axis_of(a->node->attr.axes);
    const struct dims *d = &a->in_dims[0];
    int64_t stride[DIMS_MAX], inner, count = d->n[axis];

    dims_strides(d, stride);
    inner = stride[axis];
    for (int64_t o = 0; o < dims_count(&a->out_dims[0]); o++) {
        const double *x = a->in[0] + (o / inner) * inner * count + o % inner;
        int64_t best = 0;
        for (int64_t k = 1; k < count; k++)
            if (x[k * inner] > x[best * inner])
                best = k;
        a->out[0][o] = (double)best;
    }
}

static void sum_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    dx[0] = op_broadcast(g, dy[0], graph_dims(g, n->in[0]));
}

static void max_over_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    val winners = op_equal(g, n->in[0], node_out(n, 0));
    val count = op_sum(g, winners, n->attr.axes);

    dx[0] = op_mul(g, winners, op_div(g, dy[0], count));
}

static void reduce_sample(struct sampler *s)
{
    static const unsigned axes[] = {ALL_AXES,   AXIS(0), AXIS_N | AXES_SPACE,
                                    AXES_SPACE, AXIS_C,  AXIS_D | AXIS_W};

    for (int i = 1; i < SHAPES; i++)
        for (size_t k = 0; k < sizeof axes / sizeof *axes; k++) {
            struct sample c = {.n_in = 1, .in = {sample_shape[i]}};
            c.attr = attr_none();
            c.attr.axes = axes[k];
            sampler_add(s, &c);
        }
    struct sample pool = {.n_in = 1, .in = {{8, {1, 2, 2, 3, 1, 2, 2, 5}}}};
    pool.attr = attr_none();
    pool.attr.axes = AXIS(2) | AXIS(4) | AXIS(6);
    sampler_add(s, &pool);
}

static void argmax_sample(struct sampler *s)
{
    struct sample c = {.n_in = 1, .in = {DIMS5(2, 3, 2, 5, 4)}};

    c.attr = attr_none();
    c.attr.axes = AXIS_C;
    sampler_add(s, &c);
    c.attr.axes = AXIS_D;
    sampler_add(s, &c);
}

const struct op op_row_sum = {.name = "sum",
                              .arity = 1,
                              .flags = OP_LINEAR,
                              .infer = reduce_infer,
                              .vjp = sum_vjp,
                              .ref = sum_ref,
                              .sample = reduce_sample};
const struct op op_row_max_over = {.name = "max_over",
                                   .arity = 1,
                                   .infer = reduce_infer,
                                   .vjp = max_over_vjp,
                                   .ref = max_over_ref,
                                   .sample = reduce_sample};
const struct op op_row_argmax = {.name = "argmax",
                                 .arity = 1,
                                 .flags = OP_FLAT,
                                 .infer = argmax_infer,
                                 .ref = argmax_ref,
                                 .sample = argmax_sample};

static val over(struct graph *g, int op, val a, unsigned axes)
{
    union attr t = attr_none();
    struct dims d = graph_dims(g, a);
    bool any = false;

    t.axes = axes & ((1u << d.rank) - 1);
    for (int i = 0; i < d.rank; i++)
        any |= (axes & AXIS(i)) && d.n[i] != 1;
    return any || !a.id ? graph_node(g, op, &t, 1, &a) : a;
}

val op_sum(struct graph *g, val a, unsigned axes)
{
    return over(g, OP_SUM, a, axes);
}

val op_max_over(struct graph *g, val a, unsigned axes)
{
    return over(g, OP_MAX_OVER, a, axes);
}

val op_mean(struct graph *g, val a, unsigned axes)
{
    struct dims d = graph_dims(g, a);
    double n = 1;

    for (int i = 0; i < d.rank; i++)
        if (axes & AXIS(i))
            n *= (double)d.n[i];
    return op_mul_scalar(g, op_sum(g, a, axes), 1 / n);
}

val op_argmax(struct graph *g, val a, unsigned axis)
{
    union attr t = attr_none();

    t.axes = axis;
    return graph_node(g, OP_ARGMAX, &t, 1, &a);
}

val op_sum_to(struct graph *g, val a, struct dims dims)
{
    struct dims from = graph_dims(g, a);
    unsigned axes = 0;

    if (dims.rank == 0)
        return op_reshape(g, op_sum(g, a, ALL_AXES), DIMS0);
    for (int i = 0; i < from.rank && i < dims.rank; i++)
        if (dims.n[i] == 1 && from.n[i] != 1)
            axes |= AXIS(i);
    /* a gradient may be smaller than its operand where it is constant over an axis */
    a = axes ? op_sum(g, a, axes) : a;
    return op_broadcast(g, a, dims);
}
