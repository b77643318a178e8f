#include "image/resize.h"
#include "base/mem.h"
#include "base/par.h"
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

/* Lines are resized LANES at a time, so that the recursive filter runs along rows of a small block whatever
 * axis it follows. */
enum { LANES = 16, PAD = 12, TAPS_MAX = 4, SLICES_PER_JOB = 4 };
#define POLE (-0.26794919243112270647) /* sqrt(3) - 2 */

/* One axis: output k is the sum of taps weights times rows index[] of the (for cubic: padded and filtered)
 * input. */
struct axis {
    int64_t n, m;
    int taps;
    bool filter;
    int64_t *index; /* m * taps */
    double *weight;
};

struct job {
    struct axis axis[3]; /* in the plane, in the plane, across */
    int64_t in_step[3], out_step[3];
    const void *in;
    void *out;
    bool i16, clip_slice, clip_all;
    double *planes;     /* cubic across: every input slice resized in the plane */
    double *low, *high; /* range of each input slice */
    atomic_bool failed;
};

/* Buffers of one worker: a block before and behind the axis, the half-resized plane and two whole ones. */
struct scratch {
    double *before, *behind, *half, *plane[2];
    int64_t holds[2];
};

void resize_linear_tap(int64_t n, int64_t m, int64_t k, int64_t *low, int64_t *high, double *weight)
{
    double x = ((double)k + 0.5) * (double)n / (double)m - 0.5;
    double base = floor(x);
    int64_t i = (int64_t)base;

    *weight = x - base;
    *low = i < 0 ? 0 : i > n - 1 ? n - 1 : i;
    *high = i + 1 < 0 ? 0 : i + 1 > n - 1 ? n - 1 : i + 1;
}

static void cubic_tap(int64_t n, int64_t m, int64_t k, int64_t index[4], double weight[4])
{
    double x = ((double)k + 0.5) * (double)n / (double)m - 0.5 + PAD;
    double base = floor(x), f = x - base, g = 1 - f;

    weight[0] = g * g * g / 6;
    weight[1] = (4 - 6 * f * f + 3 * f * f * f) / 6;
    weight[2] = (4 - 6 * g * g + 3 * g * g * g) / 6;
    weight[3] = f * f * f / 6;
    for (int t = 0; t < 4; t++) {
        int64_t i = (int64_t)base - 1 + t, last = n + 2 * PAD - 1;

        index[t] = i < 0 ? 0 : i > last ? last : i;
    }
}

int64_t resize_nearest_tap(int64_t n, int64_t m, int64_t k)
{
    double c = (double)n / (double)m * ((double)k + 0.5) - 0.5;
    int64_t i = (int64_t)floor(c + 0.5);

    return i < 0 ? 0 : i > n - 1 ? n - 1 : i;
}

static enum err axis_make(struct axis *a, int64_t n, int64_t m, enum resize_order order)
{
    a->n = n;
    a->m = m;
    a->filter = order == RESIZE_CUBIC && n != m;
    a->taps = a->filter ? 4 : order == RESIZE_LINEAR && n != m ? 2 : 1;
    a->index = mem_new((size_t)m * (size_t)a->taps, sizeof *a->index);
    a->weight = mem_new((size_t)m * (size_t)a->taps, sizeof *a->weight);
    if (!a->index || !a->weight)
        return ERR_MEMORY;
    for (int64_t k = 0; k < m; k++) {
        int64_t *index = a->index + k * a->taps;
        double *weight = a->weight + k * a->taps;

        if (a->taps == 4) {
            cubic_tap(n, m, k, index, weight);
        } else if (a->taps == 2) {
            resize_linear_tap(n, m, k, &index[0], &index[1], &weight[1]);
            weight[0] = 1 - weight[1];
        } else {
            index[0] = resize_nearest_tap(n, m, k);
            weight[0] = 1;
        }
    }
    return ERR_OK;
}

static void axis_free(struct axis *a)
{
    mem_free(a->index);
    mem_free(a->weight);
}

/* Rows that a block of this axis needs before the filter. */
static int64_t axis_rows(const struct axis *a)
{
    return a->n + (a->filter ? 2 * PAD : 0);
}

/* The cubic B-spline coefficients of n rows in place, half-sample symmetric ends (spec section 21). */
static void spline_filter(double (*c)[LANES], int64_t n)
{
    double sum[LANES], z_n = pow(POLE, (double)n), scale = POLE / (1 - z_n * z_n), z_i = 1;
    int64_t reach = n < 64 ? n : 64; /* POLE^64 is 2e-37 */

    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < LANES; j++)
            c[i][j] *= 6;
    for (int j = 0; j < LANES; j++)
        sum[j] = 0;
    for (int64_t i = 0; i < reach; i++, z_i *= POLE)
        for (int j = 0; j < LANES; j++)
            sum[j] += z_i * (c[i][j] + z_n * c[n - 1 - i][j]);
    for (int j = 0; j < LANES; j++)
        c[0][j] += scale * sum[j];
    for (int64_t i = 1; i < n; i++)
        for (int j = 0; j < LANES; j++)
            c[i][j] += POLE * c[i - 1][j];
    for (int j = 0; j < LANES; j++)
        c[n - 1][j] *= POLE / (POLE - 1);
    for (int64_t i = n - 2; i >= 0; i--)
        for (int j = 0; j < LANES; j++)
            c[i][j] = POLE * (c[i + 1][j] - c[i][j]);
}

/* before: axis_rows rows, the real ones from row PAD (or 0) on; behind: m rows. */
static void axis_apply(const struct axis *a, double (*restrict before)[LANES],
                       double (*restrict behind)[LANES])
{
    if (a->filter) {
        for (int64_t i = 0; i < PAD; i++) {
            memcpy(before[i], before[PAD], sizeof before[i]);
            memcpy(before[PAD + a->n + i], before[PAD + a->n - 1], sizeof before[i]);
        }
        spline_filter(before, a->n + 2 * PAD);
    }
    for (int64_t k = 0; k < a->m; k++) {
        const int64_t *index = a->index + k * a->taps;
        const double *w = a->weight + k * a->taps;
        double *restrict o = behind[k];

        if (a->taps == 1) {
            memcpy(o, before[index[0]], sizeof behind[k]);
        } else if (a->taps == 2) {
            const double *p = before[index[0]], *q = before[index[1]];

            for (int j = 0; j < LANES; j++)
                o[j] = w[0] * p[j] + w[1] * q[j];
        } else {
            const double *p = before[index[0]], *q = before[index[1]], *r = before[index[2]],
                         *s = before[index[3]];

            for (int j = 0; j < LANES; j++)
                o[j] = w[0] * p[j] + w[1] * q[j] + w[2] * r[j] + w[3] * s[j];
        }
    }
}

/* Reads `lanes` lines of `rows` samples of the input into a block; unused lanes are 0. Widens the range of
 * what it saw. */
static void load_input(const struct job *b, double (*block)[LANES], int64_t at, int64_t rows, int lanes,
                       double range[2])
{
    const int16_t *i16 = b->i16 ? (const int16_t *)b->in + at : NULL;
    const double *f64 = b->i16 ? NULL : (const double *)b->in + at;
    double low = range[0], high = range[1];

    for (int64_t i = 0; i < rows; i++) {
        int64_t p = i * b->in_step[0];

        for (int j = 0; j < lanes; j++, p += b->in_step[1]) {
            double v = i16 ? i16[p] : f64[p];

            low = v < low ? v : low;
            high = v > high ? v : high;
            block[i][j] = v;
        }
        for (int j = lanes; j < LANES; j++)
            block[i][j] = 0;
    }
    range[0] = low;
    range[1] = high;
}

static void load_rows(double (*block)[LANES], const double *in, int64_t rows, int64_t step, int lanes)
{
    for (int64_t i = 0; i < rows; i++, in += step) {
        if (lanes == LANES) {
            memcpy(block[i], in, sizeof block[i]);
            continue;
        }
        memset(block[i], 0, sizeof block[i]);
        memcpy(block[i], in, (size_t)lanes * sizeof *in);
    }
}

static int lanes_at(int64_t first, int64_t count)
{
    return count - first < LANES ? (int)(count - first) : LANES;
}

static void clip(double *p, int64_t n, const double range[2])
{
    for (int64_t i = 0; i < n; i++)
        p[i] = p[i] < range[0] ? range[0] : p[i] > range[1] ? range[1] : p[i];
}

/* Input slice z resized in the plane: m1 rows of m0. `range` becomes that of the input. */
static void plane_resize(const struct job *b, const struct scratch *s, int64_t z, double *plane,
                         double range[2])
{
    const struct axis *u = &b->axis[0], *v = &b->axis[1];
    double(*before)[LANES] = (double(*)[LANES])s->before, (*behind)[LANES] = (double(*)[LANES])s->behind;

    range[0] = INFINITY;
    range[1] = -INFINITY;
    for (int64_t y = 0; y < v->n; y += LANES) {
        int lanes = lanes_at(y, v->n);

        load_input(b, before + (u->filter ? PAD : 0), z * b->in_step[2] + y * b->in_step[1], u->n, lanes,
                   range);
        axis_apply(u, before, behind);
        for (int j = 0; j < lanes; j++)
            for (int64_t k = 0; k < u->m; k++)
                s->half[(y + j) * u->m + k] = behind[k][j];
    }
    for (int64_t x = 0; x < u->m; x += LANES) {
        int lanes = lanes_at(x, u->m);

        load_rows(before + (v->filter ? PAD : 0), s->half + x, v->n, u->m, lanes);
        axis_apply(v, before, behind);
        for (int64_t k = 0; k < v->m; k++)
            memcpy(plane + k * u->m + x, behind[k], (size_t)lanes * sizeof *plane);
    }
    if (b->clip_slice)
        clip(plane, u->m * v->m, range);
}

static void store(const struct job *b, int64_t at, const double *v, int64_t count)
{
    if (b->i16) {
        int16_t *out = (int16_t *)b->out + at;

        for (int64_t i = 0; i < count; i++) {
            double r = rint(v[i]);

            out[i * b->out_step[0]] = (int16_t)(r < INT16_MIN ? INT16_MIN : r > INT16_MAX ? INT16_MAX : r);
        }
    } else {
        double *out = (double *)b->out + at;

        for (int64_t i = 0; i < count; i++)
            out[i * b->out_step[0]] = v[i];
    }
}

static void scratch_free(struct scratch *s)
{
    mem_free(s->before);
    mem_free(s->behind);
    mem_free(s->half);
    mem_free(s->plane[0]);
    mem_free(s->plane[1]);
}

/* planes: whole planes wanted; -1: only the blocks. */
static bool scratch_make(struct scratch *s, struct job *b, int planes)
{
    const struct axis *a = b->axis;
    int64_t rows = 0, m = 0;

    for (int i = 0; i < 3; i++) {
        rows = axis_rows(&a[i]) > rows ? axis_rows(&a[i]) : rows;
        m = a[i].m > m ? a[i].m : m;
    }
    *s = (struct scratch){.holds = {-1, -1}};
    s->before = mem_new((size_t)rows * LANES, sizeof(double));
    s->behind = mem_new((size_t)m * LANES, sizeof(double));
    if (!s->before || !s->behind)
        goto fail;
    if (planes >= 0 && !(s->half = mem_new((size_t)(a[1].n * a[0].m), sizeof(double))))
        goto fail;
    for (int i = 0; i < planes; i++) {
        s->plane[i] = mem_new((size_t)(a[0].m * a[1].m), sizeof(double));
        if (!s->plane[i])
            goto fail;
    }
    return true;
fail:
    scratch_free(s);
    atomic_store(&b->failed, true);
    return false;
}

/* The plane of input slice z, kept for the next output slice. `other` must stay where it is. */
static const double *plane_get(const struct job *b, struct scratch *s, int64_t z, int64_t other)
{
    int i = s->holds[0] == z ? 0 : s->holds[1] == z ? 1 : s->holds[0] == other ? 1 : 0;

    if (s->holds[i] != z) {
        double range[2];

        plane_resize(b, s, z, s->plane[i], range);
        s->holds[i] = z;
    }
    return s->plane[i];
}

/* Across is nearest or linear: a few output slices from the planes they lie between. */
static void slices_linear(void *ctx, int64_t job)
{
    struct job *b = ctx;
    const struct axis *w = &b->axis[2];
    int64_t width = b->axis[0].m, last = (job + 1) * SLICES_PER_JOB;
    struct scratch s;

    if (!scratch_make(&s, b, 2))
        return;
    for (int64_t k = job * SLICES_PER_JOB; k < last && k < w->m; k++) {
        int64_t z0 = w->index[k * w->taps], z1 = w->index[k * w->taps + w->taps - 1];
        double w1 = w->taps == 2 ? w->weight[k * w->taps + 1] : 0;
        const double *p = plane_get(b, &s, z0, z1), *q = plane_get(b, &s, z1, z0);

        for (int64_t y = 0; y < b->axis[1].m; y++, p += width, q += width) {
            for (int64_t x = 0; x < width; x++)
                s.behind[x] = (1 - w1) * p[x] + w1 * q[x];
            store(b, k * b->out_step[2] + y * b->out_step[1], s.behind, width);
        }
    }
    scratch_free(&s);
}

static void slices_to_planes(void *ctx, int64_t job)
{
    struct job *b = ctx;
    int64_t size = b->axis[0].m * b->axis[1].m, last = (job + 1) * SLICES_PER_JOB;
    struct scratch s;

    if (!scratch_make(&s, b, 0))
        return;
    for (int64_t z = job * SLICES_PER_JOB; z < last && z < b->axis[2].n; z++) {
        double range[2];

        plane_resize(b, &s, z, b->planes + z * size, range);
        b->low[z] = range[0];
        b->high[z] = range[1];
    }
    scratch_free(&s);
}

/* Across is cubic: row y of all planes. */
static void rows_across(void *ctx, int64_t y)
{
    struct job *b = ctx;
    const struct axis *w = &b->axis[2];
    int64_t width = b->axis[0].m, size = width * b->axis[1].m;
    double range[2] = {b->low[0], b->high[0]};
    struct scratch s;

    if (!scratch_make(&s, b, -1))
        return;
    for (int64_t x = 0; x < width; x += LANES) {
        double(*before)[LANES] = (double(*)[LANES])s.before, (*behind)[LANES] = (double(*)[LANES])s.behind;
        int lanes = lanes_at(x, width);

        load_rows(before + (w->filter ? PAD : 0), b->planes + y * width + x, w->n, size, lanes);
        axis_apply(w, before, behind);
        if (b->clip_all)
            clip(s.behind, w->m * LANES, range);
        for (int64_t k = 0; k < w->m; k++)
            store(b, k * b->out_step[2] + y * b->out_step[1] + x * b->out_step[0], behind[k], lanes);
    }
    scratch_free(&s);
}

/* The whole array's range into low[0], high[0]. */
static void range_all(struct job *b)
{
    for (int64_t z = 1; z < b->axis[2].n; z++) {
        b->low[0] = b->low[z] < b->low[0] ? b->low[z] : b->low[0];
        b->high[0] = b->high[z] > b->high[0] ? b->high[z] : b->high[0];
    }
}

static enum err resize_run(struct job *b)
{
    const struct axis *a = b->axis;

    b->low = mem_new((size_t)a[2].n, sizeof *b->low);
    b->high = mem_new((size_t)a[2].n, sizeof *b->high);
    if (!b->low || !b->high)
        return ERR_MEMORY;
    if (!a[2].filter && !b->clip_all) {
        par_for((a[2].m + SLICES_PER_JOB - 1) / SLICES_PER_JOB, slices_linear, b);
    } else {
        b->planes = mem_new((size_t)(a[0].m * a[1].m), (size_t)a[2].n * sizeof *b->planes);
        if (!b->planes)
            return ERR_MEMORY;
        par_for((a[2].n + SLICES_PER_JOB - 1) / SLICES_PER_JOB, slices_to_planes, b);
        range_all(b);
        if (!atomic_load(&b->failed))
            par_for(a[1].m, rows_across, b);
    }
    if (atomic_load(&b->failed))
        return err_set(ERR_MEMORY, "out of memory while resampling %lld slices", (long long)a[2].n);
    return ERR_OK;
}

/* The axis that goes last: the one whose order differs from the other two, else z. */
static int across_axis(const enum resize_order o[3])
{
    if (o[0] != o[1] && o[1] == o[2])
        return 0;
    return o[0] == o[2] && o[1] != o[0] ? 1 : 2;
}

static enum err resize_any(const struct resize *r, const void *in, void *out, bool i16)
{
    int across = across_axis(r->order), order[3] = {across == 0, across == 2 ? 1 : 2, across};
    int64_t in_step[3] = {1, r->from[0], r->from[0] * r->from[1]},
            out_step[3] = {1, r->to[0], r->to[0] * r->to[1]};
    struct job b = {.in = in, .out = out, .i16 = i16};
    enum err err = ERR_OK;

    for (int i = 0; i < 3 && !err; i++) {
        int from = order[i];

        b.in_step[i] = in_step[from];
        b.out_step[i] = out_step[from];
        err = axis_make(&b.axis[i], r->from[from], r->to[from], r->order[from]);
    }
    b.clip_all =
        r->order[across] == RESIZE_CUBIC && (b.axis[0].filter || b.axis[1].filter || b.axis[2].filter);
    b.clip_slice = !b.clip_all && (b.axis[0].filter || b.axis[1].filter);
    if (!err)
        err = resize_run(&b);
    for (int i = 0; i < 3; i++)
        axis_free(&b.axis[i]);
    mem_free(b.low);
    mem_free(b.high);
    mem_free(b.planes);
    return err;
}

enum err resize_f64(const struct resize *r, const double *in, double *out)
{
    return resize_any(r, in, out, false);
}

enum err resize_i16(const struct resize *r, const int16_t *in, int16_t *out)
{
    return resize_any(r, in, out, true);
}
