#include "phantom/render.h"
#include "base/mem.h"
#include "base/par.h"
#include "phantom/scan_filter.h"
#include "phantom/scan_noise.h"
#include <math.h>

/* How the volume is cut. Samples are taken block by block, and a block is as near to a cube as BLOCK_MAX
 * samples allow: a tile in plane times the sub-slices of a layer. A job is some layers, so that the noise of
 * neighbouring slices is seldom made twice. */
struct cut {
    int sub;            /* samples of a slice across */
    int64_t layer, job; /* slices */
    int64_t tile[2];    /* pixels */
};
enum {
    BLOCK_SIDE = 18, /* mm, at most */
    LAYER_MAX = 8,
    JOBS_LEAST = 16, /* where there are slices enough */
};

static const double blur = 0.75; /* mm */

static struct cut cut_of(const struct scan *s, double own)
{
    const struct grid *g = &s->grid;
    const double *h = g->spacing;
    struct cut c = {.sub = own < s->thickness ? 2 * (int)rint(s->thickness / 3.2) + 1 : 1};
    double side = fmin(BLOCK_SIDE, cbrt(BLOCK_MAX * h[0] * h[1] * h[2] / c.sub));
    int64_t most = g->dims[2] / JOBS_LEAST;

    c.layer = (int64_t)fmin(rint(side / h[2]), (double)(most < LAYER_MAX ? most : LAYER_MAX));
    c.layer = c.layer < 1 ? 1 : c.layer;
    c.job = (LAYER_MAX < most ? LAYER_MAX : most) / c.layer * c.layer;
    c.job = c.job < c.layer ? c.layer : c.job;
    for (int a = 0; a < 2; a++) {
        double fits = sqrt(BLOCK_MAX / (double)(c.layer * c.sub)), pixels = fmin(BLOCK_SIDE / h[a], fits);

        c.tile[a] = pixels < 1 ? 1 : (int64_t)pixels;
    }
    return c;
}

struct shared {
    const struct render *r;
    const struct rendered *out;
    struct cut cut;
    struct scan_noise noise;
    struct scan_taps blur[2];
    atomic_int failure; /* enum err */
};

/* One thread's. */
struct work {
    const struct shared *job;
    void *scratch; /* the subject's */
    struct scan_noise_work noise;
    float *mean, *plane, *line; /* a layer, a slice, scan_line floats */
    struct points at;
    float hu[BLOCK_MAX];
    uint8_t label[BLOCK_MAX];
};

/* Slices from .. from + count - 1, pixels at .. at + size - 1. */
struct block {
    int64_t from, count, at[2], size[2];
};

static int64_t block_points(const struct work *w, const struct block *b, struct points *at)
{
    const struct scan *s = w->job->r->scan;
    const struct grid *g = &s->grid;
    int sub = w->job->cut.sub;
    int64_t n = 0;

    for (int64_t k = 0; k < b->count * sub; k++) {
        double layer = (double)(b->from + k / sub) * g->spacing[2] + g->affine[2][3];
        double z = layer + s->thickness * (((double)(k % sub) + 0.5) / sub - 0.5);

        for (int64_t j = 0; j < b->size[1]; j++)
            for (int64_t i = 0; i < b->size[0]; i++, n++) {
                at->x[n] = (float)(g->affine[0][3] + (double)(b->at[0] + i) * g->spacing[0]);
                at->y[n] = (float)(g->affine[1][3] + (double)(b->at[1] + j) * g->spacing[1]);
                at->z[n] = (float)z;
            }
    }
    return n;
}

/* Samples a block: the mean over sub-slices into w->mean, the middle one's label into the volume. */
static void block_sample(struct work *w, const struct block *b)
{
    const struct subject *subject = &w->job->r->subject;
    const int64_t *n = w->job->r->scan->grid.dims;
    int sub = w->job->cut.sub;
    int64_t across = b->size[0] * b->size[1];
    uint8_t *label = w->job->out->label->data;

    subject->sample(subject->ctx, &w->at, (int)block_points(w, b, &w->at), w->scratch, w->hu, w->label);
    for (int64_t k = 0; k < b->count; k++)
        for (int64_t j = 0; j < b->size[1]; j++) {
            int64_t row = b->at[0] + n[0] * (b->at[1] + j), from = k * sub * across + j * b->size[0];
            float *mean = w->mean + k * n[0] * n[1] + row;
            uint8_t *to = label + (b->from + k) * n[0] * n[1] + row;

            for (int64_t i = 0; i < b->size[0]; i++) {
                float sum = 0;

                for (int64_t q = 0; q < sub; q++)
                    sum += w->hu[from + i + q * across];
                mean[i] = sum / (float)sub;
                to[i] = w->label[from + i + sub / 2 * across];
            }
        }
}

static void layer_sample(struct work *w, int64_t from, int64_t count)
{
    const int64_t *n = w->job->r->scan->grid.dims, *tile = w->job->cut.tile;
    struct block b = {.from = from, .count = count};

    for (b.at[1] = 0; b.at[1] < n[1]; b.at[1] += tile[1])
        for (b.at[0] = 0; b.at[0] < n[0]; b.at[0] += tile[0]) {
            for (int a = 0; a < 2; a++)
                b.size[a] = n[a] - b.at[a] < tile[a] ? n[a] - b.at[a] : tile[a];
            block_sample(w, &b);
        }
}

static void round_slice(const float *v, int64_t n, int16_t *out)
{
    for (int64_t i = 0; i < n; i++) {
        float c = rintf(v[i]);

        c = c < -1024 ? -1024 : c;
        c = c > 3071 ? 3071 : c;
        out[i] = (int16_t)(int32_t)c;
    }
}

static void pad_slice(const struct scan *s, int16_t *out)
{
    const struct grid *g = &s->grid;

    for (int64_t j = 0; j < g->dims[1]; j++)
        for (int64_t i = 0; i < g->dims[0]; i++, out++) {
            double x = g->affine[0][3] + (double)i * g->spacing[0] - s->circle[0];
            double y = g->affine[1][3] + (double)j * g->spacing[1] - s->circle[1];

            if (x * x + y * y > s->circle[2] * s->circle[2])
                *out = (int16_t)s->padding;
        }
}

/* What the scanner makes of slice k, whose mean is v. */
static void slice_finish(struct work *w, int64_t k, float *v)
{
    const struct shared *job = w->job;
    const struct scan *s = job->r->scan;
    const int64_t *n = s->grid.dims;
    int64_t count = n[0] * n[1];
    int16_t *hu = (int16_t *)job->out->hu->data + k * count;

    if (!(job->r->subject.slice > 0)) {
        const struct scan_columns columns = {&job->blur[1], SCAN_REPEAT, 0};

        scan_rows(&job->blur[0], SCAN_REPEAT, n, v, w->line, w->plane);
        scan_columns(&columns, n, w->plane, v);
    }
    round_slice(v, count, (int16_t *)job->out->clean->data + k * count);
    if (s->noise > 0)
        scan_noise_add(&job->noise, &w->noise, k, v);
    round_slice(v, count, hu);
    if (s->padding)
        pad_slice(s, hu);
}

static enum err work_open(struct work **out, const struct shared *job)
{
    const struct subject *subject = &job->r->subject;
    const int64_t *n = job->r->scan->grid.dims;
    size_t slice = (size_t)(n[0] * n[1]);
    struct work *w = *out = mem_new(1, sizeof *w);

    if (!w)
        return ERR_MEMORY;
    w->job = job;
    w->mean = mem_new((size_t)job->cut.layer * slice, sizeof(float));
    w->plane = mem_new(slice, sizeof(float));
    w->line = mem_new((size_t)scan_line(n[0]), sizeof(float));
    if (!w->mean || !w->plane || !w->line)
        return ERR_MEMORY;
    TRY(scan_noise_work_new(&w->noise, &job->noise));
    return subject->open ? subject->open(subject->ctx, &w->scratch) : ERR_OK;
}

static void work_close(struct work *w)
{
    if (!w)
        return;
    if (w->scratch)
        w->job->r->subject.close(w->scratch);
    scan_noise_work_free(&w->noise);
    mem_free(w->mean);
    mem_free(w->plane);
    mem_free(w->line);
    mem_free(w);
}

static void run_job(void *ctx, int64_t at)
{
    struct shared *job = ctx;
    const int64_t *n = job->r->scan->grid.dims;
    int64_t from = at * job->cut.job, to = from + job->cut.job < n[2] ? from + job->cut.job : n[2];
    struct work *w = NULL;
    enum err err = work_open(&w, job);

    while (from < to && !err && !atomic_load(&job->failure)) {
        int64_t count = to - from < job->cut.layer ? to - from : job->cut.layer;

        if (job->r->stop && atomic_load(job->r->stop)) {
            err = ERR_STOPPED;
            break;
        }
        layer_sample(w, from, count);
        for (int64_t k = 0; k < count; k++)
            slice_finish(w, from + k, w->mean + k * n[0] * n[1]);
        if (job->r->tick)
            job->r->tick(job->r->tick_ctx, count);
        from += count;
    }
    work_close(w);
    if (err)
        atomic_store(&job->failure, (int)err);
}

static enum err run(struct shared *job)
{
    const struct scan *s = job->r->scan;
    enum err err;

    for (int a = 0; a < 2; a++)
        job->blur[a] = scan_gauss(blur / s->grid.spacing[a]);
    TRY(scan_noise_make(&job->noise, s, phantom_rng(job->r->id, "scan", job->r->phase)));
    par_for((s->grid.dims[2] + job->cut.job - 1) / job->cut.job, run_job, job);
    scan_noise_free(&job->noise);
    err = (enum err)atomic_load(&job->failure);
    if (err == ERR_STOPPED)
        return err_set(err, "stopped while a scan was made");
    if (err)
        return err_set(
            err, "no memory for a scan of %lld x %lld x %lld voxels; use fewer threads or a smaller preset",
            (long long)s->grid.dims[0], (long long)s->grid.dims[1], (long long)s->grid.dims[2]);
    return ERR_OK;
}

enum err render_phase(struct rendered *out, const struct render *r)
{
    const struct grid *g = &r->scan->grid;
    struct shared job = {.r = r, .out = out, .cut = cut_of(r->scan, r->subject.slice)};
    enum err err;

    *out = (struct rendered){0};
    TRY_OR(failed, volume_new(&out->hu, g, VOXEL_I16));
    TRY_OR(failed, volume_new(&out->clean, g, VOXEL_I16));
    TRY_OR(failed, volume_new(&out->label, g, VOXEL_U8));
    TRY_OR(failed, run(&job));
    return ERR_OK;
failed:
    rendered_free(out);
    return err;
}

void rendered_free(struct rendered *r)
{
    volume_free(r->hu);
    volume_free(r->clean);
    volume_free(r->label);
    *r = (struct rendered){0};
}

uint64_t render_bytes(const struct scan *s)
{
    const int64_t *n = s->grid.dims;
    struct cut c = cut_of(s, 0);
    uint64_t slice = (uint64_t)(n[0] * n[1]);
    uint64_t thread =
        (uint64_t)(c.layer + 1) * slice * sizeof(float) + scan_noise_bytes(n) + sizeof(struct work);

    return (uint64_t)n[2] * slice * 5 + (uint64_t)par_threads() * thread;
}
