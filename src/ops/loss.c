/* Softmax over classes, and the segmentation loss fused with it: Dice + ce_weight * cross entropy of logits
 * (N, D, H, W, K) against class indices (N, D, H, W, 1). nnU-Net  (seg-nnunet.md section 9): -mean over
 * samples and foreground classes of (2 I + 1e-5) / max(G + P + 1e-5, 1e-8) squared  (MONAI, seg-backbones.md
 * section 11): mean over samples and all classes of 1 - 2 I / (P + G + 1e-6), P = sum of p^2 with I = sum of
 * p y, P = sum of p, G = sum of y over space (and the batch, if asked for). */
#include "ops/row.h"

#include <math.h>
#include <string.h>

#define NNUNET_SMOOTH 1e-5
#define NNUNET_FLOOR 1e-8
#define SQUARED_SMOOTH 1e-6

/* ---- softmax ---- */

static void softmax_rows(const struct ref_args *a, bool logarithm)
{
    const struct dims *d = &a->in_dims[0];
    int64_t k = d->n[d->rank - 1];

    for (int64_t row = 0; row < dims_count(d) / k; row++) {
        const double *x = a->in[0] + row * k;
        double top = x[0], sum = 0;
        for (int64_t i = 1; i < k; i++)
            top = x[i] > top ? x[i] : top;
        for (int64_t i = 0; i < k; i++)
            sum += exp(x[i] - top);
        for (int64_t i = 0; i < k; i++)
            a->out[0][row * k + i] = logarithm ? x[i] - top - log(sum) : exp(x[i] - top) / sum;
    }
}

static void softmax_ref(const struct ref_args *a)
{
    softmax_rows(a, false);
}

static void log_softmax_ref(const struct ref_args *a)
{
    softmax_rows(a, true);
}

static enum err softmax_infer(const struct graph *g, struct node *n)
{
    if (graph_dims(g, n->in[0]).rank < 1)
        return err_set(ERR_SHAPE, "softmax needs a last axis");
    return infer_like_first(g, n);
}

static unsigned last_axis(const struct graph *g, val a)
{
    return AXIS(graph_dims(g, a).rank - 1);
}

static void softmax_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    val y = node_out(n, 0), inner = op_sum(g, op_mul(g, dy[0], y), last_axis(g, y));

    dx[0] = op_mul(g, y, op_sub(g, dy[0], inner));
}

static void log_softmax_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    val p = op_softmax(g, n->in[0]);

    dx[0] = op_sub(g, dy[0], op_mul(g, p, op_sum(g, dy[0], last_axis(g, p))));
}

static void softmax_sample(struct sampler *s)
{
    static const struct dims shape[] = {{5, {2, 3, 2, 5, 3}}, {2, {7, 33}}, {5, {1, 2, 3, 3, 2}}, {1, {5}}};

    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        struct sample c = {.n_in = 1, .in = {shape[i]}};
        c.attr = attr_none();
        sampler_add(s, &c);
    }
}

/* ---- Dice + cross entropy ---- */

static enum err dice_ce_infer(const struct graph *g, struct node *n)
{
    struct dims x = graph_dims(g, n->in[0]), y = graph_dims(g, n->in[1]), want = x;
    char a[160], b[160];

    want.n[4] = 1;
    if (x.rank != 5 || x.n[4] < 2 || !dims_equal(&y, &want))
        return err_set(ERR_SHAPE, "logits %s and labels %s", dims_text(&x, a), dims_text(&y, b));
    n->n_out = 2;
    n->out_dims[0] = DIMS0;
    n->out_dims[1] = DIMS3(x.n[0], x.n[4], 3);
    n->out_type[0] = n->out_type[1] = graph_type(g, n->in[0]);
    return ERR_OK;
}

static enum err dice_ce_grad_infer(const struct graph *g, struct node *n)
{
    n->n_out = 1;
    n->out_dims[0] = graph_dims(g, n->in[1]);
    n->out_type[0] = graph_type(g, n->in[1]);
    return ERR_OK;
}

static val part(struct graph *g, val stats, int64_t first_class, int which)
{
    struct dims d = graph_dims(g, stats);
    const int64_t start[3] = {0, first_class, which}, size[3] = {d.n[0], d.n[1] - first_class, 1};

    return op_slice(g, stats, start, size);
}

/* The Dice term from stats (N, K, 3). */
static val dice_term(struct graph *g, const struct node *n, val stats)
{
    bool squared = n->attr.loss.squared;
    int64_t first = squared ? 0 : 1;
    val i, p, y, ratio;

    if (n->attr.loss.batch)
        stats = op_sum(g, stats, AXIS(0));
    i = op_mul_scalar(g, part(g, stats, first, 0), 2);
    p = part(g, stats, first, 1);
    y = part(g, stats, first, 2);
    if (squared) {
        ratio = op_div(g, i, op_add_scalar(g, op_add(g, p, y), SQUARED_SMOOTH));
        return op_sub(g, op_scalar(g, 1), op_reshape(g, op_mean(g, ratio, ALL_AXES), DIMS0));
    }
    ratio = op_div(g, op_add_scalar(g, i, NNUNET_SMOOTH),
                   op_max(g, op_add_scalar(g, op_add(g, y, p), NNUNET_SMOOTH), op_scalar(g, NNUNET_FLOOR)));
    return op_neg(g, op_reshape(g, op_mean(g, ratio, ALL_AXES), DIMS0));
}

static void dice_ce_from_parts(struct graph *g, const struct node *n, val logits, val labels, val out[2])
{
    struct dims d = graph_dims(g, logits), per = DIMS3(d.n[0], d.n[4], 1);
    val p = op_softmax(g, logits), y = op_one_hot(g, labels, d.n[4]);
    val mass = n->attr.loss.squared ? op_square(g, p) : p, ce;
    val column[3] = {op_reshape(g, op_sum(g, op_mul(g, p, y), AXES_SPACE), per),
                     op_reshape(g, op_sum(g, mass, AXES_SPACE), per),
                     op_reshape(g, op_sum(g, y, AXES_SPACE), per)};

    ce = op_sum(g, op_mul(g, op_log_softmax(g, logits), y), ALL_AXES);
    ce = op_mul_scalar(g, op_reshape(g, ce, DIMS0),
                       -n->attr.loss.ce_weight / (double)(d.n[0] * d.n[1] * d.n[2] * d.n[3]));
    out[1] = op_concat_n(g, AXIS(2), 3, column);
    out[0] = op_add(g, dice_term(g, n, out[1]), ce);
}

static void dice_ce_expand(struct graph *g, const struct node *n, val y[])
{
    dice_ce_from_parts(g, n, n->in[0], n->in[1], y);
}

static void dice_ce_grad_expand(struct graph *g, const struct node *n, val d[])
{
    val y[2];

    dice_ce_from_parts(g, n, n->in[1], n->in[2], y);
    graph_vjp(g, 1, y, n->in, 1, &n->in[1], d);
}

static void dice_ce_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    val in[4] = {dy[0], n->in[0], n->in[1], node_out(n, 1)};

    if (graph_null(dy[1]))
        dx[0] = graph_node(g, OP_DICE_CE_GRAD, &n->attr, 4, in);
    else
        graph_vjp_by_expand(g, n, dy, dx);
}

/* ---- reference ---- */

enum { CLASSES_MAX = 256 };

static void probabilities(const double *x, int64_t k, double *p)
{
    double top = x[0], sum = 0;

    for (int64_t i = 1; i < k; i++)
        top = x[i] > top ? x[i] : top;
    for (int64_t i = 0; i < k; i++)
        sum += p[i] = exp(x[i] - top);
    for (int64_t i = 0; i < k; i++)
        p[i] /= sum;
}

/* Sums that the ratio of (sample n, class c) is made of. */
static void ratio_sums(const struct node *n, const double *stats, const struct dims *x, int64_t at[2],
                       double s[3])
{
    int64_t from = n->attr.loss.batch ? 0 : at[0], to = n->attr.loss.batch ? x->n[0] : at[0] + 1;

    s[0] = s[1] = s[2] = 0;
    for (int64_t i = from; i < to; i++)
        for (int k = 0; k < 3; k++)
            s[k] += stats[(i * x->n[4] + at[1]) * 3 + k];
}

static double ratio_count(const struct node *n, const struct dims *x)
{
    int64_t classes = x->n[4] - (n->attr.loss.squared ? 0 : 1);

    return (double)(classes * (n->attr.loss.batch ? 1 : x->n[0]));
}

static double dice_loss(const struct node *n, const double *stats, const struct dims *x)
{
    bool squared = n->attr.loss.squared;
    double sum = 0, s[3];

    for (int64_t i = 0; i < (n->attr.loss.batch ? 1 : x->n[0]); i++)
        for (int64_t c = squared ? 0 : 1; c < x->n[4]; c++) {
            ratio_sums(n, stats, x, (int64_t[2]){i, c}, s);
            if (squared)
                sum += 2 * s[0] / (s[1] + s[2] + SQUARED_SMOOTH);
            else
                sum += (2 * s[0] + NNUNET_SMOOTH) / fmax(s[1] + s[2] + NNUNET_SMOOTH, NNUNET_FLOOR);
        }
    sum /= ratio_count(n, x);
    return squared ? 1 - sum : -sum;
}

static void dice_ce_ref(const struct ref_args *a)
{
    const struct dims *x = &a->in_dims[0];
    int64_t k = x->n[4], voxels = x->n[1] * x->n[2] * x->n[3];
    double ce = 0, p[CLASSES_MAX];

    memset(a->out[1], 0, (size_t)dims_count(&a->out_dims[1]) * sizeof(double));
    for (int64_t v = 0; v < x->n[0] * voxels; v++) {
        double *stats = a->out[1] + v / voxels * k * 3;
        int64_t truth = (int64_t)a->in[1][v];
        probabilities(a->in[0] + v * k, k, p);
        ce -= log(p[truth]);
        stats[truth * 3] += p[truth];
        stats[truth * 3 + 2] += 1;
        for (int64_t c = 0; c < k; c++)
            stats[c * 3 + 1] += a->node->attr.loss.squared ? p[c] * p[c] : p[c];
    }
    a->out[0][0] =
        dice_loss(a->node, a->out[1], x) + a->node->attr.loss.ce_weight * ce / (double)(x->n[0] * voxels);
}

/* d Dice loss / d p of (sample, class) is  slope_y * y + slope_p * (p or 1). */
static void dice_slopes(const struct node *n, const double *stats, const struct dims *x, int64_t at[2],
                        double slope[2])
{
    double s[3], denominator, scale = 1 / ratio_count(n, x);

    slope[0] = slope[1] = 0;
    if (!n->attr.loss.squared && at[1] == 0)
        return;
    ratio_sums(n, stats, x, at, s);
    if (n->attr.loss.squared) {
        denominator = s[1] + s[2] + SQUARED_SMOOTH;
        slope[0] = -scale * 2 / denominator;
        slope[1] = scale * 4 * s[0] / (denominator * denominator);
    } else {
        denominator = fmax(s[1] + s[2] + NNUNET_SMOOTH, NNUNET_FLOOR);
        slope[0] = -scale * 2 / denominator;
        slope[1] = scale * (2 * s[0] + NNUNET_SMOOTH) / (denominator * denominator);
    }
}

static void dice_ce_grad_ref(const struct ref_args *a)
{
    const struct dims *x = &a->in_dims[1];
    const union attr *t = &a->node->attr;
    int64_t k = x->n[4], voxels = x->n[1] * x->n[2] * x->n[3];
    double p[CLASSES_MAX], dp[CLASSES_MAX], ce = t->loss.ce_weight / (double)(x->n[0] * voxels);

    for (int64_t v = 0; v < x->n[0] * voxels; v++) {
        int64_t truth = (int64_t)a->in[2][v];
        double inner = 0;
        probabilities(a->in[1] + v * k, k, p);
        for (int64_t c = 0; c < k; c++) {
            double slope[2];
            dice_slopes(a->node, a->in[3], x, (int64_t[2]){v / voxels, c}, slope);
            dp[c] = slope[0] * (c == truth) + slope[1] * (t->loss.squared ? p[c] : 1);
            inner += dp[c] * p[c];
        }
        for (int64_t c = 0; c < k; c++)
            a->out[0][v * k + c] = a->in[0][0] * (p[c] * (dp[c] - inner) + ce * (p[c] - (c == truth)));
    }
}

/* ---- samples ---- */

static void loss_cases(struct sampler *s, bool gradient)
{
    for (int flags = 0; flags < 4; flags++) {
        struct dims x = flags & 1 ? DIMS5(2, 3, 2, 5, 3) : DIMS5(2, 2, 3, 3, 5), y = x,
                    stats = DIMS3(x.n[0], x.n[4], 3);
        struct sample c = {.n_in = 2, .classes = x.n[4], .in = {x}, .fill = {FILL_REAL, FILL_CLASS}};
        y.n[4] = 1;
        c.in[1] = y;
        c.attr = attr_none();
        c.attr.loss.squared = flags & 1;
        c.attr.loss.batch = flags >> 1;
        c.attr.loss.ce_weight = 0.5;
        if (gradient) {
            c.n_in = 4;
            c.in[0] = DIMS0, c.in[1] = x, c.in[2] = y, c.in[3] = stats;
            c.fill[1] = FILL_REAL, c.fill[2] = FILL_CLASS, c.fill[3] = FILL_POSITIVE;
        }
        sampler_add(s, &c);
    }
}

static void dice_ce_sample(struct sampler *s)
{
    loss_cases(s, false);
}

static void dice_ce_grad_sample(struct sampler *s)
{
    loss_cases(s, true);
}

#define SOFTMAX(NAME)                                                                                        \
    const struct op op_row_##NAME = {.name = #NAME,                                                          \
                                     .arity = 1,                                                             \
                                     .infer = softmax_infer,                                                 \
                                     .vjp = NAME##_vjp,                                                      \
                                     .ref = NAME##_ref,                                                      \
                                     .sample = softmax_sample}
SOFTMAX(softmax);
SOFTMAX(log_softmax);
const struct op op_row_dice_ce = {.name = "dice_ce",
                                  .arity = 2,
                                  .infer = dice_ce_infer,
                                  .expand = dice_ce_expand,
                                  .vjp = dice_ce_vjp,
                                  .ref = dice_ce_ref,
                                  .sample = dice_ce_sample};
const struct op op_row_dice_ce_grad = {.name = "dice_ce_grad",
                                       .arity = 4,
                                       .flags = OP_BACKWARD,
                                       .infer = dice_ce_grad_infer,
                                       .expand = dice_ce_grad_expand,
                                       .ref = dice_ce_grad_ref,
                                       .sample = dice_ce_grad_sample};

val op_softmax(struct graph *g, val a)
{
    return graph_node(g, OP_SOFTMAX, NULL, 1, &a);
}

val op_log_softmax(struct graph *g, val a)
{
    return graph_node(g, OP_LOG_SOFTMAX, NULL, 1, &a);
}

val op_dice_ce(struct graph *g, val logits, val labels, const struct dice_ce *o)
{
    union attr t = attr_none();

    t.loss.squared = o->squared;
    t.loss.batch = o->batch;
    t.loss.ce_weight = o->ce_weight;
    return graph_node(g, OP_DICE_CE, &t, 2, (val[]){logits, labels});
}
