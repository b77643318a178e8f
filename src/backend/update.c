/* Optimiser updates and the global norm: all tensors in one parallel loop over chunks that their sizes alone
 * decide. */
#include "backend/classes.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 16 * 1024 /* elements */ };

/* first[k] = chunks before tensor k of `count`, whose shapes are dims[]; first[count] is their number. */
static void chunks_count(int64_t *first, const struct dims *dims, int64_t count)
{
    first[0] = 0;
    for (int64_t k = 0; k < count; k++)
        first[k + 1] = first[k] + int64_ceil_div(dims_count(&dims[k]), CHUNK);
}

/* The tensor of a chunk: the last one that starts at or before it. */
static int64_t tensor_of(const int64_t *first, int64_t count, int64_t chunk)
{
    int64_t low = 0, high = count;

    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;

        if (first[middle] <= chunk)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static int64_t chunk_size(const struct dims *d, int64_t from)
{
    return int64_min(CHUNK, dims_count(d) - from);
}

/* ---- l2_norm ---- */

static void l2_norm_run(const struct run *r)
{
    const struct step *s = r->step;
    const struct fused_table *t = fused_of(s);
    const int64_t count = s->node->n_in;
    const size_t size = dtype_size(s->type);
    int64_t *first = r->work;
    double *part = (double *)r->work + count + 1, sum = 0;

    chunks_count(first, s->in_dims, count);
    const int threads = class_threads(s, first[count]);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t i = 0; i < first[count]; i++) {
        const int64_t k = tensor_of(first, count, i), from = (i - first[k]) * CHUNK;

        part[i] =
            t->square_run((const char *)r->in[k] + (size_t)from * size, chunk_size(&s->in_dims[k], from));
    }
    for (int64_t i = 0; i < first[count]; i++)
        sum += part[i];
    class_put(r->out[0], 0, sqrt(sum), s->type);
}

static void l2_norm_prepare(struct step *s)
{
    int64_t chunks = 0;

    for (int k = 0; k < s->node->n_in; k++)
        chunks += int64_ceil_div(dims_count(&s->in_dims[k]), CHUNK);
    s->work = (size_t)(s->node->n_in + 1 + chunks) * sizeof(double);
}

/* ---- sgd [lr, scale, when | w, g, v] -> [w, v] and adamw [lr, scale, when, step | w, g, m, v] -> [w, m, v]
 * ---- */

static double scalar(const struct run *r, int k)
{
    return class_get(r->in[k], 0, r->step->type);
}

/* The chunk of tensor k from element `from` on; scalars and constants are already in c. */
static void chunk_at(struct update_chunk *c, const struct run *r, int64_t k, int64_t from)
{
    const struct step *s = r->step;
    const bool adam = s->node->id == OP_ADAMW;
    const int64_t count = s->node->attr.update.count, lists = adam ? 4 : 3;
    const void *const *in = r->in + s->node->n_in - lists * count + k;
    const size_t at = (size_t)from * dtype_size(s->type);

    c->w = (const char *)in[0] + at;
    c->g = (const char *)in[count] + at;
    c->m = (const char *)in[2 * count] + at;
    c->v = (const char *)in[(lists - 1) * count] + at;
    c->w_new = (char *)r->out[k] + at;
    c->m_new = (char *)r->out[count + k] + at;
    c->v_new = (char *)r->out[(lists - 2) * count + k] + at;
}

static void chunk_keep(const struct update_chunk *c, size_t size, bool adam)
{
    const size_t bytes = (size_t)c->n * size;

    if (c->w_new != c->w)
        memcpy(c->w_new, c->w, bytes);
    if (c->v_new != c->v)
        memcpy(c->v_new, c->v, bytes);
    if (adam && c->m_new != c->m)
        memcpy(c->m_new, c->m, bytes);
}

static struct update_chunk constants(const struct run *r)
{
    const union attr *a = &r->step->node->attr;
    struct update_chunk c = {.lr = scalar(r, 0),
                             .scale = scalar(r, 1),
                             .momentum = a->update.momentum,
                             .decay = a->update.decay,
                             .beta1 = a->update.beta1,
                             .beta2 = a->update.beta2,
                             .eps = a->update.eps};

    if (r->step->node->id == OP_ADAMW) {
        c.fix1 = 1 / (1 - pow(c.beta1, scalar(r, 3)));
        c.fix2 = 1 / sqrt(1 - pow(c.beta2, scalar(r, 3)));
    }
    return c;
}

static void update_run(const struct run *r)
{
    const struct step *s = r->step;
    const struct fused_table *t = fused_of(s);
    const bool adam = s->node->id == OP_ADAMW, when = scalar(r, 2) != 0;
    const int64_t count = s->node->attr.update.count;
    const struct update_chunk all = constants(r);
    int64_t *first = r->work;

    chunks_count(first, s->out_dims, count);
    const int threads = class_threads(s, first[count]);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t i = 0; i < first[count]; i++) {
        const int64_t k = tensor_of(first, count, i), from = (i - first[k]) * CHUNK;
        struct update_chunk c = all;

        c.n = chunk_size(&s->out_dims[k], from);
        chunk_at(&c, r, k, from);
        if (!when)
            chunk_keep(&c, dtype_size(s->type), adam);
        else
            (adam ? t->adamw : t->sgd)(&c);
    }
}

static void update_prepare(struct step *s)
{
    s->work = (size_t)(s->node->attr.update.count + 1) * sizeof(int64_t);
}

static bool update_accepts(const struct step *s)
{
    return class_all_real(s) && s->node->attr.update.count > 0;
}

const struct kernel_class class_l2_norm = {"l2_norm.chunks", OP_L2_NORM, class_all_real, l2_norm_prepare,
                                           l2_norm_run};
const struct kernel_class class_sgd = {"sgd.chunks", OP_SGD, update_accepts, update_prepare, update_run};
const struct kernel_class class_adamw = {"adamw.chunks", OP_ADAMW, update_accepts, update_prepare,
                                         update_run};
