/* Ops that only move values: reshape and transpose, windows, joining, nearest-neighbour resizing. */
#include "ops/row.h"

#include <inttypes.h>
#include <string.h>

/* ---- broadcast, reshape, transpose ---- */

static enum err broadcast_infer(const struct graph *g, struct node *n)
{
    struct dims d = graph_dims(g, n->in[0]), out;
    char a[160], b[160];

    if (!dims_broadcast(&d, &n->attr.dims, &out) || !dims_equal(&out, &n->attr.dims))
        return err_set(ERR_SHAPE, "%s does not broadcast to %s", dims_text(&d, a),
                       dims_text(&n->attr.dims, b));
    infer_like_first(g, n);
    n->out_dims[0] = n->attr.dims;
    return ERR_OK;
}

static void broadcast_ref(const struct ref_args *a)
{
    struct walk w = walk_over(&a->out_dims[0], &a->in_dims[0]);

    for (int64_t i = 0; i < dims_count(&a->out_dims[0]); i++, walk_next(&w))
        a->out[0][i] = a->in[0][w.at];
}

static void broadcast_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    dx[0] = op_sum_to(g, dy[0], graph_dims(g, n->in[0]));
}

static enum err reshape_infer(const struct graph *g, struct node *n)
{
    struct dims d = graph_dims(g, n->in[0]);
    char a[160], b[160];

    if (dims_count(&d) != dims_count(&n->attr.dims))
        return err_set(ERR_SHAPE, "%s does not reshape to %s", dims_text(&d, a), dims_text(&n->attr.dims, b));
    infer_like_first(g, n);
    n->out_dims[0] = n->attr.dims;
    return ERR_OK;
}

static void reshape_ref(const struct ref_args *a)
{
    memcpy(a->out[0], a->in[0], (size_t)dims_count(&a->out_dims[0]) * sizeof(double));
}

static void reshape_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    dx[0] = op_reshape(g, dy[0], graph_dims(g, n->in[0]));
}

static enum err transpose_infer(const struct graph *g, struct node *n)
{
    struct dims d = graph_dims(g, n->in[0]);
    unsigned seen = 0;

    infer_like_first(g, n);
    for (int i = 0; i < d.rank; i++) {
        int from = n->attr.transpose.perm[i];
        if (from < 0 || from >= d.rank)
            return err_set(ERR_SHAPE, "axis %d of a permutation of %d axes", from, (int)d.rank);
        seen |= 1u << from;
        n->out_dims[0].n[i] = d.n[from];
    }
    if (seen != (1u << d.rank) - 1)
        return err_set(ERR_SHAPE, "not a permutation of all %d axes", (int)d.rank);
    return ERR_OK;
}

static void transpose_ref(const struct ref_args *a)
{
    struct walk w = {.dims = a->out_dims[0]};
    int64_t stride[DIMS_MAX];

    dims_strides(&a->in_dims[0], stride);
    for (int i = 0; i < w.dims.rank; i++)
        w.stride[i] = stride[a->node->attr.transpose.perm[i]];
    for (int64_t i = 0; i < dims_count(&w.dims); i++, walk_next(&w))
        a->out[0][i] = a->in[0][w.at];
}

static void transpose_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    int back[DIMS_MAX];

    for (int i = 0; i < n->out_dims[0].rank; i++)
        back[n->attr.transpose.perm[i]] = i;
    dx[0] = op_transpose(g, dy[0], back);
}

/* ---- slice, pad, concat ---- */

static enum err slice_infer(const struct graph *g, struct node *n)
{
    struct dims d = graph_dims(g, n->in[0]);

    infer_like_first(g, n);
    for (int i = 0; i < d.rank; i++) {
        int64_t start = n->attr.box.start[i], size = n->attr.box.size[i];
        if (start < 0 || size < 1 || size > d.n[i] || start > d.n[i] - size)
            return err_set(ERR_SHAPE, "window %" PRId64 "+%" PRId64 " leaves axis %d of %" PRId64, start,
                           size, i, d.n[i]);
        n->out_dims[0].n[i] = size;
    }
    return ERR_OK;
}

static enum err pad_infer(const struct graph *g, struct node *n)
{
    struct dims d = graph_dims(g, n->in[0]);

    infer_like_first(g, n);
    for (int i = 0; i < d.rank; i++) {
        int64_t start = n->attr.box.start[i], size = n->attr.box.size[i];
        if (start < 0 || size < d.n[i] || start > size - d.n[i])
            return err_set(ERR_SHAPE, "axis %d of %" PRId64 " does not fit at %" PRId64 " into %" PRId64, i,
                           d.n[i], start, size);
        n->out_dims[0].n[i] = size;
    }
    return ERR_OK;
}

/* Offset in `whole` of element i of the window walked by w. */
static int64_t window_offset(const union attr *t, const struct dims *whole)
{
    int64_t stride[DIMS_MAX], at = 0;

    dims_strides(whole, stride);
    for (int i = 0; i < whole->rank; i++)
        at += t->box.start[i] * stride[i];
    return at;
}

static struct walk window_walk(const struct dims *window, const struct dims *whole)
{
    struct walk w = {.dims = *window};

    dims_strides(whole, w.stride);
    return w;
}

static void slice_ref(const struct ref_args *a)
{
    const double *from = a->in[0] + window_offset(&a->node->attr, &a->in_dims[0]);
    struct walk w = window_walk(&a->out_dims[0], &a->in_dims[0]);

    for (int64_t i = 0; i < dims_count(&w.dims); i++, walk_next(&w))
        a->out[0][i] = from[w.at];
}

static void pad_ref(const struct ref_args *a)
{
    double *to = a->out[0] + window_offset(&a->node->attr, &a->out_dims[0]);
    struct walk w = window_walk(&a->in_dims[0], &a->out_dims[0]);

    memset(a->out[0], 0, (size_t)dims_count(&a->out_dims[0]) * sizeof(double));
    for (int64_t i = 0; i < dims_count(&w.dims); i++, walk_next(&w))
        to[w.at] = a->in[0][i];
}

static void slice_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    struct dims d = graph_dims(g, n->in[0]);

    dx[0] = op_pad(g, dy[0], n->attr.box.start, d.n);
}

static void pad_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    struct dims d = graph_dims(g, n->in[0]);

    dx[0] = op_slice(g, dy[0], n->attr.box.start, d.n);
}

static int concat_axis(const struct node *n)
{
    int axis = 0;

    while (axis < DIMS_MAX && n->attr.axes != AXIS(axis))
        axis++;
    return axis;
}

static enum err concat_infer(const struct graph *g, struct node *n)
{
    int axis = concat_axis(n);
    struct dims first = graph_dims(g, n->in[0]);
    int64_t total = 0;
    char a[160], b[160];

    infer_like_first(g, n);
    if (axis >= first.rank)
        return err_set(ERR_SHAPE, "concat needs one axis of its inputs");
    for (int k = 0; k < n->n_in; k++) {
        struct dims d = graph_dims(g, n->in[k]), rest = d;
        total += d.n[axis];
        rest.n[axis] = first.n[axis];
        if (!dims_equal(&rest, &first) || graph_type(g, n->in[k]) != n->out_type[0])
            return err_set(ERR_SHAPE, "%s and %s do not join along axis %d", dims_text(&first, a),
                           dims_text(&d, b), axis);
    }
    n->out_dims[0].n[axis] = total;
    return ERR_OK;
}

static void concat_ref(const struct ref_args *a)
{
    int axis = concat_axis(a->node);
    int64_t start = 0, stride[DIMS_MAX];

    dims_strides(&a->out_dims[0], stride);
    for (int k = 0; k < a->node->n_in; k++) {
        struct walk w = window_walk(&a->in_dims[k], &a->out_dims[0]);
        double *to = a->out[0] + start * stride[axis];
        for (int64_t i = 0; i < dims_count(&w.dims); i++, walk_next(&w))
            to[w.at] = a->in[k][i];
        start += a->in_dims[k].n[axis];
    }
}

static void concat_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    int axis = concat_axis(n);
    int64_t start[DIMS_MAX] = {0};

    for (int k = 0; k < n->n_in; k++) {
        struct dims d = graph_dims(g, n->in[k]);
        dx[k] = op_slice(g, dy[0], start, d.n);
        start[axis] += d.n[axis];
    }
}

/* ---- one-hot and nearest ---- */

static enum err one_hot_infer(const struct graph *g, struct node *n)
{
    struct dims d = graph_dims(g, n->in[0]);

    infer_like_first(g, n);
    if (d.rank < 1 || d.n[d.rank - 1] != 1 || n->attr.count < 1)
        return err_set(ERR_SHAPE, "one_hot needs a last axis of 1 and at least one class");
    n->out_dims[0].n[d.rank - 1] = n->attr.count;
    return ERR_OK;
}

static void one_hot_ref(const struct ref_args *a)
{
    int64_t k = a->node->attr.count;

    for (int64_t i = 0; i < dims_count(&a->out_dims[0]); i++)
        a->out[0][i] = a->in[0][i / k] == (double)(i % k);
}

static enum err nearest_infer(const struct graph *g, struct node *n)
{
    struct dims d = graph_dims(g, n->in[0]);

    infer_like_first(g, n);
    if (d.rank != 5)
        return err_set(ERR_SHAPE, "nearest needs (N, D, H, W, C)");
    for (int i = 0; i < 3; i++) {
        if (n->attr.box.size[i] < 1)
            return err_set(ERR_SHAPE, "nearest needs positive sizes");
        n->out_dims[0].n[1 + i] = n->attr.box.size[i];
    }
    return ERR_OK;
}

/* PyTorch's "nearest-exact": floor((i + 1/2) n / m), in integers. */
static int64_t nearest_source(int64_t i, int64_t n, int64_t m)
{
    return (2 * i + 1) * n / (2 * m);
}

/* Calls for every fine element: its offset and the coarse element it takes its value from. */
static int64_t nearest_from(const struct dims *fine, const struct dims *coarse, int64_t i)
{
    int64_t c = i % fine->n[4], w = i / fine->n[4] % fine->n[3],
            h = i / (fine->n[4] * fine->n[3]) % fine->n[2];
    int64_t d = i / (fine->n[4] * fine->n[3] * fine->n[2]) % fine->n[1];
    int64_t n = i / (fine->n[4] * fine->n[3] * fine->n[2] * fine->n[1]);

    d = nearest_source(d, coarse->n[1], fine->n[1]);
    h = nearest_source(h, coarse->n[2], fine->n[2]);
    w = nearest_source(w, coarse->n[3], fine->n[3]);
    return (((n * coarse->n[1] + d) * coarse->n[2] + h) * coarse->n[3] + w) * coarse->n[4] + c;
}

static void nearest_ref(const struct ref_args *a)
{
    for (int64_t i = 0; i < dims_count(&a->out_dims[0]); i++)
        a->out[0][i] = a->in[0][nearest_from(&a->out_dims[0], &a->in_dims[0], i)];
}

static void nearest_back_ref(const struct ref_args *a)
{
    memset(a->out[0], 0, (size_t)dims_count(&a->out_dims[0]) * sizeof(double));
    for (int64_t i = 0; i < dims_count(&a->in_dims[0]); i++)
        a->out[0][nearest_from(&a->in_dims[0], &a->out_dims[0], i)] += a->in[0][i];
}

static val resized(struct graph *g, int op, val a, const int64_t size[3])
{
    union attr t = attr_none();

    memcpy(t.box.size, size, 3 * sizeof *size);
    return graph_node(g, op, &t, 1, &a);
}

static void nearest_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    struct dims d = graph_dims(g, n->in[0]);

    dx[0] = resized(g, OP_NEAREST_BACK, dy[0], d.n + 1);
}

static void nearest_back_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    struct dims d = graph_dims(g, n->in[0]);

    dx[0] = resized(g, OP_NEAREST, dy[0], d.n + 1);
}

/* ---- samples ---- */

static void add_case(struct sampler *s, struct dims in, union attr attr)
{
    struct sample c = {.n_in = 1, .in = {in}};

    c.attr = attr;
    sampler_add(s, &c);
}

static void broadcast_sample(struct sampler *s)
{
    union attr t = attr_none();

    t.dims = DIMS5(2, 3, 2, 5, 4);
    add_case(s, DIMS5(1, 1, 1, 1, 4), t);
    add_case(s, DIMS5(2, 1, 1, 1, 1), t);
    add_case(s, DIMS5(2, 3, 1, 5, 1), t);
    add_case(s, DIMS0, t);
}

static void reshape_sample(struct sampler *s)
{
    union attr t = attr_none();

    t.dims = DIMS2(8, 15);
    add_case(s, DIMS4(2, 3, 4, 5), t);
}

static void transpose_sample(struct sampler *s)
{
    union attr t = attr_none();
    static const int perm[][5] = {{0, 4, 1, 2, 3}, {0, 2, 3, 4, 1}, {4, 3, 2, 1, 0}, {0, 1, 3, 2, 4}};

    for (int i = 0; i < 4; i++) {
        memcpy(t.transpose.perm, perm[i], sizeof perm[i]);
        add_case(s, DIMS5(2, 3, 4, 5, 6), t);
        add_case(s, DIMS5(1, 1, 7, 2, 33), t);
    }
}

static void slice_sample(struct sampler *s)
{
    static const int64_t start[5] = {0, 1, 0, 2, 1}, size[5] = {2, 2, 4, 3, 5}, channel[5] = {0, 0, 0, 0, 17},
                         rest[5] = {2, 3, 2, 5, 16};
    union attr t = attr_none();

    memcpy(t.box.start, start, sizeof start);
    memcpy(t.box.size, size, sizeof size);
    add_case(s, DIMS5(2, 3, 4, 5, 6), t);
    memcpy(t.box.start, channel, sizeof channel);
    memcpy(t.box.size, rest, sizeof rest);
    add_case(s, DIMS5(2, 3, 2, 5, 33), t);
}

static void pad_sample(struct sampler *s)
{
    static const int64_t start[5] = {0, 1, 0, 2, 1}, size[5] = {2, 5, 4, 8, 8};
    union attr t = attr_none();

    memcpy(t.box.start, start, sizeof start);
    memcpy(t.box.size, size, sizeof size);
    add_case(s, DIMS5(2, 3, 4, 5, 6), t);
}

static void concat_sample(struct sampler *s)
{
    struct sample c = {.n_in = 2, .in = {DIMS5(2, 3, 2, 5, 4), DIMS5(2, 3, 2, 5, 17)}};

    c.attr = attr_none();
    c.attr.axes = AXIS_C;
    sampler_add(s, &c);
    c.n_in = 3;
    c.in[2] = DIMS5(2, 3, 2, 5, 1);
    sampler_add(s, &c);
    c.in[0] = DIMS5(1, 3, 2, 5, 4), c.in[1] = c.in[2] = DIMS5(2, 3, 2, 5, 4);
    c.attr.axes = AXIS_N;
    sampler_add(s, &c);
}

static void one_hot_sample(struct sampler *s)
{
    struct sample c = {.n_in = 1, .in = {DIMS5(2, 3, 2, 5, 1)}, .fill = {FILL_CLASS}, .classes = 3};

    c.attr = attr_none();
    c.attr.count = 3;
    sampler_add(s, &c);
}

static void nearest_sample(struct sampler *s)
{
    static const int64_t size[][3] = {{6, 8, 10}, {3, 5, 7}, {1, 2, 3}, {3, 4, 5}};
    union attr t = attr_none();

    for (int i = 0; i < 4; i++) {
        memcpy(t.box.size, size[i], sizeof size[i]);
        add_case(s, DIMS5(2, 3, 4, 5, 3), t);
    }
}

static void nearest_back_sample(struct sampler *s)
{
    static const int64_t size[][3] = {{3, 4, 5}, {2, 2, 2}, {7, 9, 11}};
    union attr t = attr_none();

    for (int i = 0; i < 3; i++) {
        memcpy(t.box.size, size[i], sizeof size[i]);
        add_case(s, DIMS5(2, 6, 4, 5, 3), t);
    }
}

#define MOVE(NAME, n, extra, ...)                                                                            \
    const struct op op_row_##NAME = {.name = #NAME,                                                          \
                                     .arity = n,                                                             \
                                     .flags = extra,                                                         \
                                     .infer = NAME##_infer,                                                  \
                                     .ref = NAME##_ref,                                                      \
                                     .sample = NAME##_sample,                                                \
                                     __VA_ARGS__}

MOVE(broadcast, 1, OP_LINEAR, .vjp = broadcast_vjp);
MOVE(reshape, 1, OP_LINEAR | OP_VIEW, .vjp = reshape_vjp);
MOVE(transpose, 1, OP_LINEAR, .vjp = transpose_vjp);
MOVE(slice, 1, OP_LINEAR, .vjp = slice_vjp);
MOVE(pad, 1, OP_LINEAR, .vjp = pad_vjp);
MOVE(concat, -1, OP_LINEAR, .vjp = concat_vjp);
MOVE(one_hot, 1, OP_FLAT, .expand = NULL);
MOVE(nearest, 1, OP_LINEAR, .vjp = nearest_vjp);
#define nearest_back_infer nearest_infer
MOVE(nearest_back, 1, OP_LINEAR, .vjp = nearest_back_vjp);

/* ---- builders ---- */

val op_broadcast(struct graph *g, val a, struct dims dims)
{
    union attr t = attr_none();
    struct dims d = graph_dims(g, a);

    if (dims_equal(&d, &dims))
        return a;
    t.dims = dims;
    return graph_node(g, OP_BROADCAST, &t, 1, &a);
}

val op_reshape(struct graph *g, val a, struct dims dims)
{
    union attr t = attr_none();
    struct dims d = graph_dims(g, a);

    if (dims_equal(&d, &dims))
        return a;
    t.dims = dims;
    return graph_node(g, OP_RESHAPE, &t, 1, &a);
}

val op_transpose(struct graph *g, val a, const int perm[])
{
    union attr t = attr_none();
    int64_t rank = graph_dims(g, a).rank;

    memcpy(t.transpose.perm, perm, (size_t)rank * sizeof *perm);
    return graph_node(g, OP_TRANSPOSE, &t, 1, &a);
}

static val boxed(struct graph *g, int op, val a, const int64_t start[], const int64_t size[])
{
    union attr t = attr_none();
    struct dims d = graph_dims(g, a);

    memcpy(t.box.start, start, (size_t)d.rank * sizeof *start);
    memcpy(t.box.size, size, (size_t)d.rank * sizeof *size);
    if (d.rank && !memcmp(size, d.n, (size_t)d.rank * sizeof *size))
        return a;
    return graph_node(g, op, &t, 1, &a);
}

val op_slice(struct graph *g, val a, const int64_t start[], const int64_t size[])
{
    return boxed(g, OP_SLICE, a, start, size);
}

val op_pad(struct graph *g, val a, const int64_t before[], const int64_t size[])
{
    return boxed(g, OP_PAD, a, before, size);
}

val op_concat_n(struct graph *g, unsigned axis, int n, const val a[])
{
    union attr t = attr_none();

    t.axes = axis;
    return n == 1 ? a[0] : graph_node(g, OP_CONCAT, &t, n, a);
}

val op_concat(struct graph *g, unsigned axis, val a, val b)
{
    return op_concat_n(g, axis, 2, (val[]){a, b});
}

val op_one_hot(struct graph *g, val index, int64_t classes)
{
    union attr t = attr_none();

    t.count = classes;
    return graph_node(g, OP_ONE_HOT, &t, 1, &index);
}

val op_nearest(struct graph *g, val a, const int64_t size[3])
{
    struct dims d = graph_dims(g, a);

    if (d.rank == 5 && !memcmp(size, d.n + 1, 3 * sizeof *size))
        return a;
    return resized(g, OP_NEAREST, a, size);
}

val op_average_pool(struct graph *g, val a, const int64_t window[3])
{
    struct dims d = graph_dims(g, a), whole = d, split = {8, {d.n[0], 0, 0, 0, 0, 0, 0, d.n[4]}}, out = d;
    static const int64_t start[5];

    for (int i = 0; i < 3; i++) {
        if (d.rank != 5 || window[i] < 1 || d.n[1 + i] < window[i]) {
            graph_fail(g, err_set(ERR_SHAPE, "average pooling window does not fit its input"));
            return (val){0};
        }
        out.n[1 + i] = d.n[1 + i] / window[i];
        whole.n[1 + i] = out.n[1 + i] * window[i];
        split.n[1 + 2 * i] = out.n[1 + i];
        split.n[2 + 2 * i] = window[i];
    }
    a = op_reshape(g, op_slice(g, a, start, whole.n), split);
    return op_reshape(g, op_mean(g, a, AXIS(2) | AXIS(4) | AXIS(6)), out);
}
