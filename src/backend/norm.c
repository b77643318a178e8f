/* Normalisation (+ residual + leaky ReLU) and its gradient: one parallel region with two passes over chunks
 * that the shape alone decides, and the small sums of each sample in between. */
#include "backend/classes.h"

#include <string.h>

enum { CHUNK = 32 * 1024 /* elements */, CHUNK_ROWS = 64 };

/* Where things are in the scratch buffer, and the cut. */
struct layout {
    int64_t samples, voxels, channels, groups, chunk, chunks;
    size_t size, parts, totals,
        param; /* element size; bytes of one sample's part sums, totals and parameters */
};

struct class_cut class_cut_of(const struct step *s, const struct dims *x)
{
    struct class_cut cut = {.samples = x->n[0], .channels = x->n[x->rank - 1]};
    const int64_t fold = fused_of(s)->norm_fold(cut.channels), rows = CHUNK / (fold * cut.channels);

    cut.columns = fold * cut.channels;
    cut.voxels = dims_count(x) / (cut.samples * cut.channels);
    cut.chunk = fold * (rows > CHUNK_ROWS ? rows : CHUNK_ROWS);
    cut.chunks = int64_ceil_div(cut.voxels, cut.chunk);
    return cut;
}

static struct layout layout_of(const struct step *s, const struct dims *x)
{
    const int64_t c = x->n[x->rank - 1], n = x->n[0], groups = s->node->attr.norm.groups;
    struct layout l = {
        .samples = n, .channels = c, .groups = groups ? groups : c, .size = dtype_size(s->type)};
    const struct class_cut cut = class_cut_of(s, x);

    l.voxels = cut.voxels;
    l.chunk = cut.chunk;
    l.chunks = cut.chunks;
    l.parts = class_align((size_t)(l.chunks * 2 * c) * sizeof(double));
    l.totals = class_align((size_t)(2 * c) * sizeof(double));
    l.param = class_align((size_t)(NORM_PARAMS * cut.columns) * l.size);
    return l;
}

static size_t layout_bytes(const struct layout *l)
{
    return (size_t)l->samples * (l->parts + l->totals + l->param);
}

static double *parts_of(const struct layout *l, void *work, int64_t sample)
{
    return (double *)(void *)((char *)work + (size_t)sample * l->parts);
}

static double *totals_of(const struct layout *l, void *work, int64_t sample)
{
    return (double *)(void *)((char *)work + (size_t)l->samples * l->parts + (size_t)sample * l->totals);
}

static void *param_of(const struct layout *l, void *work, int64_t sample)
{
    return (char *)work + (size_t)l->samples * (l->parts + l->totals) + (size_t)sample * l->param;
}

static const void *sample_in(const struct layout *l, const void *p, int64_t sample)
{
    return p ? (const char *)p + (size_t)(sample * l->voxels * l->channels) * l->size : NULL;
}

static void *sample_out(const struct layout *l, void *p, int64_t sample)
{
    return p ? (char *)p + (size_t)(sample * l->voxels * l->channels) * l->size : NULL;
}

/* What either direction needs to know; NULL for what an op does not have. */
struct job {
    struct layout layout;
    const struct fused_table *table;
    const void *x, *dy, *y, *residual, *gamma, *beta;
    void *out, *g, *mean, *rstd, *work;
    double eps, slope;
    bool act, stream;
};

static struct norm_chunk chunk_of(const struct job *j, int64_t sample, int64_t k)
{
    const struct layout *l = &j->layout;

    return (struct norm_chunk){
        .x = sample_in(l, j->x, sample),
        .dy = sample_in(l, j->dy, sample),
        .y = sample_in(l, j->y, sample),
        .residual = sample_in(l, j->residual, sample),
        .out = sample_out(l, j->out, sample),
        .g = sample_out(l, j->g, sample),
        .first = k * l->chunk,
        .voxels = int64_min(l->chunk, l->voxels - k * l->chunk),
        .channels = l->channels,
        .slope = j->slope,
        .param = param_of(l, j->work, sample),
        .stream = j->stream,
    };
}

static struct norm_sample sample_of(const struct job *j, int64_t sample)
{
    const struct layout *l = &j->layout;
    const size_t stat = (size_t)(sample * l->groups) * l->size;

    return (struct norm_sample){
        .voxels = l->voxels,
        .channels = l->channels,
        .groups = l->groups,
        .chunks = l->chunks,
        .chunk_voxels = l->chunk,
        .eps = j->eps,
        .parts = parts_of(l, j->work, sample),
        .gamma = j->gamma,
        .beta = j->beta,
        .mean = (char *)j->mean + stat,
        .rstd = (char *)j->rstd + stat,
        .totals = totals_of(l, j->work, sample),
        .param = param_of(l, j->work, sample),
    };
}

static void forward(const struct job *j, const struct step *s)
{
    const struct layout *l = &j->layout;
    const struct fused_table *t = j->table;
    const int64_t items = l->samples * l->chunks;
    const int threads = class_threads(s, items);

#pragma omp parallel num_threads(threads) if (threads > 1)
    {
#pragma omp for schedule(static)
        for (int64_t i = 0; i < items; i++) {
            const struct norm_chunk c = chunk_of(j, i / l->chunks, i % l->chunks);
            t->norm_moments(&c, parts_of(l, j->work, i / l->chunks) + i % l->chunks * 2 * l->channels);
        }
#pragma omp for schedule(static)
        for (int64_t n = 0; n < l->samples; n++) {
            const struct norm_sample one = sample_of(j, n);
            t->norm_finish(&one);
        }
#pragma omp for schedule(static)
        for (int64_t i = 0; i < items; i++) {
            const struct norm_chunk c = chunk_of(j, i / l->chunks, i % l->chunks);
            (j->act ? t->norm_act_apply : t->norm_apply)(&c);
        }
    }
}

static void backward(const struct job *j, const struct step *s)
{
    const struct layout *l = &j->layout;
    const struct fused_table *t = j->table;
    const int64_t items = l->samples * l->chunks;
    const int threads = class_threads(s, items);

#pragma omp parallel num_threads(threads) if (threads > 1)
    {
#pragma omp for schedule(static)
        for (int64_t n = 0; n < l->samples; n++) {
            const struct norm_sample one = sample_of(j, n);
            t->norm_mean_param(&one);
        }
#pragma omp for schedule(static)
        for (int64_t i = 0; i < items; i++) {
            const struct norm_chunk c = chunk_of(j, i / l->chunks, i % l->chunks);
            t->norm_grad_sums(&c, parts_of(l, j->work, i / l->chunks) + i % l->chunks * 2 * l->channels);
        }
#pragma omp for schedule(static)
        for (int64_t n = 0; n < l->samples; n++) {
            const struct norm_sample one = sample_of(j, n);
            t->norm_grad_finish(&one);
        }
#pragma omp for schedule(static)
        for (int64_t i = 0; i < items; i++) {
            struct norm_chunk c = chunk_of(j, i / l->chunks, i % l->chunks);
            if (c.g) /* already behind the activation */
                c.dy = c.g, c.y = NULL;
            t->norm_grad_apply(&c);
        }
    }
}

/* dgamma and dbeta: over the samples, in order. */
static void gradient_params(const struct job *j, enum dtype type, void *dgamma, void *dbeta)
{
    const struct layout *l = &j->layout;

    for (int64_t c = 0; c < l->channels; c++) {
        double beta = 0, gamma = 0;

        for (int64_t n = 0; n < l->samples; n++) {
            const double *totals = totals_of(l, j->work, n);
            beta += totals[c];
            gamma += totals[l->channels + c];
        }
        class_put(dgamma, c, gamma, type);
        class_put(dbeta, c, beta, type);
    }
}

static struct job job_of(const struct run *r, int x)
{
    const struct step *s = r->step;
    struct job j = {
        .layout = layout_of(s, &s->in_dims[x]), .table = fused_of(s), .x = r->in[x], .work = r->work};

    j.eps = s->node->attr.norm.eps;
    j.slope = s->node->attr.norm.slope;
    j.out = r->out[0];
    j.stream = (size_t)dims_count(&s->in_dims[x]) * j.layout.size >= STREAM_BYTES;
    return j;
}

/* (x[, gamma, beta]) -> (y, mean, rstd); with the activation also [, residual] */
static void norm_run(const struct run *r)
{
    const int inputs = r->step->node->n_in;
    struct job j = job_of(r, 0);

    j.act = r->step->node->id == OP_NORM_ACT;
    j.gamma = inputs > 1 ? r->in[1] : NULL;
    j.beta = inputs > 2 ? r->in[2] : NULL;
    j.residual = inputs > 3 ? r->in[3] : NULL;
    j.mean = r->out[1];
    j.rstd = r->out[2];
    forward(&j, r->step);
}

/* (dy, x, mean, rstd[, gamma]) -> (dx[, dgamma, dbeta]) */
static void norm_grad_run(const struct run *r)
{
    const struct node *n = r->step->node;
    struct job j = job_of(r, 1);

    j.dy = r->in[0];
    j.mean = (void *)(uintptr_t)r->in[2]; /* only read */
    j.rstd = (void *)(uintptr_t)r->in[3];
    j.gamma = n->n_in > 4 ? r->in[4] : NULL;
    backward(&j, r->step);
    if (n->n_out > 2)
        gradient_params(&j, r->step->type, r->out[1], r->out[2]);
}

/* (dy, y, x, mean, rstd, gamma) -> (dx, dgamma, dbeta[, g]) */
static void norm_act_grad_run(const struct run *r)
{
    const struct node *n = r->step->node;
    struct job j = job_of(r, 2);

    j.dy = r->in[0];
    j.y = r->in[1];
    j.mean = (void *)(uintptr_t)r->in[3];
    j.rstd = (void *)(uintptr_t)r->in[4];
    j.gamma = r->in[5];
    j.g = n->n_out > 3 ? r->out[3] : NULL;
    backward(&j, r->step);
    gradient_params(&j, r->step->type, r->out[1], r->out[2]);
}

static void norm_prepare_at(struct step *s, int x)
{
    const struct layout l = layout_of(s, &s->in_dims[x]);

    s->work = layout_bytes(&l);
}

static void norm_prepare(struct step *s)
{
    norm_prepare_at(s, 0);
}

static void norm_grad_prepare(struct step *s)
{
    norm_prepare_at(s, 1);
}

static void norm_act_grad_prepare(struct step *s)
{
    norm_prepare_at(s, 2);
    s->spare = 1u << 3; /* g is for a residual */
}

static bool norm_accepts(const struct step *s)
{
    return class_all_real(s) && s->in_dims[0].rank >= 2 && dims_count(&s->in_dims[0]) > 0;
}

const struct kernel_class class_norm = {"norm.fused", OP_NORM, norm_accepts, norm_prepare, norm_run};
const struct kernel_class class_norm_act = {"norm_act.fused", OP_NORM_ACT, norm_accepts, norm_prepare,
                                            norm_run};
const struct kernel_class class_norm_grad = {"norm_grad.fused", OP_NORM_GRAD, norm_accepts, norm_grad_prepare,
                                             norm_grad_run};
const struct kernel_class class_norm_act_grad = {"norm_act_grad.fused", OP_NORM_ACT_GRAD, norm_accepts,
                                                 norm_act_grad_prepare, norm_act_grad_run};
