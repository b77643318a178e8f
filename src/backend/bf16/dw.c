#include "backend/bf16/conv.h"
#include "backend/bf16/pack.h"
#include <omp.h>
#include <string.h>

/* By weights: dw[tap] (Ci, Co) += x' dy over all voxels of y, which are cut into boxes and chunks of boxes.
 *
 *     for each chunk:
 *         for each box of it:  transpose x's part, so that a channel's voxels along w lie in a row, with the
 * padding in place; pack dy's part as pairs of voxels for each tap: partial sums += rows (ci) of the copy,
 * shifted by the tap, * dy, K = voxels along w dw = the chunks' partial sums, added in order and transposed
 * to (Co, Ci, kD, kH, kW)
 *
 *     the copy of one row of x:  (phase, ci, place): position w of the row, counted from the box's first, is
 * place w / stride of phase w % stride, so that neighbours in K are neighbours in memory
 *
 * Boxes and chunks follow from the shape. A task does one chunk for one kd or all, and some of dy's panels,
 * which changes no bit. Behind a row of dy stand zeros, so that what x holds there does not count. */
enum {
    BOX_VOXELS = 1024,        /* of y, at most */
    BOX_WIDTH = 128,          /* at most */
    BOX_ELEMENTS = 192 << 10, /* of x's copy */
    TASK_WEIGHTS = 160 << 10, /* partial sums that a task keeps in cache */
    CHUNK_VOXELS = 1024,      /* at least, per chunk */
    TASKS = 32,               /* chunks times parts of the taps, where the voxels allow it */
    PARTIAL_MAX = 16 << 20,   /* elements of all partial sums */
    STRETCH = 64,             /* channels at a time */
};

struct by_weights {
    const struct bf16_micro *micro;
    const struct conv_shape *s;
    const struct conv_buf *b;
    int64_t weights;                 /* elements of dw */
    int64_t box[4], boxes[4], count; /* N, D, H, W: voxels of y; how many; in all */
    int64_t chunks, parts;           /* parts: of kD, one or all of it */
    int64_t panels, panel_parts;
    struct bf16_chunks k; /* of a row of a box */
    int64_t width;        /* of a row of dy, with its zeros */
    int64_t places, row;  /* of a row of the copy: places of a phase; elements */
    int64_t rows, x_rows; /* of y, of x in a box, at most */
    size_t list_bytes, copy_bytes, thread_bytes, partial_bytes;
    float *partial;
    char *threads; /* each thread's own part of the work buffer */
};

static int64_t copy_extent(const struct by_weights *q, int i, int64_t positions)
{
    const int64_t taps = i == 0 ? q->s->kernel[0] / q->parts : q->s->kernel[i];

    return (positions - 1) * q->s->stride[i] + (taps - 1) * q->s->dilation[i] + 1;
}

/* Sizes that follow from the box. */
static void box_measure(struct by_weights *q)
{
    const int64_t stride = q->s->stride[2], shift = (q->s->kernel[2] - 1) * q->s->dilation[2] / stride;

    q->k = bf16_chunks_padded(int64_ceil_div(q->box[3], 2));
    q->width = 2 * q->k.chunks * q->k.pairs;
    q->places = q->width + shift;
    q->row = stride * q->s->ci * q->places;
    q->rows = q->box[0] * q->box[1] * q->box[2];
    q->x_rows = q->box[0];
    for (int i = 0; i < 2; i++)
        q->x_rows *= int64_min(copy_extent(q, i, q->box[i + 1]), q->s->in[i]);
}

static bool box_fits(struct by_weights *q)
{
    box_measure(q);
    return q->rows * q->box[3] <= BOX_VOXELS && q->x_rows * q->row <= BOX_ELEMENTS;
}

/* The largest box along one axis, the others staying as they are. */
static void box_grow(struct by_weights *q, int axis, int64_t size, int64_t max)
{
    while (q->box[axis] < int64_min(size, max) && box_fits(q))
        q->box[axis]++;
    if (q->box[axis] > 1 && !box_fits(q))
        q->box[axis]--;
    q->boxes[axis] = int64_ceil_div(size, q->box[axis]);
    q->box[axis] = int64_ceil_div(size, q->boxes[axis]);
    q->boxes[axis] = int64_ceil_div(size, q->box[axis]);
}

static void by_weights_plan(struct by_weights *q, const struct conv_shape *s, int threads)
{
    const int64_t voxels = conv_voxels(s->n, s->out);

    q->s = s;
    q->weights = s->ci * s->co * conv_taps(s);
    q->parts = q->weights <= TASK_WEIGHTS ? 1 : s->kernel[0];
    for (int i = 0; i < 4; i++)
        q->box[i] = 1;
    box_grow(q, 3, s->out[2], BOX_WIDTH);
    box_grow(q, 2, s->out[1], BOX_VOXELS);
    box_grow(q, 1, s->out[0], BOX_VOXELS);
    box_grow(q, 0, s->n, BOX_VOXELS);
    box_measure(q);
    q->count = q->boxes[0] * q->boxes[1] * q->boxes[2] * q->boxes[3];
    q->chunks = int64_min(int64_ceil_div(TASKS, q->parts), q->count);
    q->chunks = int64_min(q->chunks, int64_min(voxels / CHUNK_VOXELS, PARTIAL_MAX / q->weights));
    q->chunks = q->chunks > 0 ? q->chunks : 1;
    q->panels = int64_ceil_div(s->co, BF16_COLS);
    q->panel_parts = int64_min(q->panels, int64_ceil_div(4 * threads, q->chunks * q->parts));

    q->list_bytes = class_align((size_t)q->rows * sizeof(int64_t));
    /* the last tile reads rows of the copy behind the last channel */
    q->copy_bytes = class_align((size_t)(q->x_rows * q->row + BF16_TILE * q->places) * sizeof(uint16_t));
    q->thread_bytes = 2 * q->list_bytes + q->copy_bytes +
                      class_align((size_t)(q->panels * q->rows * q->width * BF16_COLS) * sizeof(uint16_t));
    q->partial_bytes = class_align((size_t)(q->chunks * q->weights) * sizeof(float));
}

size_t bf16_dw_scratch(const struct conv_shape *s, int threads)
{
    struct by_weights q = {0};

    by_weights_plan(&q, s, threads);
    return q.partial_bytes + (size_t)threads * q.thread_bytes;
}

/* ---- one box ---- */

struct box {
    int64_t y0[4], y1[4]; /* N, D, H, W: voxels of y */
    int64_t tap0, tap1;   /* kD */
    int64_t x0[3], x1[3]; /* voxels of x; those of D and H exist, those of W include the padding */
    int64_t panel0, panel1;
    bool first; /* of the chunk: stores instead of adding */
    int64_t *x_seg, *y_seg;
    uint16_t *copy, *packed;
};

static void box_range(const struct by_weights *q, struct box *b, int64_t index)
{
    const int64_t size[4] = {q->s->n, q->s->out[0], q->s->out[1], q->s->out[2]};

    for (int i = 3; i >= 0; i--) {
        b->y0[i] = index % q->boxes[i] * q->box[i];
        b->y1[i] = int64_min(b->y0[i] + q->box[i], size[i]);
        index /= q->boxes[i];
    }
    for (int i = 0; i < 3; i++) {
        const int64_t tap = i == 0 ? b->tap0 : 0;
        b->x0[i] = b->y0[i + 1] * q->s->stride[i] + tap * q->s->dilation[i] - q->s->pad[i];
        b->x1[i] = b->x0[i] + copy_extent(q, i, b->y1[i + 1] - b->y0[i + 1]);
        if (i < 2) {
            b->x0[i] = b->x0[i] > 0 ? b->x0[i] : 0;
            b->x1[i] = int64_min(b->x1[i], q->s->in[i]);
            b->x1[i] = b->x1[i] > b->x0[i] ? b->x1[i] : b->x0[i];
        }
    }
}

static int64_t x_row(const struct box *b, int64_t n, int64_t d, int64_t h)
{
    return ((n - b->y0[0]) * (b->x1[0] - b->x0[0]) + d - b->x0[0]) * (b->x1[1] - b->x0[1]) + h - b->x0[1];
}

/* to[ci * places] = from[ci] for one voxel of sample n */
static void voxel_spread(const struct by_weights *q, int64_t n, uint16_t *to, const uint16_t *from)
{
    for (int64_t c0 = 0; c0 < q->s->ci; c0 += STRETCH) {
        const struct bf16_stage stage = bf16_stage_at(q->b->x_stage, n, q->s->ci, c0);
        const int64_t count = int64_min(STRETCH, q->s->ci - c0);
        uint16_t some[STRETCH];
        bf16_staged(some, from + c0, count, &stage);
        for (int64_t c = 0; c < count; c++)
            to[(c0 + c) * q->places] = some[c];
    }
}

/* One row of x of sample n, transposed: zeros, then the voxels that exist. */
static void row_transpose(const struct by_weights *q, const struct box *b, int64_t n, uint16_t *to,
                          const uint16_t *row)
{
    const int64_t stride = q->s->stride[2];
    const int64_t begin = b->x0[2] > 0 ? b->x0[2] : 0, end = int64_min(b->x1[2], q->s->in[2]);

    memset(to, 0, (size_t)q->row * sizeof *to);
    for (int64_t w = begin; w < end; w++) {
        const int64_t at = w - b->x0[2], phase = at % stride, place = at / stride;
        voxel_spread(q, n, to + phase * q->s->ci * q->places + place, row + w * q->b->x_pitch);
    }
}

static void x_copy(const struct by_weights *q, const struct box *b)
{
    const int64_t *in = q->s->in;

    for (int64_t n = b->y0[0]; n < b->y1[0]; n++)
        for (int64_t d = b->x0[0]; d < b->x1[0]; d++)
            for (int64_t h = b->x0[1]; h < b->x1[1]; h++)
                row_transpose(q, b, n, b->copy + x_row(b, n, d, h) * q->row,
                              (const uint16_t *)q->b->x +
                                  ((n * in[0] + d) * in[1] + h) * in[2] * q->b->x_pitch);
}

static int64_t y_row(const struct box *b, int64_t n, int64_t d, int64_t h)
{
    return ((n - b->y0[0]) * (b->y1[1] - b->y0[1]) + d - b->y0[1]) * (b->y1[2] - b->y0[2]) + h - b->y0[2];
}

/* to[pair of voxels][BF16_COLS][2] of a row of y of sample n, panel j; zeros behind its last voxel and
 * column. */
static void row_pairs(const struct by_weights *q, const struct box *b, const int64_t at[2], uint16_t *to,
                      const uint16_t *row)
{
    const int64_t count = b->y1[3] - b->y0[3], first = at[1] * BF16_COLS;
    const int64_t cols = int64_min(BF16_COLS, q->s->co - first);
    const struct bf16_stage stage = bf16_stage_at(q->b->y_stage, at[0], q->s->co, first);
    uint16_t some[BF16_COLS];

    if (count < q->width || cols < BF16_COLS)
        memset(to, 0, (size_t)(q->width * BF16_COLS) * sizeof *to);
    for (int64_t w = 0; w < count; w++) {
        uint16_t *pair = to + w / 2 * BF16_PAIR_ROW + w % 2;
        bf16_staged(some, row + (b->y0[3] + w) * q->b->y_pitch + first, cols, &stage);
        for (int64_t i = 0; i < cols; i++)
            pair[2 * i] = some[i];
    }
}

static void y_pack(const struct by_weights *q, const struct box *b)
{
    const int64_t *out = q->s->out;
    const uint16_t *y = q->b->y;

    for (int64_t n = b->y0[0]; n < b->y1[0]; n++)
        for (int64_t d = b->y0[1]; d < b->y1[1]; d++)
            for (int64_t h = b->y0[2]; h < b->y1[2]; h++)
                for (int64_t j = b->panel0; j < b->panel1; j++)
                    row_pairs(q, b, (const int64_t[2]){n, j},
                              b->packed + (j * q->rows + y_row(b, n, d, h)) * q->width * BF16_COLS,
                              y + ((n * out[0] + d) * out[1] + h) * out[2] * q->b->y_pitch);
}

/* Rows of y that meet a row of x at tap (kd, kh): one segment each. Returns their number. */
static int64_t tap_segments(const struct by_weights *q, const struct box *b, int64_t kd, int64_t kh)
{
    const int64_t *stride = q->s->stride, *dilation = q->s->dilation, *pad = q->s->pad, *in = q->s->in;
    int64_t count = 0;

    for (int64_t n = b->y0[0]; n < b->y1[0]; n++)
        for (int64_t d = b->y0[1]; d < b->y1[1]; d++)
            for (int64_t h = b->y0[2]; h < b->y1[2]; h++) {
                const int64_t z = d * stride[0] + kd * dilation[0] - pad[0];
                const int64_t y = h * stride[1] + kh * dilation[1] - pad[1];
                if (z < 0 || z >= in[0] || y < 0 || y >= in[1])
                    continue;
                b->x_seg[count] = x_row(b, n, z, y) * q->row;
                b->y_seg[count++] = y_row(b, n, d, h) * q->width * BF16_COLS;
            }
    return count;
}

/* dw (Ci, Co) of one tap += rows of x's copy times panels of dy */
static void tap_add(const struct by_weights *q, const struct box *b, struct bf16_block *t, int64_t kw,
                    float *dw)
{
    const int64_t at = kw * q->s->dilation[2], stride = q->s->stride[2], ci = q->s->ci, co = q->s->co;
    const uint16_t *a = b->copy + at % stride * ci * q->places + at / stride;

    for (int64_t j = b->panel0; j < b->panel1; j++)
        for (int64_t i = 0; i < ci; i += 2 * t->height)
            q->micro->block(t, (int)int64_min(2 * t->height, ci - i),
                            (int)int64_min(BF16_COLS, co - j * BF16_COLS), a + i * q->places,
                            b->packed + j * q->rows * q->width * BF16_COLS, dw + i * co + j * BF16_COLS);
}

static void box_run(const struct by_weights *q, const struct box *b, float *dw)
{
    const int64_t *kernel = q->s->kernel;
    struct bf16_block t = {.chunks = q->k.chunks,
                           .a_seg = b->x_seg,
                           .b_seg = b->y_seg,
                           .a_row = q->places,
                           .c_row = q->s->co,
                           .height = bf16_height(q->s->ci),
                           .pairs = q->k.pairs,
                           .add = !b->first};

    x_copy(q, b);
    y_pack(q, b);
    const unsigned saved = q->micro->begin(t.height, t.pairs);
    for (int64_t kd = b->tap0; kd < b->tap1; kd++)
        for (int64_t kh = 0; kh < kernel[1]; kh++) {
            t.segments = tap_segments(q, b, kd, kh);
            for (int64_t kw = 0; kw < kernel[2]; kw++)
                tap_add(q, b, &t, kw, dw + ((kd * kernel[1] + kh) * kernel[2] + kw) * q->s->ci * q->s->co);
        }
    q->micro->end(saved);
}

static void task_run(const struct by_weights *q, int64_t task)
{
    char *part = q->threads + (size_t)omp_get_thread_num() * q->thread_bytes;
    struct box b = {.x_seg = (int64_t *)(void *)part,
                    .y_seg = (int64_t *)(void *)(part + q->list_bytes),
                    .copy = (uint16_t *)(void *)(part + 2 * q->list_bytes),
                    .packed = (uint16_t *)(void *)(part + 2 * q->list_bytes + q->copy_bytes)};

    b.panel0 = q->panels * (task % q->panel_parts) / q->panel_parts;
    b.panel1 = q->panels * (task % q->panel_parts + 1) / q->panel_parts;
    task /= q->panel_parts;
    b.tap0 = task % q->parts * (q->s->kernel[0] / q->parts);
    b.tap1 = b.tap0 + q->s->kernel[0] / q->parts;
    task /= q->parts;
    const int64_t begin = q->count * task / q->chunks, end = q->count * (task + 1) / q->chunks;
    for (int64_t i = begin; i < end; i++) {
        box_range(q, &b, i);
        b.first = i == begin;
        box_run(q, &b, q->partial + task * q->weights);
    }
}

/* ---- the sum of the partial sums ---- */

/* dw (co, ci, taps) = partial[0] + partial[1] + ..., whose order is (taps, ci, co); one ci */
static void partials_add(const struct by_weights *q, int64_t i)
{
    const int64_t taps = conv_taps(q->s), ci = q->s->ci, co = q->s->co;
    float *to = (float *)q->b->w + i * taps;

    for (int64_t o0 = 0; o0 < co; o0 += BF16_COLS)
        for (int64_t tap = 0; tap < taps; tap++) {
            const int64_t n = int64_min(BF16_COLS, co - o0);
            const float *from = q->partial + (tap * ci + i) * co + o0;
            float sum[BF16_COLS];
            memcpy(sum, from, (size_t)n * sizeof *sum);
            for (int64_t g = 1; g < q->chunks; g++)
                for (int64_t o = 0; o < n; o++)
                    sum[o] += from[g * q->weights + o];
            for (int64_t o = 0; o < n; o++)
                to[(o0 + o) * ci * taps + tap] = sum[o];
        }
}

void bf16_dw_run(const struct bf16_micro *m, const struct conv_shape *s, const struct conv_buf *b)
{
    struct by_weights q = {.micro = m, .b = b};

    by_weights_plan(&q, s, b->threads);
    q.partial = b->work;
    q.threads = (char *)b->work + q.partial_bytes;
    const int64_t tasks = q.chunks * q.parts * q.panel_parts;
#pragma omp parallel num_threads(b->threads)
    {
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < tasks; i++)
            task_run(&q, i);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < s->ci; i++)
            partials_add(&q, i);
    }
}
