#include "image/resize_axis.h"
#include "base/mem.h"
#include "base/par.h"
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

enum { LANES = RESIZE_LANES, PAD = RESIZE_PAD, TAPS_MAX = 4, SLICES_PER_JOB = 4 };
/* Across a long cubic axis the filter runs over windows: REACH more samples on both sides (POLE^24 is 2e-14)
 * of what is read, from a ring of resized planes. */
enum { REACH = 24, RING = 144 };
/* The range of the whole array is taken in this many parts. */
enum { PARTS = 64 };

struct job {
    struct resize_axis axis[3]; /* in the plane, in the plane, across */
    int64_t in_step[3], out_step[3];
    const void *in;
    void *out;
    bool i16, clip_slice, clip_all;
    double range[2]; /* clip_all: of the whole input */
    double *planes;  /* cubic across: input slices resized in the plane, slice z at z % ring */
    int64_t ring;
    int64_t next;                      /* the first slice that is not in the ring yet */
    struct resize_span span;           /* across: what is done now */
    const double *row[RING + 2 * PAD]; /* the planes of its rows */
    atomic_bool failed;
};

/* Buffers of one worker: a block before and behind the axis, the half-resized plane and two whole ones. */
struct scratch {
    double *before, *behind, *half, *plane[2];
    int64_t holds[2];
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
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

static void load_row(double row[LANES], const double *in, int lanes)
{
    if (lanes == LANES) {
        memcpy(row, in, LANES * sizeof *in);
        return;
    }
    memset(row, 0, LANES * sizeof *in);
    memcpy(row, in, (size_t)lanes * sizeof *in);
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
    const struct resize_axis *u = &b->axis[0], *v = &b->axis[1];
    double(*before)[LANES] = (double(*)[LANES])s->before, (*behind)[LANES] = (double(*)[LANES])s->behind;

    range[0] = INFINITY;
    range[1] = -INFINITY;
    for (int64_t y = 0; y < v->n; y += LANES) {
        int lanes = lanes_at(y, v->n);

        load_input(b, before + (u->filter ? PAD : 0), z * b->in_step[2] + y * b->in_step[1], u->n, lanes,
                   range);
        resize_axis_apply_all(u, before, behind);
        for (int j = 0; j < lanes; j++)
            for (int64_t k = 0; k < u->m; k++)
                s->half[(y + j) * u->m + k] = behind[k][j];
    }
    for (int64_t x = 0; x < u->m; x += LANES) {
        int lanes = lanes_at(x, u->m);

        for (int64_t y = 0; y < v->n; y++)
            load_row(before[y + (v->filter ? PAD : 0)], s->half + y * u->m + x, lanes);
        resize_axis_apply_all(v, before, behind);
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
    const struct resize_axis *a = b->axis;
    int64_t rows = 0, m = 0;

    for (int i = 0; i < 3; i++) {
        rows = resize_axis_rows(&a[i]) > rows ? resize_axis_rows(&a[i]) : rows;
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
    const struct resize_axis *w = &b->axis[2];
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
            if (b->clip_all)
                clip(s.behind, width, b->range);
            store(b, k * b->out_step[2] + y * b->out_step[1], s.behind, width);
        }
    }
    scratch_free(&s);
}

/* The slice that row i of the padded axis across holds. */
static int64_t slice_of(const struct job *b, int64_t i)
{
    int64_t last = b->axis[2].n - 1;

    return i < PAD ? 0 : i - PAD > last ? last : i - PAD;
}

/* Brings the slices from b->next on that the span reads into the ring. */
static void slices_to_planes(void *ctx, int64_t job)
{
    struct job *b = ctx;
    int64_t size = b->axis[0].m * b->axis[1].m, first = b->next + job * SLICES_PER_JOB,
            end = slice_of(b, b->span.end - 1) + 1;
    struct scratch s;

    if (!scratch_make(&s, b, 0))
        return;
    for (int64_t z = first; z < first + SLICES_PER_JOB && z < end; z++) {
        double range[2];

        plane_resize(b, &s, z, b->planes + z % b->ring * size, range);
    }
    scratch_free(&s);
}

/* Across is cubic: the span of a few rows of all planes. */
static void rows_across(void *ctx, int64_t job)
{
    struct job *b = ctx;
    const struct resize_axis *w = &b->axis[2];
    const struct resize_span *part = &b->span;
    int64_t width = b->axis[0].m, end = (job + 1) * SLICES_PER_JOB;
    struct scratch s;

    if (!scratch_make(&s, b, -1))
        return;
    double(*before)[LANES] = (double(*)[LANES])s.before, (*behind)[LANES] = (double(*)[LANES])s.behind;
    for (int64_t y = job * SLICES_PER_JOB; y < end && y < b->axis[1].m; y++)
        for (int64_t x = 0; x < width; x += LANES) {
            int lanes = lanes_at(x, width);

            for (int64_t i = 0; i < part->end - part->first; i++)
                load_row(before[i], b->row[i] + y * width + x, lanes);
            resize_axis_apply(w, part, before, behind);
            if (b->clip_all)
                clip(s.behind, (part->to - part->from) * LANES, b->range);
            for (int64_t k = part->from; k < part->to; k++)
                store(b, k * b->out_step[2] + y * b->out_step[1] + x * b->out_step[0], behind[k - part->from],
                      lanes);
        }
    scratch_free(&s);
}

/* The span of outputs from .. to - 1 across. */
static struct resize_span span_across(const struct job *b, int64_t from, int64_t to)
{
    const struct resize_axis *w = &b->axis[2];
    int64_t first = w->index[from * TAPS_MAX] - REACH, end = w->index[to * TAPS_MAX - 1] + 1 + REACH,
            rows = resize_axis_rows(w);

    return (struct resize_span){from, to, first < 0 ? 0 : first, end > rows ? rows : end};
}

static bool fits_ring(const struct job *b, const struct resize_span *s)
{
    return slice_of(b, s->end - 1) - slice_of(b, s->first) < b->ring;
}

/* The longest span from output `from` on whose slices the ring can hold. */
static void span_set(struct job *b, int64_t from)
{
    int64_t size = b->axis[0].m * b->axis[1].m;

    b->span = span_across(b, from, from + 1);
    for (int64_t to = from + 2; to <= b->axis[2].m; to++) {
        struct resize_span longer = span_across(b, from, to);
        if (!fits_ring(b, &longer))
            break;
        b->span = longer;
    }
    for (int64_t i = b->span.first; i < b->span.end; i++)
        b->row[i - b->span.first] = b->planes + slice_of(b, i) % b->ring * size;
}

static enum err run_across(struct job *b)
{
    const struct resize_axis *a = b->axis;

    b->ring = least(a[2].n, RING);
    b->planes = mem_new((size_t)(a[0].m * a[1].m), (size_t)b->ring * sizeof *b->planes);
    if (!b->planes)
        return ERR_MEMORY;
    for (int64_t from = 0; from < a[2].m && !atomic_load(&b->failed); from = b->span.to) {
        span_set(b, from);
        int64_t first = slice_of(b, b->span.first), end = slice_of(b, b->span.end - 1) + 1;
        b->next = b->next > first ? b->next : first;
        par_for((end - b->next + SLICES_PER_JOB - 1) / SLICES_PER_JOB, slices_to_planes, b);
        b->next = end;
        if (!atomic_load(&b->failed))
            par_for((a[1].m + SLICES_PER_JOB - 1) / SLICES_PER_JOB, rows_across, b);
    }
    return ERR_OK;
}

struct range_job {
    const struct job *b;
    int64_t count;
    double low[PARTS], high[PARTS];
};

static void range_i16(const int16_t *in, int64_t n, double range[2])
{
    int16_t low = INT16_MAX, high = INT16_MIN;

    for (int64_t i = 0; i < n; i++) {
        low = in[i] < low ? in[i] : low;
        high = in[i] > high ? in[i] : high;
    }
    range[0] = low;
    range[1] = high;
}

static void range_f64(const double *in, int64_t n, double range[2])
{
    range[0] = INFINITY;
    range[1] = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        range[0] = in[i] < range[0] ? in[i] : range[0];
        range[1] = in[i] > range[1] ? in[i] : range[1];
    }
}

static void range_part(void *ctx, int64_t part)
{
    struct range_job *r = ctx;
    int64_t from = r->count * part / PARTS, n = r->count * (part + 1) / PARTS - from;
    double range[2] = {INFINITY, -INFINITY};

    if (n && r->b->i16)
        range_i16((const int16_t *)r->b->in + from, n, range);
    else if (n)
        range_f64((const double *)r->b->in + from, n, range);
    r->low[part] = range[0];
    r->high[part] = range[1];
}

static void range_all(struct job *b)
{
    struct range_job r = {.b = b, .count = b->axis[0].n * b->axis[1].n * b->axis[2].n};

    par_for(PARTS, range_part, &r);
    b->range[0] = INFINITY;
    b->range[1] = -INFINITY;
    for (int i = 0; i < PARTS; i++) {
        b->range[0] = fmin(b->range[0], r.low[i]);
        b->range[1] = fmax(b->range[1], r.high[i]);
    }
}

static enum err resize_run(struct job *b)
{
    const struct resize_axis *a = b->axis;

    if (b->clip_all)
        range_all(b);
    if (a[2].filter)
        TRY(run_across(b));
    else
        par_for((a[2].m + SLICES_PER_JOB - 1) / SLICES_PER_JOB, slices_linear, b);
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
        err = resize_axis_make(&b.axis[i], r->from[from], r->to[from], r->order[from]);
    }
    b.clip_all =
        r->order[across] == RESIZE_CUBIC && (b.axis[0].filter || b.axis[1].filter || b.axis[2].filter);
    b.clip_slice = !b.clip_all && (b.axis[0].filter || b.axis[1].filter);
    if (!err)
        err = resize_run(&b);
    for (int i = 0; i < 3; i++)
        resize_axis_free(&b.axis[i]);
    mem_free(b.planes);
    return err;
}

uint64_t resize_bytes(const struct resize *r)
{
    int across = across_axis(r->order), x = across == 0 ? 2 : 0, y = across == 1 ? 2 : 1;
    uint64_t plane = (uint64_t)(r->to[x] * r->to[y]), half = (uint64_t)(r->from[y] * r->to[x]);
    bool ring = r->order[across] == RESIZE_CUBIC && r->from[across] != r->to[across];
    uint64_t planes = !ring ? 2 * (uint64_t)par_threads() : (uint64_t)least(r->from[across], RING);

    return sizeof(double) * (planes * plane + (uint64_t)par_threads() * half);
}

enum err resize_f64(const struct resize *r, const double *in, double *out)
{
    return resize_any(r, in, out, false);
}

enum err resize_i16(const struct resize *r, const int16_t *in, int16_t *out)
{
    return resize_any(r, in, out, true);
}
