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
 * The source is read in place or, if it passes a stage, its padding is not zero or its voxels lie apart, from
 * a copy of the rows that a task reads. A task is a stretch of a few destination rows. The rule mentions no
 * vector width: it chooses the order of the sums.
 */
enum {
    CHANNELS_MAX = 8,
    COLUMNS_MAX = 32,
    STRETCH = 128,
    ROWS = 8,                 /* of a task, at most */
    COPY_ELEMENTS = 192 << 10 /* of a task's copy, or one row's */
};

struct few {
    const struct conv_shape *s;
    struct conv_axis axis[3];
    struct conv_phase w;           /* the only phase along w */
    int64_t depth, channels, cols; /* source channels, M, kW*M */
    int64_t panels, pitch;         /* of P: whole panels */
    int64_t stretches, stretch;    /* of a row, the longest one's length */
    int64_t rows, blocks;          /* of a task, of a plane */
    size_t packed_bytes, list_bytes, products_bytes, thread_bytes;
    /* set for a run */
    bool copies;                       /* the source is not read in place */
    const REAL *source, *stage, *bias; /* stage: the source's coefficients or NULL */
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

/* Source rows or columns that n destination ones read, their distance along the source included. */
static int64_t source_reach(const struct conv_axis *a, int64_t n)
{
    const int64_t reach = (n - 1) / a->step_out * a->step_in + a->step_in + a->high - a->low + 1;

    return a->outside ? reach : min64(reach, a->source);
}

static int64_t copy_elements(const struct few *q)
{
    return q->s->kernel[0] * source_reach(&q->axis[1], q->rows) * source_reach(&q->axis[2], q->stretch) *
           q->depth;
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
    q->stretch = ceil_div(q->axis[2].dest, q->stretches);
    q->rows = min64(ROWS, q->axis[1].dest);
    while (q->rows > 1 && copy_elements(q) > COPY_ELEMENTS)
        q->rows--;
    q->blocks = ceil_div(q->axis[1].dest, q->rows);
    q->packed_bytes = work_bytes(q->panels * taps * q->depth * TILE_COLS);
    q->list_bytes = list_bytes(taps);
    q->products_bytes = work_bytes(source_reach(&q->axis[2], q->stretch) * q->pitch + CHANNELS_MAX);
    q->copies = q->axis[2].outside != CONV_PAD_ZERO;
    /* room for the copy in any case: whether there is a stage is not known before the run */
    q->thread_bytes = 2 * q->list_bytes + q->products_bytes + work_bytes(copy_elements(q));
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

/* Some destination rows of one plane, or a stretch of them; h is the one being computed. */
struct stretch {
    int64_t n, d, h0, h1, t0, t1, h; /* destination position */
    int64_t v0, v1, u0, u1;          /* source rows and columns */
    struct conv_phase plane;         /* along d */
    int64_t *a_seg, *b_seg;
    REAL *products; /* P (u1 - u0, pitch) */
    REAL *copy;     /* (taps of the plane's phase, v1 - v0, u1 - u0, depth) */
};

static int64_t source_plane(const struct few *q, const struct stretch *r, int64_t tap)
{
    return r->d / q->axis[0].step_out * q->axis[0].step_in + r->plane.off0 + tap * r->plane.off_step;
}

static int64_t source_row(const struct few *q, const struct stretch *r, int64_t d, int64_t v)
{
    return ((r->n * q->axis[0].source + d) * q->axis[1].source + v) * q->axis[2].source * q->source_pitch;
}

static int64_t copy_row(const struct few *q, const struct stretch *r, int64_t tap, int64_t v)
{
    return (tap * (r->v1 - r->v0) + v - r->v0) * (r->u1 - r->u0) * q->depth;
}

/* Copies the source rows that all destination rows read, through the stage. */
static void stretch_load(const struct few *q, const struct stretch *r)
{
    const struct conv_axis *a = q->axis;
    const struct pack_span span = {.first = r->u0,
                                   .count = r->u1 - r->u0,
                                   .size = a[2].source,
                                   .outside = a[2].outside,
                                   .channels = q->depth,
                                   .pitch = q->source_pitch,
                                   .to_pitch = q->depth,
                                   .stage = stage_at(q->stage, q->depth, r->n, 0)};

    for (int64_t i = 0; i < r->plane.taps; i++) {
        const int64_t d = conv_position(a[0].outside, source_plane(q, r, i), a[0].source);
        for (int64_t v = r->v0; v < r->v1 && d >= 0; v++) {
            const int64_t h = conv_position(a[1].outside, v, a[1].source);
            if (h >= 0)
                pack_row(r->copy + copy_row(q, r, i, v), q->source + source_row(q, r, d, h), &span);
        }
    }
}

/* The source rows that the destination row reads, with their weights. */
static int64_t stretch_segments(const struct few *q, const struct stretch *r)
{
    const struct conv_axis *a = &q->axis[1];
    const struct conv_phase p = conv_axis_phase(a, r->h % a->step_out);
    int64_t count = 0;

    for (int64_t i = 0; i < r->plane.taps; i++) {
        const int64_t d = source_plane(q, r, i);
        for (int64_t j = 0; j < p.taps && conv_position(q->axis[0].outside, d, q->axis[0].source) >= 0; j++) {
            const int64_t v = r->h / a->step_out * a->step_in + p.off0 + j * p.off_step;
            if (conv_position(a->outside, v, a->source) < 0)
                continue;
            const int64_t kd = r->plane.tap0 + i * r->plane.tap_step, kh = p.tap0 + j * p.tap_step;
            r->a_seg[count] =
                q->copies ? copy_row(q, r, i, v) : source_row(q, r, d, v) + r->u0 * q->source_pitch;
            r->b_seg[count++] = (kd * q->s->kernel[1] + kh) * q->depth * TILE_COLS;
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
                     .a_row = q->copies ? q->depth : q->source_pitch,
                     .a_step = 1,
                     .b_step = TILE_COLS,
                     .b_next = panel_size,
                     .c_row = q->pitch};

    for (int64_t j = 0, take; j < q->panels; j += take) {
        /* whole vectors: the columns behind the last one are zeros */
        const int64_t left = ceil_div(q->cols - j * TILE_COLS, VEC_LANES) * VEC_LANES;
        take = tile_panels(r->u1 - r->u0, left);
        tile_column(&t, r->u1 - r->u0, (int)min64(left, take * TILE_COLS), q->copies ? r->copy : q->source,
                    q->packed + j * panel_size, r->products + j * TILE_COLS);
    }
}

/* All channels of a voxel: one operation of the compiler's, in one register or two. */
typedef REAL voxel __attribute__((vector_size(CHANNELS_MAX * sizeof(REAL))));

/* sum += the products of tap i for the destination column t; lanes behind the channels hold anything */
ALWAYS_INLINE void tap_add(const struct few *q, const struct stretch *r, int64_t t, int64_t i, voxel *sum)
{
    const int64_t u = t + q->w.off0 + i * q->w.off_step;
    voxel products;

    if (u < r->u0 || u >= r->u1)
        return;
    memcpy(&products, r->products + (u - r->u0) * q->pitch + i * q->channels, sizeof products);
    *sum += products;
}

/* y[t] = the sum of its taps' products, in order, taps outside the source left out; then the bias. */
static void stretch_add(const struct few *q, const struct stretch *r, REAL *dest)
{
    for (int64_t t = r->t0; t < r->t1; t++, dest += q->dest_pitch) {
        voxel sum = {0};
        REAL out[CHANNELS_MAX];
        for (int64_t i = 0; i < q->w.taps; i++)
            tap_add(q, r, t, i, &sum);
        memcpy(out, &sum, sizeof out);
        for (int64_t c = 0; c < q->channels; c++)
            dest[c] = out[c] + (q->bias ? q->bias[c] : 0);
    }
}

/* Source positions that destination positions t0 .. t1 - 1 read, without those of zeros. */
static void source_range(const struct conv_axis *a, const int64_t t[2], int64_t *from, int64_t *to)
{
    int64_t range[2] = {t[0] / a->step_out * a->step_in + a->low,
                        (t[1] - 1) / a->step_out * a->step_in + a->high + 1};

    conv_axis_clip(a, range);
    *from = range[0];
    *to = max64(range[1], range[0]);
}

static void few_task(const struct few *q, int64_t block, int64_t stretch)
{
    char *part = q->threads + (size_t)omp_get_thread_num() * q->thread_bytes;
    const int64_t plane = block / q->blocks, rows = q->axis[1].dest, width = q->axis[2].dest;
    struct stretch r = {.n = plane / q->axis[0].dest,
                        .d = plane % q->axis[0].dest,
                        .h0 = rows * (block % q->blocks) / q->blocks,
                        .h1 = rows * (block % q->blocks + 1) / q->blocks,
                        .t0 = width * stretch / q->stretches,
                        .t1 = width * (stretch + 1) / q->stretches};

    r.plane = conv_axis_phase(&q->axis[0], r.d % q->axis[0].step_out);
    source_range(&q->axis[1], (const int64_t[2]){r.h0, r.h1}, &r.v0, &r.v1);
    source_range(&q->axis[2], (const int64_t[2]){r.t0, r.t1}, &r.u0, &r.u1);
    r.a_seg = (int64_t *)(void *)part;
    r.b_seg = (int64_t *)(void *)(part + q->list_bytes);
    r.products = (REAL *)(void *)(part + 2 * q->list_bytes);
    r.copy = (REAL *)(void *)(part + 2 * q->list_bytes + q->products_bytes);
    if (q->copies)
        stretch_load(q, &r);
    for (r.h = r.h0; r.h < r.h1; r.h++) {
        stretch_multiply(q, &r);
        stretch_add(q, &r, q->dest + ((plane * rows + r.h) * width + r.t0) * q->dest_pitch);
    }
}

void conv_few_run(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b)
{
    struct few q = {0};

    few_plan(&q, s, dir);
    q.source = dir == CONV_DX ? b->y : b->x;
    q.stage = dir == CONV_DX ? b->y_stage : b->x_stage;
    q.dest = dir == CONV_DX ? b->x : b->y;
    q.source_pitch = dir == CONV_DX ? b->y_pitch : b->x_pitch;
    q.dest_pitch = dir == CONV_DX ? b->x_pitch : b->y_pitch;
    q.copies = q.copies || q.stage || q.source_pitch > q.depth; /* voxels apart would share few cache sets */
    q.bias = b->bias;
    q.packed = b->work;
    q.threads = (char *)b->work + q.packed_bytes;
    const int64_t taps = s->kernel[0] * s->kernel[1], blocks = s->n * q.axis[0].dest * q.blocks;
#pragma omp parallel num_threads(b->threads)
    {
#pragma omp for schedule(static) collapse(2)
        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t k = 0; k < q.depth; k++)
                few_pack(&q, b->w, tap, k);
#pragma omp for schedule(dynamic) collapse(2)
        for (int64_t i = 0; i < blocks; i++)
            for (int64_t j = 0; j < q.stretches; j++)
                few_task(&q, i, j);
    }
}
