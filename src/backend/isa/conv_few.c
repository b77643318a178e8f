#include "backend/isa/conv.h"
#include "backend/isa/pack.h"
#include <omp.h>
#include <string.h>

/* Forward and by data into M <= 8 channels: as columns the channels alone would leave most of a vector empty,
 * so the taps along w become columns too. For a row of the destination, over all (kd, kh):
 *
 *     P[u][kw*M + m] = sum over (kd, kh), c of  source[u][c] * w        u: the source columns that the row
 * reads y[t][m]        = sum over kw of  P[t + off(kw)][kw*M + m]         a few shifted additions
 *
 * The source is read in place. A task is a stretch of one destination row. The rule mentions no vector width:
 * it chooses the order of the sums. */
enum { CHANNELS_MAX = 8, COLUMNS_MAX = 32, STRETCH = 512 };

struct few {
    const struct conv_shape *s;
    struct conv_axis axis[3];
    struct conv_phase w;           /* the only phase along w */
    int64_t depth, channels, cols; /* source channels, M, kW*M */
    int64_t panels, pitch;         /* of P: whole panels */
    int64_t stretches;
    size_t packed_bytes, list_bytes, thread_bytes;
    /* set for a run */
    const REAL *source, *bias;
    REAL *dest, *packed;
    int64_t source_pitch, dest_pitch;
    char *threads; /* each thread's own part of the work buffer */
};

bool conv_few_accepts(const struct conv_shape *s, enum conv_dir dir)
{
    const int64_t channels = dir == CONV_DX ? s->ci : s->co;

    return channels <= CHANNELS_MAX && s->kernel[2] > 1 && s->stride[2] == 1 &&
           s->kernel[2] * channels <= COLUMNS_MAX;
}

static void few_plan(struct few *q, const struct conv_shape *s, enum conv_dir dir)
{
    const int64_t taps = s->kernel[0] * s->kernel[1];

    q->s = s;
    for (int i = 0; i < 3; i++)
        q->axis[i] = conv_axis_make(s, dir, i);
    q->w = conv_axis_phase(&q->axis[2], 0);
    q->depth = dir == CONV_DX ? s->co : s->ci;
    q->channels = dir == CONV_DX ? s->ci : s->co;
    q->cols = s->kernel[2] * q->channels;
    q->panels = ceil_div(q->cols, TILE_COLS);
    q->pitch = q->panels * TILE_COLS;
    q->stretches = ceil_div(q->axis[2].dest, STRETCH);
    q->packed_bytes = work_bytes(q->panels * taps * q->depth * TILE_COLS);
    q->list_bytes = list_bytes(taps);
    const int64_t reach = STRETCH + q->axis[2].high - q->axis[2].low;
    q->thread_bytes =
        2 * q->list_bytes + work_bytes(min64(reach, q->axis[2].source) * q->pitch + CHANNELS_MAX);
}

size_t conv_few_scratch(const struct conv_shape *s, enum conv_dir dir, int threads)
{
    struct few q = {0};

    few_plan(&q, s, dir);
    return q.packed_bytes + (size_t)threads * q.thread_bytes;
}

/* packed[panel][kd][kh][k][TILE_COLS], column i*M + m for the i-th tap along w in source order */
static void few_pack(const struct few *q, const REAL *w, int64_t tap, int64_t k)
{
    const int64_t taps = q->s->kernel[0] * q->s->kernel[1], kw_count = q->s->kernel[2], all = taps * kw_count;
    const bool by_data = q->axis[2].by_data;
    const int64_t k_step = by_data ? q->s->ci * all : all, m_step = by_data ? all : q->s->ci * all;

    for (int64_t col = 0; col < q->pitch; col++) {
        const int64_t i = col / q->channels, m = col % q->channels;
        REAL *to = q->packed + ((col / TILE_COLS * taps + tap) * q->depth + k) * TILE_COLS + col % TILE_COLS;
        *to = i < kw_count ? w[tap * kw_count + q->w.tap0 + i * q->w.tap_step + k * k_step + m * m_step] : 0;
    }
}

/* One destination row, or a stretch of it. */
struct stretch {
    int64_t n, d, h, t0, t1; /* destination position */
    int64_t u0, u1;          /* source columns */
    int64_t *a_seg, *b_seg;
    REAL *products; /* P (u1 - u0, pitch) */
};

/* The source rows that the destination row reads, with their weights. */
static int64_t stretch_segments(const struct few *q, const struct stretch *r)
{
    const int64_t at[2] = {r->d, r->h};
    struct conv_phase p[2];
    int64_t t[2], count = 0;

    for (int i = 0; i < 2; i++) {
        p[i] = conv_axis_phase(&q->axis[i], at[i] % q->axis[i].step_out);
        t[i] = at[i] / q->axis[i].step_out * q->axis[i].step_in;
    }
    for (int64_t i = 0; i < p[0].taps; i++) {
        const int64_t d = t[0] + p[0].off0 + i * p[0].off_step;
        for (int64_t j = 0; j < p[1].taps && d >= 0 && d < q->axis[0].source; j++) {
            const int64_t h = t[1] + p[1].off0 + j * p[1].off_step;
            if (h < 0 || h >= q->axis[1].source)
                continue;
            const int64_t tap =
                (p[0].tap0 + i * p[0].tap_step) * q->s->kernel[1] + p[1].tap0 + j * p[1].tap_step;
            const int64_t row = (r->n * q->axis[0].source + d) * q->axis[1].source + h;
            r->a_seg[count] = (row * q->axis[2].source + r->u0) * q->source_pitch;
            r->b_seg[count++] = tap * q->depth * TILE_COLS;
        }
    }
    return count;
}

static void stretch_multiply(const struct few *q, const struct stretch *r)
{
    const int64_t panel_size = q->s->kernel[0] * q->s->kernel[1] * q->depth * TILE_COLS;
    struct tile t = {.segments = stretch_segments(q, r),
                     .depth = q->depth,
                     .a_seg = r->a_seg,
                     .b_seg = r->b_seg,
                     .a_row = q->source_pitch,
                     .a_step = 1,
                     .b_step = TILE_COLS,
                     .c_row = q->pitch};

    for (int64_t j = 0; j < q->panels; j++)
        tile_column(&t, r->u1 - r->u0, (int)min64(q->cols - j * TILE_COLS, TILE_COLS), q->source,
                    q->packed + j * panel_size, r->products + j * TILE_COLS);
}

/* sum[m] += the products of tap i for the destination column t; lanes behind the channels hold anything */
ALWAYS_INLINE void tap_add(const struct few *q, const struct stretch *r, int64_t t, int64_t i,
                           REAL sum[CHANNELS_MAX])
{
    const int64_t u = t + q->w.off0 + i * q->w.off_step;
    const REAL *from = r->products + (u - r->u0) * q->pitch + i * q->channels;

    if (u >= r->u0 && u < r->u1)
        for (int c = 0; c < CHANNELS_MAX; c++)
            sum[c] += from[c];
}

/* y[t] = the sum of its taps' products, in order, taps outside the source left out; then the bias. */
static void stretch_add(const struct few *q, const struct stretch *r, REAL *dest)
{
    for (int64_t t = r->t0; t < r->t1; t++, dest += q->dest_pitch) {
        REAL sum[CHANNELS_MAX] = {0};
        for (int64_t i = 0; i < q->w.taps; i++)
            tap_add(q, r, t, i, sum);
        for (int64_t c = 0; c < q->channels; c++)
            dest[c] = sum[c] + (q->bias ? q->bias[c] : 0);
    }
}

static void few_task(const struct few *q, int64_t row, int64_t stretch)
{
    char *part = q->threads + (size_t)omp_get_thread_num() * q->thread_bytes;
    const struct conv_axis *w = &q->axis[2];
    struct stretch r = {.n = row / q->axis[1].dest / q->axis[0].dest,
                        .d = row / q->axis[1].dest % q->axis[0].dest,
                        .h = row % q->axis[1].dest,
                        .t0 = w->dest * stretch / q->stretches,
                        .t1 = w->dest * (stretch + 1) / q->stretches};

    r.u0 = min64(max64(r.t0 + w->low, 0), w->source);
    r.u1 = max64(min64(r.t1 - 1 + w->high + 1, w->source), r.u0);
    r.a_seg = (int64_t *)(void *)part;
    r.b_seg = (int64_t *)(void *)(part + q->list_bytes);
    r.products = (REAL *)(void *)(part + 2 * q->list_bytes);
    stretch_multiply(q, &r);
    stretch_add(q, &r, q->dest + (row * w->dest + r.t0) * q->dest_pitch);
}

void conv_few_run(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b)
{
    struct few q = {0};

    few_plan(&q, s, dir);
    q.source = dir == CONV_DX ? b->y : b->x;
    q.dest = dir == CONV_DX ? b->x : b->y;
    q.source_pitch = dir == CONV_DX ? b->y_pitch : b->x_pitch;
    q.dest_pitch = dir == CONV_DX ? b->x_pitch : b->y_pitch;
    q.bias = b->bias;
    q.packed = b->work;
    q.threads = (char *)b->work + q.packed_bytes;
    const int64_t taps = s->kernel[0] * s->kernel[1], rows = s->n * q.axis[0].dest * q.axis[1].dest;
#pragma omp parallel num_threads(b->threads)
    {
#pragma omp for schedule(static) collapse(2)
        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t k = 0; k < q.depth; k++)
                few_pack(&q, b->w, tap, k);
#pragma omp for schedule(dynamic, 4) collapse(2)
        for (int64_t row = 0; row < rows; row++)
            for (int64_t i = 0; i < q.stretches; i++)
                few_task(&q, row, i);
    }
}
