#include "graph/reference.h"

#include "tensor/bf16.h"
#include <string.h>

static size_t padded(int64_t count)
{
    return ((size_t)count + 7) / 8 * 8;
}

static bool reference_accepts(const struct step *s)
{
    return s->node->op->ref != NULL;
}

/* Scratch: the pointer lists, then every operand as doubles. */
static void reference_prepare(struct step *s)
{
    size_t n = 0;

    for (int k = 0; k < s->node->n_in; k++)
        n += padded(dims_count(&s->in_dims[k]));
    for (int k = 0; k < s->node->n_out; k++)
        n += padded(dims_count(&s->out_dims[k]));
    s->work = n * sizeof(double) + (size_t)(s->node->n_in + s->node->n_out + 8) * sizeof(double *);
}

static void widen(double *to, const void *from, enum dtype type, int64_t count)
{
    if (type == DT_F64)
        memcpy(to, from, (size_t)count * sizeof *to);
    for (int64_t i = 0; type == DT_F32 && i < count; i++)
        to[i] = ((const float *)from)[i];
    for (int64_t i = 0; type == DT_I64 && i < count; i++)
        to[i] = (double)((const int64_t *)from)[i];
    for (int64_t i = 0; type == DT_BF16 && i < count; i++)
        to[i] = (double)bf16_widen(((const uint16_t *)from)[i]);
}

static void narrow(void *to, const double *from, enum dtype type, int64_t count)
{
    if (type == DT_F64)
        memcpy(to, from, (size_t)count * sizeof *from);
    for (int64_t i = 0; type == DT_F32 && i < count; i++)
        ((float *)to)[i] = (float)from[i];
    for (int64_t i = 0; type == DT_I64 && i < count; i++)
        ((int64_t *)to)[i] = (int64_t)from[i];
    for (int64_t i = 0; type == DT_BF16 && i < count; i++)
        ((uint16_t *)to)[i] = bf16_of(from[i]);
}

static void reference_run(const struct run *r)
{
    const struct step *s = r->step;
    const double **in = r->work;
    double **out = (double **)(in + s->node->n_in);
    double *at = (double *)r->work + padded(s->node->n_in + s->node->n_out);
    struct ref_args a = {s->node, in, out, s->in_dims, s->out_dims};

    for (int k = 0; k < s->node->n_in; k++) {
        int64_t count = dims_count(&s->in_dims[k]);
        widen(at, r->in[k], s->in_type[k], count);
        in[k] = at;
        at += padded(count);
    }
    for (int k = 0; k < s->node->n_out; k++) {
        out[k] = at;
        at += padded(dims_count(&s->out_dims[k]));
    }
    s->node->op->ref(&a);
    for (int k = 0; k < s->node->n_out; k++)
        narrow(r->out[k], out[k], s->out_type[k], dims_count(&s->out_dims[k]));
}

const struct kernel_class reference_class = {
    .name = "reference", .accepts = reference_accepts, .prepare = reference_prepare, .run = reference_run};
