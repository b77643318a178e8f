#include "backend/bf16/conv.h"
#include "backend/bf16/pack.h"
#include "backend/conv_block.h"
#include <omp.h>
#include <string.h>

/* Forward and by data. A task is a block of destination planes, rows and columns of one sample, with all
 * phases and channels; its source block, halo and zero padding included, is copied once into a private
 * buffer, so that no tile is special:
 *
 *     a row of the destination block (one phase) = sum over the valid (kd, kh [, kw]): rows of the copy,
 * whose voxels are rows of A with K along (kw and) channels, times the packed weights
 *
 * Rows above or below the volume are neither copied nor visited. */
struct direct {
    const struct bf16_micro *micro;
    const struct conv_shape *s;
    struct conv_axis axis[3];
    int64_t depth, pitch,
        cols; /* channels of the source; with their padding to whole chunks; of the destination */
    int64_t panels, taps;
    struct conv_blocks blocks; /* one per task */
    int64_t panel_parts;       /* a task may do only a part of the panels */
    size_t bias_bytes, packed_bytes, list_bytes, thread_bytes;
    /* set for a run */
    const uint16_t *source, *weights;
    float *dest, *bias;
    uint16_t *packed;
    int64_t source_pitch, dest_pitch;
    const void *stage; /* through which the source is read, or NULL */
    char *threads;     /* each thread's own part of the work buffer */
};

/* Elements of a thread's copy: the block, and what the last tile reads behind its last row. */
static int64_t copy_elements(const struct direct *q)
{
    return conv_blocks_elements(&q->blocks, q->axis, q->pitch) + BF16_TILE * q->axis[2].step_in * q->pitch;
}

static void direct_plan(struct direct *q, const struct conv_shape *s, enum conv_dir dir, int threads)
{
    struct bf16_chunks k;

    q->s = s;
    for (int i = 0; i < 3; i++)
        q->axis[i] = conv_axis_make(s, dir, i);
    q->depth = dir == CONV_DX ? s->co : s->ci;
    q->cols = dir == CONV_DX ? s->ci : s->co;
    k = bf16_chunks_padded(int64_ceil_div(q->depth, 2));
    q->pitch = 2 * k.chunks * k.pairs;
    q->panels = int64_ceil_div(q->cols, BF16_COLS);
    q->taps = conv_taps(s);
    q->blocks = conv_blocks_choose(q->axis, q->pitch, CONV_BLOCK_BYTES / (int64_t)sizeof(uint16_t));
    /* few blocks: let several tasks share one, each with its own copy and some of the panels */
    const int64_t tasks = s->n * q->blocks.count[0] * q->blocks.count[1] * q->blocks.count[2];
    q->panel_parts = int64_min(q->panels, int64_ceil_div(4 * threads, tasks));

    q->list_bytes = class_align((size_t)q->taps * sizeof(int64_t));
    q->thread_bytes = 2 * q->list_bytes + class_align((size_t)copy_elements(q) * sizeof(uint16_t));
    q->bias_bytes = class_align((size_t)(q->panels * BF16_COLS) * sizeof(float));
    q->packed_bytes = class_align((size_t)(q->panels * q->taps * q->pitch * BF16_COLS) * sizeof(uint16_t));
}

size_t bf16_direct_scratch(const struct conv_shape *s, enum conv_dir dir, int threads)
{
    struct direct q = {0};

    direct_plan(&q, s, dir, threads);
    return q.bias_bytes + q.packed_bytes + (size_t)threads * q.thread_bytes;
}

/* ---- weights: packed[panel][kd][kh][kw by phase, in source order][pair of channels][BF16_COLS][2] ---- */

/* One pair of one tap: zeros where there is no channel or column. */
static void pair_pack(const struct direct *q, uint16_t *to, int64_t panel, int64_t pair, int64_t tap)
{
    const bool by_data = q->axis[2].by_data;
    const int64_t k_step = by_data ? q->s->ci * q->taps : q->taps;
    const int64_t col_step = by_data ? q->taps : q->s->ci * q->taps;
    const int64_t cols = int64_min(BF16_COLS, q->cols - panel * BF16_COLS);
    const uint16_t *from = q->weights + panel * BF16_COLS * col_step + 2 * pair * k_step + tap;

    memset(to, 0, BF16_PAIR_ROW * sizeof *to);
    for (int64_t half = 0; half < int64_min(2, q->depth - 2 * pair); half++)
        for (int64_t i = 0; i < cols; i++)
            to[2 * i + half] = from[half * k_step + i * col_step];
}

/* All taps of one pair of one panel. */
static void weights_pack(const struct direct *q, int64_t panel, int64_t pair)
{
    const int64_t rows = q->s->kernel[0] * q->s->kernel[1], kw_count = q->s->kernel[2];
    uint16_t *to = q->packed + panel * q->taps * q->pitch * BF16_COLS + pair * BF16_PAIR_ROW;

    for (int64_t f = 0; f < q->axis[2].phases; f++) {
        const struct conv_phase p = conv_axis_phase(&q->axis[2], f);
        for (int64_t i = 0; i < p.taps; i++)
            for (int64_t row = 0; row < rows; row++)
                pair_pack(q, to + (row * kw_count + p.packed + i) * q->pitch * BF16_COLS, panel, pair,
                          row * kw_count + p.tap0 + i * p.tap_step);
    }
}

/* ---- one task ---- */

struct block {
    int64_t n, t0[3], t1[3]; /* sample; destination positions per phase */
    int64_t s0[3], s1[3];    /* source positions that exist; along w, with the padding */
    int64_t panel0, panel1;
    int64_t row, plane; /* elements of the copy */
    uint16_t *copy;     /* from the source voxel (s0[0], s0[1], s0[2]) on */
    int64_t *a_seg, *b_seg;
};

static void block_range(const struct direct *q, struct block *b, int i, int64_t index)
{
    const struct conv_axis *a = &q->axis[i];

    b->t0[i] = index * q->blocks.size[i];
    b->t1[i] = int64_min(b->t0[i] + q->blocks.size[i], conv_dest_count(a));
    b->s0[i] = b->t0[i] * a->step_in + a->low;
    b->s1[i] = b->s0[i] + conv_source_extent(a, b->t1[i] - b->t0[i]);
    if (i < 2) {
        b->s0[i] = b->s0[i] > 0 ? b->s0[i] : 0;
        b->s1[i] = int64_min(b->s1[i], a->source);
    }
}

/* Copies the block's source rows, with their padding along w. */
static void block_load(const struct direct *q, struct block *b)
{
    const struct bf16_span span = {.first = b->s0[2],
                                   .count = b->s1[2] - b->s0[2],
                                   .size = q->axis[2].source,
                                   .channels = q->depth,
                                   .pitch = q->source_pitch,
                                   .to_pitch = q->pitch,
                                   .stage = bf16_stage_at(q->stage, b->n, q->depth, 0)};

    b->row = span.count * q->pitch;
    b->plane = (b->s1[1] > b->s0[1] ? b->s1[1] - b->s0[1] : 0) * b->row;
    for (int64_t d = b->s0[0]; d < b->s1[0]; d++)
        for (int64_t h = b->s0[1]; h < b->s1[1]; h++)
            bf16_row(b->copy + (d - b->s0[0]) * b->plane + (h - b->s0[1]) * b->row,
                     q->source +
                         ((b->n * q->axis[0].source + d) * q->axis[1].source + h) * span.size * span.pitch,
                     &span);
}

/* Segments of one destination row: the source rows that exist, each one segment if the taps along w read
 * contiguous voxels, else one per tap. Offsets are relative to the first source voxel along w. Returns their
 * number. */
static int64_t row_segments(const struct direct *q, const struct block *b, const struct conv_phase p[3],
                            const int64_t t[2], bool joined)
{
    int64_t count = 0;

    for (int64_t i = 0; i < p[0].taps; i++) {
        const int64_t d = t[0] * q->axis[0].step_in + p[0].off0 + i * p[0].off_step;
        if (d < 0 || d >= q->axis[0].source)
            continue;
        for (int64_t j = 0; j < p[1].taps; j++) {
            const int64_t h = t[1] * q->axis[1].step_in + p[1].off0 + j * p[1].off_step;
            if (h < 0 || h >= q->axis[1].source)
                continue;
            const int64_t kd = p[0].tap0 + i * p[0].tap_step, kh = p[1].tap0 + j * p[1].tap_step;
            const int64_t taps = (kd * q->s->kernel[1] + kh) * q->s->kernel[2] + p[2].packed;
            for (int64_t e = 0; e < (joined ? 1 : p[2].taps); e++) {
                b->a_seg[count] =
                    (d - b->s0[0]) * b->plane + (h - b->s0[1]) * b->row + e * p[2].off_step * q->pitch;
                b->b_seg[count++] = (taps + e) * q->pitch * BF16_COLS;
            }
        }
    }
    return count;
}

static void row_run(const struct direct *q, const struct bf16_block *t, int64_t rows, int cols,
                    const uint16_t *a, const uint16_t *b, float *c)
{
    for (int64_t r = 0; r < rows; r += 2 * t->height)
        q->micro->block(t, (int)int64_min(2 * t->height, rows - r), cols, a + r * t->a_row, b,
                        c + r * t->c_row);
}

/* All rows of the block, for one phase and one panel. */
static void panel_run(const struct direct *q, const struct block *b, const int64_t phase[3], int64_t panel)
{
    struct conv_phase p[3];
    for (int i = 0; i < 3; i++)
        p[i] = conv_axis_phase(&q->axis[i], phase[i]);
    const int64_t t1[3] = {int64_min(b->t1[0], p[0].count), int64_min(b->t1[1], p[1].count),
                           int64_min(b->t1[2], p[2].count)};
    const int64_t rows = t1[2] - b->t0[2];
    const bool joined = p[2].taps == 1 || (p[2].taps > 1 && p[2].off_step == 1);
    const struct bf16_chunks k = bf16_chunks_exact((joined ? p[2].taps : 1) * q->pitch / 2);
    const uint16_t *a = b->copy + (b->t0[2] * q->axis[2].step_in + p[2].off0 - b->s0[2]) * q->pitch;
    const int cols = (int)int64_min(q->cols - panel * BF16_COLS, BF16_COLS);
    struct bf16_block t = {.chunks = k.chunks,
                           .a_seg = b->a_seg,
                           .b_seg = b->b_seg,
                           .a_row = q->axis[2].step_in * q->pitch,
                           .c_row = q->axis[2].step_out * q->dest_pitch,
                           .pairs = k.pairs,
                           .bias = q->bias ? q->bias + panel * BF16_COLS : NULL};

    if (rows <= 0)
        return;
    t.height = bf16_height(rows);
    const unsigned saved = q->micro->begin(t.height, t.pairs);
    for (int64_t td = b->t0[0]; td < t1[0]; td++) {
        const int64_t d = phase[0] + td * q->axis[0].step_out;
        for (int64_t th = b->t0[1]; th < t1[1]; th++) {
            const int64_t h = phase[1] + th * q->axis[1].step_out;
            const int64_t w = phase[2] + b->t0[2] * q->axis[2].step_out;
            const int64_t voxel = ((b->n * q->axis[0].dest + d) * q->axis[1].dest + h) * q->axis[2].dest + w;
            t.segments = row_segments(q, b, p, (const int64_t[2]){td, th}, joined);
            row_run(q, &t, rows, cols, a, q->packed + panel * q->taps * q->pitch * BF16_COLS,
                    q->dest + voxel * q->dest_pitch + panel * BF16_COLS);
        }
    }
    q->micro->end(saved);
}

static void task_run(const struct direct *q, int64_t task)
{
    char *part = q->threads + (size_t)omp_get_thread_num() * q->thread_bytes;
    struct block b = {.a_seg = (int64_t *)(void *)part,
                      .b_seg = (int64_t *)(void *)(part + q->list_bytes),
                      .copy = (uint16_t *)(void *)(part + 2 * q->list_bytes)};
    int64_t phase[3];

    b.panel0 = q->panels * (task % q->panel_parts) / q->panel_parts;
    b.panel1 = q->panels * (task % q->panel_parts + 1) / q->panel_parts;
    task /= q->panel_parts;
    for (int i = 2; i >= 0; i--) {
        block_range(q, &b, i, task % q->blocks.count[i]);
        task /= q->blocks.count[i];
    }
    b.n = task;
    block_load(q, &b);
    for (phase[0] = 0; phase[0] < q->axis[0].phases; phase[0]++)
        for (phase[1] = 0; phase[1] < q->axis[1].phases; phase[1]++)
            for (phase[2] = 0; phase[2] < q->axis[2].phases; phase[2]++)
                for (int64_t panel = b.panel0; panel < b.panel1; panel++)
                    panel_run(q, &b, phase, panel);
}

static void bias_pack(const struct direct *q, const float *bias)
{
    memcpy(q->bias, bias, (size_t)q->cols * sizeof *bias);
    memset(q->bias + q->cols, 0, (size_t)(q->panels * BF16_COLS - q->cols) * sizeof *bias);
}

void bf16_direct_run(const struct bf16_micro *m, const struct conv_shape *s, enum conv_dir dir,
                     const struct conv_buf *b)
{
    struct direct q = {.micro = m, .weights = b->w};

    direct_plan(&q, s, dir, b->threads);
    q.source = dir == CONV_DX ? b->y : b->x;
    q.dest = dir == CONV_DX ? b->x : b->y;
    q.stage = dir == CONV_DX ? b->y_stage : b->x_stage;
    q.source_pitch = dir == CONV_DX ? b->y_pitch : b->x_pitch;
    q.dest_pitch = dir == CONV_DX ? b->x_pitch : b->y_pitch;
    q.packed = (uint16_t *)(void *)((char *)b->work + q.bias_bytes);
    q.threads = (char *)b->work + q.bias_bytes + q.packed_bytes;
    if (b->bias) {
        q.bias = b->work;
        bias_pack(&q, b->bias);
    }
    const int64_t tasks = s->n * q.blocks.count[0] * q.blocks.count[1] * q.blocks.count[2] * q.panel_parts;
#pragma omp parallel num_threads(b->threads)
    {
#pragma omp for schedule(static) collapse(2)
        for (int64_t panel = 0; panel < q.panels; panel++)
            for (int64_t pair = 0; pair < q.pitch / 2; pair++)
                weights_pack(&q, panel, pair);
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < tasks; i++)
            task_run(&q, i);
    }
}
