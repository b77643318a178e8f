/* The mathematics of every row of the op table, with no code per op: reference = expansion, first and second
 * derivatives against central differences in double, adjoint identities. */
#include "ops/cases.h"

#include "base/mem.h"
#include "graph/program.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- running one row's reference, and a graph made of it ---- */

static void row_has_its_parts(void **state)
{
    (void)state;
    for (int id = 1; id < OP_COUNT; id++) {
        const struct op *row = op_rows[id];
        assert_non_null(row);
        if (row->flags & OP_SOURCE)
            continue;
        if (!row->ref || !row->sample || !row->infer)
            fail_msg("%s lacks a reference kernel, samples or shapes", row->name);
        if (!row->vjp && !row->expand && !(row->flags & OP_FLAT))
            fail_msg("%s has neither a gradient nor an expansion", row->name);
    }
}

static void ref_equals_expand(const struct trial *t)
{
    struct eval e;

    if (!op_expands(&t->node) ||
        (t->row->flags & OP_BACKWARD)) /* a gradient's statistics must belong to its x */
        return;
    eval_graph(t, &e, NULL, EXPANDED);
    for (int k = 0; k < t->n_out; k++)
        for (int64_t i = 0; i < dims_count(&t->out_dims[k]); i++)
            trial_near(t, "expansion", e.out[k][i], t->out[k][i], 1e-11 * (1 + t->scale[k]));
    eval_free(&e);
}

/* <c, row(x)> along a random direction of input k: analytic slope against the central difference. */
static double objective(const struct trial *t)
{
    double sum = 0;

    for (int k = 0; k < t->n_out; k++)
        for (int64_t i = 0; i < dims_count(&t->out_dims[k]); i++)
            sum += t->cotangent[k][i] * t->out[k][i];
    return sum;
}

static double shifted_objective(struct trial *t, int k, double h)
{
    double value;

    trial_shift(t, k, h);
    trial_run(t);
    value = objective(t);
    trial_shift(t, k, -h);
    return value;
}

static void first_derivative(struct trial *t, enum meaning m)
{
    struct eval e;
    const double h = 1e-5;

    if (t->row->flags & (OP_FLAT | OP_BACKWARD | OP_UPDATE))
        return;
    eval_graph(t, &e, grad_build, m);
    for (int k = 0; k < t->c.n_in; k++) {
        double slope = 0, numeric;
        if (t->c.fill[k] >= FILL_CLASS)
            continue;
        for (int64_t i = 0; i < dims_count(&t->c.in[k]); i++)
            slope += e.out[k][i] * t->direction[k][i];
        numeric = (shifted_objective(t, k, h) - shifted_objective(t, k, -h)) / (2 * h);
        trial_near(t, "first derivative", slope, numeric, 2e-7 * (1 + fabs(numeric) + fabs(objective(t))));
    }
    trial_run(t);
    eval_free(&e);
}

/* The same for q(x) = sum over inputs of <e_k, d objective / d x_k>. */
static double slope_sum(struct trial *t, int k, double h)
{
    struct eval e;
    double sum = 0;

    trial_shift(t, k, h);
    eval_graph(t, &e, grad_build, DIRECT);
    trial_shift(t, k, -h);
    for (int j = 0; j < t->c.n_in; j++)
        for (int64_t i = 0; t->c.fill[j] < FILL_CLASS && i < dims_count(&t->c.in[j]); i++)
            sum += e.out[j][i] * t->second[j][i];
    eval_free(&e);
    return sum;
}

static void second_derivative(struct trial *t)
{
    struct eval e;
    const double h = 1e-5;

    if (t->row->flags & (OP_FLAT | OP_BACKWARD | OP_UPDATE | OP_LINEAR))
        return;
    eval_graph(t, &e, second_build, EXPANDED);
    for (int k = 0; k < t->c.n_in; k++) {
        double slope = 0, numeric;
        if (t->c.fill[k] >= FILL_CLASS)
            continue;
        for (int64_t i = 0; i < dims_count(&t->c.in[k]); i++)
            slope += e.out[k][i] * t->direction[k][i];
        numeric = (slope_sum(t, k, h) - slope_sum(t, k, -h)) / (2 * h);
        trial_near(t, "second derivative", slope, numeric, 2e-6 * (1 + fabs(numeric)));
    }
    eval_free(&e);
}

/* <A x, y> = <x, A* y> for every linear argument. */
static void adjoint(struct trial *t)
{
    struct eval e;
    double left = objective(t), right = 0;

    if (!(t->row->flags & (OP_LINEAR | OP_BILINEAR)) || ((t->row->flags & OP_BILINEAR) && t->c.n_in != 2))
        return;
    eval_graph(t, &e, grad_build, DIRECT);
    for (int k = 0; k < t->c.n_in; k++) {
        double inner = 0;
        for (int64_t i = 0; i < dims_count(&t->c.in[k]); i++)
            inner += e.out[k][i] * t->in[k][i];
        if (t->row->flags & OP_BILINEAR)
            trial_near(t, "adjoint identity", inner, left, 1e-11 * (1 + t->scale[0]) * 100);
        right += inner;
    }
    if (t->row->flags & OP_LINEAR)
        trial_near(t, "adjoint identity", right, left, 1e-11 * (1 + t->scale[0]) * 100);
    eval_free(&e);
}

static void not_mostly_zero(const struct trial *t)
{
    int64_t zeros = 0, count = dims_count(&t->out_dims[0]);

    if (t->row->flags & OP_FLAT)
        return;
    for (int64_t i = 0; i < count; i++)
        zeros += t->out[0][i] == 0;
    if (count >= 16 && zeros * 10 > count * 9)
        fail_msg("%s sample %d: outputs are mostly zero, which proves nothing", t->row->name, t->number);
}

static void check_mathematics(struct trial *t)
{
    if (t->narrow)
        return;
    not_mostly_zero(t);
    ref_equals_expand(t);
    if (t->row->expands && op_expands(&t->node)) /* a variant made after differentiation */
        return;
    first_derivative(t, EXPANDED);
    first_derivative(t, DIRECT);
    second_derivative(t);
    adjoint(t);
}

static void mathematics(void **state)
{
    (void)state;
    each_trial(check_mathematics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_has_its_parts),
        cmocka_unit_test(mathematics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
