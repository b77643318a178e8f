#include "backend/fused.h"
#include "backend/isa/wino.h"
#include <omp.h>
#include <string.h>

/* Forward and by data: a block of pieces goes through three stages,
 *
 *     U = B' x        products[point][tile][channel of the source]
 *     M = U W         for each point a matrix product with the transformed weights; M takes U's place
 *     y = A' M        with the hooks
 *
 * either each block by one thread (while U fits its cache), or one large block after another by all of them
 * (while reading W is what costs). Neither the block nor the way changes a bit: every element of M is one
 * chain over the channels inside one tile, and the hooks' sums belong to pieces. */
enum {
#ifdef ISA_AVX512
    ROWS_WIDE = 28, /* tiles of a private block from 65 channels on */
#else
    ROWS_WIDE = 12,
#endif
    ROWS = 14,         /* up to 64 channels */
    ROWS_TEAM = 56,    /* of a shared block */
    PRIVATE_MAX = 128, /* channels up to which blocks may be private */
    BLOCKS_MIN = 4,    /* private blocks per thread, at least */
    SLAB = 32,         /* channels of a task that transforms a part of a shared block */
};

struct job {
    const struct wino *q;
    const struct wino_transforms *t;
    bool team;
    int64_t block, blocks; /* pieces of a block; blocks */
    int64_t panels, weights_point, tile,
        point; /* elements from point to point of W; tile to tile, point to point of U */
    size_t weights_bytes, sums_bytes, block_bytes, copy_bytes, shared_bytes, thread_bytes;
    /* set for a run */
    struct wino_source source;
    struct wino_sink sink;
    REAL *weights, *sums;
    char *threads;
};

static int64_t rows_of_block(const struct wino *q, bool team)
{
    return team ? ROWS_TEAM : max64(q->depth, q->cols) <= 64 ? ROWS : ROWS_WIDE;
}

static void job_plan(struct job *j, const struct wino *q, int threads)
{
    j->q = q;
    j->t = &wino_transforms[q->variant];
    j->block = max64(1, rows_of_block(q, false) / q->piece);
    j->team = max64(q->depth, q->cols) > PRIVATE_MAX || ceil_div(q->pieces, j->block) < BLOCKS_MIN * threads;
    if (j->team)
        j->block = max64(1, rows_of_block(q, true) / q->piece);
    j->block = min64(j->block, q->pieces);
    j->blocks = ceil_div(q->pieces, j->block);
    j->panels = ceil_div(q->cols, TILE_COLS);
    j->tile = max64(q->depth, q->cols);
    j->point = wino_point_step(j->block * q->piece * j->tile);
    j->weights_point = wino_point_step(j->panels * q->depth * TILE_COLS);
    j->weights_bytes = q->packed ? 0 : work_bytes(j->weights_point * q->points);
    j->sums_bytes = work_bytes(q->pieces * 2 * q->cols);
    j->block_bytes = work_bytes(j->point * q->points);
    j->copy_bytes = j->panels > 1 ? work_bytes(j->block * q->piece * q->depth) : 0;
    j->shared_bytes = j->weights_bytes + j->sums_bytes + (j->team ? j->block_bytes : 0);
    j->thread_bytes = j->copy_bytes + (j->team ? 0 : j->block_bytes);
}

size_t wino_scratch(const struct wino *q, int threads)
{
    struct job j = {0};

    job_plan(&j, q, threads);
    return j.shared_bytes + (size_t)threads * j.thread_bytes;
}

/* ---- weights: W[point][panel][k][TILE_COLS] ---- */

/* Row k of one panel. By data the taps are reversed and the channels exchanged. */
static void weights_row(const struct job *j, enum conv_dir dir, const REAL *w, int64_t panel, int64_t k)
{
    const struct wino *q = j->q;
    const int cols = (int)min64(q->cols - panel * TILE_COLS, TILE_COLS), taps = q->m[0] == 1 ? 9 : 27;
    const int64_t k_step = (dir == CONV_DX ? q->cols : 1) * taps,
                  col_step = (dir == CONV_DX ? 1 : q->depth) * taps;
    const REAL *from = w + k * k_step + panel * TILE_COLS * col_step;
    REAL block[WINO_TAPS][TILE_COLS];

    for (int i = 0; i < cols; i++, from += col_step)
        for (int t = 0; t < taps; t++)
            block[t][i] = from[dir == CONV_DX ? taps - 1 - t : t];
    j->t->weight((const REAL(*)[TILE_COLS])block, cols / VEC_LANES,
                 j->weights + (panel * q->depth + k) * TILE_COLS, j->weights_point);
}

/* Called by every thread of a team. */
static void weights_transform(const struct job *j, enum conv_dir dir, const REAL *w)
{
#pragma omp for schedule(static) collapse(2)
    for (int64_t panel = 0; panel < j->panels; panel++)
        for (int64_t k = 0; k < j->q->depth; k++)
            weights_row(j, dir, w, panel, k);
}

int64_t wino_packed(const struct wino *q)
{
    struct job j = {0};

    job_plan(&j, q, 1);
    return j.weights_point * q->points;
}

void wino_pack(const struct wino *q, enum conv_dir dir, const struct conv_buf *b)
{
    struct job j = {0};

    job_plan(&j, q, b->threads);
    j.weights = b->work;
#pragma omp parallel num_threads(b->threads)
    weights_transform(&j, dir, b->w);
}

/* ---- products ---- */

/* M = U W of one point for the first `rows` tiles of a block. With several panels U is copied first. */
static void point_multiply(const struct job *j, REAL *u, int64_t rows, int64_t point, REAL *copy)
{
    static const int64_t start[1] = {0};
    const struct wino *q = j->q;
    REAL *m = u + point * j->point;
    struct tile t = {.segments = 1,
                     .depth = q->depth,
                     .a_seg = start,
                     .b_seg = start,
                     .a_row = j->tile,
                     .a_step = 1,
                     .b_step = TILE_COLS,
                     .c_row = j->tile};
    const REAL *a = m;

    if (j->panels > 1) {
        for (int64_t r = 0; r < rows; r++)
            memcpy(copy + r * q->depth, m + r * j->tile, (size_t)q->depth * sizeof(REAL));
        a = copy;
        t.a_row = q->depth;
    }
    for (int64_t i = 0; i < j->panels; i++)
        tile_column(&t, rows, (int)min64(q->cols - i * TILE_COLS, TILE_COLS), a,
                    j->weights + point * j->weights_point + i * q->depth * TILE_COLS, m + i * TILE_COLS);
}

/* ---- blocks ---- */

static int64_t block_pieces(const struct job *j, int64_t block)
{
    return min64(j->block, j->q->pieces - block * j->block);
}

static void piece_input(const struct job *j, REAL *u, int64_t first, int64_t i, const int64_t c[2])
{
    struct wino_part p = wino_part_at(j->q, first + i, j->q->depth);
    const struct wino_block to = {u + wino_tiles(j->q, first, i) * j->tile, j->point, j->tile};

    p.c0 = c[0];
    p.c1 = c[1];
    j->t->input(j->q, &j->source, &p, &to);
}

static void piece_output(const struct job *j, REAL *u, int64_t first, int64_t i, const int64_t c[2])
{
    struct wino_part p = wino_part_at(j->q, first + i, j->q->cols);
    const struct wino_block from = {u + wino_tiles(j->q, first, i) * j->tile, j->point, j->tile};
    struct wino_sink sink = j->sink;

    p.c0 = c[0];
    p.c1 = c[1];
    if (sink.hook)
        sink.sums = j->sums + (first + i) * 2 * j->q->cols;
    j->t->output(j->q, &sink, &p, &from);
}

static void block_private(const struct job *j, int64_t block)
{
    char *part = j->threads + (size_t)omp_get_thread_num() * j->thread_bytes;
    REAL *copy = (REAL *)(void *)part, *u = (REAL *)(void *)(part + j->copy_bytes);
    const int64_t first = block * j->block, pieces = block_pieces(j, block);
    const int64_t from[2] = {0, j->q->depth}, to[2] = {0, j->q->cols};

    for (int64_t i = 0; i < pieces; i++)
        piece_input(j, u, first, i, from);
    for (int64_t p = 0; p < j->q->points; p++)
        point_multiply(j, u, wino_tiles(j->q, first, pieces), p, copy);
    for (int64_t i = 0; i < pieces; i++)
        piece_output(j, u, first, i, to);
}

/* Called by every thread of a team. */
static void block_shared(const struct job *j, REAL *u, int64_t block)
{
    const struct wino *q = j->q;
    REAL *copy = (REAL *)(void *)(j->threads + (size_t)omp_get_thread_num() * j->thread_bytes);
    const int64_t first = block * j->block, pieces = block_pieces(j, block);

#pragma omp for collapse(2) schedule(dynamic)
    for (int64_t i = 0; i < pieces; i++)
        for (int64_t c = 0; c < q->depth; c += SLAB) {
            const int64_t range[2] = {c, min64(c + SLAB, q->depth)};
            piece_input(j, u, first, i, range);
        }
#pragma omp for schedule(dynamic, 4)
    for (int64_t p = 0; p < q->points; p++)
        point_multiply(j, u, wino_tiles(j->q, first, pieces), p, copy);
#pragma omp for collapse(2) schedule(dynamic)
    for (int64_t i = 0; i < pieces; i++)
        for (int64_t c = 0; c < q->cols; c += SLAB) {
            const int64_t range[2] = {c, min64(c + SLAB, q->cols)};
            piece_output(j, u, first, i, range);
        }
}

/* ---- the hooks' sums ---- */

/* Over one sample's pieces in order: mean and variance, or the sums themselves. */
static void sums_finish(const struct job *j, REAL *to, int64_t sample)
{
    const struct wino *q = j->q;
    const int64_t each = q->pieces / q->n, c = q->cols;
    const double voxels = (double)(q->size[0] * q->size[1] * q->size[2]);

    for (int64_t i = 0; i < c; i++) {
        const REAL *at = j->sums + sample * each * 2 * c + i;
        double sum[2] = {0, 0};
        for (int64_t k = 0; k < each; k++, at += 2 * c) {
            sum[0] += (double)at[0];
            sum[1] += (double)at[c];
        }
        if (j->sink.hook == CONV_MOMENTS) {
            sum[0] /= voxels;
            sum[1] = sum[1] / voxels - sum[0] * sum[0];
            sum[1] = sum[1] > 0 ? sum[1] : 0;
        }
        to[sample * 2 * c + i] = (REAL)sum[0];
        to[(sample * 2 + 1) * c + i] = (REAL)sum[1];
    }
}

/* Results that no cache holds are written past it, if they are whole lines. */
static bool streams(const struct wino *q, const void *data, int64_t pitch)
{
    const size_t line = (size_t)pitch * sizeof(REAL);

    return (size_t)(q->n * q->size[0] * q->size[1] * q->size[2]) * line >= STREAM_BYTES &&
           line % WORK_ALIGN == 0 && (uintptr_t)data % WORK_ALIGN == 0;
}

static void job_bind(struct job *j, enum conv_dir dir, const struct conv_buf *b)
{
    const struct wino *q = j->q;
    const bool by_data = dir == CONV_DX;
    char *work = b->work;

    j->source = (struct wino_source){.data = by_data ? b->y : b->x,
                                     .pitch = by_data ? b->y_pitch : b->x_pitch,
                                     .channels = q->depth,
                                     .stage = by_data ? b->y_stage : b->x_stage};
    j->sink =
        (struct wino_sink){.data = by_data ? b->x : b->y,
                           .pitch = by_data ? b->x_pitch : b->y_pitch,
                           .channels = q->cols,
                           .bias = b->bias,
                           .hook = b->z      ? CONV_GATE
                                   : b->sums ? CONV_MOMENTS
                                             : 0,
                           .z = b->z,
                           .gate = b->z_stage,
                           .z_pitch = b->z_pitch,
                           .stream = streams(q, by_data ? b->x : b->y, by_data ? b->x_pitch : b->y_pitch)};
    j->weights = q->packed ? b->w : (REAL *)(void *)work;
    j->sums = (REAL *)(void *)(work + j->weights_bytes);
    j->threads = work + j->shared_bytes;
}

void wino_run(const struct wino *q, enum conv_dir dir, const struct conv_buf *b)
{
    struct job j = {0};

    job_plan(&j, q, b->threads);
    job_bind(&j, dir, b);
    REAL *shared = (REAL *)(void *)((char *)b->work + j.weights_bytes + j.sums_bytes);
#pragma omp parallel num_threads(b->threads)
    {
        if (!q->packed)
            weights_transform(&j, dir, b->w);
        if (j.team) {
            for (int64_t i = 0; i < j.blocks; i++)
                block_shared(&j, shared, i);
        } else {
#pragma omp for schedule(dynamic, 4)
            for (int64_t i = 0; i < j.blocks; i++)
                block_private(&j, i);
        }
        if (b->sums) {
#pragma omp for schedule(static)
            for (int64_t i = 0; i < q->n; i++)
                sums_finish(&j, b->sums, i);
        }
    }
}
