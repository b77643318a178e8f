/* Softmax, and the Dice + cross entropy loss with its gradient (ops/loss.c has the definitions). One pass
 * over the voxels each; the sums of chunks are added in order, in double. */
#include "backend/classes.h"

#include <math.h>
#include <string.h>

#define NNUNET_SMOOTH 1e-5
#define NNUNET_FLOOR 1e-8
#define SQUARED_SMOOTH 1e-6

enum { CHUNK = 8192 /* voxels */ };

static void softmax_run(const struct run *r)
{
    const struct step *s = r->step;
    const struct fused_table *t = fused_of(s);
    const struct dims *d = &s->in_dims[0];
    const int64_t n = d->n[d->rank - 1], rows = dims_count(d) / n, block = CHUNK / n > 0 ? CHUNK / n : 1;
    const int64_t blocks = int64_ceil_div(rows, block);
    const size_t size = dtype_size(s->type);
    const int threads = class_threads(s, blocks);

#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t b = 0; b < blocks; b++) {
        const size_t at = (size_t)(b * block * n) * size;

        (s->node->id == OP_SOFTMAX ? t->softmax : t->log_softmax)(
            (char *)r->out[0] + at, (const char *)r->in[0] + at, int64_min(block, rows - b * block), n);
    }
}

static bool softmax_accepts(const struct step *s)
{
    return class_all_real(s) && s->in_dims[0].rank > 0 && dims_count(&s->in_dims[0]) > 0;
}

/* Of logits (N, D, H, W, K). */
struct shape {
    int64_t samples, voxels, classes, chunks;
    size_t width; /* doubles of one chunk's sums: 3 K + 1 */
};

static struct shape shape_of(const struct dims *x)
{
    struct shape h = {.samples = x->n[0], .voxels = x->n[1] * x->n[2] * x->n[3], .classes = x->n[4]};

    h.chunks = int64_ceil_div(h.voxels, CHUNK);
    h.width = (size_t)(3 * h.classes + 1);
    return h;
}

static struct dice_chunk chunk_of(const struct run *r, const struct shape *h, int64_t item, int logits)
{
    const struct step *s = r->step;
    const int64_t k = item % h->chunks, first = item / h->chunks * h->voxels + k * CHUNK;
    const size_t size = dtype_size(s->type);

    return (struct dice_chunk){
        .logits = (const char *)r->in[logits] + (size_t)(first * h->classes) * size,
        .labels = (const char *)r->in[logits + 1] + (size_t)first * size,
        .out = (char *)r->out[0] + (size_t)(first * h->classes) * size, /* the gradient's */
        .voxels = int64_min(CHUNK, h->voxels - k * CHUNK),
        .classes = h->classes,
        .squared = s->node->attr.loss.squared,
    };
}

/* I, P and G that the ratio of sample n and class k is made of: the sample's or the batch's. */
static void ratio_sums(const struct shape *h, const double *sums, int64_t at[2], double s[3], bool batch)
{
    const int64_t from = batch ? 0 : at[0], to = batch ? h->samples : at[0] + 1;

    s[0] = s[1] = s[2] = 0;
    for (int64_t n = from; n < to; n++)
        for (int i = 0; i < 3; i++)
            s[i] += sums[(size_t)n * h->width + (size_t)(3 * at[1] + i)];
}

static double denominator(const double s[3], bool squared)
{
    return squared ? s[1] + s[2] + SQUARED_SMOOTH : fmax(s[1] + s[2] + NNUNET_SMOOTH, NNUNET_FLOOR);
}

static double ratio_count(const struct shape *h, const union attr *a)
{
    return (double)((h->classes - (a->loss.squared ? 0 : 1)) * (a->loss.batch ? 1 : h->samples));
}

/* The loss from each sample's sums (N, 3 K + 1). */
static double loss_of(const struct shape *h, const double *sums, const union attr *a)
{
    const bool squared = a->loss.squared;
    double ratios = 0, ce = 0, s[3];

    for (int64_t n = 0; n < (a->loss.batch ? 1 : h->samples); n++)
        for (int64_t k = squared ? 0 : 1; k < h->classes; k++) {
            ratio_sums(h, sums, (int64_t[2]){n, k}, s, a->loss.batch);
            ratios += (2 * s[0] + (squared ? 0 : NNUNET_SMOOTH)) / denominator(s, squared);
        }
    for (int64_t n = 0; n < h->samples; n++)
        ce += sums[(size_t)(n + 1) * h->width - 1];
    ratios /= ratio_count(h, a);
    return (squared ? 1 - ratios : -ratios) + a->loss.ce_weight * ce / (double)(h->samples * h->voxels);
}

/* (logits, labels) -> (loss, stats (N, K, 3)) */
static void dice_run(const struct run *r)
{
    const struct step *s = r->step;
    const struct fused_table *t = fused_of(s);
    const struct shape h = shape_of(&s->in_dims[0]);
    const int64_t items = h.samples * h.chunks;
    const int threads = class_threads(s, items);
    double *parts = r->work, *sums = parts + (size_t)items * h.width;

#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t i = 0; i < items; i++) {
        struct dice_chunk c = chunk_of(r, &h, i, 0);

        c.sums = parts + (size_t)i * h.width;
        t->dice_sums(&c);
    }
    for (int64_t n = 0; n < h.samples; n++) {
        double *sum = sums + (size_t)n * h.width;

        memset(sum, 0, h.width * sizeof *sum);
        for (int64_t k = 0; k < h.chunks; k++)
            for (size_t j = 0; j < h.width; j++)
                sum[j] += parts[(size_t)(n * h.chunks + k) * h.width + j];
        for (int64_t j = 0; j < 3 * h.classes; j++)
            class_put(r->out[1], n * 3 * h.classes + j, sum[j], s->type);
    }
    class_put(r->out[0], 0, loss_of(&h, sums, &s->node->attr), s->type);
}

static void dice_prepare(struct step *s)
{
    const struct shape h = shape_of(&s->in_dims[0]);

    s->work = (size_t)(h.samples * (h.chunks + 1)) * h.width * sizeof(double);
}

/* Weights of sample n: d loss / d I and d loss / d P of each class, and the cross entropy's, all times dloss.
 * With squared sums the kernel multiplies the second by p, and dP/dp = 2 p. */
static void weights_of(const struct shape *h, const double *sums, const struct step *s, double dloss,
                       int64_t n, double *weight)
{
    const union attr *a = &s->node->attr;
    const bool squared = a->loss.squared;
    const double scale = dloss / ratio_count(h, a);

    for (int64_t k = 0; k < h->classes; k++) {
        double q[3], d;

        ratio_sums(h, sums, (int64_t[2]){n, k}, q, a->loss.batch);
        d = denominator(q, squared);
        weight[2 * k] = -scale * 2 / d;
        weight[2 * k + 1] = scale * (squared ? 4 * q[0] : 2 * q[0] + NNUNET_SMOOTH) / (d * d);
        if (!squared && k == 0)
            weight[0] = weight[1] = 0;
    }
    weight[2 * h->classes] = dloss * a->loss.ce_weight / (double)(h->samples * h->voxels);
}

/* (dloss, logits, labels, stats) -> dlogits */
static void dice_grad_run(const struct run *r)
{
    const struct step *s = r->step;
    const struct fused_table *t = fused_of(s);
    const struct shape h = shape_of(&s->in_dims[1]);
    const int64_t items = h.samples * h.chunks, width = 2 * h.classes + 1;
    const int threads = class_threads(s, items);
    double *sums = r->work, *weight = sums + (size_t)h.samples * h.width;

    for (int64_t n = 0; n < h.samples; n++)
        for (int64_t j = 0; j < 3 * h.classes; j++)
            sums[(size_t)n * h.width + (size_t)j] = class_get(r->in[3], n * 3 * h.classes + j, s->type);
    for (int64_t n = 0; n < h.samples; n++)
        weights_of(&h, sums, s, class_get(r->in[0], 0, s->type), n, weight + n * width);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t i = 0; i < items; i++) {
        struct dice_chunk c = chunk_of(r, &h, i, 1);

        c.weight = weight + i / h.chunks * width;
        t->dice_grad(&c);
    }
}

static void dice_grad_prepare(struct step *s)
{
    const struct shape h = shape_of(&s->in_dims[1]);

    s->work = (size_t)h.samples * (h.width + (size_t)(2 * h.classes + 1)) * sizeof(double);
}

static bool classes_fit(const struct step *s, int logits)
{
    const struct dims *x = &s->in_dims[logits];

    return class_all_real(s) && x->rank == 5 && x->n[4] >= 2 && x->n[4] <= FUSED_CLASSES && dims_count(x) > 0;
}

static bool dice_accepts(const struct step *s)
{
    return classes_fit(s, 0);
}

static bool dice_grad_accepts(const struct step *s)
{
    return classes_fit(s, 1);
}

const struct kernel_class class_softmax = {"softmax.rows", OP_SOFTMAX, softmax_accepts, NULL, softmax_run};
const struct kernel_class class_log_softmax = {"log_softmax.rows", OP_LOG_SOFTMAX, softmax_accepts, NULL,
                                               softmax_run};
const struct kernel_class class_dice_ce = {"dice_ce.fused", OP_DICE_CE, dice_accepts, dice_prepare, dice_run};
const struct kernel_class class_dice_ce_grad = {"dice_ce_grad.fused", OP_DICE_CE_GRAD, dice_grad_accepts,
                                                dice_grad_prepare, dice_grad_run};
