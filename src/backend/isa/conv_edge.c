#include "backend/isa/conv.h"
#include "backend/isa/pack.h"

/* Padding other than zero where the kernels do not read through it.
 *
 * By data: the zero-padded convolution writes x. What lies around x, where a mirrored or nearest voxel stood,
 * is convolved too, in up to six slabs, and added to the voxels that stood there:
 *
 *     +---+-----------+---+
 *     |      (H, low)     |     (D, low) and (D, high) are planes like this one, whole
 *     +---+-----------+---+
 *     |(W,|     x     |(W,|     a slab is as thick as the padding; axes before its own have x's extent, those
 *     |low|           |hi)|     behind it the padding too
 *     +---+-----------+---+
 *     |     (H, high)     |
 *     +---+-----------+---+
 *
 * A slab is a convolution by data of the few planes of y and taps along its axis that reach it. They are
 * copied with that axis first, so that rows are long and one plane of a 3 x 3 x 3 kernel is a 1 x 3 x 3
 * convolution. Each row of x is added to by one thread, in a fixed order.
 *
 * Depthwise, forward and by weights: its kernels read x where it stands, so it stands in a padded copy. */
struct slab {
    int axis[3]; /* its own, then the other two */
    bool high;
    int64_t y0, tap0;    /* first plane and tap along its axis */
    struct conv_shape s; /* axes in that order */
    REAL *at;            /* dense (N, in, Ci) */
    size_t bytes, y_bytes, w_bytes;
};

struct edge {
    const struct conv_shape *s;
    struct conv_shape plain; /* with zero padding or, depthwise, with the padding as part of x */
    struct slab slab[3][2];  /* axis; low, high */
    size_t front, work;      /* bytes of all slabs or of the copy; of what a convolution needs besides */
};

/* A row of x along w. */
struct row {
    REAL *at;
    int64_t pitch;
};

bool conv_edge_accepts(const struct conv_shape *s, enum conv_dir dir)
{
    return s->outside && (dir == CONV_DX || conv_depth_accepts(s));
}

/* The planes and taps that reach the slab: stride (y0 + y) + dilation (tap0 + tap) - pad counts from x's
 * first voxel. */
static void slab_reach(struct slab *b, const struct conv_shape *s, int axis)
{
    const int64_t n = s->in[axis], out = s->out[axis], k = s->kernel[axis], pad = s->pad[axis];
    const int64_t stride = s->stride[axis], dilation = s->dilation[axis], end = n + pad;

    b->s.in[0] = pad;
    if (!b->high) {
        b->s.out[0] = min64(ceil_div(pad, stride), out);
        b->s.kernel[0] = min64(ceil_div(pad, dilation), k);
        return;
    }
    b->y0 = max64(0, min64(ceil_div(end - dilation * (k - 1), stride), out - 1));
    b->tap0 = max64(0, min64(ceil_div(end - stride * (out - 1), dilation), k - 1));
    if (stride * b->y0 + dilation * b->tap0 > end)
        b->y0 = b->tap0 = 0;
    b->s.out[0] = out - b->y0;
    b->s.kernel[0] = k - b->tap0;
    b->s.pad[0] = end - stride * b->y0 - dilation * b->tap0;
}

static void slab_plan(struct slab *b, const struct conv_shape *plain, int axis, bool high)
{
    const int order[3] = {axis, axis == 0, axis == 2 ? 1 : 2};

    b->s = *plain;
    b->high = high;
    for (int i = 0; i < 3; i++) {
        const int from = b->axis[i] = order[i];
        const int64_t pad = from > axis ? plain->pad[from] : 0;
        b->s.in[i] = plain->in[from] + 2 * pad;
        b->s.out[i] = plain->out[from];
        b->s.kernel[i] = plain->kernel[from];
        b->s.stride[i] = plain->stride[from];
        b->s.dilation[i] = plain->dilation[from];
        b->s.pad[i] = from < axis ? plain->pad[from] : 0;
    }
    slab_reach(b, plain, axis);
    b->bytes = work_bytes(conv_voxels(b->s.n, b->s.in) * b->s.ci);
    b->y_bytes = work_bytes(conv_voxels(b->s.n, b->s.out) * b->s.co);
    b->w_bytes = work_bytes(b->s.co * (b->s.ci / b->s.groups) * conv_taps(&b->s));
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
        struct slab *b = &e->slab[i / 2][i % 2];
        if (!s->pad[i / 2])
            continue;
        slab_plan(b, &e->plain, i / 2, i % 2);
        const size_t work = b->y_bytes + b->w_bytes + conv_scratch(&b->s, dir, threads);
        e->front += b->bytes;
        e->work = work > e->work ? work : e->work;
    }
}

size_t conv_edge_scratch(const struct conv_shape *s, enum conv_dir dir, int threads)
{
    struct edge e = {0};

    edge_plan(&e, s, dir, threads);
    return e.front + e.work;
}

/* ---- by data ---- */

/* Elements from one position to the next along each axis of a tensor of that size. */
static void steps_of(const int64_t size[3], int64_t step[3])
{
    step[2] = 1;
    step[1] = size[2];
    step[0] = size[1] * size[2];
}

/* y's planes that reach the slab, its axis first. */
static void slab_y(const struct edge *e, const struct slab *b, const struct conv_buf *buf, REAL *to)
{
    int64_t step[3];

    steps_of(e->s->out, step);
    const struct pack_span span = {.count = b->s.out[2],
                                   .size = b->s.out[2],
                                   .channels = b->s.co,
                                   .pitch = step[b->axis[2]] * buf->y_pitch,
                                   .to_pitch = b->s.co};
    for (int64_t i = 0; i < b->s.n * b->s.out[0]; i++)
        for (int64_t j = 0; j < b->s.out[1]; j++) {
            const int64_t voxel = i / b->s.out[0] * e->s->out[0] * step[0] +
                                  (b->y0 + i % b->s.out[0]) * step[b->axis[0]] + j * step[b->axis[1]];
            pack_row(to + (i * b->s.out[1] + j) * b->s.out[2] * b->s.co,
                     (const REAL *)buf->y + voxel * buf->y_pitch, &span);
        }
}

/* The taps that reach it, the same way; of one channel of y. */
static void slab_w(const struct edge *e, const struct slab *b, const REAL *w, REAL *to, int64_t co)
{
    const int64_t pairs = b->s.ci / b->s.groups, taps = conv_taps(e->s), *k = b->s.kernel;
    int64_t step[3];

    steps_of(e->s->kernel, step);
    w += co * pairs * taps + b->tap0 * step[b->axis[0]];
    to += co * pairs * k[0] * k[1] * k[2];
    for (int64_t i = 0; i < pairs; i++, w += taps)
        for (int64_t p = 0; p < k[0]; p++)
            for (int64_t q = 0; q < k[1]; q++)
                for (int64_t r = 0; r < k[2]; r++)
                    *to++ = w[p * step[b->axis[0]] + q * step[b->axis[1]] + r * step[b->axis[2]]];
}

static void slab_run(const struct edge *e, const struct slab *b, const struct conv_buf *buf, char *work)
{
    struct conv_buf part = *buf;

    part.x = b->at;
    part.y = work;
    part.w = work + b->y_bytes;
    part.work = work + b->y_bytes + b->w_bytes;
    part.x_pitch = b->s.ci;
    part.y_pitch = b->s.co;
    part.bias = NULL;
    slab_y(e, b, buf, part.y);
#pragma omp parallel for num_threads(buf->threads) schedule(static)
    for (int64_t co = 0; co < b->s.co; co++)
        slab_w(e, b, buf->w, part.w, co);
    conv_run(&b->s, CONV_DX, &part);
}

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

/* Places at[3] .. end - 1 along w, of row (n, d, h), that a slab holds: added to the voxels of the row `to`
 * that stand there. Places count from x's first voxel. */
static void places_add(const struct edge *e, const struct slab *b, int64_t at[4], int64_t end,
                       const struct row *row)
{
    const int64_t ci = e->s->ci, step = b->axis[0] == 2 ? b->s.in[1] * b->s.in[2] : 1;
    int64_t voxel = at[0];

    for (int i = 0; i < 3; i++) {
        const int axis = b->axis[i];
        const int64_t low = i == 0 && b->high ? e->s->in[axis] : axis < b->axis[0] ? 0 : -e->s->pad[axis];
        voxel = voxel * b->s.in[i] + at[1 + axis] - low;
    }
    const REAL *from = b->at + voxel * ci;
    for (int64_t w = at[3]; w < end; w++, from += step * ci) {
        REAL *to = row->at + conv_position(e->s->outside, w, e->s->in[2]) * row->pitch;
        for (int64_t c = 0; c < ci; c++)
            to[c] += from[c];
    }
}

/* Adds what belongs to row (d, h) of x, sample n, from all slabs. */
static void row_add(const struct edge *e, const int64_t own[3] /* n, d, h */, const struct row *row)
{
    const int64_t *pad = e->s->pad, width = e->s->in[2];

    for (int64_t i = 0; i <= 2 * pad[0]; i++) {
        const int64_t d = place_at(e, 0, own[1], i);
        for (int64_t j = 0; j <= 2 * pad[1] && stands_for(e, 0, d, own[1]); j++) {
            const int64_t h = place_at(e, 1, own[2], j);
            const struct slab *b = i != pad[0] ? &e->slab[0][i > pad[0]] : &e->slab[1][j > pad[1]];
            if (!stands_for(e, 1, h, own[2]))
                continue;
            if (i != pad[0] || j != pad[1]) {
                places_add(e, b, (int64_t[]){own[0], d, h, -pad[2]}, width + pad[2], row);
            } else if (pad[2]) {
                places_add(e, &e->slab[2][0], (int64_t[]){own[0], d, h, -pad[2]}, 0, row);
                places_add(e, &e->slab[2][1], (int64_t[]){own[0], d, h, width}, width + pad[2], row);
            }
        }
    }
}

static void by_data(struct edge *e, const struct conv_buf *b)
{
    const int64_t *in = e->s->in, planes = e->s->n * in[0];
    struct conv_buf plain = *b;
    char *front = b->work;

    plain.work = front + e->front;
    conv_run(&e->plain, CONV_DX, &plain);
    for (int i = 0; i < 6; i++) {
        struct slab *slab = &e->slab[i / 2][i % 2];
        slab->at = (REAL *)(void *)front;
        front += slab->bytes;
        if (e->s->pad[i / 2])
            slab_run(e, slab, b, plain.work);
    }
#pragma omp parallel for num_threads(b->threads) schedule(static) collapse(2)
    for (int64_t i = 0; i < planes; i++)
        for (int64_t h = 0; h < in[1]; h++) {
            const struct row row = {(REAL *)b->x + (i * in[1] + h) * in[2] * b->x_pitch, b->x_pitch};
            row_add(e, (const int64_t[3]){i / in[0], i % in[0], h}, &row);
        }
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
