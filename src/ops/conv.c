/* Convolution and its two gradients: a closed family, each one's derivatives are the other two.
 *   conv     y[o] = sum over taps t, channels of x[s o + d t - p] w[t]     (cross-correlation, zero padding)
 *   conv_dx  the adjoint in x (a transposed convolution when used forwards)
 *   conv_dw  the adjoint in w
 * Activations (N, D, H, W, C); weights (out, in / groups, kD, kH, kW) as PyTorch stores them. */
#include "ops/row.h"

#include <inttypes.h>
#include <string.h>

static int64_t span(const struct conv *c, int i)
{
    return (c->kernel[i] - 1) * c->dilation[i] + 1;
}

static void resolve(struct conv *c)
{
    for (int i = 0; i < 3; i++) {
        c->kernel[i] = c->kernel[i] ? c->kernel[i] : 1;
        c->stride[i] = c->stride[i] ? c->stride[i] : 1;
        c->dilation[i] = c->dilation[i] ? c->dilation[i] : 1;
    }
    c->groups = c->groups ? c->groups : 1;
    c->out = 0; /* a layer's option, not part of the op */
}

static enum err check_geometry(const struct conv *c)
{
    for (int i = 0; i < 3; i++)
        if (c->kernel[i] < 1 || c->stride[i] < 1 || c->dilation[i] < 1 || c->pad[i] < 0)
            return err_set(ERR_SHAPE, "kernel, stride and dilation must be positive, padding not negative");
    return c->groups < 1 ? err_set(ERR_SHAPE, "groups must be positive") : ERR_OK;
}

static enum err check_weight(const struct dims *w, const struct conv *c)
{
    char text[160];

    if (w->rank != 5 || w->n[2] != c->kernel[0] || w->n[3] != c->kernel[1] || w->n[4] != c->kernel[2] ||
        w->n[0] % c->groups)
        return err_set(ERR_SHAPE,
                       "weight %s does not fit a %" PRId64 "x%" PRId64 "x%" PRId64 " kernel in %" PRId64
                       " groups",
                       dims_text(w, text), c->kernel[0], c->kernel[1], c->kernel[2], c->groups);
    return ERR_OK;
}

static int64_t out_size(int64_t in, const struct conv *c, int i)
{
    int64_t room = in + 2 * c->pad[i] - span(c, i);

    return room < 0 ? 0 : room / c->stride[i] + 1;
}

static enum err conv_infer(const struct graph *g, struct node *n)
{
    const struct conv *c = &n->attr.conv;
    struct dims x = graph_dims(g, n->in[0]), w, bias;
    char a[160], b[160];

    if (n->n_in != 2 && n->n_in != 3)
        return err_set(ERR_SHAPE, "needs an image, a weight and perhaps a bias");
    w = graph_dims(g, n->in[1]);
    TRY(check_geometry(c));
    TRY(check_weight(&w, c));
    if (x.rank != 5 || x.n[4] != w.n[1] * c->groups)
        return err_set(ERR_SHAPE, "image %s does not fit weight %s", dims_text(&x, a), dims_text(&w, b));
    infer_like_first(g, n);
    for (int i = 0; i < 3; i++) {
        n->out_dims[0].n[1 + i] = out_size(x.n[1 + i], c, i);
        if (n->out_dims[0].n[1 + i] < 1)
            return err_set(ERR_SHAPE, "image %s is smaller than the kernel", dims_text(&x, a));
    }
    n->out_dims[0].n[4] = w.n[0];
    if (n->n_in == 3) {
        bias = graph_dims(g, n->in[2]);
        if (bias.rank != 1 || bias.n[0] != w.n[0])
            return err_set(ERR_SHAPE, "bias %s for %" PRId64 " output channels", dims_text(&bias, a), w.n[0]);
    }
    return ERR_OK;
}

static enum err conv_dx_infer(const struct graph *g, struct node *n)
{
    const struct conv *c = &n->attr.conv;
    struct dims dy = graph_dims(g, n->in[0]), w = graph_dims(g, n->in[1]);
    char a[160], b[160];

    TRY(check_geometry(c));
    TRY(check_weight(&w, c));
    if (dy.rank != 5 || dy.n[4] != w.n[0])
        return err_set(ERR_SHAPE, "gradient %s does not fit weight %s", dims_text(&dy, a), dims_text(&w, b));
    infer_like_first(g, n);
    for (int i = 0; i < 3; i++) {
        if (c->size[i] < 1 || out_size(c->size[i], c, i) != dy.n[1 + i])
            return err_set(ERR_SHAPE, "an axis of %" PRId64 " does not convolve to %" PRId64, c->size[i],
                           dy.n[1 + i]);
        n->out_dims[0].n[1 + i] = c->size[i];
    }
    n->out_dims[0].n[4] = w.n[1] * c->groups;
    return ERR_OK;
}

static enum err conv_dw_infer(const struct graph *g, struct node *n)
{
    const struct conv *c = &n->attr.conv;
    struct dims dy = graph_dims(g, n->in[0]), x = graph_dims(g, n->in[1]);
    char a[160], b[160];
    bool fits = dy.rank == 5 && x.rank == 5 && dy.n[0] == x.n[0];

    TRY(check_geometry(c));
    for (int i = 0; fits && i < 3; i++)
        fits = out_size(x.n[1 + i], c, i) == dy.n[1 + i];
    if (!fits || x.n[4] % c->groups || dy.n[4] % c->groups)
        return err_set(ERR_SHAPE, "gradient %s does not belong to image %s", dims_text(&dy, a),
                       dims_text(&x, b));
    infer_like_first(g, n);
    n->out_dims[0] = DIMS5(dy.n[4], x.n[4] / c->groups, c->kernel[0], c->kernel[1], c->kernel[2]);
    return ERR_OK;
}

/* Calls body for every (output voxel, tap) pair inside the image. The three rows differ only in what they do
 * there. */
struct pair {
    const struct conv *c;
    int64_t x_at, y_at, tap; /* voxel indices in x and y, tap index */
};
typedef void pair_fn(const struct pair *p, const struct ref_args *a);

static void each_tap(struct pair *p, const int64_t o[3], int64_t n, const struct dims *x, pair_fn *body,
                     const struct ref_args *a)
{
    const struct conv *c = p->c;
    int64_t in[3];

    p->tap = 0;
    for (int64_t kd = 0; kd < c->kernel[0]; kd++)
        for (int64_t kh = 0; kh < c->kernel[1]; kh++)
            for (int64_t kw = 0; kw < c->kernel[2]; kw++, p->tap++) {
                const int64_t k[3] = {kd, kh, kw};
                bool inside = true;
                for (int i = 0; i < 3; i++) {
                    in[i] = o[i] * c->stride[i] + k[i] * c->dilation[i] - c->pad[i];
                    inside &= in[i] >= 0 && in[i] < x->n[1 + i];
                }
                p->x_at = ((n * x->n[1] + in[0]) * x->n[2] + in[1]) * x->n[3] + in[2];
                if (inside)
                    body(p, a);
            }
}

static void each_pair(const struct ref_args *a, const struct dims *x, const struct dims *y, pair_fn *body)
{
    struct pair p = {.c = &a->node->attr.conv};

    for (int64_t n = 0; n < y->n[0]; n++)
        for (int64_t d = 0; d < y->n[1]; d++)
            for (int64_t h = 0; h < y->n[2]; h++)
                for (int64_t w = 0; w < y->n[3]; w++, p.y_at++)
                    each_tap(&p, (int64_t[]){d, h, w}, n, x, body, a);
}

static void zero(const struct ref_args *a)
{
    memset(a->out[0], 0, (size_t)dims_count(&a->out_dims[0]) * sizeof(double));
}

static void conv_pair(const struct pair *p, const struct ref_args *a)
{
    const struct dims *w = &a->in_dims[1];
    int64_t ci = w->n[1], co = w->n[0], taps = w->n[2] * w->n[3] * w->n[4], per = co / p->c->groups;
    const double *x = a->in[0] + p->x_at * ci * p->c->groups;

    for (int64_t o = 0; o < co; o++)
        for (int64_t i = 0; i < ci; i++)
            a->out[0][p->y_at * co + o] += x[o / per * ci + i] * a->in[1][(o * ci + i) * taps + p->tap];
}

static void conv_dx_pair(const struct pair *p, const struct ref_args *a)
{
    const struct dims *w = &a->in_dims[1];
    int64_t ci = w->n[1], co = w->n[0], taps = w->n[2] * w->n[3] * w->n[4], per = co / p->c->groups;
    double *dx = a->out[0] + p->x_at * ci * p->c->groups;

    for (int64_t o = 0; o < co; o++)
        for (int64_t i = 0; i < ci; i++)
            dx[o / per * ci + i] += a->in[0][p->y_at * co + o] * a->in[1][(o * ci + i) * taps + p->tap];
}

static void conv_dw_pair(const struct pair *p, const struct ref_args *a)
{
    const struct dims *w = &a->out_dims[0];
    int64_t ci = w->n[1], co = w->n[0], taps = w->n[2] * w->n[3] * w->n[4], per = co / p->c->groups;
    const double *x = a->in[1] + p->x_at * ci * p->c->groups;

    for (int64_t o = 0; o < co; o++)
        for (int64_t i = 0; i < ci; i++)
            a->out[0][(o * ci + i) * taps + p->tap] += a->in[0][p->y_at * co + o] * x[o / per * ci + i];
}

static void conv_ref(const struct ref_args *a)
{
    int64_t co = a->out_dims[0].n[4];

    zero(a);
    if (a->node->n_in == 3)
        for (int64_t i = 0; i < dims_count(&a->out_dims[0]); i++)
            a->out[0][i] = a->in[2][i % co];
    each_pair(a, &a->in_dims[0], &a->out_dims[0], conv_pair);
}

static void conv_dx_ref(const struct ref_args *a)
{
    zero(a);
    each_pair(a, &a->out_dims[0], &a->in_dims[0], conv_dx_pair);
}

static void conv_dw_ref(const struct ref_args *a)
{
    zero(a);
    each_pair(a, &a->in_dims[1], &a->in_dims[0], conv_dw_pair);
}

/* ---- the closed family of gradients ---- */

static void image_size(const struct graph *g, val x, struct conv *c)
{
    struct dims d = graph_dims(g, x);

    memcpy(c->size, d.n + 1, sizeof c->size);
}

static void conv_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    struct conv c = n->attr.conv;
    struct dims d = graph_dims(g, n->in[0]);
    val x = n->in[0], w = n->in[1];

    memcpy(c.size, d.n + 1, sizeof c.size);
    dx[0] = op_conv_dx(g, dy[0], w, &c);
    dx[1] = op_conv_dw(g, dy[0], x, &c);
    if (n->n_in == 3)
        dx[2] = op_reshape(g, op_sum(g, dy[0], AXIS_N | AXES_SPACE), graph_dims(g, n->in[2]));
}

static void conv_dx_vjp(struct graph *g, const struct node *n, const val dz[], val dx[])
{
    val dy = n->in[0], w = n->in[1];

    dx[0] = op_conv(g, dz[0], w, (val){0}, &n->attr.conv);
    dx[1] = op_conv_dw(g, dy, dz[0], &n->attr.conv);
}

static void conv_dw_vjp(struct graph *g, const struct node *n, const val dw[], val dx[])
{
    struct conv c = n->attr.conv;
    val dy = n->in[0], x = n->in[1];

    image_size(g, x, &c);
    dx[0] = op_conv(g, x, dw[0], (val){0}, &c);
    dx[1] = op_conv_dx(g, dy, dw[0], &c);
}

/* ---- samples ---- */

struct geometry {
    int64_t n, in[3], ci, co;
    struct conv c;
};

static const struct geometry geometry[] = {
    {2, {4, 5, 6}, 3, 5, {.kernel = CUBE(3), .stride = CUBE(1), .pad = CUBE(1)}},
    {1, {5, 6, 7}, 4, 18, {.kernel = CUBE(3), .stride = CUBE(2), .pad = CUBE(1)}},
    {2, {4, 4, 6}, 6, 3, {.kernel = CUBE(2), .stride = CUBE(2)}},
    {1, {3, 4, 5}, 17, 2, {.kernel = CUBE(1), .stride = CUBE(1)}},
    {1, {3, 6, 7}, 2, 4, {.kernel = {1, 3, 3}, .stride = {1, 2, 1}, .pad = {0, 1, 1}}},
    {1, {1, 9, 8}, 3, 2, {.kernel = {1, 7, 7}, .stride = CUBE(1), .pad = {0, 3, 3}}},
    {1, {6, 5, 7}, 2, 3, {.kernel = CUBE(3), .stride = CUBE(1), .pad = CUBE(2), .dilation = CUBE(2)}},
    {1, {4, 5, 4}, 6, 4, {.kernel = CUBE(3), .stride = CUBE(1), .pad = CUBE(1), .groups = 2}},
    {1, {5, 8, 6}, 1, 16, {.kernel = {4, 4, 2}, .stride = {2, 2, 1}, .pad = {1, 1, 0}}},
    {1, {6, 7, 7}, 3, 2, {.kernel = CUBE(2), .stride = CUBE(3), .pad = {0, 1, 0}}},
};

static struct dims y_dims(const struct geometry *q, const struct conv *c)
{
    return DIMS5(q->n, out_size(q->in[0], c, 0), out_size(q->in[1], c, 1), out_size(q->in[2], c, 2), q->co);
}

static void each_geometry(struct sampler *s, int op)
{
    for (size_t i = 0; i < sizeof geometry / sizeof *geometry; i++) {
        const struct geometry *q = &geometry[i];
        struct sample c = {.n_in = 2};
        struct dims x = DIMS5(q->n, q->in[0], q->in[1], q->in[2], q->ci), w, y;
        c.attr = attr_none();
        c.attr.conv = q->c;
        resolve(&c.attr.conv);
        w = DIMS5(q->co, q->ci / c.attr.conv.groups, q->c.kernel[0], q->c.kernel[1], q->c.kernel[2]);
        y = y_dims(q, &c.attr.conv);
        c.in[0] = op == OP_CONV ? x : y;
        c.in[1] = op == OP_CONV_DW ? x : w;
        if (op == OP_CONV_DX)
            memcpy(c.attr.conv.size, q->in, sizeof q->in);
        sampler_add(s, &c);
        c.n_in = 3;
        c.in[2] = DIMS1(q->co);
        if (op == OP_CONV && i % 2 == 0)
            sampler_add(s, &c);
    }
}

static void conv_sample(struct sampler *s)
{
    each_geometry(s, OP_CONV);
}

static void conv_dx_sample(struct sampler *s)
{
    each_geometry(s, OP_CONV_DX);
}

static void conv_dw_sample(struct sampler *s)
{
    each_geometry(s, OP_CONV_DW);
}

#define CONV(NAME, n)                                                                                        \
    const struct op op_row_##NAME = {.name = #NAME,                                                          \
                                     .arity = n,                                                             \
                                     .flags = OP_BILINEAR,                                                   \
                                     .infer = NAME##_infer,                                                  \
                                     .vjp = NAME##_vjp,                                                      \
                                     .ref = NAME##_ref,                                                      \
                                     .sample = NAME##_sample}
CONV(conv, -1);
CONV(conv_dx, 2);
CONV(conv_dw, 2);

/* ---- builders ---- */

static val convolved(struct graph *g, int op, int n_in, const val in[], const struct conv *c)
{
    union attr t = attr_none();

    t.conv = *c;
    resolve(&t.conv);
    if (op != OP_CONV_DX)
        memset(t.conv.size, 0, sizeof t.conv.size);
    return graph_node(g, op, &t, n_in, in);
}

val op_conv(struct graph *g, val x, val w, val bias, const struct conv *c)
{
    return convolved(g, OP_CONV, graph_null(bias) ? 2 : 3, (val[]){x, w, bias}, c);
}

val op_conv_dx(struct graph *g, val dy, val w, const struct conv *c)
{
    struct dims d = graph_dims(g, dy);
    struct conv full = *c;

    resolve(&full);
    for (int i = 0; i < 3; i++)
        if (!full.size[i])
            full.size[i] = (d.n[1 + i] - 1) * full.stride[i] + span(&full, i) - 2 * full.pad[i];
    return convolved(g, OP_CONV_DX, 2, (val[]){dy, w}, &full);
}

val op_conv_dw(struct graph *g, val dy, val x, const struct conv *c)
{
    return convolved(g, OP_CONV_DW, 2, (val[]){dy, x}, c);
}
