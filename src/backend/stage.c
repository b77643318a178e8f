/* Moments, stages and gates as steps of their own, for what no convolution takes as a hook: chunks of voxels
 * that the shape alone decides, sums added in their order. Images may be windows of wider buffers; such a
 * chunk is copied through a dense one that stays in the cache. What a gate and norm_dx read of the forward
 * pass may be bf16: a chunk of it is widened first. */
#include "backend/classes.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { X, DY, MORE, OUT, IMAGES, INPUTS_MAX = 4 };

/* NULL for what an op does not have. */
struct job {
    struct class_cut cut;
    const struct fused_table *table;
    void (*run)(const struct norm_chunk *c); /* of a chunk, unless it is `sums` */
    void (*sums)(const struct norm_chunk *c, double *parts);
    char *image[IMAGES];
    int64_t pitch[IMAGES];
    size_t size;   /* of an element */
    char *param;   /* per sample COEF_ROWS rows of cut.columns numbers */
    double *parts; /* per chunk (2, C) */
    bool bf16;     /* X is */
    char *wide;    /* per thread a chunk of it, `dense` bytes */
    size_t dense;
    bool stream;
};

static size_t param_bytes(const struct step *s, const struct class_cut *c)
{
    return class_align((size_t)(c->samples * COEF_ROWS * c->columns) * dtype_size(s->type));
}

static size_t parts_bytes(const struct class_cut *c)
{
    return class_align((size_t)(c->samples * c->chunks * 2 * c->channels) * sizeof(double));
}

static bool z_is_bf16(const struct step *s)
{
    return s->node->n_in > 1 && s->in_type[1] == DT_BF16;
}

static size_t dense_bytes(const struct step *s, const struct class_cut *c)
{
    const int64_t voxels = z_is_bf16(s) ? int64_min(c->chunk, c->voxels) : 0;

    return class_align((size_t)(voxels * c->channels) * dtype_size(s->type));
}

static void image_prepare(struct step *s)
{
    const struct class_cut c = class_cut_of(s, &s->in_dims[0]);
    const bool windows = c.channels % FUSED_WINDOW == 0;

    for (int k = 0; k < s->node->n_in; k++) /* the others are rows of parameters */
        s->pitch_in |= (unsigned)(windows && s->in_dims[k].rank == 5) << k;
    s->pitch_out = windows && s->out_dims[0].rank == 5;
    s->work = param_bytes(s, &c) + parts_bytes(&c) +
              (size_t)class_threads(s, c.samples * c.chunks) * dense_bytes(s, &c);
}

static struct job job_of(const struct run *r)
{
    const struct step *s = r->step;
    struct job j = {
        .cut = class_cut_of(s, &s->in_dims[0]), .table = fused_of(s), .size = dtype_size(s->type)};

    j.param = r->work;
    j.parts = (double *)(void *)(j.param + param_bytes(s, &j.cut));
    j.bf16 = z_is_bf16(s);
    j.wide = (char *)j.parts + parts_bytes(&j.cut);
    j.dense = dense_bytes(s, &j.cut);
    return j;
}

static void job_input(struct job *j, int which, const struct run *r, int k)
{
    j->image[which] = (char *)(uintptr_t)r->in[k]; /* only read */
    j->pitch[which] = run_in_pitch(r, k);
}

static void job_output(struct job *j, const struct run *r)
{
    j->image[OUT] = r->out[0];
    j->pitch[OUT] = run_out_pitch(r, 0);
    j->stream = (size_t)dims_count(&r->step->out_dims[0]) * j->size >= STREAM_BYTES;
    for (int k = 0; k < OUT; k++) /* in place: it is in the cache */
        j->stream &= j->image[k] != j->image[OUT];
}

/* ---- parameters ---- */

/* Row `row` of a sample's parameters from C numbers, repeated over the columns. */
static void param_row(const struct job *j, int64_t sample, int64_t row, const void *from)
{
    const size_t bytes = (size_t)j->cut.channels * j->size;
    char *to = j->param + (size_t)((sample * COEF_ROWS + row) * j->cut.columns) * j->size;

    for (int64_t at = 0; at < j->cut.columns; at += j->cut.channels, to += bytes)
        memcpy(to, from, bytes);
}

/* Row `row` of sample n in (N, rows, C). */
static const void *row_at(const struct job *j, const void *p, int64_t n, int64_t rows, int64_t row)
{
    return (const char *)p + (size_t)((n * rows + row) * j->cut.channels) * j->size;
}

static void param_coefs(const struct job *j, const void *coef)
{
    for (int64_t n = 0; n < j->cut.samples; n++)
        for (int64_t row = 0; row < COEF_ROWS; row++)
            param_row(j, n, row, row_at(j, coef, n, COEF_ROWS, row));
}

/* What norm_grad_apply wants: mean, factor of g, of x - mean, constant. */
static void param_back(const struct job *j, const void *coef, const void *back)
{
    for (int64_t n = 0; n < j->cut.samples; n++) {
        param_row(j, n, 0, row_at(j, coef, n, COEF_ROWS, COEF_CENTRE));
        for (int64_t row = 0; row < 3; row++)
            param_row(j, n, 1 + row, row_at(j, back, n, 3, row));
    }
}

/* ---- chunks ---- */

static char *voxel_at(const struct job *j, int which, int64_t voxel)
{
    return j->image[which] ? j->image[which] + (size_t)(voxel * j->pitch[which]) * j->size : NULL;
}

/* X in the thread's own chunk. */
static const void *widened(const struct job *j, int64_t voxel, int64_t voxels)
{
    const int64_t c = j->cut.channels, rows = j->pitch[X] == c ? 1 : voxels;
    const uint16_t *from = (const uint16_t *)(const void *)j->image[X] + voxel * j->pitch[X];
    char *to = j->wide + (size_t)omp_get_thread_num() * j->dense;

    for (int64_t v = 0; v < rows; v++)
        j->table->widen(to + (size_t)(v * c) * j->size, from + v * j->pitch[X], voxels / rows * c);
    return to;
}

static void chunk_run(const struct job *j, int64_t i)
{
    const int64_t n = i / j->cut.chunks, first = i % j->cut.chunks * j->cut.chunk;
    const int64_t voxel = n * j->cut.voxels + first, voxels = int64_min(j->cut.chunk, j->cut.voxels - first);
    const struct norm_chunk chunk = {
        .x = j->bf16 ? widened(j, voxel, voxels) : voxel_at(j, X, voxel),
        .dy = voxel_at(j, DY, voxel),
        .residual = voxel_at(j, MORE, voxel),
        .out = voxel_at(j, OUT, voxel),
        .g = voxel_at(j, OUT, voxel),
        .x_pitch = j->bf16 ? j->cut.channels : j->pitch[X],
        .dy_pitch = j->pitch[DY],
        .residual_pitch = j->pitch[MORE],
        .out_pitch = j->pitch[OUT],
        .voxels = voxels,
        .channels = j->cut.channels,
        .param = j->param + (size_t)(n * COEF_ROWS * j->cut.columns) * j->size,
        .stream = j->stream,
    };

    if (j->sums)
        j->sums(&chunk, j->parts + 2 * i * j->cut.channels);
    else
        j->run(&chunk);
}

static void job_run(const struct job *j, const struct step *s)
{
    const int64_t items = j->cut.samples * j->cut.chunks;
    const int threads = class_threads(s, items);

#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t i = 0; i < items; i++)
        chunk_run(j, i);
}

/* ---- the ops ---- */

static void moments_run(const struct run *r)
{
    struct job j = job_of(r);
    const size_t row = (size_t)j.cut.channels * j.size;

    job_input(&j, X, r, 0);
    j.sums = j.table->norm_moments;
    job_run(&j, r->step);
    for (int64_t n = 0; n < j.cut.samples; n++) {
        const struct norm_sample one = {
            .voxels = j.cut.voxels,
            .channels = j.cut.channels,
            .chunks = j.cut.chunks,
            .chunk_voxels = j.cut.chunk,
            .parts = j.parts + n * j.cut.chunks * 2 * j.cut.channels,
            .mean = (char *)r->out[0] + (size_t)n * 2 * row,
            .variance = (char *)r->out[0] + ((size_t)n * 2 + 1) * row,
        };
        j.table->norm_moments_finish(&one);
    }
}

/* (x, coef [, residual]) -> y */
static void stage_run(const struct run *r)
{
    struct job j = job_of(r);

    param_coefs(&j, r->in[1]);
    job_input(&j, X, r, 0);
    if (r->step->node->n_in > 2)
        job_input(&j, MORE, r, 2);
    job_output(&j, r);
    j.run = j.table->stage;
    job_run(&j, r->step);
}

/* (dy, z, coef [, dy2]) -> g, sums */
static void gate_run(const struct run *r)
{
    const enum dtype type = r->step->type;
    struct job j = job_of(r);
    const int64_t width = 2 * j.cut.channels;

    param_coefs(&j, r->in[2]);
    job_input(&j, DY, r, 0);
    job_input(&j, X, r, 1);
    if (r->step->node->n_in > 3)
        job_input(&j, MORE, r, 3);
    job_output(&j, r);
    j.sums = j.table->gate;
    job_run(&j, r->step);
    for (int64_t n = 0; n < j.cut.samples; n++)
        for (int64_t c = 0; c < width; c++) {
            double sum = 0;
            for (int64_t k = 0; k < j.cut.chunks; k++)
                sum += j.parts[(n * j.cut.chunks + k) * width + c];
            class_put(r->out[1], n * width + c, sum, type);
        }
}

/* (g, z, coef, back) -> dz */
static void norm_dx_run(const struct run *r)
{
    struct job j = job_of(r);

    param_back(&j, r->in[2], r->in[3]);
    job_input(&j, DY, r, 0);
    job_input(&j, X, r, 1);
    job_output(&j, r);
    j.run = j.table->norm_grad_apply;
    job_run(&j, r->step);
}

/* (moments [, gamma, beta]) -> coef, rstd. The shift is made for the rounded scale: the mean maps to beta. */
static void norm_coef_run(const struct run *r)
{
    const struct step *s = r->step;
    const int64_t samples = s->in_dims[0].n[0], channels = s->in_dims[0].n[2];
    const bool affine = s->node->n_in > 1;

    for (int64_t i = 0; i < samples * channels; i++) {
        const int64_t n = i / channels, c = i % channels, to = n * COEF_ROWS * channels + c;
        const double mean = class_get(r->in[0], 2 * n * channels + c, s->type);
        const double variance = class_get(r->in[0], (2 * n + 1) * channels + c, s->type);
        const double rstd = 1 / sqrt(variance + s->node->attr.norm.eps);
        double scale = rstd;

        if (affine)
            scale *= class_get(r->in[1], c, s->type);
        class_put(r->out[0], to + COEF_SCALE * channels, scale, s->type);
        scale = class_get(r->out[0], to + COEF_SCALE * channels, s->type);
        class_put(r->out[0], to + COEF_SHIFT * channels,
                  (affine ? class_get(r->in[2], c, s->type) : 0) - mean * scale, s->type);
        class_put(r->out[0], to + COEF_SLOPE * channels, s->node->attr.norm.slope, s->type);
        class_put(r->out[0], to + COEF_CENTRE * channels, mean, s->type);
        class_put(r->out[1], i, rstd, s->type);
    }
}

/* (sums, coef, rstd) -> back, dgamma, dbeta */
static void norm_back_run(const struct run *r)
{
    const struct step *s = r->step;
    const int64_t samples = s->in_dims[0].n[0], channels = s->in_dims[0].n[2];
    const double voxels = (double)s->node->attr.count;

    for (int64_t c = 0; c < channels; c++) {
        double gamma = 0, beta = 0;

        for (int64_t n = 0; n < samples; n++) {
            const int64_t to = 3 * n * channels + c;
            const double g = class_get(r->in[0], 2 * n * channels + c, s->type);
            const double gz = class_get(r->in[0], (2 * n + 1) * channels + c, s->type);
            const double scale = class_get(r->in[1], (n * COEF_ROWS + COEF_SCALE) * channels + c, s->type);
            const double rstd = class_get(r->in[2], n * channels + c, s->type);

            class_put(r->out[0], to, scale, s->type);
            class_put(r->out[0], to + channels, -scale * rstd * rstd * (gz / voxels), s->type);
            class_put(r->out[0], to + 2 * channels, -scale * (g / voxels), s->type);
            gamma += gz * rstd;
            beta += g;
        }
        class_put(r->out[1], c, gamma, s->type);
        class_put(r->out[2], c, beta, s->type);
    }
}

/* All float, but for z, which may be bf16. */
static bool real_but_z(const struct step *s)
{
    enum dtype type[INPUTS_MAX];
    struct step wide = *s;

    if (!z_is_bf16(s) || s->node->n_in > INPUTS_MAX)
        return class_all_real(s);
    memcpy(type, s->in_type, (size_t)s->node->n_in * sizeof *type);
    type[1] = DT_F32;
    wide.in_type = type;
    return class_all_real(&wide);
}

#define CLASS(NAME, name, accepts, prepare)                                                                  \
    const struct kernel_class class_##name = {#name ".fused", OP_##NAME, accepts, prepare, name##_run};

CLASS(MOMENTS, moments, class_all_real, image_prepare)
CLASS(NORM_COEF, norm_coef, class_all_real, NULL)
CLASS(STAGE, stage, class_all_real, image_prepare)
CLASS(GATE, gate, real_but_z, image_prepare)
CLASS(NORM_BACK, norm_back, class_all_real, NULL)
CLASS(NORM_DX, norm_dx, real_but_z, image_prepare)
