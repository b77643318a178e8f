#include "align/tent.h"
#include "base/mem.h"
#include "base/par.h"
#include <math.h>

/* HU beyond this range tell no phase from another (registration.md section 2). */
static const float hu_lowest = -500, hu_highest = 600;

enum { BLOCK = 128 /* nodes summed at once */ };

/* The samples that a node takes along one stored axis: sample first[i] + k with weight[i * room + k]. */
struct taps {
    int64_t from, to; /* samples, nodes */
    int64_t room;
    int64_t *first, *count;
    float *weight;
};

static void taps_free(struct taps *t)
{
    mem_free(t->first);
    mem_free(t->count);
    mem_free(t->weight);
}

struct grid tent_order(const struct grid *g, struct orient axes)
{
    struct grid r = {0};

    for (int i = 0; i < 3; i++)
        r.affine[i][3] = g->affine[i][3];
    for (int j = 0; j < 3; j++) {
        int a = axes.axis[j];
        r.dims[j] = g->dims[a];
        r.spacing[j] = g->spacing[a];
        for (int i = 0; i < 3; i++) {
            r.affine[i][j] = axes.flip[j] ? -g->affine[i][a] : g->affine[i][a];
            if (axes.flip[j])
                r.affine[i][3] += g->affine[i][a] * (double)(g->dims[a] - 1);
        }
    }
    return r;
}

/* Cosine between axis i of a and axis j of b. */
static double cosine(const struct grid *a, int i, const struct grid *b, int j)
{
    double dot = 0;

    for (int r = 0; r < 3; r++)
        dot += a->affine[r][i] * b->affine[r][j];
    return dot / (a->spacing[i] * b->spacing[j]);
}

struct orient tent_axes(const struct grid *g, const struct grid *like)
{
    struct grid seen = *g;

    for (int j = 0; j < 3; j++)
        for (int i = 0; i < 3; i++)
            seen.affine[i][j] = cosine(like, i, g, j);
    return grid_orient(&seen);
}

struct tent tent_plan(const struct grid *g, struct orient axes, const struct grid *other, double spacing)
{
    struct tent t = {.spacing = spacing, .axes = axes};
    struct grid own = tent_order(g, axes);

    for (int i = 0; i < 3; i++) {
        double square = 0;

        /* the other's voxel as an ellipsoid, so that a small angle adds little */
        for (int j = 0; j < 3; j++)
            square += pow(other->spacing[j] * cosine(&own, i, other, j), 2);
        t.half_width[i] = fmax(fmax(spacing, own.spacing[i]), sqrt(square));
    }
    return t;
}

/* Weights w(k) = max(0, 1 - |k - c| / width), times the line that puts their centre of mass on c. */
static int64_t tent_weights(float *weight, double c, double width, int64_t first, int64_t last)
{
    double m0 = 0, m1 = 0, m2 = 0;

    for (int64_t k = first; k <= last; k++) {
        double d = (double)k - c, w = 1 - fabs(d) / width;
        m0 += w;
        m1 += w * d;
        m2 += w * d * d;
    }
    for (int64_t k = first; k <= last; k++) {
        double d = (double)k - c, w = 1 - fabs(d) / width, det = m0 * m2 - m1 * m1;
        weight[k - first] = (float)(det > 1e-9 ? w * (m2 - m1 * d) / det : w / m0);
    }
    return last - first + 1;
}

/* Nodes `step` samples apart, the first on the first sample, or on the last if flipped; width in samples. */
static enum err taps_make(struct taps *t, int64_t n, double step, double width, bool flip)
{
    const double open = 1e-4; /* taps with less weight than this are left out */

    *t = (struct taps){.from = n, .to = (int64_t)floor((double)(n - 1) / step + 1e-9) + 1};
    t->room = (int64_t)(2 * width) + 2;
    t->first = mem_new((size_t)t->to, sizeof *t->first);
    t->count = mem_new((size_t)t->to, sizeof *t->count);
    t->weight = mem_new((size_t)(t->to * t->room), sizeof *t->weight);
    if (!t->first || !t->count || !t->weight)
        return ERR_MEMORY;
    for (int64_t i = 0; i < t->to; i++) {
        double c = flip ? (double)(n - 1) - (double)i * step : (double)i * step;
        int64_t first = lattice_clamp((int64_t)ceil(c - width * (1 - open)), n);
        int64_t last = lattice_clamp((int64_t)floor(c + width * (1 - open)), n);

        t->first[i] = first;
        t->count[i] = tent_weights(t->weight + i * t->room, c, width, first, last);
    }
    return ERR_OK;
}

struct resampling {
    const struct volume *v;
    struct taps tap[3];  /* by stored axis */
    float *across;       /* all samples along z, nodes along x and y */
    float *rows;         /* a plane a slice in work: samples along x, nodes along y */
    float *out;          /* in the order of out_step */
    int64_t out_step[3]; /* by stored axis */
};

/* One stored slice: y (whole rows at once), then x. */
static void slice_across(void *ctx, int64_t z)
{
    const struct resampling *r = ctx;
    const struct taps *tx = &r->tap[0], *ty = &r->tap[1];
    const int16_t *in = (const int16_t *)r->v->data + z * tx->from * ty->from;
    float *row = r->rows + z * tx->from, *out = r->across + z * tx->to * ty->to;

    for (int64_t y = 0; y < ty->to; y++) {
        for (int64_t x = 0; x < tx->from; x++)
            row[x] = 0;
        for (int64_t k = 0; k < ty->count[y]; k++) {
            const int16_t *s = in + (ty->first[y] + k) * tx->from;
            float w = ty->weight[y * ty->room + k];
            for (int64_t x = 0; x < tx->from; x++)
                row[x] += w * (float)s[x];
        }
        for (int64_t x = 0; x < tx->to; x++) {
            const float *s = row + tx->first[x], *w = tx->weight + x * tx->room;
            float sum = 0;
            for (int64_t k = 0; k < tx->count[x]; k++)
                sum += w[k] * s[k];
            out[y * tx->to + x] = sum;
        }
    }
}

/* One node row along stored x: z, clamping, and the order of the lattice. */
static void row_down(void *ctx, int64_t i)
{
    const struct resampling *r = ctx;
    int64_t nx = r->tap[0].to, ny = r->tap[1].to, y = i % ny, z = i / ny;
    const struct taps *tz = &r->tap[2];
    float *out = r->out + y * r->out_step[1] + z * r->out_step[2];

    for (int64_t from = 0; from < nx; from += BLOCK) {
        const float *s = r->across + (tz->first[z] * ny + y) * nx + from, *w = tz->weight + z * tz->room;
        int64_t n = nx - from < BLOCK ? nx - from : BLOCK;
        float sum[BLOCK] = {0};

        for (int64_t k = 0; k < tz->count[z]; k++)
            for (int64_t x = 0; x < n; x++)
                sum[x] += w[k] * s[k * nx * ny + x];
        for (int64_t x = 0; x < n; x++) {
            float v = sum[x] > hu_lowest ? sum[x] : hu_lowest;
            out[(from + x) * r->out_step[0]] = v < hu_highest ? v : hu_highest;
        }
    }
}

/* Where a stored axis runs in the lattice, and how far its nodes lie apart there. */
static void lay_out(struct resampling *r, struct lattice *at, const struct tent *t)
{
    struct grid g = tent_order(&r->v->grid, t->axes);
    int64_t step = 1;

    for (int j = 0; j < 3; j++) {
        int a = t->axes.axis[j];
        r->out_step[a] = step;
        at->size[j] = r->tap[a].to;
        step *= at->size[j];
        for (int i = 0; i < 3; i++)
            at->to_world.m[i][j] = g.affine[i][j] / g.spacing[j] * t->spacing;
        at->to_world.m[j][3] = g.affine[j][3];
    }
}

enum err tent_resample(struct lattice *at, float **hu, const struct volume *v, const struct tent *t)
{
    struct resampling r = {.v = v};
    int64_t planes;
    enum err err = ERR_OK;

    for (int j = 0; j < 3; j++) {
        int a = t->axes.axis[j];
        double s = v->grid.spacing[a];
        TRY_OR(done,
               taps_make(&r.tap[a], v->grid.dims[a], t->spacing / s, t->half_width[j] / s, t->axes.flip[j]));
    }
    planes = r.tap[0].to * r.tap[1].to;
    r.across = mem_new((size_t)(planes * v->grid.dims[2]), sizeof(float));
    r.rows = mem_new((size_t)(v->grid.dims[0] * v->grid.dims[2]), sizeof(float));
    r.out = mem_new((size_t)(planes * r.tap[2].to), sizeof(float));
    if (!r.across || !r.rows || !r.out)
        err = ERR_MEMORY;
    TRY_OR(done, err);
    lay_out(&r, at, t);
    par_for(v->grid.dims[2], slice_across, &r);
    par_for(r.tap[1].to * r.tap[2].to, row_down, &r);
    *hu = r.out;
    r.out = NULL;
done:
    for (int a = 0; a < 3; a++)
        taps_free(&r.tap[a]);
    mem_free(r.across);
    mem_free(r.rows);
    mem_free(r.out);
    return err;
}
