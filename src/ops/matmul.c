/* Batched matrix product of the last two axes; leading axes agree or are 1. */
#include "ops/row.h"

#include <inttypes.h>
#include <string.h>

/* Rows and columns of an operand as it is read. */
static void operand(const struct dims *d, bool transpose, int64_t *rows, int64_t *cols)
{
    *rows = d->n[d->rank - (transpose ? 1 : 2)];
    *cols = d->n[d->rank - (transpose ? 2 : 1)];
}

static enum err matmul_infer(const struct graph *g, struct node *n)
{
    struct dims a = graph_dims(g, n->in[0]), b = graph_dims(g, n->in[1]), lead_a = a, lead_b = b, out;
    int64_t m, k, k2, cols;
    char ta[160], tb[160];

    if (a.rank < 2 || a.rank != b.rank)
        return err_set(ERR_SHAPE, "operands %s and %s need the same rank, at least 2", dims_text(&a, ta),
                       dims_text(&b, tb));
    operand(&a, n->attr.matmul.transpose_a, &m, &k);
    operand(&b, n->attr.matmul.transpose_b, &k2, &cols);
    lead_a.n[a.rank - 1] = lead_a.n[a.rank - 2] = lead_b.n[a.rank - 1] = lead_b.n[a.rank - 2] = 1;
    if (k != k2 || !dims_broadcast(&lead_a, &lead_b, &out))
        return err_set(ERR_SHAPE, "operands %s and %s do not multiply", dims_text(&a, ta), dims_text(&b, tb));
    infer_like_first(g, n);
    out.n[a.rank - 2] = m;
    out.n[a.rank - 1] = cols;
    n->out_dims[0] = out;
    return ERR_OK;
}

static struct walk matrices(const struct dims *lead, const struct dims *d)
{
    struct dims own = *d;
    struct walk w;

    own.n[d->rank - 1] = own.n[d->rank - 2] = 1;
    w = walk_over(lead, &own);
    for (int i = 0; i < lead->rank; i++)
        w.stride[i] *= d->n[d->rank - 1] * d->n[d->rank - 2];
    return w;
}

static void matmul_ref(const struct ref_args *r)
{
    bool ta = r->node->attr.matmul.transpose_a, tb = r->node->attr.matmul.transpose_b;
    struct dims lead = r->out_dims[0];
    int64_t rank = lead.rank, m = lead.n[rank - 2], cols = lead.n[rank - 1], rows, inner, batches;
    struct walk wa, wb;
    double *out = r->out[0];

    operand(&r->in_dims[0], ta, &rows, &inner);
    lead.n[rank - 1] = lead.n[rank - 2] = 1;
    batches = dims_count(&lead);
    wa = matrices(&lead, &r->in_dims[0]);
    wb = matrices(&lead, &r->in_dims[1]);
    for (int64_t q = 0; q < batches; q++, walk_next(&wa), walk_next(&wb), out += m * cols)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < cols; j++) {
                const double *a = r->in[0] + wa.at, *b = r->in[1] + wb.at;
                double sum = 0;
                for (int64_t k = 0; k < inner; k++)
                    sum += a[ta ? k * m + i : i * inner + k] * b[tb ? j * inner + k : k * cols + j];
                out[i * cols + j] = sum;
            }
}

static void matmul_vjp(struct graph *g, const struct node *n, const val dy[], val dx[])
{
    bool ta = n->attr.matmul.transpose_a, tb = n->attr.matmul.transpose_b;
    val a = n->in[0], b = n->in[1], da, db;

    da = ta ? op_matmul(g, b, dy[0], tb, true) : op_matmul(g, dy[0], b, false, !tb);
    db = tb ? op_matmul(g, dy[0], a, true, ta) : op_matmul(g, a, dy[0], !ta, false);
    dx[0] = op_sum_to(g, da, graph_dims(g, a));
    dx[1] = op_sum_to(g, db, graph_dims(g, b));
}

static void matmul_sample(struct sampler *s)
{
    for (int flags = 0; flags < 4; flags++) {
        bool ta = flags & 1, tb = flags & 2;
        struct sample c = {.n_in = 2};
        c.attr = attr_none();
        c.attr.matmul.transpose_a = ta;
        c.attr.matmul.transpose_b = tb;
        c.in[0] = ta ? DIMS3(2, 7, 5) : DIMS3(2, 5, 7);
        c.in[1] = tb ? DIMS3(2, 33, 7) : DIMS3(2, 7, 33);
        sampler_add(s, &c);
        c.in[0].n[0] = 1;
        sampler_add(s, &c);
        c.in[0] = ta ? DIMS2(20, 1) : DIMS2(1, 20);
        c.in[1] = tb ? DIMS2(1, 20) : DIMS2(20, 1);
        sampler_add(s, &c);
    }
}

const struct op op_row_matmul = {.name = "matmul",
                                 .arity = 2,
                                 .flags = OP_BILINEAR,
                                 .infer = matmul_infer,
                                 .vjp = matmul_vjp,
                                 .ref = matmul_ref,
                                 .sample = matmul_sample};

val op_matmul(struct graph *g, val a, val b, bool transpose_a, bool transpose_b)
{
    union attr t = attr_none();

    t.matmul.transpose_a = transpose_a;
    t.matmul.transpose_b = transpose_b;
    return graph_node(g, OP_MATMUL, &t, 2, (val[]){a, b});
}
