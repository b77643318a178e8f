#include "graph/cost.h"

#include "graph/op.h"

static double count_of(const struct dims *d)
{
    return (double)dims_count(d);
}

double step_flops(const struct step *s)
{
    const struct node *n = s->node;
    const struct dims *w;

    switch (n->id) {
    case OP_CONV:
    case OP_CONV_DX:
        w = &s->in_dims[1];
        return 2 * count_of(n->id == OP_CONV ? &s->out_dims[0] : &s->in_dims[0]) * count_of(w) /
               (double)w->n[0];
    case OP_CONV_DW:
        w = &s->out_dims[0];
        return 2 * count_of(&s->in_dims[0]) * count_of(w) / (double)w->n[0];
    case OP_MATMUL:
        return 2 * count_of(&s->out_dims[0]) *
               (double)s->in_dims[0].n[s->in_dims[0].rank - (n->attr.matmul.transpose_a ? 2 : 1)];
    default:
        return count_of(&s->out_dims[0]);
    }
}

double step_bytes(const struct step *s)
{
    double bytes = 0;

    for (int k = 0; k < s->node->n_in; k++)
        bytes += count_of(&s->in_dims[k]) * (double)dtype_size(s->in_type[k]);
    for (int k = 0; k < s->node->n_out; k++)
        bytes += count_of(&s->out_dims[k]) * (double)dtype_size(s->out_type[k]);
    return bytes;
}

/* Of one core with AVX-512: what direct kernels reach, and what memory delivers. */
static const double flops_per_second = 160e9, bytes_per_second = 20e9;

double step_seconds(const struct step *s)
{
    if (s->node->op->flags & OP_VIEW)
        return 0;
    if (s->seconds > 0)
        return s->seconds;
    return step_flops(s) / flops_per_second + step_bytes(s) / bytes_per_second;
}
