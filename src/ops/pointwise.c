/* Ops whose output element depends on the operands' elements at the same place. */
#include "ops/row.h"

#include <math.h>
#include <string.h>

static val unary(struct graph *g, int op, val a)
{
    return graph_node(g, op, NULL, 1, &a);
}

static val binary(struct graph *g, int op, val a, val b)
{
    return graph_node(g, op, NULL, 2, (val[]){a, b});
}

/* ---- constants ---- */

static enum err constant_infer(const struct graph *g, struct node *n)
{
    n->n_out = 1;
    n->out_dims[0] = n->attr.fill.dims;
    n->out_type[0] = graph_real(g);
    return ERR_OK;
}

static void constant_ref(const struct ref_args *a)
{
    for (int64_t i = 0; i < dims_count(&a->out_dims[0]); i++)
        a->out[0][i] = a->node->attr.fill.value;
}

const struct op op_row_constant = {
    .name = "constant", .flags = OP_SOURCE | OP_FLAT, .infer = constant_infer, .ref = constant_ref};
const struct op op_row_input = {.name = "input", .flags = OP_SOURCE | OP_FLAT};
const struct op op_row_state = {.name = "state", .flags = OP_SOURCE | OP_FLAT};

val op_constant(struct graph *g, double value, struct dims dims)
{
    union attr a = attr_none();

    a.fill.value = value;
    a.fill.dims = dims;
    return graph_node(g, OP_CONSTANT, &a, 0, NULL);
}

val op_scalar(struct graph *g, double value)
{
    return op_constant(g, value, DIMS0);
}

static bool is_constant(const struct graph *g, val v, double value)
{
    const struct node *n = graph_node_of(g, v);

    return n && n->id == OP_CONSTANT && n->attr.fill.value == value;
}

/* ---- reference loop: f(operands) over the broadcast shape ---- */

typedef double pointwise_fn(const union attr *t, double a, double b, double c);

static void each(const struct ref_args *r, pointwise_fn *f)
{
    const struct dims *d = &r->out_dims[0];
    struct walk w[3];
    int n = r->node->n_in;

    for (int k = 0; k < n; k++)
        w[k] = walk_over(d, &r->in_dims[k]);
    for (int64_t i = 0; i < dims_count(d); i++) {
        double x[3] = {0, 0, 0};
        for (int k = 0; k < n; k++) {
            x[k] = r->in[k][w[k].at];
            walk_next(&w[k]);
        }
        r->out[0][i] = f(&r->node->attr, x[0], x[1], x[2]);
    }
}

#define MEANING(name, expr)                                                                                  \
    static double name##_of(const union attr *t, double a, double b, double c)                               \
    {                                                                                                        \
        (void)t, (void)a, (void)b, (void)c;                                                                  \
        return expr;                                                                                         \
    }                                                                                                        \
    static void name##_ref(const struct ref_args *r)                                                         \
    {                                                                                                        \
        each(r, name##_of);                                                                                  \
    }

MEANING(add, a + b)
MEANING(sub, a - b)
MEANING(mul, (a * b))
MEANING(div, a / b)
MEANING(max, a > b ? a : b)
MEANING(min, a < b ? a : b)
MEANING(less, a < b)
MEANING(equal, a == b)
MEANING(where, a != 0 ? b : c)
MEANING(neg, -a)
MEANING(abs, fabs(a))
MEANING(sign, (a > 0) - (a < 0))
MEANING(sqrt, sqrt(a))
MEANING(exp, exp(a))
MEANING(log, log(a))
MEANING(tanh, tanh(a))
MEANING(sigmoid, 1 / (1 + exp(-a)))
MEANING(relu, a > 0 ? a : 0)
MEANING(leaky_relu, a > 0 ? a : t->scalar * a)
MEANING(prelu, a > 0 ? a : (b * a))
MEANING(silu, a / (1 + exp(-a)))
MEANING(clamp, a<t->clamp.lo ? t->clamp.lo : a> t->clamp.hi ? t->clamp.hi : a)
MEANING(is_finite, isfinite(a) ? 1 : 0)
MEANING(cast, a)
MEANING(stop_gradient, a)

/* ---- gradients ---- */

/* d/da and d/db may be of the broadcast shape; they are summed down to the operand's. */
static val to_shape_of(struct graph *g, val d, val like)
{
    return op_sum_to(g, d, graph_dims(g, like));
}

static void add_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    dx[0] = to_shape_of(g, dy[0], n->in[0]);
    dx[1] = to_shape_of(g, dy[0], n->in[1]);
}

static void sub_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    dx[0] = to_shape_of(g, dy[0], n->in[0]);
    dx[1] = to_shape_of(g, op_neg(g, dy[0]), n->in[1]);
}

static void mul_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    dx[0] = to_shape_of(g, op_mul(g, dy[0], n->in[1]), n->in[0]);
    dx[1] = to_shape_of(g, op_mul(g, dy[0], n->in[0]), n->in[1]);
}

static void div_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    val d = op_div(g, dy[0], n->in[1]);

    dx[0] = to_shape_of(g, d, n->in[0]);
    dx[1] = to_shape_of(g, op_neg(g, op_mul(g, d, node_out(n, 0))), n->in[1]);
}

/* The winner takes the gradient; a tie is shared. */
static void extreme_vjp(struct graph *g, const struct node *n, const val dy[], val dx[], bool largest)
{
    val a = n->in[0], b = n->in[1], half = op_mul_scalar(g, op_equal(g, a, b), 0.5);
    val a_wins = op_add(g, largest ? op_less(g, b, a) : op_less(g, a, b), half);
    val b_wins = op_add(g, largest ? op_less(g, a, b) : op_less(g, b, a), half);

    dx[0] = to_shape_of(g, op_mul(g, dy[0], a_wins), a);
    dx[1] = to_shape_of(g, op_mul(g, dy[0], b_wins), b);
}

static void max_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    extreme_vjp(g, n, dy, dx, true);
}

static void min_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    extreme_vjp(g, n, dy, dx, false);
}

static void where_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    val zero = op_scalar(g, 0);

    dx[1] = to_shape_of(g, op_where(g, n->in[0], dy[0], zero), n->in[1]);
    dx[2] = to_shape_of(g, op_where(g, n->in[0], zero, dy[0]), n->in[2]);
}

static void neg_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    (void)n;
    dx[0] = op_neg(g, dy[0]);
}

static void abs_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    dx[0] = op_mul(g, dy[0], op_sign(g, n->in[0]));
}

static void sqrt_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    dx[0] = op_div(g, op_mul_scalar(g, dy[0], 0.5), node_out(n, 0));
}

static void exp_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    dx[0] = op_mul(g, dy[0], node_out(n, 0));
}

static void log_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    dx[0] = op_div(g, dy[0], n->in[0]);
}

static void tanh_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    dx[0] = op_mul(g, dy[0], op_sub(g, op_scalar(g, 1), op_square(g, node_out(n, 0))));
}

static void sigmoid_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    val y = node_out(n, 0);

    dx[0] = op_mul(g, dy[0], op_mul(g, y, op_sub(g, op_scalar(g, 1), y)));
}

static val slope_of(struct graph *g, val a, val slope)
{
    return op_where(g, op_less(g, op_scalar(g, 0), a), op_scalar(g, 1), slope);
}

static void relu_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    dx[0] = op_mul(g, dy[0], op_less(g, op_scalar(g, 0), n->in[0]));
}

static void leaky_relu_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    dx[0] = op_mul(g, dy[0], slope_of(g, n->in[0], op_scalar(g, n->attr.scalar)));
}

static void prelu_expand(struct graph *g, const struct node *n, val y[])
{
    val zero = op_scalar(g, 0);

    y[0] = op_add(g, op_max(g, n->in[0], zero), op_mul(g, n->in[1], op_min(g, n->in[0], zero)));
}

static void silu_expand(struct graph *g, const struct node *n, val y[])
{
    y[0] = op_mul(g, n->in[0], op_sigmoid(g, n->in[0]));
}

static void clamp_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    val below = op_less(g, n->in[0], op_scalar(g, n->attr.clamp.lo));
    val above = op_less(g, op_scalar(g, n->attr.clamp.hi), n->in[0]);

    dx[0] = op_where(g, op_add(g, below, above), op_scalar(g, 0), dy[0]);
}

static enum err cast_infer(const struct graph *g, struct node *n)
{
    n->n_out = 1;
    n->out_dims[0] = graph_dims(g, n->in[0]);
    n->out_type[0] = n->attr.type;
    return ERR_OK;
}

static void cast_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    if (graph_type(g, n->in[0]) != DT_I64 && n->attr.type != DT_I64)
        dx[0] = op_cast(g, dy[0], graph_type(g, n->in[0]));
}

static enum err where_infer(const struct graph *g, struct node *n)
{
    return infer_broadcast(g, n);
}

/* ---- samples ---- */

static void with_attr(struct sampler *s, union attr attr)
{
    for (int i = 0; i < SHAPES; i++) {
        struct sample c = {.n_in = 1, .in = {sample_shape[i]}};
        c.attr = attr;
        sampler_add(s, &c);
    }
}

static void leaky_relu_sample(struct sampler *s)
{
    union attr a = attr_none();

    a.scalar = 0.01;
    with_attr(s, a);
}

static void clamp_sample(struct sampler *s)
{
    union attr a = attr_none();

    a.clamp.lo = -0.7;
    a.clamp.hi = 0.9;
    with_attr(s, a);
}

static void cast_sample(struct sampler *s)
{
    union attr a = attr_none();

    a.type = DT_F64;
    with_attr(s, a);
    a.type = DT_F32;
    with_attr(s, a);
}

static void where_sample(struct sampler *s)
{
    for (int i = 0; i < SHAPES; i++) {
        struct sample c = {
            .n_in = 3, .in = {sample_shape[i], sample_shape[i], sample_shape[i]}, .fill = {FILL_BOOL}};
        c.attr = attr_none();
        sampler_add(s, &c);
        c.in[1] = DIMS0;
        sampler_add(s, &c);
    }
}

static void prelu_sample(struct sampler *s)
{
    struct sample c = {.n_in = 2, .in = {DIMS5(2, 3, 2, 5, 4), DIMS5(1, 1, 1, 1, 4)}};

    c.attr = attr_none();
    sampler_add(s, &c);
    c.in[1] = DIMS0;
    sampler_add(s, &c);
}

#define ROW(NAME, n, extra, ...)                                                                             \
    const struct op op_row_##NAME = {.name = #NAME,                                                          \
                                     .arity = n,                                                             \
                                     .flags = OP_POINTWISE | OP_INPLACE | (extra),                           \
                                     .ref = NAME##_ref,                                                      \
                                     __VA_ARGS__}
#define BINARY(NAME, extra, ...) ROW(NAME, 2, extra, .infer = infer_broadcast, __VA_ARGS__)
#define UNARY(NAME, extra, ...) ROW(NAME, 1, extra, .infer = infer_like_first, __VA_ARGS__)

BINARY(add, OP_LINEAR, .vjp = add_vjp, .sample = sample_binary);
BINARY(sub, OP_LINEAR, .vjp = sub_vjp, .sample = sample_binary);
BINARY(mul, OP_BILINEAR, .vjp = mul_vjp, .sample = sample_binary);
BINARY(div, 0, .vjp = div_vjp, .sample = sample_binary_positive);
BINARY(max, 0, .vjp = max_vjp, .sample = sample_binary);
BINARY(min, 0, .vjp = min_vjp, .sample = sample_binary);
BINARY(less, OP_FLAT, .sample = sample_binary);
BINARY(equal, OP_FLAT, .sample = sample_binary);
UNARY(neg, OP_LINEAR, .vjp = neg_vjp, .sample = sample_unary);
UNARY(abs, 0, .vjp = abs_vjp, .sample = sample_unary);
UNARY(sign, OP_FLAT, .sample = sample_unary);
UNARY(sqrt, 0, .vjp = sqrt_vjp, .sample = sample_positive);
UNARY(exp, 0, .vjp = exp_vjp, .sample = sample_unary);
UNARY(log, 0, .vjp = log_vjp, .sample = sample_positive);
UNARY(tanh, 0, .vjp = tanh_vjp, .sample = sample_unary);
UNARY(sigmoid, 0, .vjp = sigmoid_vjp, .sample = sample_unary);
UNARY(relu, 0, .vjp = relu_vjp, .sample = sample_unary);
UNARY(leaky_relu, 0, .vjp = leaky_relu_vjp, .sample = leaky_relu_sample);
UNARY(silu, 0, .expand = silu_expand, .sample = sample_unary);
UNARY(clamp, 0, .vjp = clamp_vjp, .sample = clamp_sample);
UNARY(is_finite, OP_FLAT, .sample = sample_unary);
UNARY(stop_gradient, OP_FLAT | OP_VIEW, .sample = sample_unary);
ROW(where, 3, 0, .infer = where_infer, .vjp = where_vjp, .sample = where_sample);
ROW(prelu, 2, 0, .infer = infer_broadcast, .expand = prelu_expand, .sample = prelu_sample);
const struct op op_row_cast = {.name = "cast",
                               .arity = 1,
                               .flags = OP_POINTWISE | OP_LINEAR,
                               .infer = cast_infer,
                               .vjp = cast_vjp,
                               .ref = cast_ref,
                               .sample = cast_sample};

/* ---- builders, with the identities that gradients produce folded away ---- */

/* x, if combining it with the neutral constant c leaves its shape alone. */
static bool neutral(const struct graph *g, val x, val c, double value)
{
    struct dims dx = graph_dims(g, x), dc = graph_dims(g, c), out;

    return is_constant(g, c, value) && dims_broadcast(&dx, &dc, &out) && dims_equal(&dx, &out);
}

val op_add(struct graph *g, val a, val b)
{
    if (neutral(g, a, b, 0))
        return a;
    if (neutral(g, b, a, 0))
        return b;
    return binary(g, OP_ADD, a, b);
}

val op_sub(struct graph *g, val a, val b)
{
    return neutral(g, a, b, 0) ? a : binary(g, OP_SUB, a, b);
}

val op_mul(struct graph *g, val a, val b)
{
    if (neutral(g, a, b, 1))
        return a;
    if (neutral(g, b, a, 1))
        return b;
    return binary(g, OP_MUL, a, b);
}

val op_div(struct graph *g, val a, val b)
{
    return neutral(g, a, b, 1) ? a : binary(g, OP_DIV, a, b);
}

val op_max(struct graph *g, val a, val b)
{
    return binary(g, OP_MAX, a, b);
}

val op_min(struct graph *g, val a, val b)
{
    return binary(g, OP_MIN, a, b);
}

val op_less(struct graph *g, val a, val b)
{
    return binary(g, OP_LESS, a, b);
}

val op_equal(struct graph *g, val a, val b)
{
    return binary(g, OP_EQUAL, a, b);
}

val op_where(struct graph *g, val c, val a, val b)
{
    return graph_node(g, OP_WHERE, NULL, 3, (val[]){c, a, b});
}

val op_neg(struct graph *g, val a)
{
    return unary(g, OP_NEG, a);
}

val op_abs(struct graph *g, val a)
{
    return unary(g, OP_ABS, a);
}

val op_sign(struct graph *g, val a)
{
    return unary(g, OP_SIGN, a);
}

val op_sqrt(struct graph *g, val a)
{
    return unary(g, OP_SQRT, a);
}

val op_exp(struct graph *g, val a)
{
    return unary(g, OP_EXP, a);
}

val op_log(struct graph *g, val a)
{
    return unary(g, OP_LOG, a);
}

val op_tanh(struct graph *g, val a)
{
    return unary(g, OP_TANH, a);
}

val op_sigmoid(struct graph *g, val a)
{
    return unary(g, OP_SIGMOID, a);
}

val op_relu(struct graph *g, val a)
{
    return unary(g, OP_RELU, a);
}

val op_prelu(struct graph *g, val a, val slope)
{
    return binary(g, OP_PRELU, a, slope);
}

val op_silu(struct graph *g, val a)
{
    return unary(g, OP_SILU, a);
}

val op_clamp(struct graph *g, val a, double lo, double hi)
{
    union attr t = attr_none();

    t.clamp.lo = lo;
    t.clamp.hi = hi;
    return graph_node(g, OP_CLAMP, &t, 1, &a);
}

val op_is_finite(struct graph *g, val a)
{
    return unary(g, OP_IS_FINITE, a);
}

val op_cast(struct graph *g, val a, enum dtype type)
{
    union attr t = attr_none();

    if (graph_type(g, a) == type)
        return a;
    t.type = type;
    return graph_node(g, OP_CAST, &t, 1, &a);
}

val op_stop_gradient(struct graph *g, val a)
{
    return unary(g, OP_STOP_GRADIENT, a);
}

val op_add_scalar(struct graph *g, val a, double s)
{
    return op_add(g, a, op_scalar(g, s));
}

val op_mul_scalar(struct graph *g, val a, double s)
{
    return op_mul(g, a, op_scalar(g, s));
}

val op_square(struct graph *g, val a)
{
    return op_mul(g, a, a);
}
