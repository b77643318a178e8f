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

/* Of two cores with AVX-512: what convolutions reach, and what memory delivers. */
static const double flops_per_second = 320e9, bytes_per_second = 40e9;

/* Winograd's form of a convolution of 3 taps along two or three axes needs about a quarter of the operations.
 */
static bool is_winograd(const struct step *s)
{
    const struct conv *c = &s->node->attr.conv;
    const struct dims *w = s->node->id == OP_CONV_DW ? &s->out_dims[0] : &s->in_dims[1];

    if (s->node->id != OP_CONV && s->node->id != OP_CONV_DX && s->node->id != OP_CONV_DW)
        return false;
    for (int i = 0; i < 3; i++)
        if ((w->n[2 + i] != 3 && (i || w->n[2] != 1)) || c->stride[i] != 1 || c->dilation[i] != 1)
            return false;
    return w->n[0] % 16 == 0 && w->n[1] % 16 == 0;
}

double step_seconds(const struct step *s)
{
    if (s->node->op->flags & OP_VIEW)
        return 0;
    return step_flops(s) * (is_winograd(s) ? 0.25 : 1) / flops_per_second + step_bytes(s) / bytes_per_second;
}
