/* Instance norm and leaky ReLU taken apart, so that convolutions can do the parts on the way (enum hook in
 * graph/graph.h). Made by pass_fuse out of norm_act and norm_act_grad. x, z, dy are (N, D, H, W, C), V = D H
 * W. moments    (x)                     -> (N, 2, C): mean, biased variance over V norm_coef  (moments [,
 * gamma, beta]) -> coef (N, COEF_ROWS, C), rstd (N, C) stage      (x, coef [, r])         -> leaky(scale x +
 * shift + r), leaky(v) = max(v, slope v) gate       (dy, z, coef [, dy2])   -> g = (dy + dy2) leaky'(scale z
 * + shift); (N, 2, C): sum g, sum g (z - centre) norm_back  (sums, coef, rstd)      -> back (N, 3, C) = a, b,
 * c below; dgamma (C), dbeta (C) norm_dx    (g, z, coef, back)      -> dz = a g + b (z - centre) + c with a =
 * scale = gamma rstd, b = -a rstd^2 mean(g (z - mean)), c = -a mean(g). */
#include "ops/row.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static enum err check_image(const struct dims *x)
{
    char text[160];

    if (x->rank != 5 || dims_count(x) < 1)
        return err_set(ERR_SHAPE, "needs (N, D, H, W, C), not %s", dims_text(x, text));
    return ERR_OK;
}

static void output(struct node *n, struct dims d, enum dtype type)
{
    n->out_dims[n->n_out] = d;
    n->out_type[n->n_out++] = type;
}

static int64_t voxels_of(const struct dims *x)
{
    return x->n[1] * x->n[2] * x->n[3];
}

/* One row of (N, rows, C) as (N, 1, 1, 1, C). */
static val row_of(struct graph *g, val v, int64_t row)
{
    struct dims d = graph_dims(g, v);
    const int64_t start[3] = {0, row, 0}, size[3] = {d.n[0], 1, d.n[2]};

    return op_reshape(g, op_slice(g, v, start, size), DIMS5(d.n[0], 1, 1, 1, d.n[2]));
}

/* The other way: n values of N C numbers as (N, n, C). */
static val rows_of(struct graph *g, int n, const val v[])
{
    struct dims d = graph_dims(g, v[0]);
    val row[COEF_ROWS];

    for (int i = 0; i < n; i++)
        row[i] = op_reshape(g, v[i], DIMS3(d.n[0], 1, dims_count(&d) / d.n[0]));
    return op_concat_n(g, AXIS(1), n, row);
}

/* ---- moments ---- */

static enum err moments_infer(const struct graph *g, struct node *n)
{
    struct dims x = graph_dims(g, n->in[0]);

    TRY(check_image(&x));
    output(n, DIMS3(x.n[0], 2, x.n[4]), graph_type(g, n->in[0]));
    return ERR_OK;
}

void ref_moments(const double *x, const struct dims *d, double *out)
{
    int64_t c = d->n[4], v = voxels_of(d);

    for (int64_t n = 0; n < d->n[0]; n++)
        for (int64_t k = 0; k < c; k++) {
            double sum = 0, square = 0, mean;
            for (int64_t i = 0; i < v; i++)
                sum += x[(n * v + i) * c + k];
            mean = sum / (double)v;
            for (int64_t i = 0; i < v; i++)
                square += (x[(n * v + i) * c + k] - mean) * (x[(n * v + i) * c + k] - mean);
            out[2 * n * c + k] = mean;
            out[(2 * n + 1) * c + k] = square / (double)v;
        }
}

static void moments_ref(const struct ref_args *a)
{
    ref_moments(a->in[0], &a->in_dims[0], a->out[0]);
}

static void moments_expand(struct graph *g, const struct node *n, val y[])
{
    val mean = op_mean(g, n->in[0], AXES_SPACE);
    val both[2] = {mean, op_mean(g, op_square(g, op_sub(g, n->in[0], mean)), AXES_SPACE)};

    y[0] = rows_of(g, 2, both);
}

/* ---- norm_coef ---- */

static enum err norm_coef_infer(const struct graph *g, struct node *n)
{
    struct dims m = n->n_in > 0 ? graph_dims(g, n->in[0]) : DIMS0;
    char text[160];

    if ((n->n_in != 1 && n->n_in != 3) || m.rank != 3 || m.n[1] != 2)
        return err_set(ERR_SHAPE, "needs moments (N, 2, C), not %s, and perhaps gamma and beta",
                       dims_text(&m, text));
    for (int k = 1; k < n->n_in; k++)
        TRY(infer_need(g, n->in[k], DIMS1(m.n[2]), k == 1 ? "gamma" : "beta"));
    output(n, DIMS3(m.n[0], COEF_ROWS, m.n[2]), graph_type(g, n->in[0]));
    output(n, DIMS2(m.n[0], m.n[2]), graph_type(g, n->in[0]));
    return ERR_OK;
}

static void norm_coef_ref(const struct ref_args *a)
{
    int64_t c = a->in_dims[0].n[2];

    for (int64_t n = 0; n < a->in_dims[0].n[0]; n++)
        for (int64_t k = 0; k < c; k++) {
            double mean = a->in[0][2 * n * c + k], variance = a->in[0][(2 * n + 1) * c + k];
            double rstd = 1 / sqrt(variance + a->node->attr.norm.eps);
            double *coef = a->out[0] + n * COEF_ROWS * c + k;
            coef[COEF_SCALE * c] = rstd * (a->node->n_in == 3 ? a->in[1][k] : 1);
            coef[COEF_SHIFT * c] = (a->node->n_in == 3 ? a->in[2][k] : 0) - mean * coef[COEF_SCALE * c];
            coef[COEF_SLOPE * c] = a->node->attr.norm.slope;
            coef[COEF_CENTRE * c] = mean;
            a->out[1][n * c + k] = rstd;
        }
}

static void norm_coef_expand(struct graph *g, const struct node *n, val y[])
{
    val mean = row_of(g, n->in[0], 0), variance = row_of(g, n->in[0], 1), rstd, row[COEF_ROWS];
    struct dims d = graph_dims(g, mean), v = DIMS5(1, 1, 1, 1, d.n[4]);

    rstd = op_div(g, op_scalar(g, 1), op_sqrt(g, op_add_scalar(g, variance, n->attr.norm.eps)));
    row[COEF_SCALE] = n->n_in == 3 ? op_mul(g, rstd, op_reshape(g, n->in[1], v)) : rstd;
    row[COEF_SHIFT] = op_neg(g, op_mul(g, mean, row[COEF_SCALE]));
    if (n->n_in == 3)
        row[COEF_SHIFT] = op_add(g, row[COEF_SHIFT], op_reshape(g, n->in[2], v));
    row[COEF_SLOPE] = op_constant(g, n->attr.norm.slope, d);
    row[COEF_CENTRE] = mean;
    y[0] = rows_of(g, COEF_ROWS, row);
    y[1] = op_reshape(g, rstd, DIMS2(d.n[0], d.n[4]));
}

/* ---- stage and gate ---- */

/* (value, coefficients [, another value]) behind the inputs before `at`. */
static enum err check_stage(const struct graph *g, const struct node *n, int at)
{
    struct dims x;

    if (n->n_in != at + 2 && n->n_in != at + 3)
        return err_set(ERR_SHAPE, "has %d inputs", n->n_in);
    x = graph_dims(g, n->in[at]);
    TRY(check_image(&x));
    TRY(infer_need(g, n->in[at + 1], DIMS3(x.n[0], COEF_ROWS, x.n[4]), "coefficients"));
    for (int k = 0; k < n->n_in; k++)
        if (k != at + 1)
            TRY(infer_need(g, n->in[k], x, "operand"));
    return ERR_OK;
}

static enum err stage_infer(const struct graph *g, struct node *n)
{
    TRY(check_stage(g, n, 0));
    output(n, graph_dims(g, n->in[0]), graph_type(g, n->in[0]));
    return ERR_OK;
}

static double before_leaky(const double *coef, int64_t channels, int64_t channel, double x)
{
    return coef[COEF_SCALE * channels + channel] * x + coef[COEF_SHIFT * channels + channel];
}

double ref_stage(const double *coef, int64_t channels, int64_t channel, double x)
{
    double v = before_leaky(coef, channels, channel, x);

    return fmax(v, coef[COEF_SLOPE * channels + channel] * v);
}

static void stage_ref(const struct ref_args *a)
{
    int64_t c = a->in_dims[0].n[4], sample = voxels_of(&a->in_dims[0]) * c;

    for (int64_t i = 0; i < dims_count(&a->in_dims[0]); i++) {
        const double *coef = a->in[1] + i / sample * COEF_ROWS * c;
        double v = before_leaky(coef, c, i % c, a->in[0][i]) + (a->node->n_in == 3 ? a->in[2][i] : 0);
        a->out[0][i] = fmax(v, coef[COEF_SLOPE * c + i % c] * v);
    }
}

static val scaled(struct graph *g, val x, val coef)
{
    return op_add(g, op_mul(g, x, row_of(g, coef, COEF_SCALE)), row_of(g, coef, COEF_SHIFT));
}

static void stage_expand(struct graph *g, const struct node *n, val y[])
{
    val v = scaled(g, n->in[0], n->in[1]);

    if (n->n_in == 3)
        v = op_add(g, v, n->in[2]);
    y[0] = op_max(g, v, op_mul(g, v, row_of(g, n->in[1], COEF_SLOPE)));
}

static enum err gate_infer(const struct graph *g, struct node *n)
{
    struct dims z;

    TRY(check_stage(g, n, 1));
    z = graph_dims(g, n->in[1]);
    output(n, z, graph_type(g, n->in[0]));
    output(n, DIMS3(z.n[0], 2, z.n[4]), graph_type(g, n->in[0]));
    return ERR_OK;
}

void ref_gate(double *g, const double *z, const double *coef, const struct dims *d, double *sums)
{
    int64_t c = d->n[4], sample = voxels_of(d) * c;

    memset(sums, 0, (size_t)(2 * d->n[0] * c) * sizeof *sums);
    for (int64_t i = 0; i < dims_count(d); i++) {
        int64_t n = i / sample, k = i % c;
        const double *of = coef + n * COEF_ROWS * c;
        g[i] *= before_leaky(of, c, k, z[i]) > 0 ? 1 : of[COEF_SLOPE * c + k];
        sums[2 * n * c + k] += g[i];
        sums[(2 * n + 1) * c + k] += g[i] * (z[i] - of[COEF_CENTRE * c + k]);
    }
}

static void gate_ref(const struct ref_args *a)
{
    for (int64_t i = 0; i < dims_count(&a->in_dims[0]); i++)
        a->out[0][i] = a->in[0][i] + (a->node->n_in == 4 ? a->in[3][i] : 0);
    ref_gate(a->out[0], a->in[1], a->in[2], &a->in_dims[0], a->out[1]);
}

static void gate_expand(struct graph *g, const struct node *n, val y[])
{
    val z = n->in[1], coef = n->in[2], dy = n->n_in == 4 ? op_add(g, n->in[0], n->in[3]) : n->in[0], both[2];
    val positive = op_less(g, op_scalar(g, 0), scaled(g, z, coef));

    y[0] = op_mul(g, dy, op_where(g, positive, op_scalar(g, 1), row_of(g, coef, COEF_SLOPE)));
    both[0] = op_sum(g, y[0], AXES_SPACE);
    both[1] = op_sum(g, op_mul(g, y[0], op_sub(g, z, row_of(g, coef, COEF_CENTRE))), AXES_SPACE);
    y[1] = rows_of(g, 2, both);
}

/* ---- norm_back and norm_dx ---- */

static enum err norm_back_infer(const struct graph *g, struct node *n)
{
    struct dims s = graph_dims(g, n->in[0]);
    enum dtype type = graph_type(g, n->in[0]);
    char text[160];

    if (s.rank != 3 || s.n[1] != 2 || n->attr.count < 1)
        return err_set(ERR_SHAPE, "needs sums (N, 2, C), not %s, over at least one voxel",
                       dims_text(&s, text));
    TRY(infer_need(g, n->in[1], DIMS3(s.n[0], COEF_ROWS, s.n[2]), "coefficients"));
    TRY(infer_need(g, n->in[2], DIMS2(s.n[0], s.n[2]), "rstd"));
    output(n, DIMS3(s.n[0], 3, s.n[2]), type);
    output(n, DIMS1(s.n[2]), type);
    output(n, DIMS1(s.n[2]), type);
    return ERR_OK;
}

static void norm_back_ref(const struct ref_args *a)
{
    int64_t c = a->in_dims[0].n[2];
    double voxels = (double)a->node->attr.count;

    memset(a->out[1], 0, (size_t)c * sizeof(double));
    memset(a->out[2], 0, (size_t)c * sizeof(double));
    for (int64_t n = 0; n < a->in_dims[0].n[0]; n++)
        for (int64_t k = 0; k < c; k++) {
            double g = a->in[0][2 * n * c + k], gz = a->in[0][(2 * n + 1) * c + k];
            double scale = a->in[1][(n * COEF_ROWS + COEF_SCALE) * c + k], rstd = a->in[2][n * c + k];
            double *back = a->out[0] + 3 * n * c + k;
            back[0] = scale;
            back[c] = -scale * rstd * rstd * gz / voxels;
            back[2 * c] = -scale * g / voxels;
            a->out[1][k] += gz * rstd;
            a->out[2][k] += g;
        }
}

static void norm_back_expand(struct graph *g, const struct node *n, val y[])
{
    struct dims d = graph_dims(g, n->in[2]), v = DIMS1(d.n[1]);
    val sum = row_of(g, n->in[0], 0), rstd = op_reshape(g, n->in[2], DIMS5(d.n[0], 1, 1, 1, d.n[1]));
    val hat = op_mul(g, row_of(g, n->in[0], 1), rstd), row[3];

    row[0] = row_of(g, n->in[1], COEF_SCALE);
    row[2] = op_mul_scalar(g, row[0], -1 / (double)n->attr.count);
    row[1] = op_mul(g, op_mul(g, row[2], rstd), hat);
    row[2] = op_mul(g, row[2], sum);
    y[0] = rows_of(g, 3, row);
    y[1] = op_reshape(g, op_sum(g, hat, AXIS_N), v);
    y[2] = op_reshape(g, op_sum(g, sum, AXIS_N), v);
}

static enum err norm_dx_infer(const struct graph *g, struct node *n)
{
    struct dims z = graph_dims(g, n->in[1]);

    TRY(check_image(&z));
    TRY(infer_need(g, n->in[0], z, "gradient"));
    TRY(infer_need(g, n->in[2], DIMS3(z.n[0], COEF_ROWS, z.n[4]), "coefficients"));
    TRY(infer_need(g, n->in[3], DIMS3(z.n[0], 3, z.n[4]), "factors"));
    output(n, z, graph_type(g, n->in[0]));
    return ERR_OK;
}

static void norm_dx_ref(const struct ref_args *a)
{
    int64_t c = a->in_dims[0].n[4], sample = voxels_of(&a->in_dims[0]) * c;

    for (int64_t i = 0; i < dims_count(&a->in_dims[0]); i++) {
        int64_t n = i / sample, k = i % c;
        const double *of = a->in[3] + 3 * n * c + k;
        double centre = a->in[2][(n * COEF_ROWS + COEF_CENTRE) * c + k];
        a->out[0][i] = of[0] * a->in[0][i] + of[c] * (a->in[1][i] - centre) + of[2 * c];
    }
}

static void norm_dx_expand(struct graph *g, const struct node *n, val y[])
{
    val d = op_sub(g, n->in[1], row_of(g, n->in[2], COEF_CENTRE)), back = n->in[3];

    d = op_add(g, op_mul(g, row_of(g, back, 1), d), row_of(g, back, 2));
    y[0] = op_add(g, op_mul(g, row_of(g, back, 0), n->in[0]), d);
}

/* ---- samples ---- */

/* Wide, ragged, folded, one voxel, as many voxels as there are rows of coefficients. */
static const struct dims image[] = {
    {5, {2, 3, 2, 5, 4}}, {5, {1, 2, 3, 4, 17}}, {5, {2, 1, 1, 1, 5}},
    {5, {3, 1, 2, 2, 6}}, {5, {1, 3, 5, 7, 32}},
};
enum { IMAGES = sizeof image / sizeof *image };

static struct dims rows(const struct dims *x, int64_t n)
{
    return DIMS3(x->n[0], n, x->n[4]);
}

static void moments_sample(struct sampler *s)
{
    for (int i = 0; i < IMAGES; i++) {
        struct sample c = {.n_in = 1, .in = {image[i]}};
        c.attr = attr_none();
        sampler_add(s, &c);
    }
}

static void norm_coef_sample(struct sampler *s)
{
    for (int i = 0; i < 2 * IMAGES; i++) {
        const struct dims *x = &image[i % IMAGES], v = DIMS1(x->n[4]);
        struct sample c = {.n_in = i < IMAGES ? 1 : 3, .in = {rows(x, 2), v, v}, .fill = {FILL_POSITIVE}};
        c.attr = attr_none();
        c.attr.norm.eps = 1e-5;
        c.attr.norm.slope = 0.01;
        sampler_add(s, &c);
    }
}

static void stage_sample(struct sampler *s)
{
    for (int i = 0; i < 2 * IMAGES; i++) {
        const struct dims *x = &image[i % IMAGES];
        struct sample c = {.n_in = i < IMAGES ? 2 : 3, .in = {*x, rows(x, COEF_ROWS), *x}};
        c.attr = attr_none();
        sampler_add(s, &c);
    }
}

static void gate_sample(struct sampler *s)
{
    for (int i = 0; i < 2 * IMAGES; i++) {
        const struct dims *x = &image[i % IMAGES];
        struct sample c = {.n_in = i < IMAGES ? 3 : 4, .in = {*x, *x, rows(x, COEF_ROWS), *x}};
        c.attr = attr_none();
        sampler_add(s, &c);
    }
}

static void norm_back_sample(struct sampler *s)
{
    for (int i = 0; i < IMAGES; i++) {
        const struct dims *x = &image[i];
        struct sample c = {.n_in = 3, .in = {rows(x, 2), rows(x, COEF_ROWS), DIMS2(x->n[0], x->n[4])}};
        c.attr = attr_none();
        c.attr.count = voxels_of(x);
        sampler_add(s, &c);
    }
}

static void norm_dx_sample(struct sampler *s)
{
    for (int i = 0; i < IMAGES; i++) {
        const struct dims *x = &image[i];
        struct sample c = {.n_in = 4, .in = {*x, *x, rows(x, COEF_ROWS), rows(x, 3)}};
        c.attr = attr_none();
        sampler_add(s, &c);
    }
}

#define STAGE(NAME, n, flag)                                                                                 \
    const struct op op_row_##NAME = {.name = #NAME,                                                          \
                                     .arity = n,                                                             \
                                     .flags = flag,                                                          \
                                     .infer = NAME##_infer,                                                  \
                                     .expand = NAME##_expand,                                                \
                                     .ref = NAME##_ref,                                                      \
                                     .sample = NAME##_sample}
STAGE(moments, 1, 0);
STAGE(norm_coef, -1, 0);
STAGE(stage, -1, OP_INPLACE);
STAGE(gate, -1, OP_INPLACE);
STAGE(norm_back, 3, 0);
STAGE(norm_dx, 4, OP_INPLACE);
