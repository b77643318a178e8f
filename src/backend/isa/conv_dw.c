#include "backend/isa/conv.h"
#include "backend/isa/pack.h"
#include <omp.h>
#include <string.h>

/* By weights: dw[kd, kh] (kw*Ci rows, Co columns) += x' dy over all voxels of y, which are cut into boxes and
 * chunks of boxes.
 *
 *     for each chunk:
 *         for each box of it:  copy x's part with its padding in place, pack dy's part into panels
 *             for each (kd, kh):  partial sums += rows (kw, ci) of the copy * panels of dy, k = voxels
 *     dw = the chunks' partial sums, added in order and transposed to (Co, Ci, kD, kH, kW)
 *
 * Boxes and chunks follow from the shape. A task does one chunk for some taps and some panels, which changes
 * no bit: small weights stay in cache while all taps read a box; for large ones a task takes one kd or one
 * (kd, kh), with larger boxes. Few channels in y: the roles are exchanged, rows are y's channels and columns
 * (kw, ci). */
enum {
    BOX_VOXELS = 1024,        /* of y, at most */
    BOX_WIDTH = 128,          /* at most */
    BOX_ELEMENTS = 96 << 10,  /* of x's copy */
    TASK_WEIGHTS = 160 << 10, /* partial sums that a task keeps in cache */
    CHUNK_VOXELS = 1024,      /* at least, per chunk */
    TASKS = 32,               /* chunks times parts of the taps, where the voxels allow it */
    PARTIAL_MAX = 16 << 20,   /* elements of all partial sums */
    EXCHANGE_BELOW = 16,      /* channels of y */
    COLUMNS = 64,             /* of the partial sums, turned at a time */
    FOLD_BELOW = 8,           /* kw*Ci up to which the taps along h become channels too */
    ROWS_IN_PLACE = 28        /* of x, up to which packing y does not pay */
};

struct by_weights {
    const struct conv_shape *s, *given; /* s: the given one or `folded` */
    struct conv_shape folded; /* x copied with its kH shifted rows as channels: kH 1, kH*Ci channels */
    int64_t fold;             /* kH or 1 */
    const struct conv_buf *b;
    int64_t weights;                 /* elements of dw */
    int64_t box[4], boxes[4], count; /* N, D, H, W: voxels of y; how many; in all */
    int64_t chunks;
    int64_t part[2], parts[2]; /* taps of a task along kD and kH; parts per axis */
    int64_t panel_parts;
    bool exchange, joined; /* joined: (kw, ci) is contiguous in the copy */
    int64_t groups, width; /* kw*Ci in groups of `width` contiguous channels: one if joined, else per kw */
    bool in_place;         /* y is read where it stands, else copied: into panels or, exchanged, as rows */
    int64_t panels, panel_size; /* of dy in a box */
    int64_t y_step;             /* from voxel to voxel where the micro-kernel reads y */
    size_t list_bytes, copy_bytes, thread_bytes, partial_bytes;
    REAL *partial;
    char *threads; /* each thread's own part of the work buffer */
};

static int64_t copy_extent(const struct by_weights *q, int i, int64_t positions)
{
    const int64_t taps = i == 2 ? q->s->kernel[2] : q->part[i];

    return (positions - 1) * q->s->stride[i] + (taps - 1) * q->s->dilation[i] + 1;
}

static int64_t box_elements(const struct by_weights *q)
{
    int64_t count = q->box[0] * q->s->ci * copy_extent(q, 2, q->box[3]);

    for (int i = 0; i < 2; i++) {
        const int64_t extent = copy_extent(q, i, q->box[i + 1]);
        count *= q->s->outside ? extent : min64(extent, q->s->in[i]);
    }
    return count;
}

static bool box_fits(const struct by_weights *q)
{
    return q->box[0] * q->box[1] * q->box[2] * q->box[3] <= BOX_VOXELS && box_elements(q) <= BOX_ELEMENTS;
}

/* The largest box along one axis, the others staying as they are. */
static void box_grow(struct by_weights *q, int axis, int64_t size, int64_t max)
{
    while (q->box[axis] < min64(size, max) && box_fits(q))
        q->box[axis]++;
    if (q->box[axis] > 1 && !box_fits(q))
        q->box[axis]--;
    q->boxes[axis] = ceil_div(size, q->box[axis]);
    q->box[axis] = ceil_div(size, q->boxes[axis]);
    q->boxes[axis] = ceil_div(size, q->box[axis]);
}

/* Wide first, but not so wide that a box has no rows to share its halo; then rows, planes, samples. */
static void boxes_choose(struct by_weights *q)
{
    for (int i = 0; i < 4; i++)
        q->box[i] = 1;
    box_grow(q, 3, q->s->out[2], BOX_WIDTH);
    box_grow(q, 2, q->s->out[1], BOX_VOXELS);
    box_grow(q, 1, q->s->out[0], BOX_VOXELS);
    box_grow(q, 0, q->s->n, BOX_VOXELS);
    q->count = q->boxes[0] * q->boxes[1] * q->boxes[2] * q->boxes[3];
}

/* All taps if their weights stay in cache, else one kd, else one (kd, kh). */
static void parts_choose(struct by_weights *q)
{
    const int64_t *kernel = q->s->kernel;
    const int64_t row = kernel[2] * q->s->ci * q->s->co;

    q->part[0] = kernel[0] * kernel[1] * row <= TASK_WEIGHTS ? kernel[0] : 1;
    q->part[1] = q->part[0] == kernel[0] || kernel[1] * row <= TASK_WEIGHTS ? kernel[1] : 1;
    if (kernel[0] == 1 && kernel[1] * row > TASK_WEIGHTS)
        q->part[1] = 1;
    for (int i = 0; i < 2; i++)
        q->parts[i] = kernel[i] / q->part[i];
}

/* Few rows (kw, ci) would leave the micro-kernel waiting for its own sums: rows (kw, kh, ci) are kH times as
 * many. */
static void fold_choose(struct by_weights *q)
{
    const struct conv_shape *s = q->given;

    q->s = s;
    q->fold = 1;
    if (s->kernel[2] * s->ci > FOLD_BELOW || s->kernel[1] == 1 || s->dilation[2] > 1)
        return;
    q->fold = s->kernel[1];
    q->folded = *s;
    q->folded.ci *= q->fold;
    q->folded.in[1] = s->out[1];
    q->folded.kernel[1] = q->folded.stride[1] = q->folded.dilation[1] = 1;
    q->folded.pad[1] = 0;
    q->s = &q->folded;
}

static void by_weights_plan(struct by_weights *q, const struct conv_shape *s, int threads)
{
    const int64_t voxels = conv_voxels(s->n, s->out);

    q->given = s;
    fold_choose(q);
    s = q->s;
    q->weights = s->ci * s->co * conv_taps(s);
    q->exchange = s->co < EXCHANGE_BELOW && s->kernel[2] * s->ci > s->co;
    q->joined = s->dilation[2] == 1;
    q->groups = q->joined ? 1 : s->kernel[2];
    q->width = q->joined ? s->kernel[2] * s->ci : s->ci;
    parts_choose(q);
    boxes_choose(q);
    q->chunks = ceil_div(TASKS, q->parts[0] * q->parts[1]);
    q->chunks = min64(min64(q->chunks, q->count), min64(voxels / CHUNK_VOXELS, PARTIAL_MAX / q->weights));
    q->chunks = max64(q->chunks, 1);
    /* packing y pays if many rows of x pass over it, and is needed if a vector would reach past y's channels
     */
    q->in_place = q->exchange || (s->co % VEC_LANES == 0 && q->groups * q->width <= ROWS_IN_PLACE);
    q->in_place = q->in_place && !(q->b && q->b->y_stage);
    q->panels = q->exchange ? 0 : ceil_div(s->co, TILE_COLS);
    q->panel_size = q->box[0] * q->box[1] * q->box[2] * q->box[3] * TILE_COLS;
    q->panel_parts = ceil_div(4 * threads, q->chunks * q->parts[0] * q->parts[1]);
    q->panel_parts = max64(1, min64(q->panel_parts, q->panels));

    q->list_bytes = list_bytes(q->box[0] * q->box[1] * q->box[2]);
    q->copy_bytes = work_bytes(box_elements(q) + TILE_COLS); /* the last columns are read as whole vectors */
    /* room for y's copy in any case: whether there is a stage is not known before the run */
    q->thread_bytes = 2 * q->list_bytes + q->copy_bytes +
                      work_bytes(q->exchange ? q->panel_size / TILE_COLS * s->co : q->panels * q->panel_size);
    q->partial_bytes = work_bytes(q->chunks * q->weights);
}

size_t conv_dw_scratch(const struct conv_shape *s, int threads)
{
    struct by_weights q = {0};

    by_weights_plan(&q, s, threads);
    return q.partial_bytes + (size_t)threads * q.thread_bytes;
}

/* ---- one box ---- */

struct box {
    int64_t y0[4], y1[4];     /* N, D, H, W: voxels of y */
    int64_t tap0[2], tap1[2]; /* kD, kH */
    int64_t x0[3], x1[3];     /* voxels of x with the padding, of D and H without zeros */
    int64_t panel0, panel1;
    int64_t row, plane, sample; /* elements of the copy */
    bool first;                 /* of the chunk: stores instead of adding */
    int64_t *x_seg, *y_seg;
    REAL *copy, *panels;
};

static void box_range(const struct by_weights *q, struct box *b, int64_t index)
{
    const int64_t size[4] = {q->s->n, q->s->out[0], q->s->out[1], q->s->out[2]};

    for (int i = 3; i >= 0; i--) {
        b->y0[i] = index % q->boxes[i] * q->box[i];
        b->y1[i] = min64(b->y0[i] + q->box[i], size[i]);
        index /= q->boxes[i];
    }
    for (int i = 0; i < 3; i++) {
        const int64_t tap = i < 2 ? b->tap0[i] : 0;
        b->x0[i] = b->y0[i + 1] * q->s->stride[i] + tap * q->s->dilation[i] - q->s->pad[i];
        b->x1[i] = b->x0[i] + copy_extent(q, i, b->y1[i + 1] - b->y0[i + 1]);
        if (i < 2 && !q->s->outside) {
            b->x0[i] = max64(b->x0[i], 0);
            b->x1[i] = max64(min64(b->x1[i], q->s->in[i]), b->x0[i]);
        }
    }
    b->row = (b->x1[2] - b->x0[2]) * q->s->ci;
    b->plane = (b->x1[1] - b->x0[1]) * b->row;
    b->sample = (b->x1[0] - b->x0[0]) * b->plane;
}

/* One row of the copy, all its folded rows of x. */
static void x_row(const struct by_weights *q, const struct box *b, const int64_t at[3] /* n, d, h */,
                  REAL *to)
{
    const struct conv_shape *s = q->given;
    struct pack_span span = {.first = b->x0[2],
                             .count = b->x1[2] - b->x0[2],
                             .outside = s->outside,
                             .channels = s->ci,
                             .pitch = q->b->x_pitch,
                             .to_pitch = q->s->ci,
                             .stage = stage_at(q->b->x_stage, s->ci, at[0], 0)};

    const int64_t d = conv_position(s->outside, at[1], s->in[0]);
    for (int64_t i = 0; i < q->fold; i++) {
        const int64_t place = q->fold > 1 ? at[2] * s->stride[1] + i * s->dilation[1] - s->pad[1] : at[2];
        const int64_t h = conv_position(s->outside, place, s->in[1]);
        const int64_t row = (at[0] * s->in[0] + max64(d, 0)) * s->in[1] + max64(h, 0);
        span.size = d >= 0 && h >= 0 ? s->in[2] : 0;
        pack_row(to + i * s->ci, (const REAL *)q->b->x + row * s->in[2] * span.pitch, &span);
    }
}

static void x_copy(const struct by_weights *q, const struct box *b)
{
    for (int64_t n = b->y0[0]; n < b->y1[0]; n++)
        for (int64_t d = b->x0[0]; d < b->x1[0]; d++)
            for (int64_t h = b->x0[1]; h < b->x1[1]; h++)
                x_row(q, b, (const int64_t[3]){n, d, h},
                      b->copy + (n - b->y0[0]) * b->sample + (d - b->x0[0]) * b->plane +
                          (h - b->x0[1]) * b->row);
}

static int64_t y_voxel(const struct by_weights *q, int64_t n, int64_t d, int64_t h, int64_t w)
{
    return ((n * q->s->out[0] + d) * q->s->out[1] + h) * q->s->out[2] + w;
}

/* One row of y: into its panels or, exchanged, as it is. */
static void y_row(const struct by_weights *q, const struct box *b, int64_t n, const REAL *from, int64_t voxel)
{
    const int64_t width = b->y1[3] - b->y0[3];

    if (q->exchange) {
        const struct pack_span span = {.count = width,
                                       .size = width,
                                       .channels = q->s->co,
                                       .pitch = q->b->y_pitch,
                                       .to_pitch = q->s->co,
                                       .stage = stage_at(q->b->y_stage, q->s->co, n, 0)};
        pack_row(b->panels + voxel * q->s->co, from, &span);
        return;
    }
    for (int64_t j = b->panel0; j < b->panel1; j++) {
        const struct pack_source s = {from + j * TILE_COLS, q->b->y_pitch, 1,
                                      stage_at(q->b->y_stage, q->s->co, n, j * TILE_COLS)};
        pack_panel(b->panels + j * q->panel_size + voxel * TILE_COLS, &s, width,
                   (int)min64(q->s->co - j * TILE_COLS, TILE_COLS));
    }
}

/* panels[panel][voxel of the box][TILE_COLS] */
static void y_pack(const struct by_weights *q, const struct box *b)
{
    int64_t voxel = 0;

    for (int64_t n = b->y0[0]; n < b->y1[0]; n++)
        for (int64_t d = b->y0[1]; d < b->y1[1]; d++)
            for (int64_t h = b->y0[2]; h < b->y1[2]; h++, voxel += b->y1[3] - b->y0[3])
                y_row(q, b, n, (const REAL *)q->b->y + y_voxel(q, n, d, h, b->y0[3]) * q->b->y_pitch, voxel);
}

/* The box's rows of y whose row of x is not zero for this tap. */
static int64_t tap_segments(const struct by_weights *q, const struct box *b, int64_t kd, int64_t kh)
{
    const int64_t *in = q->s->in, *stride = q->s->stride, *dilation = q->s->dilation, *pad = q->s->pad;
    int64_t count = 0, voxel = 0;

    for (int64_t n = b->y0[0]; n < b->y1[0]; n++)
        for (int64_t d = b->y0[1]; d < b->y1[1]; d++)
            for (int64_t h = b->y0[2]; h < b->y1[2]; h++, voxel += b->y1[3] - b->y0[3]) {
                const int64_t z = d * stride[0] + kd * dilation[0] - pad[0];
                const int64_t y = h * stride[1] + kh * dilation[1] - pad[1];
                if (conv_position(q->s->outside, z, in[0]) < 0 || conv_position(q->s->outside, y, in[1]) < 0)
                    continue;
                b->x_seg[count] =
                    (n - b->y0[0]) * b->sample + (z - b->x0[0]) * b->plane + (y - b->x0[1]) * b->row;
                b->y_seg[count++] = (q->in_place ? y_voxel(q, n, d, h, b->y0[3]) : voxel) * q->y_step;
            }
    return count;
}

/* dw (kw*Ci, Co) of one tap += rows of x's copy times panels of dy */
static void tap_add(const struct by_weights *q, const struct box *b, int64_t segments, REAL *dw)
{
    const struct tile t = {.segments = segments,
                           .depth = b->y1[3] - b->y0[3],
                           .a_seg = b->x_seg,
                           .b_seg = b->y_seg,
                           .a_row = 1,
                           .a_step = q->s->stride[2] * q->s->ci,
                           .b_step = q->y_step,
                           .b_next = q->in_place ? TILE_COLS : q->panel_size,
                           .c_row = q->s->co,
                           .add = !b->first};

    for (int64_t j = b->panel0, take; j < b->panel1; j += take) {
        const int64_t left = min64(q->s->co, b->panel1 * TILE_COLS) - j * TILE_COLS;
        take = tile_panels(q->width, left);
        for (int64_t g = 0; g < q->groups; g++)
            tile_column(&t, q->width, (int)min64(left, take * TILE_COLS),
                        b->copy + g * q->s->dilation[2] * q->s->ci,
                        q->in_place ? (const REAL *)q->b->y + j * TILE_COLS : b->panels + j * q->panel_size,
                        dw + g * q->width * q->s->co + j * TILE_COLS);
    }
}

/* dw (Co, kw*Ci) of one tap += rows of dy times columns of x's copy */
static void tap_add_exchanged(const struct by_weights *q, const struct box *b, int64_t segments, REAL *dw)
{
    const struct tile t = {.segments = segments,
                           .depth = b->y1[3] - b->y0[3],
                           .a_seg = b->y_seg,
                           .b_seg = b->x_seg,
                           .a_row = 1,
                           .a_step = q->y_step,
                           .b_step = q->s->stride[2] * q->s->ci,
                           .b_next = TILE_COLS,
                           .c_row = q->groups * q->width,
                           .add = !b->first};

    for (int64_t g = 0; g < q->groups; g++)
        for (int64_t j = 0, cols; j < q->width; j += cols) {
            cols = min64(q->width - j, tile_panels(q->s->co, q->width - j) * TILE_COLS);
            tile_column(&t, q->s->co, (int)cols, q->in_place ? q->b->y : b->panels,
                        b->copy + g * q->s->dilation[2] * q->s->ci + j, dw + g * q->width + j);
        }
}

static void box_run(const struct by_weights *q, const struct box *b, REAL *dw)
{
    const int64_t tap_size = q->s->kernel[2] * q->s->ci * q->s->co;

    x_copy(q, b);
    if (!q->in_place)
        y_pack(q, b);
    for (int64_t kd = b->tap0[0]; kd < b->tap1[0]; kd++)
        for (int64_t kh = b->tap0[1]; kh < b->tap1[1]; kh++) {
            const int64_t segments = tap_segments(q, b, kd, kh);
            REAL *to = dw + (kd * q->s->kernel[1] + kh) * tap_size;
            if (q->exchange)
                tap_add_exchanged(q, b, segments, to);
            else
                tap_add(q, b, segments, to);
        }
}

static void task_run(const struct by_weights *q, int64_t task)
{
    char *part = q->threads + (size_t)omp_get_thread_num() * q->thread_bytes;
    struct box b = {.x_seg = (int64_t *)(void *)part,
                    .y_seg = (int64_t *)(void *)(part + q->list_bytes),
                    .copy = (REAL *)(void *)(part + 2 * q->list_bytes),
                    .panels = (REAL *)(void *)(part + 2 * q->list_bytes + q->copy_bytes)};

    b.panel0 = q->panels * (task % q->panel_parts) / q->panel_parts;
    b.panel1 = q->panels * (task % q->panel_parts + 1) / q->panel_parts;
    task /= q->panel_parts;
    for (int i = 1; i >= 0; i--) {
        b.tap0[i] = task % q->parts[i] * q->part[i];
        b.tap1[i] = b.tap0[i] + q->part[i];
        task /= q->parts[i];
    }
    const int64_t begin = q->count * task / q->chunks, end = q->count * (task + 1) / q->chunks;
    for (int64_t i = begin; i < end; i++) {
        box_range(q, &b, i);
        b.first = i == begin;
        box_run(q, &b, q->partial + task * q->weights);
    }
}

/* ---- the sum of the partial sums ---- */

/* partial[0] += partial[1] + ... in order, elements begin .. end - 1 */
static void partials_add(const struct by_weights *q, int64_t begin, int64_t end)
{
    for (int64_t g = 1; g < q->chunks; g++) {
        const REAL *from = q->partial + g * q->weights;
        for (int64_t i = begin; i < end; i++)
            q->partial[i] += from[i];
    }
}

/* dw (co, ci, kd, kh, kw) = partial[0], whose rows are (kd, kh, kw, ci) or, with exchanged roles, (kd, kh,
 * co); folded, (kd, kw, kh, ci) or (kd, co). Some columns of one row of each tap; by way of a small block,
 * because the rows of many taps lie at distances that share a cache set. */
static void dw_transpose(const struct by_weights *q, int64_t c0, int64_t row)
{
    enum { TAPS = 32 };
    const int64_t *k = q->given->kernel, taps = conv_taps(q->given), ci = q->given->ci, co = q->given->co;
    const int64_t columns = q->exchange ? ci : co, column_step = q->exchange ? taps : taps * ci;
    const int64_t width = q->s->kernel[2] * q->s->ci; /* of the partial sums' rows, exchanged */
    const int64_t step = q->exchange ? ci : ci * co;  /* from tap to tap, along h if folded, else along w */
    const int64_t kh_step = q->fold > 1 ? step : q->exchange ? width * co : k[2] * step;
    const int64_t kw_step = q->fold > 1 ? k[1] * step : step;
    const REAL *from = q->partial + row * (q->exchange ? width : co);
    REAL *to = (REAL *)q->b->w + row * (q->exchange ? taps * ci : taps);
    const int64_t c_count = min64(COLUMNS, columns - c0);
    REAL block[TAPS][COLUMNS];

    if (!q->exchange && q->fold == 1) { /* one step between all taps */
        pack_transpose(to + c0 * column_step, column_step, from + c0, step,
                       (const int64_t[2]){taps, c_count});
        return;
    }
    for (int64_t t0 = 0; t0 < taps; t0 += TAPS) {
        const int64_t t_count = min64(TAPS, taps - t0);
        for (int64_t t = 0; t < t_count; t++) {
            const int64_t tap = t0 + t;
            memcpy(block[t],
                   from + tap / (k[1] * k[2]) * k[1] * k[2] * ci * co + tap / k[2] % k[1] * kh_step +
                       tap % k[2] * kw_step + c0,
                   (size_t)c_count * sizeof(REAL));
        }
        pack_transpose(to + c0 * column_step + t0, column_step, block[0], COLUMNS,
                       (const int64_t[2]){t_count, c_count});
    }
}

void conv_dw_run(const struct conv_shape *s, const struct conv_buf *b)
{
    enum { STRETCH = 4096 };
    struct by_weights q = {.b = b};

    by_weights_plan(&q, s, b->threads);
    q.y_step = q.in_place ? b->y_pitch : q.exchange ? s->co : TILE_COLS;
    q.partial = b->work;
    q.threads = (char *)b->work + q.partial_bytes;
    const int64_t tasks = q.chunks * q.parts[0] * q.parts[1] * q.panel_parts;
#pragma omp parallel num_threads(b->threads)
    {
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < tasks; i++)
            task_run(&q, i);
        if (q.chunks > 1) {
#pragma omp for schedule(static)
            for (int64_t i = 0; i < q.weights; i += STRETCH)
                partials_add(&q, i, min64(i + STRETCH, q.weights));
        }
        /* neighbouring rows one behind the other: what they write is contiguous */
#pragma omp for schedule(static) collapse(2)
        for (int64_t c = 0; c < (q.exchange ? s->ci : s->co); c += COLUMNS)
            for (int64_t row = 0; row < (q.exchange ? s->co : s->ci); row++)
                dw_transpose(&q, c, row);
    }
}
