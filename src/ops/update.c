/* Optimiser updates of all parameters at once. Inputs are scalars, then n parameters, n gradients and the
 * moments; outputs are the new parameters and moments, which the program writes over the states. Where `when`
 * is 0 the outputs are the inputs. sgd    [lr, scale, when | w, g, v]           v' = momentum v + (scale g +
 * decay w);  w' = w - lr (scale g + decay w + momentum v') adamw  [lr, scale, when, step | w, g, m, v]
 * PyTorch's AdamW: decoupled decay, bias correction, eps after the root l2_norm  of all tensors together, a
 * scalar */
#include "ops/row.h"

#include "base/mem.h"
#include <math.h>
#include <string.h>

static enum err l2_norm_infer(const struct graph *g, struct node *n)
{
    if (n->n_in < 1)
        return err_set(ERR_SHAPE, "l2_norm of nothing");
    n->n_out = 1;
    n->out_dims[0] = DIMS0;
    n->out_type[0] = graph_type(g, n->in[0]);
    return ERR_OK;
}

static void l2_norm_ref(const struct ref_args *a)
{
    double sum = 0;

    for (int k = 0; k < a->node->n_in; k++)
        for (int64_t i = 0; i < dims_count(&a->in_dims[k]); i++)
            sum += a->in[k][i] * a->in[k][i];
    a->out[0][0] = sqrt(sum);
}

static void l2_norm_expand(struct graph *g, const struct node *n, val y[])
{
    val sum = op_scalar(g, 0);

    for (int k = 0; k < n->n_in; k++)
        sum = op_add(g, sum, op_reshape(g, op_sum(g, op_square(g, n->in[k]), ALL_AXES), DIMS0));
    y[0] = op_sqrt(g, sum);
}

static void l2_norm_sample(struct sampler *s)
{
    struct sample c = {.n_in = 3, .in = {DIMS2(3, 17), DIMS1(5), DIMS5(2, 3, 2, 5, 4)}};

    c.attr = attr_none();
    sampler_add(s, &c);
    c.n_in = 1;
    sampler_add(s, &c);
}

/* ---- shapes: `scalars` rank-0 inputs, then `arrays` lists of n tensors; outputs are all lists but the
 * gradients ---- */

static enum err update_infer(const struct graph *g, struct node *n, int scalars, int arrays)
{
    int64_t count = n->attr.update.count;
    int out = 0;

    if (n->n_in != scalars + arrays * count)
        return err_set(ERR_SHAPE, "%d inputs for %d parameters", n->n_in, (int)count);
    for (int k = 0; k < scalars; k++)
        if (graph_dims(g, n->in[k]).rank)
            return err_set(ERR_SHAPE, "input %d must be a scalar", k);
    for (int list = 0; list < arrays; list++)
        for (int64_t i = 0; i < count; i++) {
            struct dims w = graph_dims(g, n->in[scalars + i]),
                        d = graph_dims(g, n->in[scalars + list * count + i]);
            if (!dims_equal(&w, &d))
                return err_set(ERR_SHAPE, "parameter %d and its gradient or moment differ in shape", (int)i);
            if (list == 1)
                continue;
            n->out_dims[out] = w;
            n->out_type[out++] = graph_type(g, n->in[scalars + i]);
        }
    n->n_out = out;
    return ERR_OK;
}

static int update_slot(const struct node *n, int out, int scalars)
{
    int count = (int)n->attr.update.count;

    return scalars + out + (out >= count ? count : 0); /* the gradients' list has no output */
}

static enum err sgd_infer(const struct graph *g, struct node *n)
{
    return update_infer(g, n, 3, 3);
}

static enum err adamw_infer(const struct graph *g, struct node *n)
{
    return update_infer(g, n, 4, 4);
}

static int sgd_slot(const struct node *n, int out)
{
    return update_slot(n, out, 3);
}

static int adamw_slot(const struct node *n, int out)
{
    return update_slot(n, out, 4);
}

/* ---- reference ---- */

static void sgd_ref(const struct ref_args *a)
{
    const union attr *t = &a->node->attr;
    int64_t n = t->update.count;
    double lr = a->in[0][0], scale = a->in[1][0], when = a->in[2][0];

    for (int64_t k = 0; k < n; k++)
        for (int64_t i = 0; i < dims_count(&a->in_dims[3 + k]); i++) {
            double w = a->in[3 + k][i], v = a->in[3 + 2 * n + k][i];
            double g = scale * a->in[3 + n + k][i] + t->update.decay * w, v2 = t->update.momentum * v + g;
            a->out[k][i] = when != 0 ? w - lr * (g + t->update.momentum * v2) : w;
            a->out[n + k][i] = when != 0 ? v2 : v;
        }
}

static void adamw_ref(const struct ref_args *a)
{
    const union attr *t = &a->node->attr;
    int64_t n = t->update.count;
    double lr = a->in[0][0], scale = a->in[1][0], when = a->in[2][0], step = a->in[3][0];
    double b1 = t->update.beta1, b2 = t->update.beta2, c1 = 1 - pow(b1, step), c2 = 1 - pow(b2, step);

    for (int64_t k = 0; k < n; k++)
        for (int64_t i = 0; i < dims_count(&a->in_dims[4 + k]); i++) {
            double w = a->in[4 + k][i], g = scale * a->in[4 + n + k][i];
            double m = a->in[4 + 2 * n + k][i], v = a->in[4 + 3 * n + k][i];
            double m2 = b1 * m + (1 - b1) * g, v2 = b2 * v + (1 - b2) * g * g;
            double w2 = w * (1 - lr * t->update.decay) - lr * (m2 / c1) / (sqrt(v2 / c2) + t->update.eps);
            a->out[k][i] = when != 0 ? w2 : w;
            a->out[n + k][i] = when != 0 ? m2 : m;
            a->out[2 * n + k][i] = when != 0 ? v2 : v;
        }
}

/* ---- expansions ---- */

static void sgd_expand(struct graph *g, const struct node *n, val y[])
{
    const union attr *t = &n->attr;
    int64_t count = t->update.count;
    val lr = n->in[0], scale = n->in[1], when = n->in[2];

    for (int64_t k = 0; k < count; k++) {
        val w = n->in[3 + k], v = n->in[3 + 2 * count + k];
        val grad = op_add(g, op_mul(g, scale, n->in[3 + count + k]), op_mul_scalar(g, w, t->update.decay));
        val v2 = op_add(g, op_mul_scalar(g, v, t->update.momentum), grad);
        val w2 = op_sub(g, w, op_mul(g, lr, op_add(g, grad, op_mul_scalar(g, v2, t->update.momentum))));
        y[k] = op_where(g, when, w2, w);
        y[count + k] = op_where(g, when, v2, v);
    }
}

/* 1 - beta^step for a step that is a graph value. */
static val correction(struct graph *g, double beta, val step)
{
    return op_sub(g, op_scalar(g, 1), op_exp(g, op_mul_scalar(g, step, log(beta))));
}

static void adamw_expand(struct graph *g, const struct node *n, val y[])
{
    const union attr *t = &n->attr;
    int64_t count = t->update.count;
    double b1 = t->update.beta1, b2 = t->update.beta2;
    val lr = n->in[0], when = n->in[2], c1 = correction(g, b1, n->in[3]), c2 = correction(g, b2, n->in[3]);
    val keep = op_sub(g, op_scalar(g, 1), op_mul_scalar(g, lr, t->update.decay));

    for (int64_t k = 0; k < count; k++) {
        val w = n->in[4 + k], grad = op_mul(g, n->in[1], n->in[4 + count + k]);
        val m = n->in[4 + 2 * count + k], v = n->in[4 + 3 * count + k];
        val m2 = op_add(g, op_mul_scalar(g, m, b1), op_mul_scalar(g, grad, 1 - b1));
        val v2 = op_add(g, op_mul_scalar(g, v, b2), op_mul_scalar(g, op_square(g, grad), 1 - b2));
        val root = op_add_scalar(g, op_sqrt(g, op_div(g, v2, c2)), t->update.eps);
        val w2 = op_sub(g, op_mul(g, w, keep), op_mul(g, lr, op_div(g, op_div(g, m2, c1), root)));
        y[k] = op_where(g, when, w2, w);
        y[count + k] = op_where(g, when, m2, m);
        y[2 * count + k] = op_where(g, when, v2, v);
    }
}

/* ---- samples ---- */

static void update_cases(struct sampler *s, int scalars, int arrays)
{
    static const struct dims shape[2] = {{2, {3, 17}}, {1, {40}}};
    struct sample c = {.n_in = scalars + 2 * arrays};

    c.attr = attr_none();
    c.attr.update.momentum = 0.9;
    c.attr.update.decay = 0.01;
    c.attr.update.beta1 = 0.9;
    c.attr.update.beta2 = 0.999;
    c.attr.update.eps = 1e-8;
    c.attr.update.count = 2;
    for (int k = 0; k < scalars; k++)
        c.fill[k] = k == 2 ? FILL_BOOL : FILL_POSITIVE;
    for (int k = 0; k < 2 * arrays; k++) {
        c.in[scalars + k] = shape[k % 2];
        if (arrays == 4 && k >= 6) /* second moments are not negative */
            c.fill[scalars + k] = FILL_POSITIVE;
    }
    sampler_add(s, &c);
}

static void sgd_sample(struct sampler *s)
{
    update_cases(s, 3, 3);
}

static void adamw_sample(struct sampler *s)
{
    update_cases(s, 4, 4);
}

const struct op op_row_l2_norm = {.name = "l2_norm",
                                  .arity = -1,
                                  .infer = l2_norm_infer,
                                  .expand = l2_norm_expand,
                                  .ref = l2_norm_ref,
                                  .sample = l2_norm_sample};
#define UPDATE(NAME)                                                                                         \
    const struct op op_row_##NAME = {.name = #NAME,                                                          \
                                     .arity = -1,                                                            \
                                     .flags = OP_UPDATE,                                                     \
                                     .infer = NAME##_infer,                                                  \
                                     .expand = NAME##_expand,                                                \
                                     .ref = NAME##_ref,                                                      \
                                     .sample = NAME##_sample,                                                \
                                     .slot = NAME##_slot}
UPDATE(sgd);
UPDATE(adamw);

/* ---- builders ---- */

val op_l2_norm(struct graph *g, int n, const val a[])
{
    return graph_node(g, OP_L2_NORM, NULL, n, a);
}

static val updated(struct graph *g, int op, const union attr *t, const val *const list[], int scalars)
{
    int n = (int)t->update.count, arrays = scalars == 3 ? 3 : 4;
    val *in = mem_new((size_t)(scalars + arrays * n), sizeof *in), out = {0};

    if (!in) {
        graph_fail(g, ERR_MEMORY);
        return out;
    }
    memcpy(in, list[0], (size_t)scalars * sizeof *in);
    for (int k = 0; k < arrays; k++)
        memcpy(in + scalars + k * n, list[1 + k], (size_t)n * sizeof *in);
    out = graph_node(g, op, t, scalars + arrays * n, in);
    mem_free(in);
    return out;
}

static union attr update_attr(const struct update *u, int n)
{
    union attr t = attr_none();

    t.update.momentum = u->momentum;
    t.update.decay = u->decay;
    t.update.beta1 = u->beta1;
    t.update.beta2 = u->beta2;
    t.update.eps = u->eps;
    t.update.count = n;
    return t;
}

void op_sgd(struct graph *g, const struct update *u, int n, const val w[], const val grad[], const val v[],
            val w_new[], val v_new[])
{
    union attr t = update_attr(u, n);
    const val scalars[3] = {u->lr, u->scale, u->when};
    val out = updated(g, OP_SGD, &t, (const val *const[]){scalars, w, grad, v}, 3);

    for (int k = 0; k < n; k++) {
        w_new[k] = graph_out(g, out, k);
        v_new[k] = graph_out(g, out, n + k);
    }
}

void op_adamw(struct graph *g, const struct update *u, int n, const val w[], const val grad[], const val m[],
              const val v[], val w_new[], val m_new[], val v_new[])
{
    union attr t = update_attr(u, n);
    const val scalars[4] = {u->lr, u->scale, u->when, u->step};
    val out = updated(g, OP_ADAMW, &t, (const val *const[]){scalars, w, grad, m, v}, 4);

    for (int k = 0; k < n; k++) {
        w_new[k] = graph_out(g, out, k);
        m_new[k] = graph_out(g, out, n + k);
        v_new[k] = graph_out(g, out, 2 * n + k);
    }
}
