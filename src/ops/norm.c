/* Normalisation over space and groups of channels (groups = C: instance norm), and the same fused with an
 * added residual and a leaky ReLU. x is (N, D, H, W, C); statistics are per (n, group) with the biased
 * variance. norm      (x [, gamma, beta])              -> y = (x - mean) rstd gamma + beta, mean (N, G), rstd
 * (N, G) norm_act  (x, gamma, beta [, residual])    -> leaky_relu(norm + residual), mean, rstd The fused
 * gradients read the saved statistics; their expansions recompute them from x, so that second derivatives go
 * through the statistics too. */
#include "ops/row.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static int64_t groups_of(const struct node *n, int64_t channels)
{
    return n->attr.norm.groups ? n->attr.norm.groups : channels;
}

static enum err check_vector(const struct graph *g, val v, int64_t channels, const char *what)
{
    struct dims d = graph_dims(g, v);
    char text[160];

    if (d.rank != 1 || d.n[0] != channels)
        return err_set(ERR_SHAPE, "%s %s for %" PRId64 " channels", what, dims_text(&d, text), channels);
    return ERR_OK;
}

static enum err norm_shapes(const struct graph *g, struct node *n)
{
    struct dims x = graph_dims(g, n->in[0]);
    int64_t groups;
    char text[160];

    if (x.rank != 5)
        return err_set(ERR_SHAPE, "needs (N, D, H, W, C), not %s", dims_text(&x, text));
    groups = groups_of(n, x.n[4]);
    if (groups < 1 || x.n[4] % groups)
        return err_set(ERR_SHAPE, "%" PRId64 " channels in %" PRId64 " groups", x.n[4], groups);
    if (n->n_in >= 3) {
        TRY(check_vector(g, n->in[1], x.n[4], "gamma"));
        TRY(check_vector(g, n->in[2], x.n[4], "beta"));
    }
    infer_like_first(g, n);
    n->n_out = 3;
    n->out_dims[1] = n->out_dims[2] = DIMS2(x.n[0], groups);
    n->out_type[1] = n->out_type[2] = n->out_type[0];
    return ERR_OK;
}

static enum err norm_infer(const struct graph *g, struct node *n)
{
    if (n->n_in != 1 && n->n_in != 3)
        return err_set(ERR_SHAPE, "needs x, or x, gamma and beta");
    return norm_shapes(g, n);
}

static enum err norm_act_infer(const struct graph *g, struct node *n)
{
    if (n->n_in != 3 && n->n_in != 4)
        return err_set(ERR_SHAPE, "needs x, gamma, beta and perhaps a residual");
    if (n->n_in == 4) {
        struct dims x = graph_dims(g, n->in[0]), r = graph_dims(g, n->in[3]);
        if (!dims_equal(&x, &r))
            return err_set(ERR_SHAPE, "the residual's shape differs from the image's");
    }
    return norm_shapes(g, n);
}

/* ---- reference ---- */

struct groups {
    int64_t n, voxels, channels, count, per; /* count groups of `per` channels */
};

static struct groups groups_at(const struct ref_args *a, const struct dims *x)
{
    int64_t count = groups_of(a->node, x->n[4]);

    return (struct groups){x->n[0], x->n[1] * x->n[2] * x->n[3], x->n[4], count, x->n[4] / count};
}

/* Sum of f over a group's elements is what every loop here does; `at` runs over them. */
#define EACH_IN_GROUP(q, n, k, at)                                                                           \
    for (int64_t v_ = 0; v_ < (q).voxels; v_++)                                                              \
        for (int64_t c_ = (k) * (q).per, at = ((n) * (q).voxels + v_) * (q).channels + c_;                   \
             c_ < ((k) + 1) * (q).per; c_++, at++)

static void statistics_ref(const struct ref_args *a, const struct groups *q)
{
    double m = (double)(q->voxels * q->per);

    for (int64_t n = 0; n < q->n; n++)
        for (int64_t k = 0; k < q->count; k++) {
            double sum = 0, square = 0, mean;
            EACH_IN_GROUP(*q, n, k, at)
            sum += a->in[0][at];
            mean = sum / m;
            EACH_IN_GROUP(*q, n, k, at)
            square += (a->in[0][at] - mean) * (a->in[0][at] - mean);
            a->out[1][n * q->count + k] = mean;
            a->out[2][n * q->count + k] = 1 / sqrt(square / m + a->node->attr.norm.eps);
        }
}

static void norm_ref(const struct ref_args *a)
{
    struct groups q = groups_at(a, &a->in_dims[0]);
    bool affine = a->node->n_in >= 3;

    statistics_ref(a, &q);
    for (int64_t i = 0; i < q.n * q.voxels * q.channels; i++) {
        int64_t c = i % q.channels, s = i / (q.voxels * q.channels) * q.count + c / q.per;
        double hat = (a->in[0][i] - a->out[1][s]) * a->out[2][s];
        a->out[0][i] = affine ? hat * a->in[1][c] + a->in[2][c] : hat;
    }
}

static void norm_act_ref(const struct ref_args *a)
{
    norm_ref(a);
    for (int64_t i = 0; i < dims_count(&a->out_dims[0]); i++) {
        double y = a->out[0][i] + (a->node->n_in == 4 ? a->in[3][i] : 0);
        a->out[0][i] = y > 0 ? y : a->node->attr.norm.slope * y;
    }
}

/* dx = rstd (g gamma - mean(g gamma) - xhat mean(g gamma xhat)); dgamma = sum g xhat; dbeta = sum g. */
struct back {
    const double *g, *x, *mean, *rstd, *gamma; /* gamma may be NULL */
    double *dx, *dgamma, *dbeta;
};

static void norm_back_ref(const struct groups *q, const struct back *b)
{
    double m = (double)(q->voxels * q->per);

    for (int64_t n = 0; n < q->n; n++)
        for (int64_t k = 0; k < q->count; k++) {
            int64_t s = n * q->count + k;
            double sum = 0, sum_hat = 0;
            EACH_IN_GROUP(*q, n, k, at)
            {
                double hat = (b->x[at] - b->mean[s]) * b->rstd[s],
                       g = b->g[at] * (b->gamma ? b->gamma[c_] : 1);
                sum += g;
                sum_hat += g * hat;
                if (b->gamma) {
                    b->dgamma[c_] += b->g[at] * hat;
                    b->dbeta[c_] += b->g[at];
                }
            }
            EACH_IN_GROUP(*q, n, k, at)
            {
                double hat = (b->x[at] - b->mean[s]) * b->rstd[s],
                       g = b->g[at] * (b->gamma ? b->gamma[c_] : 1);
                b->dx[at] = b->rstd[s] * (g - sum / m - hat * sum_hat / m);
            }
        }
}

static void norm_grad_ref(const struct ref_args *a)
{
    struct groups q = groups_at(a, &a->in_dims[1]);
    bool affine = a->node->n_in == 5;
    struct back b = {a->in[0], a->in[1], a->in[2], a->in[3], affine ? a->in[4] : NULL, a->out[0], NULL, NULL};

    for (int k = 1; affine && k < 3; k++)
        memset(a->out[k], 0, (size_t)q.channels * sizeof(double));
    if (affine)
        b.dgamma = a->out[1], b.dbeta = a->out[2];
    norm_back_ref(&q, &b);
}

static void norm_act_grad_ref(const struct ref_args *a)
{
    struct groups q = groups_at(a, &a->in_dims[2]);
    double *g = a->out[3];
    struct back b = {g, a->in[2], a->in[3], a->in[4], a->in[5], a->out[0], a->out[1], a->out[2]};

    for (int64_t i = 0; i < q.n * q.voxels * q.channels; i++)
        g[i] = a->in[0][i] * (a->in[1][i] > 0 ? 1 : a->node->attr.norm.slope);
    for (int k = 1; k < 3; k++)
        memset(a->out[k], 0, (size_t)q.channels * sizeof(double));
    norm_back_ref(&q, &b);
}

/* ---- expansions ---- */

static val per_channel(struct graph *g, val v)
{
    return op_reshape(g, v, DIMS5(1, 1, 1, 1, graph_dims(g, v).n[0]));
}

/* y, mean, rstd of (x [, gamma, beta]) from reductions and pointwise ops. */
static void norm_from_parts(struct graph *g, const struct node *n, const val in[3], val y[3])
{
    struct dims x = graph_dims(g, in[0]), grouped, stats;
    int64_t groups = groups_of(n, x.n[4]);
    val z, mean, centred, rstd;

    if (graph_null(in[0])) { /* the graph has failed already: there are no extents to divide by */
        y[0] = y[1] = y[2] = (val){0};
        return;
    }
    grouped = DIMS4(x.n[0], x.n[1] * x.n[2] * x.n[3], groups, x.n[4] / groups);
    stats = DIMS2(x.n[0], groups);
    z = op_reshape(g, in[0], grouped);
    mean = op_mean(g, z, AXIS(1) | AXIS(3));
    centred = op_sub(g, z, mean);
    rstd = op_mean(g, op_square(g, centred), AXIS(1) | AXIS(3));
    rstd = op_div(g, op_scalar(g, 1), op_sqrt(g, op_add_scalar(g, rstd, n->attr.norm.eps)));
    y[0] = op_reshape(g, op_mul(g, centred, rstd), x);
    if (!graph_null(in[1]))
        y[0] = op_mul(g, y[0], per_channel(g, in[1]));
    if (!graph_null(in[2]))
        y[0] = op_add(g, y[0], per_channel(g, in[2]));
    y[1] = op_reshape(g, mean, stats);
    y[2] = op_reshape(g, rstd, stats);
}

static void norm_expand(struct graph *g, const struct node *n, val y[])
{
    val in[3] = {n->in[0], n->n_in == 3 ? n->in[1] : (val){0}, n->n_in == 3 ? n->in[2] : (val){0}};

    norm_from_parts(g, n, in, y);
}

static val leaky(struct graph *g, val a, double slope)
{
    union attr t = attr_none();

    t.scalar = slope;
    return graph_node(g, OP_LEAKY_RELU, &t, 1, &a);
}

static void norm_act_expand(struct graph *g, const struct node *n, val y[])
{
    norm_from_parts(g, n, n->in, y);
    if (n->n_in == 4)
        y[0] = op_add(g, y[0], n->in[3]);
    y[0] = leaky(g, y[0], n->attr.norm.slope);
}

/* dx, dgamma, dbeta as the gradient of the expanded norm. */
static void norm_back_from_parts(struct graph *g, const struct node *n, val dy, const val in[2], val d[3])
{
    val y[3], beta = {0}, x[3] = {in[0], in[1]};
    int n_x = 1;

    if (!graph_null(in[1])) {
        beta = op_constant(g, 0, graph_dims(g, in[1]));
        n_x = 3;
    }
    x[2] = beta;
    norm_from_parts(g, n, x, y);
    graph_vjp(g, 1, y, &dy, n_x, x, d);
    if (n_x == 3) /* beta is a constant of zeros that folds away; its gradient is plain */
        d[2] = op_reshape(g, op_sum(g, dy, AXIS_N | AXES_SPACE), graph_dims(g, in[1]));
}

static void norm_grad_expand(struct graph *g, const struct node *n, val d[])
{
    val in[2] = {n->in[1], n->n_in == 5 ? n->in[4] : (val){0}};
    val full[3];

    norm_back_from_parts(g, n, n->in[0], in, full);
    memcpy(d, full, (size_t)n->n_out * sizeof *d);
}

static val activation_slope(struct graph *g, const struct node *n, val y)
{
    return op_where(g, op_less(g, op_scalar(g, 0), y), op_scalar(g, 1), op_scalar(g, n->attr.norm.slope));
}

static void norm_act_grad_expand(struct graph *g, const struct node *n, val d[])
{
    val in[2] = {n->in[2], n->in[5]};

    d[3] = op_mul(g, n->in[0], activation_slope(g, n, n->in[1]));
    norm_back_from_parts(g, n, d[3], in, d);
}

/* ---- gradients ---- */

static enum err norm_grad_infer(const struct graph *g, struct node *n)
{
    struct dims x = graph_dims(g, n->in[1]);

    if (n->n_in != 4 && n->n_in != 5)
        return err_set(ERR_SHAPE, "needs dy, x, mean, rstd and perhaps gamma");
    n->n_out = n->n_in == 5 ? 3 : 1;
    for (int k = 0; k < n->n_out; k++) {
        n->out_dims[k] = k ? DIMS1(x.n[4]) : x;
        n->out_type[k] = graph_type(g, n->in[0]);
    }
    return ERR_OK;
}

static enum err norm_act_grad_infer(const struct graph *g, struct node *n)
{
    struct dims x = graph_dims(g, n->in[2]);

    n->n_out = 4;
    for (int k = 0; k < 4; k++) {
        n->out_dims[k] = k == 1 || k == 2 ? DIMS1(x.n[4]) : x;
        n->out_type[k] = graph_type(g, n->in[0]);
    }
    return ERR_OK;
}

static bool statistics_used(const val dy[])
{
    return !graph_null(dy[1]) || !graph_null(dy[2]);
}

static void norm_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    val in[5] = {dy[0], n->in[0], node_out(n, 1), node_out(n, 2), n->n_in == 3 ? n->in[1] : (val){0}}, d;

    if (statistics_used(dy)) {
        graph_vjp_by_expand(g, n, dy, dx);
        return;
    }
    d = graph_node(g, OP_NORM_GRAD, &n->attr, n->n_in == 3 ? 5 : 4, in);
    for (int k = 0; k < n->n_in; k++)
        dx[k] = graph_out(g, d, k);
}

static void norm_act_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    val in[6] = {dy[0], node_out(n, 0), n->in[0], node_out(n, 1), node_out(n, 2), n->in[1]}, d;

    if (statistics_used(dy)) {
        graph_vjp_by_expand(g, n, dy, dx);
        return;
    }
    d = graph_node(g, OP_NORM_ACT_GRAD, &n->attr, 6, in);
    for (int k = 0; k < n->n_in; k++)
        dx[k] = graph_out(g, d, k);
}

/* ---- samples ---- */

static void norm_cases(struct sampler *s, int n_in, bool act)
{
    static const struct {
        struct dims x;
        int64_t groups;
    } shape[] = {{{5, {2, 3, 2, 5, 4}}, 0},
                 {{5, {1, 2, 3, 4, 6}}, 3},
                 {{5, {2, 1, 4, 3, 17}}, 0},
                 {{5, {1, 3, 3, 3, 4}}, 1}};

    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        struct sample c = {.n_in = n_in,
                           .in = {shape[i].x, DIMS1(shape[i].x.n[4]), DIMS1(shape[i].x.n[4]), shape[i].x}};
        c.attr = attr_none();
        c.attr.norm.groups = shape[i].groups;
        c.attr.norm.eps = 1e-5;
        if (act)
            c.attr.norm.slope = 0.01;
        sampler_add(s, &c);
    }
}

static void norm_sample(struct sampler *s)
{
    norm_cases(s, 1, false);
    norm_cases(s, 3, false);
}

static void norm_act_sample(struct sampler *s)
{
    norm_cases(s, 3, true);
    norm_cases(s, 4, true);
}

static void grad_cases(struct sampler *s, int n_in, bool act)
{
    static const struct dims shape[] = {{5, {2, 3, 2, 5, 4}}, {5, {1, 2, 3, 4, 17}}};

    for (size_t i = 0; i < 2; i++) {
        struct dims x = shape[i], stats = DIMS2(x.n[0], x.n[4]), gamma = DIMS1(x.n[4]);
        struct sample c = {.n_in = n_in, .in = {x, x, stats, stats, gamma}};
        c.attr = attr_none();
        c.attr.norm.eps = 1e-5;
        if (act) {
            c.attr.norm.slope = 0.01;
            c.in[2] = x, c.in[3] = c.in[4] = stats, c.in[5] = gamma;
        }
        c.fill[act ? 4 : 3] = FILL_POSITIVE;
        sampler_add(s, &c);
    }
}

static void norm_grad_sample(struct sampler *s)
{
    grad_cases(s, 4, false);
    grad_cases(s, 5, false);
}

static void norm_act_grad_sample(struct sampler *s)
{
    grad_cases(s, 6, true);
}

const struct op op_row_norm = {.name = "norm",
                               .arity = -1,
                               .infer = norm_infer,
                               .expand = norm_expand,
                               .vjp = norm_vjp,
                               .ref = norm_ref,
                               .sample = norm_sample};
const struct op op_row_norm_grad = {.name = "norm_grad",
                                    .arity = -1,
                                    .flags = OP_BACKWARD,
                                    .infer = norm_grad_infer,
                                    .expand = norm_grad_expand,
                                    .ref = norm_grad_ref,
                                    .sample = norm_grad_sample};
const struct op op_row_norm_act = {.name = "norm_act",
                                   .arity = -1,
                                   .infer = norm_act_infer,
                                   .expand = norm_act_expand,
                                   .vjp = norm_act_vjp,
                                   .ref = norm_act_ref,
                                   .sample = norm_act_sample};
const struct op op_row_norm_act_grad = {.name = "norm_act_grad",
                                        .arity = 6,
                                        .flags = OP_BACKWARD,
                                        .infer = norm_act_grad_infer,
                                        .expand = norm_act_grad_expand,
                                        .ref = norm_act_grad_ref,
                                        .sample = norm_act_grad_sample};

/* ---- builders; fusing happens here, before differentiation ---- */

val op_norm(struct graph *g, val x, val gamma, val beta, int64_t groups, double eps)
{
    union attr t = attr_none();
    struct dims d = graph_dims(g, x);

    t.norm.groups = groups == d.n[4] ? 0 : groups;
    t.norm.eps = eps;
    return graph_node(g, OP_NORM, &t, graph_null(gamma) ? 1 : 3, (val[]){x, gamma, beta});
}

static const struct node *affine_norm(const struct graph *g, val v)
{
    const struct node *n = graph_node_of(g, v);

    return n && n->id == OP_NORM && n->n_in == 3 && n->first_out == v.id ? n : NULL;
}

val op_leaky_relu(struct graph *g, val a, double slope)
{
    const struct node *sum = graph_node_of(g, a), *norm = affine_norm(g, a);
    val in[4] = {0};
    union attr t;

    if (!norm && sum && sum->id == OP_ADD) {
        struct dims r, s = graph_dims(g, a);
        int at = affine_norm(g, sum->in[0]) ? 0 : 1;
        norm = affine_norm(g, sum->in[at]);
        in[3] = sum->in[1 - at];
        r = graph_dims(g, in[3]);
        if (norm && (!dims_equal(&r, &s) || !dims_equal(&norm->out_dims[0], &s)))
            norm = NULL;
    }
    if (!norm)
        return leaky(g, a, slope);
    memcpy(in, norm->in, 3 * sizeof *in);
    memcpy(&t, &norm->attr, sizeof t);
    t.norm.slope = slope;
    return graph_node(g, OP_NORM_ACT, &t, graph_null(in[3]) ? 3 : 4, in);
}
