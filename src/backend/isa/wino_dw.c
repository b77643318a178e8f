#include "backend/isa/wino.h"
#include <omp.h>
#include <string.h>

/* By weights: for blocks of pieces
 *
 *     U = B' x,  V = A dy        products[point][tile][channel]
 *     S += U' V                  for each point; (Ci, Co)
 *
 * and at the end dw = G' S. The block is part of the order of the sums, so the shape alone decides it. Small
 * weights: the blocks are cut into chunks, each with sums of its own that end as weights and are added in
 * order. Large ones: all threads do one block after another, and each point's sums belong to one of them; of
 * few tiles, some channels of x after the others. */
enum {
    TILES = 24,           /* of a block with sums per chunk, 1024 weights a tap */
    TILES_WIDE = 24,      /* the same up to CHUNKED_MAX */
    TILES_TEAM = 108,     /* of a shared block up to TEAM_CHANNELS */
    TILES_TEAM_WIDE = 60, /* above */
    TEAM_CHANNELS = 128,  /* of x and y together */
    CHUNKED_MAX = 2048,   /* weights a tap up to which chunks have sums of their own */
    CHUNKS_MAX = 32,
    CHUNK_BLOCKS = 4,       /* of a chunk, at least */
    PARTIAL_MAX = 16 << 20, /* elements of all partial sums */
    SLAB = 32,              /* channels of a task that transforms a part of a shared block */
    SUM_ROWS = 42,          /* channels of x whose sums are made, and used, while they stay in a cache ... */
    SUM_TILES = 32,         /* ... if so few tiles pass that reading them again costs less */
    TAPS_MAX = 27,
    COLUMNS = 64, /* of y, whose weights are turned at a time */
};

struct job {
    const struct wino *q;
    const struct wino_transforms *t;
    bool chunked;
    int taps;
    int64_t block, blocks, chunks; /* pieces of a block; blocks; chunks of blocks */
    int64_t pairs, sum_point, u_point, v_point;
    int64_t sum_rows; /* channels of x in S */
    size_t partial_bytes, u_bytes, v_bytes, sum_bytes, thread_bytes;
    /* set for a run */
    struct wino_source x, dy;
    REAL *w;       /* (Co, Ci, taps) */
    REAL *partial; /* (chunks, taps, Ci, Co) if chunked */
    char *work;    /* U, V and S, of a thread or of the team */
};

static int64_t block_tiles(const struct wino *q)
{
    const int64_t pairs = q->depth * q->cols;

    if (pairs <= CHUNKED_MAX)
        return pairs <= CHUNKED_MAX / 2 ? TILES : TILES_WIDE;
    return q->depth + q->cols <= TEAM_CHANNELS ? TILES_TEAM : TILES_TEAM_WIDE;
}

static void job_plan(struct job *j, const struct wino *q)
{
    j->q = q;
    j->t = &wino_transforms[q->variant];
    j->taps = q->m[0] == 1 ? 9 : 27;
    j->pairs = q->depth * q->cols;
    j->chunked = j->pairs <= CHUNKED_MAX;
    j->block = min64(max64(1, block_tiles(q) / q->piece), q->pieces);
    j->blocks = ceil_div(q->pieces, j->block);
    j->chunks = j->chunked
                    ? min64(CHUNKS_MAX, min64(j->blocks / CHUNK_BLOCKS, PARTIAL_MAX / (j->taps * j->pairs)))
                    : 1;
    j->chunks = max64(j->chunks, 1);
    const bool few = !j->chunked && j->blocks == 1 && wino_tiles(q, 0, q->pieces) <= SUM_TILES;
    j->sum_rows = few ? min64(SUM_ROWS, q->depth) : q->depth;
    j->sum_point = wino_point_step(j->sum_rows * q->cols);
    j->u_point = wino_point_step(j->block * q->piece * q->depth);
    j->v_point = wino_point_step(j->block * q->piece * q->cols);
    j->partial_bytes = j->chunked ? work_bytes(j->chunks * j->taps * j->pairs) : 0;
    j->u_bytes = work_bytes(j->u_point * q->points);
    j->v_bytes = work_bytes(j->v_point * q->points);
    j->sum_bytes = work_bytes(j->sum_point * q->points);
    j->thread_bytes = j->u_bytes + j->v_bytes + j->sum_bytes;
}

size_t wino_dw_scratch(const struct wino *q, int threads)
{
    struct job j = {0};

    job_plan(&j, q);
    return j.partial_bytes + (size_t)(j.chunked ? threads : 1) * j.thread_bytes;
}

/* U, V and S within a thread's or the team's part of the work buffer. */
struct space {
    REAL *u, *v, *sum;
};

static struct space space_at(const struct job *j, int thread)
{
    char *part = j->work + (size_t)thread * j->thread_bytes;

    return (struct space){(REAL *)(void *)part, (REAL *)(void *)(part + j->u_bytes),
                          (REAL *)(void *)(part + j->u_bytes + j->v_bytes)};
}

static void piece_x(const struct job *j, const struct space *s, int64_t first, int64_t i, const int64_t c[2])
{
    struct wino_part p = wino_part_at(j->q, first + i, j->q->depth);
    const struct wino_block to = {s->u + wino_tiles(j->q, first, i) * j->q->depth, j->u_point, j->q->depth};

    p.c0 = c[0];
    p.c1 = c[1];
    j->t->input(j->q, &j->x, &p, &to);
}

static void piece_dy(const struct job *j, const struct space *s, int64_t first, int64_t i, const int64_t c[2])
{
    struct wino_part p = wino_part_at(j->q, first + i, j->q->cols);
    const struct wino_block to = {s->v + wino_tiles(j->q, first, i) * j->q->cols, j->v_point, j->q->cols};

    p.c0 = c[0];
    p.c1 = c[1];
    j->t->gradient(j->q, &j->dy, &p, &to);
}

/* S (+)= U' V of one point over the block's tiles, channels ci[0] .. ci[1] - 1 of x. */
static void point_multiply(const struct job *j, const struct space *s, int64_t tiles, int64_t point,
                           const int64_t ci[2], bool add)
{
    static const int64_t start[1] = {0};
    const struct wino *q = j->q;
    const struct tile t = {.segments = 1,
                           .depth = tiles,
                           .a_seg = start,
                           .b_seg = start,
                           .a_row = 1,
                           .a_step = q->depth,
                           .b_step = q->cols,
                           .c_row = q->cols,
                           .add = add};

    for (int64_t c = 0; c < q->cols; c += TILE_COLS)
        tile_column(&t, ci[1] - ci[0], (int)min64(q->cols - c, TILE_COLS), s->u + point * j->u_point + ci[0],
                    s->v + point * j->v_point + c, s->sum + point * j->sum_point + c);
}

/* G' of some columns of one row of S (one channel of x): to[tap][column], taps `step` apart */
static void row_finish(const struct job *j, const REAL *sum, int64_t count, REAL *to, int64_t step)
{
    for (int64_t c = 0; c < count; c += VEC_LANES)
        j->t->weight_sum(sum + c, j->sum_point, to + c, step);
}

/* w of one channel of x and `count` channels of y from c on, by way of a small block: the rows of w lie at
 * distances that share a cache set. */
static void weights_put(const struct job *j, const REAL *block, int64_t ci, const int64_t c[2])
{
    const int64_t step = j->q->depth * j->taps;

    pack_transpose(j->w + c[0] * step + ci * j->taps, step, block, COLUMNS,
                   (const int64_t[2]){j->taps, c[1] - c[0]});
}

static void chunk_run(const struct job *j, int64_t chunk)
{
    const struct wino *q = j->q;
    const struct space s = space_at(j, omp_get_thread_num());
    const int64_t begin = j->blocks * chunk / j->chunks, end = j->blocks * (chunk + 1) / j->chunks;
    const int64_t x[2] = {0, q->depth}, dy[2] = {0, q->cols};

    for (int64_t b = begin; b < end; b++) {
        const int64_t first = b * j->block, pieces = min64(j->block, q->pieces - first);
        for (int64_t i = 0; i < pieces; i++) {
            piece_x(j, &s, first, i, x);
            piece_dy(j, &s, first, i, dy);
        }
        for (int64_t p = 0; p < q->points; p++)
            point_multiply(j, &s, wino_tiles(j->q, first, pieces), p, x, b > begin);
    }
    REAL *to = j->partial + chunk * j->taps * j->pairs;
    for (int64_t ci = 0; ci < q->depth; ci++)
        row_finish(j, s.sum + ci * q->cols, q->cols, to + ci * q->cols, j->pairs);
}

/* The transforms of a block, by a team. */
static void team_transform(const struct job *j, const struct space *s, int64_t first, int64_t pieces)
{
    const struct wino *q = j->q;

#pragma omp for collapse(2) schedule(dynamic) nowait
    for (int64_t i = 0; i < pieces; i++)
        for (int64_t c = 0; c < q->depth; c += SLAB) {
            const int64_t range[2] = {c, min64(c + SLAB, q->depth)};
            piece_x(j, s, first, i, range);
        }
#pragma omp for collapse(2) schedule(dynamic)
    for (int64_t i = 0; i < pieces; i++)
        for (int64_t c = 0; c < q->cols; c += SLAB) {
            const int64_t range[2] = {c, min64(c + SLAB, q->cols)};
            piece_dy(j, s, first, i, range);
        }
}

/* w of channels ci[0] .. ci[1] - 1 of x, by a team. */
static void team_finish(const struct job *j, const struct space *s, const int64_t ci[2])
{
    const int64_t cols = j->q->cols;

#pragma omp for schedule(static) collapse(2)
    for (int64_t c = 0; c < cols; c += COLUMNS)
        for (int64_t i = ci[0]; i < ci[1]; i++) {
            const int64_t range[2] = {c, min64(c + COLUMNS, cols)};
            REAL block[TAPS_MAX][COLUMNS];
            row_finish(j, s->sum + (i - ci[0]) * cols + c, range[1] - c, block[0], COLUMNS);
            weights_put(j, block[0], i, range);
        }
}

/* Called by every thread of a team. */
static void team_run(const struct job *j)
{
    const struct wino *q = j->q;
    const struct space s = space_at(j, 0);

    for (int64_t b = 0; b < j->blocks; b++) {
        const int64_t first = b * j->block, pieces = min64(j->block, q->pieces - first);
        team_transform(j, &s, first, pieces);
        for (int64_t ci[2] = {0}; ci[0] < q->depth; ci[0] = ci[1]) {
            ci[1] = min64(ci[0] + j->sum_rows, q->depth);
#pragma omp for schedule(static)
            for (int64_t p = 0; p < q->points; p++)
                point_multiply(j, &s, wino_tiles(j->q, first, pieces), p, ci, b > 0);
            if (b == j->blocks - 1)
                team_finish(j, &s, ci);
        }
    }
}

/* One channel of x: the chunks' sums in order. */
static void chunks_add(const struct job *j, int64_t ci)
{
    for (int64_t c = 0; c < j->q->cols; c += COLUMNS) {
        const int64_t range[2] = {c, min64(c + COLUMNS, j->q->cols)};
        REAL block[TAPS_MAX][COLUMNS];
        for (int t = 0; t < j->taps; t++) {
            const REAL *from = j->partial + t * j->pairs + ci * j->q->cols + c;
            memcpy(block[t], from, (size_t)(range[1] - c) * sizeof(REAL));
            for (int64_t g = 1; g < j->chunks; g++)
                for (int64_t i = 0; i < range[1] - c; i++)
                    block[t][i] += from[g * j->taps * j->pairs + i];
        }
        weights_put(j, block[0], ci, range);
    }
}

void wino_dw_run(const struct wino *q, const struct conv_buf *b)
{
    struct job j = {0};

    job_plan(&j, q);
    j.x = (struct wino_source){.data = b->x, .pitch = b->x_pitch, .channels = q->depth, .stage = b->x_stage};
    j.dy = (struct wino_source){.data = b->y, .pitch = b->y_pitch, .channels = q->cols};
    j.w = b->w;
    j.partial = b->work;
    j.work = (char *)b->work + j.partial_bytes;
#pragma omp parallel num_threads(b->threads)
    {
        if (j.chunked) {
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < j.chunks; i++)
                chunk_run(&j, i);
#pragma omp for schedule(static)
            for (int64_t ci = 0; ci < q->depth; ci++)
                chunks_add(&j, ci);
        } else {
            team_run(&j);
        }
    }
}
