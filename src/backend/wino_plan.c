#include "backend/wino_plan.h"

#include "backend/conv_plan.h"

/* Outputs per axis of a variant. */
static const int outputs[WINO_VARIANTS][3] = {{4, 4, 4}, {3, 3, 3}, {2, 4, 4},
                                              {2, 2, 2}, {1, 4, 4}, {1, 2, 2}};

enum { CHANNEL_GROUP = 16 }; /* both channel counts are multiples of it */

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* Outputs per tile with the fewest products on an axis of n; ties go to 4, which is more accurate than 3. */
static int axis_best(int64_t n)
{
    int best = 4;

    for (int m = 3; m >= 2; m--)
        if (ceil_div(n, m) * (m + 2) < ceil_div(n, best) * (best + 2))
            best = m;
    return best;
}

static enum wino_variant variant_of(const int64_t kernel[3], const int64_t size[3])
{
    const int d = axis_best(size[0]), h = axis_best(size[1]), w = axis_best(size[2]);

    if (kernel[0] == 1)
        return h == 2 || w == 2 ? WINO_122 : WINO_144;
    if (d == 3 && h == 3 && w == 3)
        return WINO_333;
    if (h == 2 || w == 2)
        return WINO_222;
    return d == 2 ? WINO_244 : WINO_444;
}

/* Kernel 3x3x3 or 1x3x3, neither stride nor dilation, whole groups of channels. */
static bool shape_fits(const struct conv_shape *s)
{
    for (int i = 0; i < 3; i++) {
        const bool plain = s->stride[i] == 1 && s->dilation[i] == 1;
        const bool with = s->kernel[i] == 3 && s->pad[i] <= 2, without = s->kernel[i] == 1 && !s->pad[i];
        if (!plain || !(with || (i == 0 && without)))
            return false;
    }
    return !s->exact && s->groups == 1 && s->ci % CHANNEL_GROUP == 0 && s->co % CHANNEL_GROUP == 0;
}

static void axes_set(struct wino *q, const struct conv_shape *s, enum conv_dir dir)
{
    q->points = 1;
    for (int i = 0; i < 3; i++) {
        q->m[i] = outputs[q->variant][i];
        q->points *= q->m[i] == 1 ? 1 : q->m[i] + 2;
        q->from[i] = dir == CONV_DX ? s->out[i] : s->in[i];
        q->size[i] = dir == CONV_DX ? s->in[i] : s->out[i];
        q->low[i] = dir == CONV_DX ? s->pad[i] - s->kernel[i] + 1 : -s->pad[i];
        q->tiles[i] = ceil_div(q->size[i], q->m[i]);
    }
    q->row_pieces = ceil_div(q->tiles[2], WINO_PIECE);
    q->piece = ceil_div(q->tiles[2], q->row_pieces);
    q->row_pieces = ceil_div(q->tiles[2], q->piece);
    q->pieces = q->n * q->tiles[0] * q->tiles[1] * q->row_pieces;
}

/* Of the pieces before `piece`. */
static int64_t tiles_before(const struct wino *q, int64_t piece)
{
    return piece / q->row_pieces * q->tiles[2] + piece % q->row_pieces * q->piece;
}

int64_t wino_tiles(const struct wino *q, int64_t first, int64_t count)
{
    return tiles_before(q, first + count) - tiles_before(q, first);
}

struct wino_part wino_part_at(const struct wino *q, int64_t index, int64_t channels)
{
    struct wino_part p = {.c1 = channels};

    p.w = index % q->row_pieces * q->piece;
    p.tiles = q->tiles[2] - p.w < q->piece ? q->tiles[2] - p.w : q->piece;
    index /= q->row_pieces;
    p.h = index % q->tiles[1];
    index /= q->tiles[1];
    p.d = index % q->tiles[0];
    p.n = index / q->tiles[0];
    return p;
}

/* Seconds on one core of an AVX-512 server without AMX (Zen 5), from bench/bench_winograd.c. */
struct coefficients {
    double product, product_wide; /* per multiply-add at a point; the latter above WIDE channels */
    double source, result; /* per tile of 216 points and 16 channels: what is transformed first and last */
    double weight;         /* per point and channel pair */
};
enum { WIDE = 128 };
static const struct coefficients by_voxels = {8.8e-12, 12.4e-12, 434e-9, 331e-9, 0.127e-9};
static const struct coefficients by_weights = {11.0e-12, 16.2e-12, 378e-9, 193e-9, 0.248e-9};
static const double direct_product = 7.6e-12; /* per multiply-add of the direct kernels */

struct wino_cost wino_cost(const struct wino *q, const struct conv_shape *s, enum conv_dir dir)
{
    const struct coefficients *c = dir == CONV_DW ? &by_weights : &by_voxels;
    const double tiles = (double)(q->n * q->tiles[0] * q->tiles[1] * q->tiles[2]);
    const double points = (double)q->points, pairs = (double)s->ci * (double)s->co;
    const double product = q->depth > WIDE || q->cols > WIDE ? c->product_wide : c->product;

    return (struct wino_cost){
        .winograd = tiles * points * pairs * product +
                    tiles * points / WINO_POINTS / CHANNEL_GROUP *
                        ((double)q->depth * c->source + (double)q->cols * c->result) +
                    points * pairs * c->weight,
        .direct = (double)conv_voxels(q->n, q->size) * (double)conv_taps(s) * pairs * direct_product,
    };
}

bool wino_plan(struct wino *q, const struct conv_shape *s, enum conv_dir dir)
{
    struct wino_cost cost;

    if (!shape_fits(s))
        return false;
    *q = (struct wino){.n = s->n,
                       .packed = s->packed,
                       .outside = dir == CONV_DX ? CONV_PAD_ZERO : s->outside,
                       .depth = dir == CONV_DX ? s->co : s->ci,
                       .cols = dir == CONV_DX ? s->ci : s->co};
    q->variant = variant_of(s->kernel, dir == CONV_DX ? s->in : s->out);
    axes_set(q, s, dir);
    cost = wino_cost(q, s, dir);
    return cost.winograd < cost.direct;
}
