#include "backend/isa/conv.h"
#include "backend/isa/lane.h"
#include "backend/isa/pack.h"
#include <omp.h>
#include <string.h>

/* Depthwise convolutions, one channel per group: vectors hold channels, everything is read where it stands.
 *
 * Forward and by data, POSITIONS destinations along w of one vector of channels are computed at a time; the
 * taps that exist pass over them in order, so that a result is one chain of fused multiply-adds. Kernels of
 * 3, 5 and 7 without stride or dilation along w keep their weights in registers instead and read each source
 * once. A task is a few rows of one plane. By weights, TAPS taps along w are summed at a time, with STEPS
 * sums for each; a task is some planes of y, and the tasks' sums are added in order. */
enum {
#ifdef ISA_AVX512
    POSITIONS = 16,
    WINDOW = 16 + 7, /* registers for positions and weights */
#else
    POSITIONS = 12,
    WINDOW = 8 + 7,
#endif
    FEW = 6,   /* positions, where there are no more */
    ROWS = 16, /* of a task */
    TAPS = 3,
    STEPS = 4,
    CHUNKS = 64 /* tasks by weights, at most */
};

struct depth {
    const struct conv_shape *s;
    struct conv_axis axis[3];
    int64_t channels, padded; /* padded: to whole vectors */
    int64_t taps, chunks;     /* chunks: of planes, by weights */
    /* set for a run */
    const REAL *source, *bias;
    REAL *dest, *packed; /* (taps, padded): weights; by weights (chunks, taps, padded): sums */
    int64_t source_pitch, dest_pitch;
    bool stream;
};

bool conv_depth_accepts(const struct conv_shape *s)
{
    return s->groups > 1 && s->ci == s->groups && s->co == s->groups;
}

static void depth_plan(struct depth *q, const struct conv_shape *s, enum conv_dir dir)
{
    q->s = s;
    for (int i = 0; i < 3; i++)
        q->axis[i] = conv_axis_make(s, dir == CONV_DX ? CONV_DX : CONV_FORWARD, i);
    q->channels = s->ci;
    q->padded = ceil_div(s->ci, LANES) * LANES;
    q->taps = conv_taps(s);
    q->chunks = dir == CONV_DW ? min64(CHUNKS, s->n * s->out[0]) : 1;
}

size_t conv_depth_scratch(const struct conv_shape *s, enum conv_dir dir)
{
    struct depth q = {0};

    depth_plan(&q, s, dir);
    return work_bytes(q.chunks * q.taps * q.padded);
}

/* Taps [first, last) of a phase that meet the source at position t; first <= last. */
static void taps_exist(const struct conv_axis *a, const struct conv_phase *p, int64_t t, int64_t range[2])
{
    const int64_t off = t * a->step_in + p->off0;

    range[0] = off < 0 && p->taps ? min64(ceil_div(-off, p->off_step), p->taps) : 0;
    range[1] = p->taps && off < a->source ? min64(ceil_div(a->source - off, p->off_step), p->taps) : 0;
    range[1] = max64(range[0], range[1]);
}

/* Positions [first, last) at which taps i0 .. i1 all meet the source; first <= last <= count. */
static void positions_exist(const struct conv_axis *a, const struct conv_phase *p, const int64_t taps[2],
                            int64_t range[2])
{
    const int64_t low = p->off0 + taps[0] * p->off_step, high = p->off0 + taps[1] * p->off_step;

    range[0] = low < 0 ? min64(ceil_div(-low, a->step_in), p->count) : 0;
    range[1] = high < a->source ? min64((a->source - 1 - high) / a->step_in + 1, p->count) : 0;
    range[1] = max64(range[0], range[1]);
}

/* ---- forward and by data ---- */

/* One destination row: where its first position, tap and channel stand, and the taps along d and h that
 * exist. */
struct line {
    int64_t source, weight, dest;
    int64_t planes, rows;
};

/* What the rows of a task share, for one phase along w: steps from tap to tap in the source and in the
 * weights. */
struct strip {
    const struct depth *q;
    struct conv_phase p[3];
    int64_t d_step, h_step, w_step, d_weight, h_weight, w_weight;
    int64_t step_in, step_out; /* from position to position along w */
    int64_t first;             /* the phase's first position in a destination row */
    struct line lines[ROWS];
    int64_t count; /* of lines */
};

/* One vector of channels from c on of some positions: the first one, taps first .. last - 1 along w, and the
 * steps from position to position in the source and the destination. */
struct job {
    int64_t c, t, first, last, step_in, step_out;
};

/* Sums in registers to the destination, behind the bias. */
ALWAYS_INLINE void positions_put(const struct strip *r, const struct line *l, const struct job *j, vec acc[],
                                 const int count, const int lanes)
{
    REAL *to = r->q->dest + l->dest + r->first + j->t * r->step_out + j->c;
    const vec bias = r->q->bias ? vec_load_upto(r->q->bias + j->c, lanes) : vec_zero();

    UNROLL
    for (int i = 0; i < count; i++) {
        const vec v = r->q->bias ? vec_add(acc[i], bias) : acc[i];
        if (lanes == VEC_LANES)
            vec_put(to + i * j->step_out, v, r->q->stream);
        else
            vec_store_part(to + i * j->step_out, lanes, v);
    }
}

ALWAYS_INLINE void positions_run(const struct strip *r, const struct line *l, const struct job *j,
                                 const int count, const int lanes)
{
    const REAL *source = r->q->source + l->source + j->t * r->step_in + j->c + j->first * r->w_step;
    const REAL *weight = r->q->packed + l->weight + j->c + j->first * r->w_weight;
    const int64_t step[5] = {0, j->step_in, 2 * j->step_in, 3 * j->step_in, 4 * j->step_in}, tap = r->w_step;
    vec acc[POSITIONS];

    UNROLL
    for (int i = 0; i < count; i++)
        acc[i] = vec_zero();
    for (int64_t d = 0; d < l->planes; d++)
        for (int64_t h = 0; h < l->rows; h++) {
            const REAL *x = source + d * r->d_step + h * r->h_step,
                       *w = weight + d * r->d_weight + h * r->h_weight;
            const REAL *base[(POSITIONS + 4) / 5]; /* so many addresses do not fit the general registers */
            UNROLL
            for (int i = 0; i < count; i += 5)
                base[i / 5] = x + i * step[1];
            for (int64_t k = j->first; k < j->last; k++, w += r->w_weight) {
                const vec v = vec_load(w);
                UNROLL
                for (int i = 0; i < count; i++)
                    acc[i] = vec_fma(vec_load_upto(base[i / 5] + step[i % 5], lanes), v, acc[i]);
                UNROLL
                for (int i = 0; i < count; i += 5)
                    base[i / 5] += tap;
            }
        }
    positions_put(r, l, j, acc, count, lanes);
}

/* Neighbouring positions whose taps, all of them, read neighbouring sources. */
ALWAYS_INLINE void window_run(const struct strip *r, const struct line *l, const struct job *j,
                              const int count, const int taps, const int lanes)
{
    const REAL *source = r->q->source + l->source + j->t * r->step_in + j->c;
    const REAL *weight = r->q->packed + l->weight + j->c;
    const int64_t step = r->step_in;
    vec acc[POSITIONS], w[WINDOW];

    UNROLL
    for (int i = 0; i < count; i++)
        acc[i] = vec_zero();
    for (int64_t d = 0; d < l->planes; d++)
        for (int64_t h = 0; h < l->rows; h++) {
            const REAL *x = source + d * r->d_step + h * r->h_step;
            UNROLL
            for (int k = 0; k < taps; k++)
                w[k] = vec_load(weight + d * r->d_weight + h * r->h_weight + k * r->w_weight);
            UNROLL
            for (int u = 0; u < count + taps - 1; u++, x += step) {
                const vec v = vec_load_upto(x, lanes);
                UNROLL
                for (int k = 0; k < taps; k++)
                    if (u >= k && u - k < count)
                        acc[u - k] = vec_fma(v, w[k], acc[u - k]);
            }
        }
    positions_put(r, l, j, acc, count, lanes);
}

#define WINDOW_COUNT(taps) (WINDOW - (taps) < POSITIONS ? WINDOW - (taps) : POSITIONS)
#define WINDOW_RUN(taps)                                                                                     \
    static void window_##taps(const struct strip *r, const struct line *l, const struct job *j)              \
    {                                                                                                        \
        const int64_t lanes = r->q->channels - j->c;                                                         \
        if (lanes >= VEC_LANES)                                                                              \
            window_run(r, l, j, WINDOW_COUNT(taps), taps, VEC_LANES);                                        \
        else                                                                                                 \
            window_run(r, l, j, WINDOW_COUNT(taps), taps, (int)lanes);                                       \
    }
WINDOW_RUN(3)
WINDOW_RUN(5)
WINDOW_RUN(7)

#define POSITIONS_RUN(name, count)                                                                           \
    static void name(const struct strip *r, const struct line *l, const struct job *j)                       \
    {                                                                                                        \
        const int64_t lanes = r->q->channels - j->c;                                                         \
        if (lanes >= VEC_LANES)                                                                              \
            positions_run(r, l, j, count, VEC_LANES);                                                        \
        else                                                                                                 \
            positions_run(r, l, j, count, (int)lanes);                                                       \
    }
POSITIONS_RUN(positions_many, POSITIONS)
POSITIONS_RUN(positions_few, FEW)
POSITIONS_RUN(positions_one, 1)

typedef void positions_fn(const struct strip *r, const struct line *l, const struct job *j);

/* How to compute a run of so many positions at which every tap along w exists, and how many at a time. */
static positions_fn *inner_choose(const struct strip *r, int64_t count, int64_t *block)
{
    static const struct {
        int64_t taps, count;
        positions_fn *run;
    } windows[] = {
        {3, WINDOW_COUNT(3), window_3}, {5, WINDOW_COUNT(5), window_5}, {7, WINDOW_COUNT(7), window_7}};

    for (int i = 0; i < 3 && r->w_step == r->step_in; i++)
        if (windows[i].taps == r->p[2].taps && windows[i].count <= count) {
            *block = windows[i].count;
            return windows[i].run;
        }
    *block = count >= POSITIONS ? POSITIONS : count >= FEW ? FEW : 1;
    return *block == POSITIONS ? positions_many : *block == FEW ? positions_few : positions_one;
}

/* Positions begin .. end - 1 of all lines, where every tap along w exists: line by line, which share most of
 * what they read. The last block overlaps the one before. */
static void inner_run(const struct strip *r, int64_t begin, int64_t end)
{
    int64_t block;
    positions_fn *const run = inner_choose(r, end - begin, &block);

    for (int64_t t = begin; t < end; t += block)
        for (int64_t c = 0; c < r->q->channels; c += VEC_LANES) {
            const struct job j = {c, min64(t, end - block), 0, r->p[2].taps, r->step_in, r->step_out};
            for (int64_t i = 0; i < r->count; i++)
                run(r, &r->lines[i], &j);
        }
}

/* One position at the border along w, of all lines: FEW lines at once where every tap along h exists. */
static void border_run(const struct strip *r, int64_t t)
{
    struct job j = {.t = t};
    int64_t taps[2], step;

    taps_exist(&r->q->axis[2], &r->p[2], t, taps);
    j.first = taps[0];
    j.last = taps[1];
    for (int64_t i = 0; i < r->count; i += step) {
        const struct line *l = &r->lines[i];
        const bool few = i + FEW <= r->count && l->rows == r->p[1].taps && l[FEW - 1].rows == r->p[1].taps;
        step = few ? FEW : 1;
        j.step_in = few ? l[1].source - l->source : 0;
        j.step_out = few ? l[1].dest - l->dest : 0;
        for (j.c = 0; j.c < r->q->channels; j.c += VEC_LANES)
            (few ? positions_few : positions_one)(r, l, &j);
    }
}

static void strip_run(const struct strip *r)
{
    const struct conv_phase *p = &r->p[2];
    int64_t inner[2];

    positions_exist(&r->q->axis[2], p, (const int64_t[2]){0, max64(p->taps - 1, 0)}, inner);
    inner_run(r, inner[0], inner[1]);
    for (int64_t t = 0; t < inner[0]; t++)
        border_run(r, t);
    for (int64_t t = inner[1]; t < p->count; t++)
        border_run(r, t);
}

static struct line line_at(const struct strip *r, int64_t n, const int64_t at[2])
{
    const struct conv_axis *a = r->q->axis;
    int64_t exist[2][2], first[2], tap[2];

    for (int i = 0; i < 2; i++) {
        const int64_t t = at[i] / a[i].step_out;
        taps_exist(&a[i], &r->p[i], t, exist[i]);
        first[i] = t * a[i].step_in + r->p[i].off0 + exist[i][0] * r->p[i].off_step;
        tap[i] = r->p[i].tap0 + exist[i][0] * r->p[i].tap_step;
    }
    return (struct line){
        .source = (((n * a[0].source + first[0]) * a[1].source + first[1]) * a[2].source + r->p[2].off0) *
                  r->q->source_pitch,
        .weight = ((tap[0] * a[1].kernel + tap[1]) * a[2].kernel + r->p[2].tap0) * r->q->padded,
        .dest = (((n * a[0].dest + at[0]) * a[1].dest + at[1]) * a[2].dest) * r->q->dest_pitch,
        .planes = exist[0][1] - exist[0][0],
        .rows = exist[1][1] - exist[1][0]};
}

/* Rows h0 .. h1 - 1 of a plane whose phases along d and w are set. */
static void rows_run(struct strip *r, int64_t n, int64_t d, int64_t h0, int64_t h1)
{
    const struct conv_axis *a = r->q->axis;

    for (int64_t f = 0; f < a[1].phases; f++) {
        r->p[1] = conv_axis_phase(&a[1], f);
        r->h_step = r->p[1].off_step * a[2].source * r->q->source_pitch;
        r->h_weight = r->p[1].tap_step * a[2].kernel * r->q->padded;
        r->count = 0;
        for (int64_t h = h0 + (f - h0 % a[1].step_out + a[1].step_out) % a[1].step_out; h < h1;
             h += a[1].step_out)
            r->lines[r->count++] = line_at(r, n, (const int64_t[2]){d, h});
        strip_run(r);
    }
}

static void depth_task(const struct depth *q, int64_t plane, int64_t block)
{
    const struct conv_axis *a = q->axis;
    const int64_t n = plane / a[0].dest, d = plane % a[0].dest;
    struct strip r = {.q = q};

    r.p[0] = conv_axis_phase(&a[0], d % a[0].step_out);
    r.d_step = r.p[0].off_step * a[1].source * a[2].source * q->source_pitch;
    r.d_weight = r.p[0].tap_step * a[1].kernel * a[2].kernel * q->padded;
    r.step_in = a[2].step_in * q->source_pitch;
    r.step_out = a[2].step_out * q->dest_pitch;
    for (int64_t f = 0; f < a[2].phases; f++) {
        r.p[2] = conv_axis_phase(&a[2], f);
        r.w_step = r.p[2].off_step * q->source_pitch;
        r.w_weight = r.p[2].tap_step * q->padded;
        r.first = f * q->dest_pitch;
        rows_run(&r, n, d, block * ROWS, min64((block + 1) * ROWS, a[1].dest));
    }
}

/* ---- by weights ---- */

/* Row of y and row of x that meet through taps (d, h); offsets of their first elements, x at position and tap
 * 0. */
struct meeting {
    const struct depth *q;
    struct conv_phase w;
    int64_t x, y, x_step; /* x_step: from position to position */
    REAL *sums;           /* (kw, padded) of the taps d, h */
};

/* sums of taps k .. k + taps - 1 along w += x y over the row, one vector of channels from c on */
ALWAYS_INLINE void taps_run(const struct meeting *m, int64_t k, int64_t c, const int taps, const int lanes)
{
    const struct depth *q = m->q;
    const int64_t tap = m->w.off_step * q->source_pitch;
    const REAL *x = q->source + m->x + c + k * tap, *y = q->dest + m->y + c;
    vec acc[TAPS][STEPS];
    int64_t all[2], one[2];

    UNROLL
    for (int i = 0; i < taps * STEPS; i++)
        acc[i / STEPS][i % STEPS] = vec_zero();
    positions_exist(&q->axis[2], &m->w, (const int64_t[2]){k, k + taps - 1}, all);
    int64_t t = all[0];
    for (; t + STEPS <= all[1]; t += STEPS)
        UNROLL
    for (int j = 0; j < STEPS; j++) {
        const vec v = vec_load_upto(y + (t + j) * q->dest_pitch, lanes);
        UNROLL
        for (int i = 0; i < taps; i++)
            acc[i][j] = vec_fma(vec_load_upto(x + (t + j) * m->x_step + i * tap, lanes), v, acc[i][j]);
    }
    const int64_t done[2] = {all[0], t}; /* what is left is summed apart, in order */
    UNROLL
    for (int i = 0; i < taps; i++) {
        positions_exist(&q->axis[2], &m->w, (const int64_t[2]){k + i, k + i}, one);
        for (int64_t p = one[0]; p < one[1]; p++) {
            if (p == done[0] && done[1] > p)
                p = done[1];
            if (p < one[1])
                acc[i][0] = vec_fma(vec_load_upto(x + p * m->x_step + i * tap, lanes),
                                    vec_load_upto(y + p * q->dest_pitch, lanes), acc[i][0]);
        }
        REAL *to = m->sums + (k + i) * q->padded + c;
        const vec sum = vec_add(vec_add(acc[i][0], acc[i][1]), vec_add(acc[i][2], acc[i][3]));
        vec_store(to, vec_add(vec_load(to), sum));
    }
}

#define TAPS_RUN(taps)                                                                                       \
    static void taps_##taps(const struct meeting *m, int64_t k, int64_t c)                                   \
    {                                                                                                        \
        if (m->q->channels - c >= VEC_LANES)                                                                 \
            taps_run(m, k, c, taps, VEC_LANES);                                                              \
        else                                                                                                 \
            taps_run(m, k, c, taps, (int)(m->q->channels - c));                                              \
    }
TAPS_RUN(1)
TAPS_RUN(2)
TAPS_RUN(3)

/* One row of y and all taps along d and h that meet x. */
static void sums_add(const struct depth *q, struct meeting *m, const int64_t at[3] /* n, d, h */, REAL *sums)
{
    const struct conv_axis *a = q->axis;
    const int64_t *kernel = q->s->kernel;

    m->y = ((at[0] * a[0].dest + at[1]) * a[1].dest + at[2]) * a[2].dest * q->dest_pitch;
    for (int64_t tap = 0; tap < kernel[0] * kernel[1]; tap++) {
        const int64_t d = at[1] * a[0].step_in - a[0].pad + tap / kernel[1] * a[0].dilation;
        const int64_t h = at[2] * a[1].step_in - a[1].pad + tap % kernel[1] * a[1].dilation;
        if (d < 0 || d >= a[0].source || h < 0 || h >= a[1].source)
            continue;
        m->x = (((at[0] * a[0].source + d) * a[1].source + h) * a[2].source + m->w.off0) * q->source_pitch;
        m->sums = sums + tap * kernel[2] * q->padded;
        for (int64_t c = 0; c < q->channels; c += VEC_LANES)
            for (int64_t k = 0; k < kernel[2]; k += TAPS) {
                const int64_t left = kernel[2] - k;
                (left == 1 ? taps_1 : left == 2 ? taps_2 : taps_3)(m, k, c);
            }
    }
}

static void sums_task(const struct depth *q, int64_t chunk)
{
    const struct conv_axis *a = q->axis;
    const int64_t planes = q->s->n * a[0].dest, size = q->taps * q->padded;
    REAL *sums = q->packed + chunk * size;
    struct meeting m = {.q = q, .w = conv_axis_phase(&a[2], 0), .x_step = a[2].step_in * q->source_pitch};

    memset(sums, 0, (size_t)size * sizeof(REAL));
    for (int64_t i = planes * chunk / q->chunks; i < planes * (chunk + 1) / q->chunks; i++)
        for (int64_t h = 0; h < a[1].dest; h++)
            sums_add(q, &m, (const int64_t[3]){i / a[0].dest, i % a[0].dest, h}, sums);
}

static void by_weights(struct depth *q, const struct conv_buf *b)
{
    const int64_t size = q->taps * q->padded;

#pragma omp parallel for num_threads(b->threads) schedule(dynamic)
    for (int64_t i = 0; i < q->chunks; i++)
        sums_task(q, i);
    for (int64_t g = 1; g < q->chunks; g++)
        for (int64_t i = 0; i < size; i++)
            q->packed[i] += q->packed[g * size + i];
    pack_transpose(b->w, q->taps, q->packed, q->padded, (const int64_t[2]){q->taps, q->channels});
}

void conv_depth_run(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b)
{
    struct depth q = {.packed = b->work, .bias = b->bias};

    depth_plan(&q, s, dir);
    q.source = dir == CONV_DX ? b->y : b->x;
    q.dest = dir == CONV_DX ? b->x : b->y;
    q.source_pitch = dir == CONV_DX ? b->y_pitch : b->x_pitch;
    q.dest_pitch = dir == CONV_DX ? b->x_pitch : b->y_pitch;
    if (dir == CONV_DW) {
        by_weights(&q, b);
        return;
    }
    const int64_t planes = s->n * q.axis[0].dest, blocks = ceil_div(q.axis[1].dest, ROWS);
    /* whole lines only: a vector of channels is stored at a time */
    q.stream = VEC_BYTES == 64 && tile_may_stream(q.dest, q.dest_pitch, q.channels,
                                                  planes * q.axis[1].dest * q.axis[2].dest * q.channels);
    memset(q.packed, 0, (size_t)(q.taps * q.padded) * sizeof(REAL));
    pack_transpose(q.packed, q.padded, b->w, q.taps, (const int64_t[2]){q.channels, q.taps});
#pragma omp parallel for num_threads(b->threads) schedule(dynamic) collapse(2)
    for (int64_t i = 0; i < planes; i++)
        for (int64_t j = 0; j < blocks; j++)
            depth_task(&q, i, j);
}
