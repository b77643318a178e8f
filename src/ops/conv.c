/* Convolution and its two gradients: a closed family, each one's derivatives are the other two.
 *   conv     y[o] = sum over taps t, channels of x[s o + d t - p] w[t]     (cross-correlation)
 *   conv_dx  the adjoint in x (a transposed convolution when used forwards)
 *   conv_dw  the adjoint in w
 * Outside the image x reads zero or, by pad_mode, a voxel of it: conv_dx adds what belongs to the padding to
 * the voxels that were read.
 * Operands may be bf16 (pass_bf16.c puts them there): the result and a bias are float then.
 * Activations (N, D, H, W, C); weights (out, in / groups, kD, kH, kW) as PyTorch stores them. Hooks (enum
 * hook in graph/graph.h) put the rows of stage.c before and behind them. */
#include "ops/conv.h"

#include <inttypes.h>
#include <string.h>

static int64_t span(const struct conv *c, int i)
{
    return (c->kernel[i] - 1) * c->dilation[i] + 1;
}

void ops_conv_resolve(struct conv *c)
{
    for (int i = 0; i < 3; i++) {
        c->kernel[i] = c->kernel[i] ? c->kernel[i] : 1;
        c->stride[i] = c->stride[i] ? c->stride[i] : 1;
        c->dilation[i] = c->dilation[i] ? c->dilation[i] : 1;
    }
    c->groups = c->groups ? c->groups : 1;
    if (!c->pad[0] && !c->pad[1] && !c->pad[2])
        c->pad_mode = PAD_ZERO;
    c->out = 0; /* a layer's option, not part of the op */
}

static enum err check_geometry(const struct conv *c)
{
    for (int i = 0; i < 3; i++)
        if (c->kernel[i] < 1 || c->stride[i] < 1 || c->dilation[i] < 1 || c->pad[i] < 0)
            return err_set(ERR_SHAPE, "kernel, stride and dilation must be positive, padding not negative");
    if (c->pad_mode < PAD_ZERO || c->pad_mode > PAD_REPLICATE)
        return err_set(ERR_SHAPE, "there is no padding mode %" PRId64 ", only zero, reflect and replicate",
                       c->pad_mode);
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

int64_t ops_conv_size(int64_t in, const struct conv *c, int i)
{
    int64_t room = in + 2 * c->pad[i] - span(c, i);

    return room < 0 ? 0 : room / c->stride[i] + 1;
}

/* `size` is the image's. */
static enum err check_padding(const int64_t size[3], const struct conv *c)
{
    for (int i = 0; i < 3; i++)
        if (c->pad_mode == PAD_REFLECT && c->pad[i] && c->pad[i] >= size[i])
            return err_set(ERR_SHAPE,
                           "an axis of %" PRId64 " cannot reflect a padding of %" PRId64
                           ": pad less than the size, or replicate",
                           size[i], c->pad[i]);
    return ERR_OK;
}

/* Operands of one type; bf16 ones have a float result. */
static enum err infer_type(const struct graph *g, struct node *n)
{
    const enum dtype a = graph_type(g, n->in[0]), b = graph_type(g, n->in[1]);

    if (a != b)
        return err_set(ERR_SHAPE, "operands have types %s and %s", dtype_name(a), dtype_name(b));
    TRY(infer_like_first(g, n));
    n->out_type[0] = a == DT_BF16 ? DT_F32 : a;
    return ERR_OK;
}

/* The inputs that hooks and a bias add to the first two, and the output: x, y are the values so named, NULL
 * for the one that is computed (output 0, which out_dims[0] describes). */
static enum err infer_hooks(const struct graph *g, struct node *n, const struct dims *x, const struct dims *y)
{
    const int64_t h = n->attr.conv.hooks;
    const struct conv_inputs at = conv_inputs_of(n);
    const struct dims *out = &n->out_dims[0];

    if ((h & HOOK_X_STAGE && !x) || (h & HOOK_Y_STAGE && !y) || (h & HOOK_MOMENTS && h & HOOK_GATE) ||
        (h & (HOOK_MOMENTS | HOOK_GATE) && x && y))
        return err_set(ERR_SHAPE, "hooks %" PRId64 " do not go with it", h);
    if (at.bias >= 0)
        TRY(infer_need(g, n->in[at.bias], DIMS1(out->n[4]), "bias"));
    if (at.x_coef >= 0)
        TRY(infer_need(g, n->in[at.x_coef], conv_rows(x, COEF_ROWS), "coefficients of x"));
    if (at.y_coef >= 0)
        TRY(infer_need(g, n->in[at.y_coef], conv_rows(y, COEF_ROWS), "coefficients of y"));
    if (at.z >= 0)
        TRY(infer_need(g, n->in[at.z], *out, "gate"));
    if (at.z >= 0)
        TRY(infer_need(g, n->in[at.z_coef], conv_rows(out, COEF_ROWS), "coefficients of the gate"));
    if (h & (HOOK_MOMENTS | HOOK_GATE)) {
        n->n_out = 2;
        n->out_dims[1] = conv_rows(out, 2);
        n->out_type[1] = n->out_type[0];
    }
    return ERR_OK;
}

/* Two inputs, a bias if it can take one, and what its hooks read. */
static enum err check_count(const struct node *n, bool bias)
{
    const int64_t h = n->attr.conv.hooks;
    int base = n->n_in - !!(h & HOOK_X_STAGE) - !!(h & HOOK_Y_STAGE) - 2 * !!(h & HOOK_GATE);

    return base == 2 || (bias && base == 3) ? ERR_OK : err_set(ERR_SHAPE, "has %d inputs", n->n_in);
}

static enum err conv_infer(const struct graph *g, struct node *n)
{
    const struct conv *c = &n->attr.conv;
    struct dims x, w;
    char a[160], b[160];

    TRY(check_count(n, true));
    x = graph_dims(g, n->in[0]);
    w = graph_dims(g, n->in[1]);
    TRY(check_geometry(c));
    TRY(check_weight(&w, c));
    if (x.rank != 5 || x.n[4] != w.n[1] * c->groups)
        return err_set(ERR_SHAPE, "image %s does not fit weight %s", dims_text(&x, a), dims_text(&w, b));
    TRY(check_padding(x.n + 1, c));
    TRY(infer_type(g, n));
    for (int i = 0; i < 3; i++) {
        n->out_dims[0].n[1 + i] = ops_conv_size(x.n[1 + i], c, i);
        if (n->out_dims[0].n[1 + i] < 1)
            return err_set(ERR_SHAPE, "image %s is smaller than the kernel", dims_text(&x, a));
    }
    n->out_dims[0].n[4] = w.n[0];
    return infer_hooks(g, n, &x, NULL);
}

static enum err conv_dx_infer(const struct graph *g, struct node *n)
{
    const struct conv *c = &n->attr.conv;
    struct dims dy, w;
    char a[160], b[160];

    TRY(check_count(n, true));
    dy = graph_dims(g, n->in[0]);
    w = graph_dims(g, n->in[1]);
    TRY(check_geometry(c));
    TRY(check_weight(&w, c));
    if (dy.rank != 5 || dy.n[4] != w.n[0])
        return err_set(ERR_SHAPE, "gradient %s does not fit weight %s", dims_text(&dy, a), dims_text(&w, b));
    TRY(check_padding(c->size, c));
    TRY(infer_type(g, n));
    for (int i = 0; i < 3; i++) {
        if (c->size[i] < 1 || ops_conv_size(c->size[i], c, i) != dy.n[1 + i])
            return err_set(ERR_SHAPE, "an axis of %" PRId64 " does not convolve to %" PRId64, c->size[i],
                           dy.n[1 + i]);
        n->out_dims[0].n[1 + i] = c->size[i];
    }
    n->out_dims[0].n[4] = w.n[1] * c->groups;
    return infer_hooks(g, n, NULL, &dy);
}

static enum err conv_dw_infer(const struct graph *g, struct node *n)
{
    const struct conv *c = &n->attr.conv;
    struct dims dy, x;
    char a[160], b[160];
    bool fits;

    TRY(check_count(n, false));
    dy = graph_dims(g, n->in[0]);
    x = graph_dims(g, n->in[1]);
    fits = dy.rank == 5 && x.rank == 5 && dy.n[0] == x.n[0];
    TRY(check_geometry(c));
    for (int i = 0; fits && i < 3; i++)
        fits = ops_conv_size(x.n[1 + i], c, i) == dy.n[1 + i];
    if (!fits || x.n[4] % c->groups || dy.n[4] % c->groups)
        return err_set(ERR_SHAPE, "gradient %s does not belong to image %s", dims_text(&dy, a),
                       dims_text(&x, b));
    TRY(check_padding(x.n + 1, c));
    TRY(infer_type(g, n));
    n->out_dims[0] = DIMS5(dy.n[4], x.n[4] / c->groups, c->kernel[0], c->kernel[1], c->kernel[2]);
    return infer_hooks(g, n, &x, &dy);
}

/* The position that is read at i on an axis of n, -1 for a zero. */
static int64_t position(int64_t i, int64_t n, int64_t mode)
{
    if (i >= 0 && i < n)
        return i;
    if (mode == PAD_REFLECT)
        return i < 0 ? -i : 2 * (n - 1) - i;
    return mode == PAD_REPLICATE ? (i < 0 ? 0 : n - 1) : -1;
}

/* Calls body for every (output voxel, tap) pair that reads the image. The three rows differ only in what they
 * do there. */
struct pair {
    const struct conv *c;
    int64_t n, x_at, y_at, tap;    /* sample, voxel indices in x and y, tap index */
    const double *x_coef, *y_coef; /* NULL: none */
};
typedef void pair_fn(const struct pair *p, const struct ref_args *a);

static void each_tap(struct pair *p, const int64_t o[3], int64_t n, const struct dims *x, pair_fn *body,
                     const struct ref_args *a)
{
    const struct conv *c = p->c;
    int64_t in[3];

    p->n = n;
    p->tap = 0;
    for (int64_t kd = 0; kd < c->kernel[0]; kd++)
        for (int64_t kh = 0; kh < c->kernel[1]; kh++)
            for (int64_t kw = 0; kw < c->kernel[2]; kw++, p->tap++) {
                const int64_t k[3] = {kd, kh, kw};
                bool inside = true;
                for (int i = 0; i < 3; i++) {
                    in[i] = position(o[i] * c->stride[i] + k[i] * c->dilation[i] - c->pad[i], x->n[1 + i],
                                     c->pad_mode);
                    inside &= in[i] >= 0;
                }
                p->x_at = ((n * x->n[1] + in[0]) * x->n[2] + in[1]) * x->n[3] + in[2];
                if (inside)
                    body(p, a);
            }
}

static void each_pair(const struct ref_args *a, const struct dims *x, const struct dims *y, pair_fn *body)
{
    const struct conv_inputs at = conv_inputs_of(a->node);
    struct pair p = {.c = &a->node->attr.conv};

    if (at.x_coef >= 0)
        p.x_coef = a->in[at.x_coef];
    if (at.y_coef >= 0)
        p.y_coef = a->in[at.y_coef];

    for (int64_t n = 0; n < y->n[0]; n++)
        for (int64_t d = 0; d < y->n[1]; d++)
            for (int64_t h = 0; h < y->n[2]; h++)
                for (int64_t w = 0; w < y->n[3]; w++, p.y_at++)
                    each_tap(&p, (int64_t[]){d, h, w}, n, x, body, a);
}

/* Before the sums: the bias, or zero. */
static void begin(const struct ref_args *a)
{
    const int bias = conv_inputs_of(a->node).bias;
    int64_t c = a->out_dims[0].n[4];

    for (int64_t i = 0; i < dims_count(&a->out_dims[0]); i++)
        a->out[0][i] = bias >= 0 ? a->in[bias][i % c] : 0;
}

/* Behind them: what is known about the result, or the gate. */
static void end(const struct ref_args *a)
{
    const struct conv_inputs at = conv_inputs_of(a->node);

    if (a->node->attr.conv.hooks & HOOK_MOMENTS)
        ref_moments(a->out[0], &a->out_dims[0], a->out[1]);
    if (at.z >= 0)
        ref_gate(a->out[0], a->in[at.z], a->in[at.z_coef], &a->out_dims[0], a->out[1]);
}

/* Channel c of voxel `at`, through the stage if there is one. */
static double read_at(const struct pair *p, const double *coef, const double *x, int64_t channels, int64_t c)
{
    return coef ? ref_stage(coef + p->n * COEF_ROWS * channels, channels, c, x[c]) : x[c];
}

static void conv_pair(const struct pair *p, const struct ref_args *a)
{
    const struct dims *w = &a->in_dims[1];
    int64_t ci = w->n[1], co = w->n[0], taps = w->n[2] * w->n[3] * w->n[4], per = co / p->c->groups;
    int64_t all = ci * p->c->groups;
    const double *x = a->in[0] + p->x_at * all;

    for (int64_t o = 0; o < co; o++)
        for (int64_t i = 0; i < ci; i++)
            a->out[0][p->y_at * co + o] +=
                read_at(p, p->x_coef, x, all, o / per * ci + i) * a->in[1][(o * ci + i) * taps + p->tap];
}

static void conv_dx_pair(const struct pair *p, const struct ref_args *a)
{
    const struct dims *w = &a->in_dims[1];
    int64_t ci = w->n[1], co = w->n[0], taps = w->n[2] * w->n[3] * w->n[4], per = co / p->c->groups;
    double *dx = a->out[0] + p->x_at * ci * p->c->groups;

    for (int64_t o = 0; o < co; o++) {
        double dy = read_at(p, p->y_coef, a->in[0] + p->y_at * co, co, o);
        for (int64_t i = 0; i < ci; i++)
            dx[o / per * ci + i] += dy * a->in[1][(o * ci + i) * taps + p->tap];
    }
}

static void conv_dw_pair(const struct pair *p, const struct ref_args *a)
{
    const struct dims *w = &a->out_dims[0];
    int64_t ci = w->n[1], co = w->n[0], taps = w->n[2] * w->n[3] * w->n[4], per = co / p->c->groups;
    int64_t all = ci * p->c->groups;
    const double *x = a->in[1] + p->x_at * all;

    for (int64_t o = 0; o < co; o++) {
        double dy = read_at(p, p->y_coef, a->in[0] + p->y_at * co, co, o);
        for (int64_t i = 0; i < ci; i++)
            a->out[0][(o * ci + i) * taps + p->tap] += dy * read_at(p, p->x_coef, x, all, o / per * ci + i);
    }
}

static void conv_ref(const struct ref_args *a)
{
    begin(a);
    each_pair(a, &a->in_dims[0], &a->out_dims[0], conv_pair);
    end(a);
}

static void conv_dx_ref(const struct ref_args *a)
{
    begin(a);
    each_pair(a, &a->out_dims[0], &a->in_dims[0], conv_dx_pair);
    end(a);
}

static void conv_dw_ref(const struct ref_args *a)
{
    begin(a);
    each_pair(a, &a->in_dims[1], &a->in_dims[0], conv_dw_pair);
}

/* ---- hooks as rows of their own ---- */

static bool conv_expands(const struct node *n)
{
    return n->attr.conv.hooks != 0;
}

static void conv_expand(struct graph *g, const struct node *n, val y[])
{
    const struct conv_inputs at = conv_inputs_of(n);
    const int x = n->id == OP_CONV_DW ? 1 : 0;
    union attr t = n->attr;
    val in[3] = {n->in[0], n->in[1], at.bias < 0 ? (val){0} : n->in[2]};

    t.conv.hooks = 0;
    if (at.x_coef >= 0)
        in[x] = graph_node(g, OP_STAGE, NULL, 2, (val[]){in[x], n->in[at.x_coef]});
    if (at.y_coef >= 0)
        in[0] = graph_node(g, OP_STAGE, NULL, 2, (val[]){in[0], n->in[at.y_coef]});
    y[0] = graph_node(g, n->id, &t, at.bias < 0 ? 2 : 3, in);
    if (n->attr.conv.hooks & HOOK_MOMENTS)
        y[1] = graph_node(g, OP_MOMENTS, NULL, 1, y);
    if (at.z >= 0) {
        y[0] = graph_node(g, OP_GATE, NULL, 3, (val[]){y[0], n->in[at.z], n->in[at.z_coef]});
        y[1] = graph_out(g, y[0], 1);
    }
}

/* ---- the closed family of gradients ---- */

static void image_size(const struct graph *g, val x, struct conv *c)
{
    struct dims d = graph_dims(g, x);

    memcpy(c->size, d.n + 1, sizeof c->size);
}

static void bias_vjp(struct graph *g, const struct node *n, val dy, val dx[])
{
    if (n->n_in == 3)
        dx[2] = op_reshape(g, op_sum(g, dy, AXIS_N | AXES_SPACE), graph_dims(g, n->in[2]));
}

static void conv_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    struct conv c = n->attr.conv;
    struct dims d = graph_dims(g, n->in[0]);
    val x = n->in[0], w = n->in[1];

    if (c.hooks) {
        graph_vjp_by_expand(g, n, dy, dx);
        return;
    }
    memcpy(c.size, d.n + 1, sizeof c.size);
    dx[0] = op_conv_dx(g, dy[0], w, (val){0}, &c);
    dx[1] = op_conv_dw(g, dy[0], x, &c);
    bias_vjp(g, n, dy[0], dx);
}

static void conv_dx_vjp(struct graph *g, const struct node *n, const val dz[], val dx[])
{
    val dy = n->in[0], w = n->in[1];

    if (n->attr.conv.hooks) {
        graph_vjp_by_expand(g, n, dz, dx);
        return;
    }
    dx[0] = op_conv(g, dz[0], w, (val){0}, &n->attr.conv);
    dx[1] = op_conv_dw(g, dy, dz[0], &n->attr.conv);
    bias_vjp(g, n, dz[0], dx);
}

static void conv_dw_vjp(struct graph *g, const struct node *n, const val dw[], val dx[])
{
    struct conv c = n->attr.conv;
    val dy = n->in[0], x = n->in[1];

    if (c.hooks) {
        graph_vjp_by_expand(g, n, dw, dx);
        return;
    }
    image_size(g, x, &c);
    dx[0] = op_conv(g, x, dw[0], (val){0}, &c);
    dx[1] = op_conv_dx(g, dy, dw[0], (val){0}, &c);
}

/* ---- the rows ---- */

#define CONV(NAME)                                                                                           \
    const struct op op_row_##NAME = {.name = #NAME,                                                          \
                                     .arity = -1,                                                            \
                                     .flags = OP_BILINEAR,                                                   \
                                     .infer = NAME##_infer,                                                  \
                                     .expand = conv_expand,                                                  \
                                     .expands = conv_expands,                                                \
                                     .vjp = NAME##_vjp,                                                      \
                                     .ref = NAME##_ref,                                                      \
                                     .sample = ops_##NAME##_sample}
CONV(conv);
CONV(conv_dx);
CONV(conv_dw);

/* ---- builders ---- */

static val convolved(struct graph *g, int op, int n_in, const val in[], const struct conv *c)
{
    union attr t = attr_none();

    t.conv = *c;
    ops_conv_resolve(&t.conv);
    t.conv.hooks = 0;
    if (op != OP_CONV_DX)
        memset(t.conv.size, 0, sizeof t.conv.size);
    return graph_node(g, op, &t, n_in, in);
}

val op_conv(struct graph *g, val x, val w, val bias, const struct conv *c)
{
    return convolved(g, OP_CONV, graph_null(bias) ? 2 : 3, (val[]){x, w, bias}, c);
}

val op_conv_dx(struct graph *g, val dy, val w, val bias, const struct conv *c)
{
    struct dims d = graph_dims(g, dy);
    struct conv full = *c;

    ops_conv_resolve(&full);
    for (int i = 0; i < 3; i++)
        if (!full.size[i])
            full.size[i] = (d.n[1 + i] - 1) * full.stride[i] + span(&full, i) - 2 * full.pad[i];
    return convolved(g, OP_CONV_DX, graph_null(bias) ? 2 : 3, (val[]){dy, w, bias}, &full);
}

val op_conv_dw(struct graph *g, val dy, val x, const struct conv *c)
{
    return convolved(g, OP_CONV_DW, 2, (val[]){dy, x}, c);
}
