#include "backend/isa/conv.h"
#include "backend/isa/pack.h"

/* Padding other than zero where the kernels do not read through it.
 *
 * By data: the zero-padded convolution writes x; then up to six slabs of what lies around x, which a mirrored
 * or nearest voxel stood for, are convolved too and added to the voxels that stood there. Slab (axis, side)
 * is as thick as the padding; axes before its own have x's extent, axes behind it the padding too:
 *
 *     +---+-----------+---+
 *     |    (H, low)       |     D apart: (D, low) and (D, high) are planes like this one, whole
 *     +---+-----------+---+
 *     |(W,|     x     |(W,|
 *     |low|           |hi)|
 *     +---+-----------+---+
 *     |    (H, high)      |
 *     +---+-----------+---+
 *
 * Each row of x is added to by one thread, in a fixed order.
 *
 * Depthwise, forward and by weights: its kernels read x where it stands, so it stands in a padded copy. */
struct edge {
    const struct conv_shape *s;
    struct conv_shape plain;      /* with zero padding or, depthwise, with the padding as part of x */
    struct conv_shape slab[3][2]; /* axis; low, high */
    REAL *at[3][2];               /* dense, (N, D, H, W, Ci) of the slab */
    size_t bytes[3][2], front;    /* front: of all slabs or of the copy */
    size_t work;                  /* the convolutions' own */
};

bool conv_edge_accepts(const struct conv_shape *s, enum conv_dir dir)
{
    return s->outside && (dir == CONV_DX || conv_depth_accepts(s));
}

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static struct conv_shape slab_shape(const struct conv_shape *plain, int axis, int side)
{
    struct conv_shape s = *plain;

    s.exact = true;
    s.in[axis] = plain->pad[axis];
    s.pad[axis] = side ? plain->pad[axis] + plain->in[axis] : 0;
    for (int i = axis + 1; i < 3; i++) {
        s.in[i] += 2 * s.pad[i];
        s.pad[i] = 0;
    }
    return s;
}

static void edge_plan(struct edge *e, const struct conv_shape *s, enum conv_dir dir, int threads)
{
    e->s = s;
    e->plain = *s;
    e->plain.outside = CONV_PAD_ZERO;
    e->plain.packed = false;
    for (int i = 0; i < 3 && dir != CONV_DX; i++) {
        e->plain.in[i] += 2 * s->pad[i];
        e->plain.pad[i] = 0;
    }
    e->work = conv_scratch(&e->plain, dir, threads);
    if (dir != CONV_DX)
        e->front = work_bytes(conv_voxels(s->n, e->plain.in) * s->ci);
    for (int i = 0; i < 6 && dir == CONV_DX; i++) {
        struct conv_shape *slab = &e->slab[i / 2][i % 2];
        if (!s->pad[i / 2])
            continue;
        *slab = slab_shape(&e->plain, i / 2, i % 2);
        e->bytes[i / 2][i % 2] = work_bytes(conv_voxels(s->n, slab->in) * s->ci);
        e->front += e->bytes[i / 2][i % 2];
        e->work = max_size(e->work, conv_scratch(slab, dir, threads));
    }
}

size_t conv_edge_scratch(const struct conv_shape *s, enum conv_dir dir, int threads)
{
    struct edge e = {0};

    edge_plan(&e, s, dir, threads);
    return e.front + e.work;
}

/* ---- by data ---- */

/* Position k of 2 pad + 1 on an axis of which position `own` is: those outside and `own` itself, ascending.
 */
static int64_t place_at(const struct edge *e, int axis, int64_t own, int64_t k)
{
    const int64_t pad = e->s->pad[axis];

    return k < pad ? k - pad : k == pad ? own : e->s->in[axis] + k - pad - 1;
}

static bool stands_for(const struct edge *e, int axis, int64_t place, int64_t own)
{
    return conv_position(e->s->outside, place, e->s->in[axis]) == own;
}

/* The first voxel of row (d, h) of sample n of a slab; d and h count within x. */
static const REAL *slab_row(const struct edge *e, const int64_t at[3] /* n, d, h */, int axis, int side)
{
    const struct conv_shape *slab = &e->slab[axis][side];
    int64_t row = at[0];

    for (int i = 0; i < 2; i++) {
        const int64_t begin = i < axis ? 0 : i > axis || !side ? -e->s->pad[i] : e->s->in[i];
        row = row * slab->in[i] + at[1 + i] - begin;
    }
    return e->at[axis][side] + row * slab->in[2] * e->s->ci;
}

/* to[place's voxel] += from[place] for `count` places from `first` on along w */
static void places_add(const struct edge *e, REAL *to, int64_t pitch, const REAL *from,
                       const int64_t range[2])
{
    for (int64_t i = range[0]; i < range[1]; i++, from += e->s->ci) {
        REAL *voxel = to + conv_position(e->s->outside, i, e->s->in[2]) * pitch;
        for (int64_t c = 0; c < e->s->ci; c++)
            voxel[c] += from[c];
    }
}

/* Adds what belongs to row (d, h) of x, sample n, from all slabs. */
static void row_add(const struct edge *e, const int64_t own[3] /* n, d, h */, REAL *to, int64_t pitch)
{
    const int64_t *pad = e->s->pad, width = e->s->in[2];
    int64_t at[3] = {own[0], 0, 0};

    for (int64_t i = 0; i <= 2 * pad[0]; i++) {
        at[1] = place_at(e, 0, own[1], i);
        for (int64_t j = 0; j <= 2 * pad[1] && stands_for(e, 0, at[1], own[1]); j++) {
            at[2] = place_at(e, 1, own[2], j);
            if (!stands_for(e, 1, at[2], own[2]))
                continue;
            if (i != pad[0] || j != pad[1]) {
                const int axis = i != pad[0] ? 0 : 1;
                const int side = axis == 0 ? i > pad[0] : j > pad[1];
                places_add(e, to, pitch, slab_row(e, at, axis, side),
                           (const int64_t[2]){-pad[2], width + pad[2]});
            } else if (pad[2]) {
                places_add(e, to, pitch, slab_row(e, at, 2, 0), (const int64_t[2]){-pad[2], 0});
                places_add(e, to, pitch, slab_row(e, at, 2, 1), (const int64_t[2]){width, width + pad[2]});
            }
        }
    }
}

static void by_data(struct edge *e, const struct conv_buf *b)
{
    const int64_t *in = e->s->in, planes = e->s->n * in[0];
    struct conv_buf part = *b;
    char *front = b->work;

    part.work = front + e->front;
    conv_run(&e->plain, CONV_DX, &part);
    part.x_pitch = e->s->ci;
    part.bias = NULL;
    for (int i = 0; i < 6; i++) {
        part.x = e->at[i / 2][i % 2] = (REAL *)(void *)front;
        front += e->bytes[i / 2][i % 2];
        if (e->s->pad[i / 2])
            conv_run(&e->slab[i / 2][i % 2], CONV_DX, &part);
    }
#pragma omp parallel for num_threads(b->threads) schedule(static) collapse(2)
    for (int64_t i = 0; i < planes; i++)
        for (int64_t h = 0; h < in[1]; h++)
            row_add(e, (const int64_t[3]){i / in[0], i % in[0], h},
                    (REAL *)b->x + (i * in[1] + h) * in[2] * b->x_pitch, b->x_pitch);
}

/* ---- depthwise ---- */

static void padded_copy(const struct edge *e, const struct conv_buf *b, REAL *to)
{
    const int64_t *in = e->s->in, *all = e->plain.in, *pad = e->s->pad;
    const struct pack_span span = {.first = -pad[2],
                                   .count = all[2],
                                   .size = in[2],
                                   .outside = e->s->outside,
                                   .channels = e->s->ci,
                                   .pitch = b->x_pitch,
                                   .to_pitch = e->s->ci};

#pragma omp parallel for num_threads(b->threads) schedule(static) collapse(2)
    for (int64_t i = 0; i < e->s->n * all[0]; i++)
        for (int64_t j = 0; j < all[1]; j++) {
            const int64_t d = conv_position(e->s->outside, i % all[0] - pad[0], in[0]);
            const int64_t h = conv_position(e->s->outside, j - pad[1], in[1]);
            const int64_t row = (i / all[0] * in[0] + d) * in[1] + h;
            pack_row(to + (i * all[1] + j) * all[2] * e->s->ci, (const REAL *)b->x + row * in[2] * b->x_pitch,
                     &span);
        }
}

void conv_edge_run(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b)
{
    struct edge e = {0};
    struct conv_buf copied = *b;

    edge_plan(&e, s, dir, b->threads);
    if (dir == CONV_DX) {
        by_data(&e, b);
        return;
    }
    copied.x = b->work;
    copied.x_pitch = s->ci;
    copied.work = (char *)b->work + e.front;
    padded_copy(&e, b, copied.x);
    conv_run(&e.plain, dir, &copied);
}
