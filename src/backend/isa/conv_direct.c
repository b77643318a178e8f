#include "backend/conv_block.h"
#include "backend/isa/conv.h"
#include "backend/isa/lane.h"
#include "backend/isa/pack.h"
#include <omp.h>
#include <string.h>

/* Forward and by data. A task is a block of destination planes, rows and columns of one sample, with all
 * phases and channels. Its source block, halo included, is copied once into a private buffer with the
 * padding in place:
 *
 *     source block                    a row of the destination block (one phase)
 *     +--0-0-0-0-0-0-0-0-+            = sum over the valid (kd, kh): rows of the source block
 *     | 0 x x x x x x x 0|              times (kw, channel) x (destination channel) of the packed weights
 *     | 0 x x x x x x x 0|
 *     +--------|_____|---+            kw * channels contiguous values of the buffer are one segment's k
 *
 * so that no tile is special. Rows above or below the volume that are zero are neither copied nor visited.
 * The copy pays without padding too: it reads memory in order, the micro-kernel would not.
 *
 * Along w, taps that all positions of a row have come first; then, where padding is much of a row, each other
 * tap for the positions that have it (a pass), else all taps at once, padding included. */
struct direct {
    const struct conv_shape *s;
    struct conv_axis axis[3];
    int64_t depth, cols; /* channels of the source, of the destination */
    int64_t panels, taps;
    int64_t
        every; /* voxels along w from one that is read to the next: a kernel of 1 passes over the others */
    struct conv_blocks blocks; /* one per task */
    int64_t panel_parts;       /* a task may do only a part of the panels */
    int64_t part_taps;         /* taps along d and h at a time, so that their weights stay in cache */
    size_t bias_bytes, packed_bytes, shared_bytes, list_bytes, block_bytes, thread_bytes;
    /* set for a run */
    const REAL *source, *stage; /* the source's coefficients or NULL */
    REAL *dest, *packed, *bias;
    int64_t source_pitch, dest_pitch;
    bool stream;
    char *threads; /* each thread's own part of the work buffer */
};

/* A packed panel too large for the second cache is read once per block: then larger blocks are better. */
static int64_t block_limit(const struct direct *q)
{
    enum { PANEL_BYTES = 512 << 10 };
    /* of no instruction set's width, because the block says which positions pass together */
    const int64_t panel = q->taps * q->depth * 2 * LANES * (int64_t)sizeof(REAL);

    return (panel > PANEL_BYTES ? 3 * CONV_BLOCK_BYTES : CONV_BLOCK_BYTES) / (int64_t)sizeof(REAL);
}

/* A part of a panel's taps if all of them would not stay in the second cache beside the source block. */
static void taps_choose(struct direct *q)
{
    enum { PANEL_BYTES = 256 << 10, PART_BYTES = 128 << 10 };
    const int64_t row = q->s->kernel[2] * q->depth * TILE_COLS * (int64_t)sizeof(REAL);

    q->part_taps = q->taps / q->s->kernel[2];
    if (q->part_taps * row > PANEL_BYTES)
        q->part_taps = max64(1, PART_BYTES / row);
}

static void direct_plan(struct direct *q, const struct conv_shape *s, enum conv_dir dir, int threads)
{
    q->s = s;
    for (int i = 0; i < 3; i++)
        q->axis[i] = conv_axis_make(s, dir, i);
    q->every = dir == CONV_FORWARD && s->kernel[2] == 1 && !s->pad[2] ? s->stride[2] : 1;
    if (q->every > 1) {
        q->axis[2].step_in = 1;
        q->axis[2].source = s->out[2];
    }
    q->depth = dir == CONV_DX ? s->co : s->ci;
    q->cols = dir == CONV_DX ? s->ci : s->co;
    q->panels = ceil_div(q->cols, TILE_COLS);
    q->taps = conv_taps(s);
    q->blocks = conv_blocks_choose(q->axis, q->depth, block_limit(q));
    taps_choose(q);
    /* few blocks: let several tasks share one, each with its own copy and some of the panels */
    const int64_t tasks = s->n * q->blocks.count[0] * q->blocks.count[1] * q->blocks.count[2];
    q->panel_parts = threads == 1 ? 1 : max64(1, min64(q->panels, ceil_div(4 * threads, tasks)));

    q->list_bytes = list_bytes(q->taps);
    q->block_bytes = work_bytes(conv_blocks_elements(&q->blocks, q->axis, q->depth));
    q->thread_bytes = 2 * q->list_bytes + q->block_bytes;
    q->bias_bytes = work_bytes(q->panels * TILE_COLS);
    q->packed_bytes = s->packed ? 0 : work_bytes(q->panels * TILE_COLS * q->taps * q->depth);
    q->shared_bytes = q->bias_bytes + q->packed_bytes;
}

size_t conv_direct_scratch(const struct conv_shape *s, enum conv_dir dir, int threads)
{
    struct direct q = {0};

    direct_plan(&q, s, dir, threads);
    return q.shared_bytes + (size_t)threads * q.thread_bytes;
}

/* ---- weights: packed[panel][kd][kh][kw by phase, in source order][k][TILE_COLS] ---- */

/* Where tap kw stands along w among the packed ones; -1 if no phase uses it. */
static int64_t tap_place(const struct conv_axis *w, int64_t kw)
{
    if (!w->by_data || w->stride == 1)
        return w->by_data ? w->kernel - 1 - kw : kw;
    for (int64_t f = 0; f < w->phases; f++) {
        const struct conv_phase p = conv_axis_phase(w, f);
        for (int64_t i = 0; i < p.taps; i++)
            if (p.tap0 + i * p.tap_step == kw)
                return p.packed + i;
    }
    return -1;
}

enum { PACK_DEPTH = 4, PACK_TAPS = 32 };

/* block[tap][k][column] = taps t0 .. of rows k0 .. of w; zeros behind the columns that exist */
static void weights_gather(const struct direct *q, const REAL *w, const int64_t at[2], const int64_t count[2],
                           int cols, REAL block[PACK_TAPS][PACK_DEPTH][TILE_COLS])
{
    const bool by_data = q->axis[2].by_data;
    const int64_t k_step = by_data ? q->s->ci * q->taps : q->taps;
    const int64_t col_step = by_data ? q->taps : q->s->ci * q->taps;

    for (int64_t k = 0; k < count[1]; k++) {
        pack_transpose(block[0][k], PACK_DEPTH * TILE_COLS, w + at[0] + (at[1] + k) * k_step, col_step,
                       (const int64_t[2]){cols, count[0]});
        for (int64_t t = 0; t < count[0]; t++)
            memset(block[t][k] + cols, 0, (size_t)(TILE_COLS - cols) * sizeof(REAL));
    }
}

/* All taps of rows k0 .. of one panel, by way of a small block: the places of many taps share a cache set. */
static void weights_pack(const struct direct *q, const REAL *w, int64_t panel, int64_t k0)
{
    const int cols = (int)min64(q->cols - panel * TILE_COLS, TILE_COLS);
    const int64_t first_col = panel * TILE_COLS * (q->axis[2].by_data ? q->taps : q->s->ci * q->taps);
    const int64_t kw_count = q->s->kernel[2];
    REAL *to = q->packed + (panel * q->taps * q->depth + k0) * TILE_COLS;
    REAL block[PACK_TAPS][PACK_DEPTH][TILE_COLS];

    for (int64_t t0 = 0; t0 < q->taps; t0 += PACK_TAPS) {
        const int64_t count[2] = {min64(PACK_TAPS, q->taps - t0), min64(PACK_DEPTH, q->depth - k0)};
        weights_gather(q, w + first_col, (const int64_t[2]){t0, k0}, count, cols, block);
        for (int64_t t = 0; t < count[0]; t++) {
            const int64_t tap = t0 + t, place = tap_place(&q->axis[2], tap % kw_count);
            if (place >= 0)
                memcpy(to + (tap / kw_count * kw_count + place) * q->depth * TILE_COLS, block[t],
                       (size_t)count[1] * sizeof block[t][0]);
        }
    }
}

/* Called by every thread of a team. */
static void weights_pack_all(const struct direct *q, const REAL *w)
{
#pragma omp for schedule(static) collapse(2)
    for (int64_t panel = 0; panel < q->panels; panel++)
        for (int64_t k = 0; k < q->depth; k += PACK_DEPTH)
            weights_pack(q, w, panel, k);
}

int64_t conv_direct_packed(const struct conv_shape *s, enum conv_dir dir)
{
    struct direct q = {0};

    direct_plan(&q, s, dir, 1);
    return q.panels * TILE_COLS * q.taps * q.depth;
}

void conv_direct_pack(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b)
{
    struct direct q = {0};

    direct_plan(&q, s, dir, b->threads);
    q.packed = b->work;
#pragma omp parallel num_threads(b->threads)
    weights_pack_all(&q, b->w);
}

/* ---- one task ---- */

/* Taps tap0 .. tap1 - 1 along w for the positions begin .. end - 1. */
struct pass {
    int64_t tap0, tap1, begin, end;
};

enum { PASSES_MAX = 8 };

struct block {
    int64_t n, t0[3], t1[3]; /* sample; destination positions per phase */
    int64_t s0[3], s1[3];    /* source positions, of D and H without those of zeros */
    int64_t panel0, panel1;
    int64_t tap0, tap1; /* of a phase along d and h, at present */
    struct pass pass;   /* at present */
    bool first, last;   /* the first sums of the destination; the last ones of the first pass */
    bool stream;
    int64_t voxel, row, plane; /* elements of the copy or, read in place, of the source */
    REAL *copy;
    const REAL *from; /* the copy or the source: voxel (s0[0], s0[1], s0[2]) */
    int64_t *a_seg, *b_seg;
};

static const REAL *source_row(const struct direct *q, int64_t n, int64_t d, int64_t h)
{
    const int64_t width = q->axis[2].by_data ? q->s->out[2] : q->s->in[2];

    return q->source + ((n * q->axis[0].source + d) * q->axis[1].source + h) * width * q->source_pitch;
}

static void block_range(const struct direct *q, struct block *b, int i, int64_t index)
{
    const struct conv_axis *a = &q->axis[i];

    b->t0[i] = index * q->blocks.size[i];
    b->t1[i] = min64(b->t0[i] + q->blocks.size[i], conv_dest_count(a));
    int64_t range[2] = {b->t0[i] * a->step_in + a->low, 0};
    range[1] = range[0] + conv_source_extent(a, b->t1[i] - b->t0[i]);
    if (i < 2)
        conv_axis_clip(a, range);
    b->s0[i] = range[0];
    b->s1[i] = range[1];
}

/* Whether any tap reads source row (or plane) i: a stride may pass over some. */
static bool row_is_read(const struct conv_axis *a, int64_t i)
{
    for (int64_t j = 0; j < a->kernel && !a->by_data; j++)
        if ((i + a->pad - j * a->dilation) % a->stride == 0)
            return true;
    return a->by_data;
}

/* One row of the copy, through the stage, with the padding along w; zeros for a row that is outside. */
static void row_load(const struct direct *q, const struct block *b, const struct pack_span *span, int64_t d,
                     int64_t h)
{
    const int64_t from[2] = {conv_position(q->axis[0].outside, d, q->axis[0].source),
                             conv_position(q->axis[1].outside, h, q->axis[1].source)};

    if (from[0] >= 0 && from[1] >= 0)
        pack_row(b->copy + (d - b->s0[0]) * b->plane + (h - b->s0[1]) * b->row,
                 source_row(q, b->n, from[0], from[1]), span);
}

/* One tap and no padding: no voxel is read twice. */
static bool reads_once(const struct direct *q)
{
    const int64_t *pad = q->s->pad;

    return q->taps == 1 && !pad[0] && !pad[1] && !pad[2] && conv_dest_count(&q->axis[2]) <= q->axis[2].source;
}

static void block_load(const struct direct *q, struct block *b)
{
    const struct pack_span span = {.first = b->s0[2],
                                   .count = b->s1[2] - b->s0[2],
                                   .size = q->axis[2].source,
                                   .outside = q->axis[2].outside,
                                   .channels = q->depth,
                                   .pitch = q->every * q->source_pitch,
                                   .to_pitch = q->depth,
                                   .stage = stage_at(q->stage, q->depth, b->n, 0)};

    if (!q->stage && reads_once(q)) {
        b->voxel = span.pitch;
        b->row = source_row(q, 0, 0, 1) - q->source;
        b->plane = source_row(q, 0, 1, 0) - q->source;
        b->from = source_row(q, b->n, b->s0[0], b->s0[1]) + b->s0[2] * b->voxel;
        return;
    }
    b->voxel = q->depth;
    b->row = span.count * q->depth;
    b->plane = max64(b->s1[1] - b->s0[1], 0) * b->row;
    b->from = b->copy;
    for (int64_t d = b->s0[0]; d < b->s1[0]; d++)
        for (int64_t h = b->s0[1]; h < b->s1[1] && row_is_read(&q->axis[0], d); h++)
            if (row_is_read(&q->axis[1], h))
                row_load(q, b, &span, d, h);
}

/* Segments of one destination row, of the present taps: the source rows that exist, each one segment if the
 * taps along w read contiguous values, else one per tap. Offsets are relative to tap 0's first source voxel
 * along w. Returns their number. */
static int64_t row_segments(const struct direct *q, const struct block *b, const struct conv_phase p[3],
                            const int64_t t[2], bool joined)
{
    int64_t count = 0;

    for (int64_t i = 0; i < p[0].taps; i++) {
        const int64_t d = t[0] * q->axis[0].step_in + p[0].off0 + i * p[0].off_step;
        if (conv_position(q->axis[0].outside, d, q->axis[0].source) < 0)
            continue;
        for (int64_t j = 0; j < p[1].taps; j++) {
            const int64_t h = t[1] * q->axis[1].step_in + p[1].off0 + j * p[1].off_step;
            const int64_t tap = i * p[1].taps + j;
            if (conv_position(q->axis[1].outside, h, q->axis[1].source) < 0 || tap < b->tap0 ||
                tap >= b->tap1)
                continue;
            const int64_t kd = p[0].tap0 + i * p[0].tap_step, kh = p[1].tap0 + j * p[1].tap_step;
            const int64_t taps = (kd * q->s->kernel[1] + kh) * q->s->kernel[2] + p[2].packed;
            for (int64_t e = b->pass.tap0; e < (joined ? b->pass.tap0 + 1 : b->pass.tap1); e++) {
                b->a_seg[count] =
                    (d - b->s0[0]) * b->plane + (h - b->s0[1]) * b->row + e * p[2].off_step * q->depth;
                b->b_seg[count++] = (taps + e) * q->depth * TILE_COLS;
            }
        }
    }
    return count;
}

/* All rows of the block, for one phase and some panels, with the present taps. */
static void panels_run(const struct direct *q, const struct block *b, const int64_t phase[3],
                       const struct conv_phase p[3], const int64_t panel[2])
{
    const int64_t t1[2] = {min64(b->t1[0], p[0].count), min64(b->t1[1], p[1].count)};
    const struct pass *pass = &b->pass;
    const bool joined = pass->tap1 - pass->tap0 == 1 || p[2].off_step == 1;
    const int64_t first = pass->begin * q->axis[2].step_in + p[2].off0 - b->s0[2];
    const int64_t size = q->taps * q->depth * TILE_COLS, col = panel[0] * TILE_COLS;
    const int cols = (int)(min64(q->cols, panel[1] * TILE_COLS) - col);
    struct tile tile = {.depth = (joined ? pass->tap1 - pass->tap0 : 1) * q->depth,
                        .a_seg = b->a_seg,
                        .b_seg = b->b_seg,
                        .a_row = q->axis[2].step_in * b->voxel,
                        .a_step = 1,
                        .b_step = TILE_COLS,
                        .b_next = size,
                        .c_row = q->axis[2].step_out * q->dest_pitch,
                        .resume = !b->first,
                        .stream = b->stream,
                        .bias = q->bias && b->last ? q->bias + col : NULL};

    for (int64_t td = b->t0[0]; td < t1[0]; td++) {
        const int64_t d = phase[0] + td * q->axis[0].step_out;
        for (int64_t th = b->t0[1]; th < t1[1]; th++) {
            const int64_t h = phase[1] + th * q->axis[1].step_out;
            const int64_t w = phase[2] + pass->begin * q->axis[2].step_out;
            const int64_t voxel = ((b->n * q->axis[0].dest + d) * q->axis[1].dest + h) * q->axis[2].dest + w;
            tile.segments = row_segments(q, b, p, (const int64_t[2]){td, th}, joined);
            if (b->from != b->copy && panel[0] == b->panel0 && tile.segments &&
                th + 1 < t1[1]) /* the next row */
                tile.ahead =
                    (struct ahead){b->from + b->a_seg[0] + first * b->voxel + q->axis[1].step_in * b->row,
                                   pass->end - pass->begin, tile.a_row, q->depth};
            tile_column(&tile, pass->end - pass->begin, cols, b->from + first * b->voxel,
                        q->packed + panel[0] * size, q->dest + voxel * q->dest_pitch + col);
        }
    }
}

/* The positions among begin .. end - 1 for which tap e along w meets the source. */
static struct pass pass_of(const struct conv_axis *a, const struct conv_phase *p, int64_t e,
                           const int64_t t[2])
{
    const int64_t off = p->off0 + e * p->off_step;
    const int64_t begin = off < 0 ? ceil_div(-off, a->step_in) : 0;
    const int64_t end = off < a->source ? ceil_div(a->source - off, a->step_in) : 0;

    return (struct pass){e, e + 1, max64(begin, t[0]), min64(end, t[1])};
}

/* The passes of positions t[0] .. t[1] - 1, the first of them for every position. More than one only where
 * the products with padding cost more than reading and writing the sums once more, and more segments. */
static int64_t passes_choose(const struct direct *q, const struct conv_phase p[3], const int64_t t[2],
                             struct pass passes[PASSES_MAX])
{
    enum { SUM_COST = 8, SEGMENT_COST = 2 }; /* in products per sum */
    const struct pass all = {0, p[2].taps, t[0], t[1]};
    const int64_t segments = p[0].taps * p[1].taps;
    int64_t count = 1, padding = 0;

    passes[0] = (struct pass){0, 0, t[0], t[1]};
    for (int64_t e = 0; e < p[2].taps; e++) {
        const struct pass one = pass_of(&q->axis[2], &p[2], e, t);
        padding += t[1] - t[0] - max64(one.end - one.begin, 0);
        if (one.begin == t[0] && one.end == t[1]) {
            passes[0].tap0 = passes[0].tap1 ? passes[0].tap0 : e;
            passes[0].tap1 = e + 1;
        } else if (one.begin < one.end) {
            if (count == PASSES_MAX)
                return passes[0] = all, 1;
            passes[count++] = one;
        }
    }
    const int64_t cost = (count - 1) * (SUM_COST + SEGMENT_COST * segments) * (t[1] - t[0]);
    if (q->axis[2].outside || !passes[0].tap1 || padding * segments * q->depth <= cost)
        return passes[0] = all, 1;
    return count;
}

/* The block for one phase: parts of the taps, so that each part's weights serve all rows while in cache. */
static void phase_run(const struct direct *q, struct block *b, const int64_t phase[3])
{
    struct conv_phase p[3];
    struct pass passes[PASSES_MAX];
    for (int i = 0; i < 3; i++)
        p[i] = conv_axis_phase(&q->axis[i], phase[i]);
    const int64_t taps = p[0].taps * p[1].taps, parts = max64(1, ceil_div(taps, q->part_taps));
    const int64_t t[2] = {b->t0[2], min64(b->t1[2], p[2].count)};

    if (t[0] >= t[1])
        return;
    const int64_t count = passes_choose(q, p, t, passes);
    for (int64_t i = 0; i < count * parts; i++) {
        b->pass = passes[i / parts];
        b->first = i == 0;
        b->last = i == parts - 1;
        b->stream = q->stream && count * parts == 1;
        b->tap0 = taps * (i % parts) / parts;
        b->tap1 = taps * (i % parts + 1) / parts;
        const int64_t rows = b->pass.end - b->pass.begin;
        for (int64_t panel[2] = {b->panel0}; panel[0] < b->panel1; panel[0] = panel[1]) {
            const int64_t cols = min64(q->cols, b->panel1 * TILE_COLS) - panel[0] * TILE_COLS;
            /* read once, written once: wide blocks, if they are not too low */
            panel[1] = panel[0] + tile_panels(reads_once(q) && TILE_ROWS_4 > 4 ? 1 : rows, cols);
            panels_run(q, b, phase, p, panel);
        }
    }
}

static void task_run(const struct direct *q, int64_t task)
{
    char *part = q->threads + (size_t)omp_get_thread_num() * q->thread_bytes;
    struct block b = {.a_seg = (int64_t *)(void *)part,
                      .b_seg = (int64_t *)(void *)(part + q->list_bytes),
                      .copy = (REAL *)(void *)(part + 2 * q->list_bytes)};
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
                phase_run(q, &b, phase);
}

void conv_direct_run(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b)
{
    struct direct q = {0};

    direct_plan(&q, s, dir, b->threads);
    q.source = dir == CONV_DX ? b->y : b->x;
    q.stage = dir == CONV_DX ? b->y_stage : b->x_stage;
    q.dest = dir == CONV_DX ? b->x : b->y;
    q.source_pitch = dir == CONV_DX ? b->y_pitch : b->x_pitch;
    q.dest_pitch = dir == CONV_DX ? b->x_pitch : b->y_pitch;
    q.stream = tile_may_stream(q.dest, q.dest_pitch, q.cols,
                               s->n * q.axis[0].dest * q.axis[1].dest * q.axis[2].dest * q.cols);
    q.packed = s->packed ? b->w : (REAL *)(void *)((char *)b->work + q.bias_bytes);
    q.threads = (char *)b->work + q.shared_bytes;
    if (b->bias) {
        q.bias = b->work;
        pack_bias(q.bias, b->bias, q.cols);
    }
    const int64_t tasks = s->n * q.blocks.count[0] * q.blocks.count[1] * q.blocks.count[2] * q.panel_parts;
#pragma omp parallel num_threads(b->threads)
    {
        if (!s->packed)
            weights_pack_all(&q, b->w);
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < tasks; i++)
            task_run(&q, i);
    }
}
