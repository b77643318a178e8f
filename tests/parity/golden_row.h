/* Test helper: a golden row of a network: outputs, objective, input and parameter gradients against numbers
 * that PyTorch computed in double precision. */
#ifndef TESTS_PARITY_GOLDEN_ROW_H
#define TESTS_PARITY_GOLDEN_ROW_H

#include "net_run.h"

enum { OUTPUTS_MAX = 5, GRADS_MAX = 4 };

struct stats {
    double sum, sumsq, first, middle, last;
};

struct grad_stats {
    const char *name;
    double abs_sum, first;
};

struct row {
    const char *what;
    int64_t size[3];
    int outputs;
    struct stats out[OUTPUTS_MAX];
    double objective;
    struct grad_stats input;
    struct grad_stats grad[GRADS_MAX];
};

/* Relative tolerances. Of a gradient the sum of |g| is compared relative to itself, the first element to the
 * mean of |g|. */
struct bars {
    double out, grad, first;
};

static inline void nearly(const char *what, double have, double want, double tolerance)
{
    if (!(fabs(have - want) <= tolerance))
        fail_msg("%s: %.12g, should be %.12g within %.1e", what, have, want, tolerance);
}

/* The printed digits: nine of them. */
static inline void same(const char *what, double have, double want, double relative)
{
    nearly(what, have, want, relative * fabs(want) + 1e-12);
}

static inline val objective(struct net_run *r, int n, const val out[])
{
    val sum = {0};

    for (int j = 0; j < n; j++) {
        char name[32];
        val part;

        snprintf(name, sizeof(name), "grad%d", j);
        part = op_sum(r->g, op_mul(r->g, out[j], net_input(r, name, graph_dims(r->g, out[j]))), ALL_AXES);
        part = op_reshape(r->g, part, DIMS0);
        net_fill_golden(r, name, name, 1);
        sum = j ? op_add(r->g, sum, part) : part;
        snprintf(name, sizeof(name), "output.%d", j);
        graph_output(r->g, name, out[j]);
    }
    graph_output(r->g, "objective", sum);
    return sum;
}

static inline void add_gradients(struct net_run *r, const struct row *row, val sum, val image)
{
    val wrt[1 + GRADS_MAX] = {image}, grad[1 + GRADS_MAX];
    int n = 1;

    for (; n <= GRADS_MAX && row->grad[n - 1].name; n++)
        for (size_t i = 0; i < r->m->count; i++)
            if (!strcmp(r->m->param[i].name, row->grad[n - 1].name))
                wrt[n] = r->m->param[i].v;
    graph_grad(r->g, sum, n, wrt, grad);
    graph_output(r->g, "input", grad[0]);
    for (int i = 1; i < n; i++)
        graph_output(r->g, row->grad[i - 1].name, grad[i]);
}

static inline void check_output(const struct net_run *r, const char *name, val v, const struct stats *want,
                                double relative)
{
    struct tensor t = net_output(r, name, graph_dims(r->g, v));
    int64_t n = dims_count(&t.dims);
    struct stats have = {0};
    double scale;

    for (int64_t i = 0; i < n; i++) {
        double y = tensor_get(&t, i);
        int64_t at = golden_torch_index(&t.dims, i);

        have.sum += y;
        have.sumsq += y * y;
        if (at == 0)
            have.first = y;
        if (at == n / 2)
            have.middle = y;
        if (at == n - 1)
            have.last = y;
    }
    scale = relative * sqrt(want->sumsq / (double)n);
    same(name, have.sumsq, want->sumsq, 2 * relative);
    nearly(name, have.sum, want->sum, relative * fabs(want->sum) + scale * sqrt((double)n));
    nearly(name, have.first, want->first, relative * fabs(want->first) + scale);
    nearly(name, have.middle, want->middle, relative * fabs(want->middle) + scale);
    nearly(name, have.last, want->last, relative * fabs(want->last) + scale);
}

static inline void check_gradient(const struct net_run *r, const struct grad_stats *want, struct dims d,
                                  const struct bars *bar)
{
    struct tensor t = net_output(r, want->name, d);
    int64_t n = dims_count(&d);
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += fabs(tensor_get(&t, i));
    same(want->name, sum, want->abs_sum, bar->grad);
    nearly(want->name, tensor_get(&t, 0), want->first,
           bar->first * (fabs(want->first) + want->abs_sum / (double)n));
}

static inline void check_row(const struct net_run *r, const struct row *row, const val out[],
                             const struct bars *bar)
{
    struct grad_stats input = row->input;

    for (int j = 0; j < row->outputs; j++) {
        char name[32];

        snprintf(name, sizeof(name), "output.%d", j);
        check_output(r, name, out[j], &row->out[j], bar->out);
    }
    same("objective", program_scalar(r->p, "objective"), row->objective, 10 * bar->out);
    input.name = "input";
    check_gradient(r, &input, store_find(r->inputs, "input")->dims, bar);
    for (int i = 0; i < GRADS_MAX && row->grad[i].name; i++)
        check_gradient(r, &row->grad[i], store_find(r->store, row->grad[i].name)->dims, bar);
}

static inline void run_row(const struct row *row, const struct nnunet *o, enum dtype real,
                           const struct bars *bar)
{
    struct net_run r;
    val out[NNUNET_STAGES_MAX], image;
    int n = 0;

    print_message("%s, %s\n", row->what, dtype_name(real));
    net_open(&r, real);
    image = net_input(&r, "input", DIMS5(1, row->size[0], row->size[1], row->size[2], 4));
    net_fill_golden(&r, "input", "input", 4);
    nnunet(r.m, image, o, out, &n);
    assert_int_equal(n, row->outputs);
    add_gradients(&r, row, objective(&r, n, out), image);
    net_fill_params(&r);
    net_compile(&r);
    OK(program_run(r.p));
    check_row(&r, row, out, bar);
    net_close(&r);
}

/* In double the printed digits. In single the rows' tolerances, but for a single element: there PyTorch
 * itself is off by 3e-3 of the mean in the anisotropic row (instance norm over 12 voxels amplifies rounding).
 */
static inline void run_both(const struct row *row, const struct nnunet *o)
{
    run_row(row, o, DT_F64, &(struct bars){1e-8, 1e-8, 1e-8});
    run_row(row, o, DT_F32, &(struct bars){1e-4, 1e-3, 1e-2});
}

#endif
