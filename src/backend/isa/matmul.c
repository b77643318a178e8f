#include "backend/isa/matmul.h"
#include "backend/isa/matmul_thin.h"
#include "backend/isa/pack.h"
#include <omp.h>

/* k is cut into blocks, so that a block of B's panel stays in the first cache while rows of A pass:
 *
 *     for each k block:  for each panel of B:  for each block of rows:  C (+)= A block * B block
 *
 * Two forms, chosen by the shape alone:
 *
 *     shared:   the team packs all of B, then takes blocks of rows (times groups of panels);
 *     private:  a task is one matrix of the batch, or one chunk of a long k, and packs what it needs. Chunks
 *               have partial sums of their own, which are added in order at the end.
 *
 * The sums' order follows from the shape: nothing in it depends on the threads or on a vector's width. */
enum {
    DEPTH_MAX = 384,                         /* k of a block */
    ROW_BLOCK = 112 / TILE_ROWS * TILE_ROWS, /* rows of A per task */
    PANEL_GROUP = 16,                        /* panels of B per task */
    PRIVATE_RESULT = 1 << 18,                /* elements of C that a private task may own */
    CHUNK_DEPTH = 2048,
    CHUNKS_MAX = 32,       /* of a long k */
    PARTIAL_MAX = 4 << 20, /* elements of all partial sums of one matrix */
    SHORT_ROW = 32,        /* elements: many such rows, one behind the other, are read in order */
    COPY_GAP = 16          /* between the rows of A's copy, so that they do not share a cache set */
};

struct product {
    const struct matmul_shape *s;
    const struct matmul_buf *b;
    const struct matmul_stage *stage;
    int64_t depth, blocks; /* of k */
    int64_t panels;
    int64_t chunks; /* of k, each a run of blocks */
    bool in_place;  /* B is read where it stands: few rows of A to pass over it or a long k */
    bool ragged; /* and its rows end within a vector: what is read behind them must exist, so not the last */
    bool private, copy_a; /* copy_a: A passes a stage or its columns alias */
    size_t shared_bytes, thread_bytes;
    REAL *packed, *partial, *bias; /* in the shared part of the work buffer */
    char *threads;                 /* the threads' parts */
};

/* Rows of so many elements, one below the other, would share a few cache sets. */
static bool aliases(int64_t columns)
{
    return columns * (int64_t)sizeof(REAL) % 2048 == 0;
}

static void product_plan(struct product *p, const struct matmul_shape *s, bool a_staged, bool b_staged)
{
    const int64_t result = s->m * s->n;

    p->s = s;
    p->blocks = ceil_div(s->k, DEPTH_MAX);
    p->depth = ceil_div(s->k, p->blocks);
    p->blocks = ceil_div(s->k, p->depth);
    p->panels = ceil_div(s->n, TILE_COLS);
    p->copy_a = a_staged || (s->trans_a && aliases(s->m));
    p->chunks = 1;
    if (result <= PRIVATE_RESULT)
        p->chunks = max64(1, min64(min64(s->k / CHUNK_DEPTH, CHUNKS_MAX / s->batch), PARTIAL_MAX / result));
    p->private = result <= PRIVATE_RESULT && s->batch * p->chunks >= 4;
    if (!p->private)
        p->chunks = 1;
    p->ragged = s->n % VEC_LANES;
    p->in_place = !s->trans_b && !b_staged &&
                  (!p->ragged || (p->private && s->batch == 1 && s->n > VEC_LANES)) &&
                  (s->trans_a ? !aliases(s->n) : s->m <= 2 * TILE_ROWS);
}

/* Whether a block of k is read in place. */
static bool block_in_place(const struct product *p, int64_t block)
{
    return p->in_place && !(p->ragged && block == p->blocks - 1);
}

/* Of a block of A: (rows, k) or, transposed, (k, rows). */
static int64_t copy_elements(const struct product *p)
{
    return p->s->trans_a ? p->depth * (ROW_BLOCK + COPY_GAP) : ROW_BLOCK * (p->depth + COPY_GAP);
}

/* Carves the work buffer; with `work` NULL only counts. */
static void product_place(struct product *p, char *work)
{
    const int64_t padded = p->panels * TILE_COLS;
    const size_t packed =
        p->in_place && !p->ragged ? 0 : work_bytes(padded * (p->private ? p->depth : p->s->k));
    const size_t partial = p->chunks > 1 ? work_bytes(p->s->batch * p->chunks * p->s->m * p->s->n) : 0;
    const size_t copy = p->copy_a ? work_bytes(copy_elements(p)) : 0;

    p->shared_bytes = work_bytes(padded) + partial + (p->private ? 0 : packed);
    p->thread_bytes = copy + (p->private ? packed : 0);
    if (!work)
        return;
    p->bias = (REAL *)(void *)work;
    p->partial = (REAL *)(void *)(work + work_bytes(padded));
    p->packed = (REAL *)(void *)(work + work_bytes(padded) + partial);
    p->threads = work + p->shared_bytes;
}

size_t matmul_scratch(const struct matmul_shape *s, int threads, bool staged)
{
    struct product p = {0};

    if (matmul_thin_accepts(s))
        return matmul_thin_scratch(s);
    product_plan(&p, s, staged, staged);
    product_place(&p, NULL);
    return p.shared_bytes + (size_t)threads * p.thread_bytes;
}

/* This thread's copy of A's block and, for private tasks, its block of B behind it. */
static REAL *thread_part(const struct product *p)
{
    return (REAL *)(void *)(p->threads + (size_t)omp_get_thread_num() * p->thread_bytes);
}

static REAL *private_panels(const struct product *p)
{
    return thread_part(p) + (p->copy_a ? work_bytes(copy_elements(p)) / sizeof(REAL) : 0);
}

static int panel_cols(const struct product *p, int64_t panel)
{
    return (int)min64(p->s->n - panel * TILE_COLS, TILE_COLS);
}

static int64_t block_depth(const struct product *p, int64_t block)
{
    return min64(p->s->k - block * p->depth, p->depth);
}

/* How many of the voxels from `row` on belong to its sample: all without a stage. */
static int64_t sample_rows(const struct product *p, const REAL *stage, int64_t row, int64_t count)
{
    return stage ? min64(count, p->stage->rows - row % p->stage->rows) : count;
}

static struct stage stage_of(const struct product *p, const REAL *stage, int64_t channels,
                             const int64_t at[2] /* row, channel */)
{
    return stage ? stage_at(stage, channels, at[0] / p->stage->rows, at[1]) : (struct stage){0};
}

/* Packs one panel of one k block of B. */
static void b_pack(const struct product *p, const REAL *b, int64_t block, int64_t panel, REAL *to)
{
    const int64_t pitch = p->b->b_pitch, k0 = block * p->depth, col = panel * TILE_COLS;
    const int64_t depth = block_depth(p, block);
    int64_t count;

    if (p->s->trans_b) {
        const struct pack_source s = {.from = b + col * pitch + k0, .k_step = 1, .col_step = pitch};
        pack_panel(to, &s, depth, panel_cols(p, panel));
        return;
    }
    for (int64_t k = k0; k < k0 + depth; k += count, to += count * TILE_COLS) {
        count = sample_rows(p, p->stage->b, k, k0 + depth - k);
        const struct pack_source s = {b + k * pitch + col, pitch, 1,
                                      stage_of(p, p->stage->b, p->s->n, (const int64_t[2]){k, col})};
        pack_panel(to, &s, count, panel_cols(p, panel));
    }
}

/* Copies a block of A through its stage: `size` stored (rows, elements), from `at` on. Returns the copy's
 * pitch. */
static int64_t a_copy(const struct product *p, const REAL *a, const int64_t at[2], const int64_t size[2],
                      REAL *to)
{
    const int64_t channels = p->s->trans_a ? p->s->m : p->s->k;
    struct pack_span span = {.channels = size[1], .pitch = p->b->a_pitch, .to_pitch = size[1] + COPY_GAP};

    for (int64_t i = 0; i < size[0]; i += span.count) {
        span.count = span.size = sample_rows(p, p->stage->a, at[0] + i, size[0] - i);
        span.stage = stage_of(p, p->stage->a, channels, (const int64_t[2]){at[0] + i, at[1]});
        pack_row(to + i * span.to_pitch, a + (at[0] + i) * span.pitch + at[1], &span);
    }
    return span.to_pitch;
}

struct part {
    int64_t row0, row1, panel0, panel1; /* of C */
    int64_t c_pitch;
    bool first;    /* stores instead of adding */
    bool stream;   /* past the caches */
    const REAL *b; /* the whole matrix */
    const REAL *bias;
};

/* C part (+)= A rows * one k block of packed panels; `panels` points at the packed block's panel0. */
static void block_multiply(const struct product *p, const struct part *q, int64_t block, const REAL *a,
                           const REAL *panels, REAL *c)
{
    const int64_t depth = block_depth(p, block), k = block * p->depth, zero = 0;
    const int64_t rows = q->row1 - q->row0;
    const bool trans = p->s->trans_a, in_place = block_in_place(p, block);
    int64_t pitch = p->b->a_pitch;

    const int64_t at[2] = {trans ? k : q->row0, trans ? q->row0 : k};
    if (p->copy_a) {
        pitch =
            a_copy(p, a, at, (const int64_t[2]){trans ? depth : rows, trans ? rows : depth}, thread_part(p));
        a = thread_part(p);
    } else {
        a += at[0] * pitch + at[1];
    }
    struct tile t = {.segments = 1,
                     .depth = depth,
                     .a_seg = &zero,
                     .b_seg = &zero,
                     .a_row = trans ? 1 : pitch,
                     .a_step = trans ? pitch : 1,
                     .b_step = in_place ? p->b->b_pitch : TILE_COLS,
                     .b_next = in_place ? TILE_COLS : depth * TILE_COLS,
                     .c_row = q->c_pitch,
                     .add = !q->first,
                     .stream = q->stream};

    /* the next block of rows, a share with every panel: scattered reads of rows find no prefetcher */
    const bool scattered = pitch > depth || depth > SHORT_ROW;
    const int64_t next = trans || p->copy_a || !scattered ? 0 : min64(ROW_BLOCK, p->s->m - q->row1);
    for (int64_t j = q->panel0, take; j < q->panel1; j += take) {
        const int64_t left = min64(p->s->n, q->panel1 * TILE_COLS) - j * TILE_COLS;
        take = tile_panels(rows, left);
        const int64_t begin = next * (j - q->panel0) / (q->panel1 - q->panel0);
        const int64_t end = next * (j + take - q->panel0) / (q->panel1 - q->panel0);
        t.ahead = (struct ahead){a + (rows + begin) * pitch, end - begin, pitch, depth};
        t.bias = q->bias ? q->bias + j * TILE_COLS : NULL;
        const REAL *b = in_place ? q->b + k * p->b->b_pitch + j * TILE_COLS
                                 : panels + (j - q->panel0) * depth * TILE_COLS;
        tile_column(&t, rows, (int)min64(left, take * TILE_COLS), a, b,
                    c + q->row0 * q->c_pitch + j * TILE_COLS);
    }
}

/* ---- shared: one matrix after the other, the team inside ---- */

static const REAL *shared_panels(const struct product *p, int64_t block, int64_t panel)
{
    return p->packed + (block * p->depth * p->panels + panel * block_depth(p, block)) * TILE_COLS;
}

static void shared_part(const struct product *p, int64_t group, int64_t row, const REAL *const ab[2], REAL *c)
{
    struct part q = {.row0 = row,
                     .row1 = min64(row + ROW_BLOCK, p->s->m),
                     .panel0 = group * PANEL_GROUP,
                     .panel1 = min64((group + 1) * PANEL_GROUP, p->panels),
                     .c_pitch = p->b->c_pitch,
                     .b = ab[1],
                     .stream =
                         p->blocks == 1 && tile_may_stream(c, p->b->c_pitch, p->s->n, p->s->m * p->s->n),
                     .bias = p->b->bias ? p->bias : NULL};

    for (int64_t k = 0; k < p->blocks; k++) {
        q.first = k == 0;
        block_multiply(p, &q, k, ab[0], shared_panels(p, k, q.panel0), c);
    }
}

static void shared_run(const struct product *p, const REAL *a, const REAL *b, REAL *c, bool pack)
{
    const int64_t groups = ceil_div(p->panels, PANEL_GROUP), row_blocks = ceil_div(p->s->m, ROW_BLOCK);

#pragma omp parallel num_threads(p->b->threads)
    {
        if (pack) {
#pragma omp for schedule(dynamic) collapse(2)
            for (int64_t k = 0; k < p->blocks; k++)
                for (int64_t j = 0; j < p->panels; j++)
                    b_pack(p, b, k, j, (REAL *)shared_panels(p, k, j));
        }
#pragma omp for schedule(dynamic) collapse(2)
        for (int64_t g = 0; g < groups; g++)
            for (int64_t r = 0; r < row_blocks; r++)
                shared_part(p, g, r * ROW_BLOCK, (const REAL *const[2]){a, b}, c);
    }
}

/* ---- private: matrices of the batch times chunks of k ---- */

static void private_task(const struct product *p, const REAL *a, const REAL *b, REAL *c, int64_t chunk)
{
    const int64_t block0 = p->blocks * chunk / p->chunks, block1 = p->blocks * (chunk + 1) / p->chunks;
    const bool whole = p->chunks == 1;
    struct part q = {.panel1 = p->panels,
                     .c_pitch = whole ? p->b->c_pitch : p->s->n,
                     .b = b,
                     .bias = whole && p->b->bias ? p->bias : NULL};
    REAL *panels = private_panels(p);

    for (int64_t k = block0; k < block1; k++) {
        for (int64_t j = 0; j < p->panels && !block_in_place(p, k); j++)
            b_pack(p, b, k, j, panels + j * block_depth(p, k) * TILE_COLS);
        q.first = k == block0;
        for (q.row0 = 0; q.row0 < p->s->m; q.row0 = q.row1) {
            q.row1 = min64(q.row0 + ROW_BLOCK, p->s->m);
            block_multiply(p, &q, k, a, panels, c);
        }
    }
}

/* One row of C = the chunks' partial sums, added in order, and the bias. */
static void partials_add(const struct product *p, int64_t matrix, int64_t row)
{
    const int64_t n = p->s->n, result = p->s->m * n;
    const REAL *from = p->partial + matrix * p->chunks * result + row * n;
    REAL *c = (REAL *)p->b->c + matrix * p->b->c_batch + row * p->b->c_pitch;

    for (int64_t i = 0; i < n; i++)
        c[i] = from[i];
    for (int64_t g = 1; g < p->chunks; g++)
        for (int64_t i = 0; i < n; i++)
            c[i] += from[g * result + i];
    for (int64_t i = 0; p->b->bias && i < n; i++)
        c[i] += p->bias[i];
}

static void private_run(const struct product *p)
{
    const struct matmul_buf *b = p->b;
    const int64_t result = p->s->m * p->s->n;

#pragma omp parallel num_threads(b->threads)
    {
#pragma omp for schedule(dynamic) collapse(2)
        for (int64_t i = 0; i < p->s->batch; i++)
            for (int64_t g = 0; g < p->chunks; g++)
                private_task(p, (const REAL *)b->a + i * b->a_batch, (const REAL *)b->b + i * b->b_batch,
                             p->chunks > 1 ? p->partial + (i * p->chunks + g) * result
                                           : (REAL *)b->c + i * b->c_batch,
                             g);
        if (p->chunks > 1) {
#pragma omp for schedule(static) collapse(2)
            for (int64_t i = 0; i < p->s->batch; i++)
                for (int64_t r = 0; r < p->s->m; r++)
                    partials_add(p, i, r);
        }
    }
}

void matmul_run(const struct matmul_shape *s, const struct matmul_buf *b, const struct matmul_stage *stage)
{
    struct product p = {.b = b, .stage = stage};

    if (matmul_thin_accepts(s)) {
        matmul_thin_run(s, b, stage);
        return;
    }
    product_plan(&p, s, stage->a, stage->b);
    product_place(&p, b->work);
    if (b->bias)
        pack_bias(p.bias, b->bias, s->n);
    if (p.private) {
        private_run(&p);
        return;
    }
    for (int64_t i = 0; i < s->batch; i++)
        shared_run(&p, (const REAL *)b->a + i * b->a_batch, (const REAL *)b->b + i * b->b_batch,
                   (REAL *)b->c + i * b->c_batch, !p.in_place && (i == 0 || b->b_batch));
}
