#include "align/warp.h"
#include "image/spline.h"
#include "base/mem.h"
#include "base/par.h"
#include <math.h>
#include <stdatomic.h>

enum { ROWS_PER_JOB = 16 };
/* A position within this distance of the outermost voxel borders still counts as inside. */
static const double slack = 1e-6;

const char *const warp_how_names[] = {"linear", "cubic", "nearest", "labels", NULL};

struct job {
    const struct warp *w;
    const struct mapper *map; /* voxel of `to` -> voxel of `in` */
    const float *spline;      /* coefficients of `in`; WARP_CUBIC only */
    void *out;
    uint8_t *valid;
    int64_t step[3], jobs_per_slice;
    atomic_llong outside, unsolved;
};

/* The two voxels around x of an axis of n, in elements, and the weight of the second. */
struct tap {
    int64_t low, high;
    double weight;
};

static inline struct tap tap_at(double x, int64_t n, int64_t step)
{
    double last = (double)(n - 1), at = x > 0 ? (x < last ? x : last) : 0;
    int64_t i = (int64_t)at;

    return (struct tap){i * step, (i + 1 < n ? i + 1 : i) * step, at - (double)i};
}

static inline double mix(double low, double high, double weight)
{
    return low + weight * (high - low);
}

static int16_t linear_at(const struct job *j, const double p[3])
{
    const int64_t *n = j->w->in->grid.dims;
    struct tap x = tap_at(p[0], n[0], 1), y = tap_at(p[1], n[1], j->step[1]),
               z = tap_at(p[2], n[2], j->step[2]);
    const int16_t *a = (const int16_t *)j->w->in->data + z.low, *b = a + (z.high - z.low);
    const int16_t *a1 = a + y.high, *b1 = b + y.high;
    double low, high;

    a += y.low;
    b += y.low;
    low = mix(mix(a[x.low], a[x.high], x.weight), mix(a1[x.low], a1[x.high], x.weight), y.weight);
    high = mix(mix(b[x.low], b[x.high], x.weight), mix(b1[x.low], b1[x.high], x.weight), y.weight);
    return (int16_t)rint(mix(low, high, z.weight));
}

static uint8_t nearest_at(const struct job *j, const double p[3])
{
    const int64_t *n = j->w->in->grid.dims;
    int64_t at = 0;

    for (int c = 0; c < 3; c++) {
        double x = ceil(p[c] - 0.5); /* the lower of two at the same distance */
        int64_t i = x > 0 ? (int64_t)x : 0;

        at += (i < n[c] ? i : n[c] - 1) * j->step[c];
    }
    return ((const uint8_t *)j->w->in->data)[at];
}

static uint8_t heaviest(const uint8_t label[8], const double weight[8])
{
    double most = -1;
    uint8_t best = 0;

    for (int i = 0; i < 8; i++) {
        double sum = 0;

        for (int k = 0; k < 8; k++)
            sum += label[k] == label[i] ? weight[k] : 0;
        if (sum > most || (sum == most && label[i] < best)) {
            most = sum;
            best = label[i];
        }
    }
    return best;
}

static uint8_t label_at(const struct job *j, const double p[3])
{
    const int64_t *n = j->w->in->grid.dims;
    const uint8_t *in = j->w->in->data;
    struct tap t[3];
    uint8_t label[8];
    double weight[8];
    bool same = true;

    for (int c = 0; c < 3; c++)
        t[c] = tap_at(p[c], n[c], j->step[c]);
    for (int k = 0; k < 8; k++) {
        int64_t at = 0;

        weight[k] = 1;
        for (int c = 0; c < 3; c++) {
            bool up = k >> c & 1;

            at += up ? t[c].high : t[c].low;
            weight[k] *= up ? t[c].weight : 1 - t[c].weight;
        }
        label[k] = in[at];
        same = same && label[k] == label[0];
    }
    return same ? label[0] : heaviest(label, weight);
}

static int16_t cubic_at(const struct job *j, const double p[3])
{
    const int64_t *n = j->w->in->grid.dims;

    return spline_at(j->spline, j->w->in->data, n, p);
}

static bool inside(const int64_t n[3], const double p[3])
{
    for (int c = 0; c < 3; c++)
        if (!(p[c] >= -0.5 - slack && p[c] <= (double)n[c] - 0.5 + slack))
            return false;
    return true;
}

static void put(const struct job *j, int64_t at, const double p[3])
{
    bool in = inside(j->w->in->grid.dims, p);

    if (j->valid)
        j->valid[at] = in;
    switch (j->w->how) {
    case WARP_LINEAR:
        ((int16_t *)j->out)[at] = in ? linear_at(j, p) : (int16_t)WARP_OUTSIDE_HU;
        break;
    case WARP_CUBIC:
        ((int16_t *)j->out)[at] = in ? cubic_at(j, p) : (int16_t)WARP_OUTSIDE_HU;
        break;
    case WARP_NEAREST:
        ((uint8_t *)j->out)[at] = in ? nearest_at(j, p) : WARP_OUTSIDE_LABEL;
        break;
    case WARP_LABELS:
        ((uint8_t *)j->out)[at] = in ? label_at(j, p) : WARP_OUTSIDE_LABEL;
        break;
    }
}

static void warp_rows(void *ctx, int64_t job)
{
    struct job *j = ctx;
    const int64_t *to = j->w->to->dims;
    int64_t z = job / j->jobs_per_slice, first = job % j->jobs_per_slice * ROWS_PER_JOB;
    struct mapper_tally tally = {0};
    double p[3][MAPPER_ROW];

    for (int64_t y = first; y < to[1] && y < first + ROWS_PER_JOB; y++) {
        for (int64_t x = 0; x < to[0]; x += MAPPER_ROW) {
            int n = to[0] - x < MAPPER_ROW ? (int)(to[0] - x) : MAPPER_ROW;
            int64_t at = (z * to[1] + y) * to[0] + x;

            mapper_row(j->map, (double[3]){(double)x, (double)y, (double)z}, (double[3]){1, 0, 0}, n, p,
                       &tally);
            for (int i = 0; i < n; i++)
                put(j, at + i, (double[3]){p[0][i], p[1][i], p[2][i]});
        }
    }
    atomic_fetch_add(&j->outside, tally.outside);
    atomic_fetch_add(&j->unsolved, tally.unsolved);
}

static enum err warp_into(const struct warp *w, const struct volume *out, const struct volume *valid,
                          struct mapper_tally *tally)
{
    struct job j = {.w = w,
                    .out = out->data,
                    .valid = valid ? valid->data : NULL,
                    .step = {1, w->in->grid.dims[0], w->in->grid.dims[0] * w->in->grid.dims[1]},
                    .jobs_per_slice = (w->to->dims[1] + ROWS_PER_JOB - 1) / ROWS_PER_JOB};
    struct affine pre = affine_of_grid(w->to), post = affine_of_grid(&w->in->grid);
    struct mapper *map = NULL;
    float *spline = NULL;
    enum err err;

    TRY(affine_invert(&post, &post));
    TRY(mapper_new(&map, w->t, &pre, &post));
    if (w->how == WARP_CUBIC)
        TRY_OR(done, spline_coefficients(&spline, w->in));
    err = ERR_OK;
    j.map = map;
    j.spline = spline;
    par_for(w->to->dims[2] * j.jobs_per_slice, warp_rows, &j);
    tally->outside += atomic_load(&j.outside);
    tally->unsolved += atomic_load(&j.unsolved);
done:
    mem_free(spline);
    mapper_free(map);
    return err;
}

enum err warp_volume(struct volume **out, struct volume **valid, const struct warp *w,
                     struct mapper_tally *tally)
{
    struct volume *image = NULL, *mask = NULL;
    enum err err;

    if (w->in->type != (w->how == WARP_LINEAR || w->how == WARP_CUBIC ? VOXEL_I16 : VOXEL_U8))
        return err_set(ERR_INTERNAL, "the way of interpolation does not fit the voxels");
    TRY_OR(failed, volume_new(&image, w->to, w->in->type));
    if (valid)
        TRY_OR(failed, volume_new(&mask, w->to, VOXEL_U8));
    TRY_OR(failed, warp_into(w, image, mask, tally));
    *out = image;
    if (valid)
        *valid = mask;
    return ERR_OK;
failed:
    volume_free(image);
    volume_free(mask);
    return err;
}
