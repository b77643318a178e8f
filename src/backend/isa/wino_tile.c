#include "backend/conv_plan.h"
#include "backend/isa/wino.h"
#include "backend/isa/wino_matrix.h"

/* Every transform is the one-dimensional one along d, then h, then w (back: the same), one vector of channels
 * at a time, with m and the hooks as constants. */
enum { SIDE = 6, FACE = SIDE * SIDE, SLAB = 64 /* channels of the input transform at a time */ };

/* ---- input: B' ---- */

/* The rows of the source that a row of tiles reads, D x H of them, where the padding takes them from; NULL
 * for zeros. */
struct rows {
    const REAL *at[FACE];
    bool inside; /* none is zero */
    const REAL *stage;
    int64_t channels; /* from one row of the stage to the next */
};

ALWAYS_INLINE void rows_find(const int md, const int mh, struct rows *r, const struct wino *q,
                             const struct wino_source *s, const struct wino_part *p)
{
    const int pd = wino_points(md), ph = wino_points(mh);

    r->inside = true;
    for (int i = 0; i < pd * ph; i++) {
        const int64_t d = conv_position(q->outside, p->d * md + q->low[0] + i / ph, q->from[0]);
        const int64_t h = conv_position(q->outside, p->h * mh + q->low[1] + i % ph, q->from[1]);
        const bool exists = d >= 0 && h >= 0;
        r->at[i] =
            exists ? s->data + ((p->n * q->from[0] + d) * q->from[1] + h) * q->from[2] * s->pitch : NULL;
        r->inside = r->inside && exists;
    }
    r->channels = s->channels;
    r->stage = s->stage ? s->stage + p->n * STAGE_ROWS * s->channels : NULL;
}

/* One column of a row of tiles, transformed along d and h: to[i * step] for D x H points i. */
ALWAYS_INLINE void column(const int md, const int mh, const bool inside, const bool staged,
                          const struct rows *r, int64_t offset, int64_t c, vec *to, const int step)
{
    const int pd = wino_points(md), ph = wino_points(mh);
    vec t[SIDE][SIDE], scale, shift, slope;

    if (staged) {
        scale = vec_load(r->stage + STAGE_SCALE * r->channels + c);
        shift = vec_load(r->stage + STAGE_SHIFT * r->channels + c);
        slope = vec_load(r->stage + STAGE_SLOPE * r->channels + c);
    }
    UNROLL
    for (int h = 0; h < ph; h++) {
        vec a[SIDE], b[SIDE];
        UNROLL
        for (int d = 0; d < pd; d++) {
            const REAL *row = r->at[d * ph + h];
            a[d] = inside || row ? vec_load(row + offset + c) : vec_zero();
            if (staged && (inside || row))
                a[d] = vec_stage(a[d], scale, shift, slope);
        }
        wino_input(md, a, b);
        UNROLL
        for (int d = 0; d < pd; d++)
            t[d][h] = b[d];
    }
    UNROLL
    for (int d = 0; d < pd; d++) {
        vec b[SIDE];
        wino_input(mh, t[d], b);
        UNROLL
        for (int h = 0; h < ph; h++)
            to[(d * ph + h) * step] = b[h];
    }
}

ALWAYS_INLINE void column_any(const int md, const int mh, const struct rows *r, int64_t offset, int64_t c,
                              vec *to, const int step)
{
    if (r->inside && r->stage)
        column(md, mh, true, true, r, offset, c, to, step);
    else if (r->inside)
        column(md, mh, true, false, r, offset, c, to, step);
    else if (r->stage)
        column(md, mh, false, true, r, offset, c, to, step);
    else
        column(md, mh, false, false, r, offset, c, to, step);
}

/* The last pass, along w: the two columns shared with the next tile stay in `kept`. */
ALWAYS_INLINE void across(const int points, const int mw, vec kept[FACE][2], vec fresh[FACE][4], REAL *to,
                          int64_t point)
{
    const int pw = wino_points(mw);

    for (int i = 0; i < points; i++) {
        vec a[SIDE], b[SIDE];
        UNROLL
        for (int k = 0; k < pw; k++)
            a[k] = k < 2 ? kept[i][k] : fresh[i][k - 2];
        kept[i][0] = a[mw];
        kept[i][1] = a[mw + 1];
        wino_input(mw, a, b);
        UNROLL
        for (int k = 0; k < pw; k++)
            vec_store(to + (i * pw + k) * point, b[k]);
    }
}

ALWAYS_INLINE void columns_zero(vec *to, const int step, const int points)
{
    for (int i = 0; i < points; i++)
        to[i * step] = vec_zero();
}

/* Tile by tile, and every tile's channels together, so that each row of the source is read as one stream. */
ALWAYS_INLINE void input_slab(const int md, const int mh, const int mw, const struct wino *q,
                              const struct wino_source *s, const struct wino_part *p,
                              const struct wino_block *to)
{
    const int points = wino_points(md) * wino_points(mh);
    const int64_t first = p->w * mw + q->low[2];
    vec kept[SLAB / VEC_LANES][FACE][2], fresh[FACE][4];
    struct rows r;

    rows_find(md, mh, &r, q, s, p);
    for (int64_t j = 0; j < p->tiles; j++)
        for (int64_t c = p->c0; c < p->c1; c += VEC_LANES) {
            vec(*keep)[2] = kept[(c - p->c0) / VEC_LANES];
            for (int k = j ? 2 : 0; k < mw + 2; k++) {
                const int64_t w = conv_position(q->outside, first + j * mw + k, q->from[2]);
                vec *column_to = k < 2 ? &keep[0][k] : &fresh[0][k - 2];
                if (w < 0)
                    columns_zero(column_to, k < 2 ? 2 : 4, points);
                else if (k < 2)
                    column_any(md, mh, &r, w * s->pitch, c, column_to, 2);
                else
                    column_any(md, mh, &r, w * s->pitch, c, column_to, 4);
            }
            across(points, mw, keep, fresh, to->at + j * to->tile + c, to->point);
        }
}

ALWAYS_INLINE void input(const int md, const int mh, const int mw, const struct wino *q,
                         const struct wino_source *s, const struct wino_part *p, const struct wino_block *to)
{
    struct wino_part slab = *p;

    for (int64_t c = p->c0; c < p->c1; c += SLAB) {
        slab.c0 = c;
        slab.c1 = min64(c + SLAB, p->c1);
        input_slab(md, mh, mw, q, s, &slab, to);
    }
}

/* ---- gradient: A ---- */

/* Numbers of one tile along d, h and w that exist. */
struct extent {
    int64_t d, h, w;
    bool full;
};

ALWAYS_INLINE struct extent extent_of(const int md, const int mh, const int mw, const struct wino *q,
                                      const struct wino_part *p, int64_t tile)
{
    struct extent e = {min64(md, q->size[0] - p->d * md), min64(mh, q->size[1] - p->h * mh),
                       min64(mw, q->size[2] - (p->w + tile) * mw), false};

    e.full = e.d == md && e.h == mh && e.w == mw;
    return e;
}

ALWAYS_INLINE int64_t voxel_of(const int md, const int mh, const int mw, const struct wino *q,
                               const struct wino_part *p, int64_t tile)
{
    return ((p->n * q->size[0] + p->d * md) * q->size[1] + p->h * mh) * q->size[2] + (p->w + tile) * mw;
}

ALWAYS_INLINE void gradient_vector(const int md, const int mh, const int mw, const struct wino *q,
                                   const struct extent *e, int64_t pitch, const REAL *from, REAL *to,
                                   int64_t point)
{
    const int pd = wino_points(md), ph = wino_points(mh), pw = wino_points(mw);
    vec t[SIDE][4][4];

    for (int h = 0; h < mh; h++)
        for (int w = 0; w < mw; w++) {
            vec a[SIDE], b[SIDE];
            UNROLL
            for (int d = 0; d < md; d++) {
                const REAL *at = from + ((d * q->size[1] + h) * q->size[2] + w) * pitch;
                a[d] = e->full || (d < e->d && h < e->h && w < e->w) ? vec_load(at) : vec_zero();
                _mm_prefetch((const char *)(at + mw * pitch), _MM_HINT_T1); /* the next tile */
            }
            wino_gradient(md, a, b);
            UNROLL
            for (int d = 0; d < pd; d++)
                t[d][h][w] = b[d];
        }
    for (int d = 0; d < pd; d++) {
        vec v[SIDE][4];
        UNROLL
        for (int w = 0; w < mw; w++) {
            vec a[SIDE], b[SIDE];
            UNROLL
            for (int h = 0; h < mh; h++)
                a[h] = t[d][h][w];
            wino_gradient(mh, a, b);
            UNROLL
            for (int h = 0; h < ph; h++)
                v[h][w] = b[h];
        }
        UNROLL
        for (int h = 0; h < ph; h++) {
            vec b[SIDE];
            wino_gradient(mw, v[h], b);
            UNROLL
            for (int w = 0; w < pw; w++)
                vec_store(to + ((d * ph + h) * pw + w) * point, b[w]);
        }
    }
}

ALWAYS_INLINE void gradient(const int md, const int mh, const int mw, const struct wino *q,
                            const struct wino_source *s, const struct wino_part *p,
                            const struct wino_block *to)
{
    for (int64_t j = 0; j < p->tiles; j++) {
        const struct extent e = extent_of(md, mh, mw, q, p, j);
        const REAL *from = s->data + voxel_of(md, mh, mw, q, p, j) * s->pitch;
        for (int64_t c = p->c0; c < p->c1; c += VEC_LANES)
            gradient_vector(md, mh, mw, q, &e, s->pitch, from + c, to->at + j * to->tile + c, to->point);
    }
}

/* ---- output: A' ---- */

/* LANES channels on their way out: the hook's coefficients and its sums over the tile. */
struct out {
    vec bias[LANE_VECS], scale[LANE_VECS], shift[LANE_VECS], slope[LANE_VECS], centre[LANE_VECS],
        sum[2][LANE_VECS];
};

ALWAYS_INLINE void out_begin(const unsigned hook, const struct wino_sink *s, const struct wino_part *p,
                             int64_t c, struct out *o)
{
    const REAL *row = hook == CONV_GATE ? s->gate + p->n * STAGE_ROWS * s->channels + c : NULL;

    UNROLL
    for (int e = 0; e < LANE_VECS; e++, row += VEC_LANES) {
        o->bias[e] = s->bias ? vec_load(s->bias + c + e * VEC_LANES) : vec_zero();
        o->sum[0][e] = o->sum[1][e] = vec_zero();
        if (hook != CONV_GATE)
            continue;
        o->scale[e] = vec_load(row + STAGE_SCALE * s->channels);
        o->shift[e] = vec_load(row + STAGE_SHIFT * s->channels);
        o->slope[e] = vec_load(row + STAGE_SLOPE * s->channels);
        o->centre[e] = vec_load(row + STAGE_CENTRE * s->channels);
    }
}

/* Results w of r[e][] to one voxel; the next tile's is `ahead` voxels on. */
ALWAYS_INLINE void out_put(const unsigned hook, struct out *o, const struct wino_sink *s, int64_t voxel,
                           int64_t c, vec r[LANE_VECS][4], const int w, const int ahead)
{
    UNROLL
    for (int e = 0; e < LANE_VECS; e++) {
        const int64_t at = c + e * VEC_LANES;
        vec v = r[e][w];
        if (hook == CONV_GATE) {
            const REAL *from = s->z + voxel * s->z_pitch + at;
            const vec z = vec_load(from);
            _mm_prefetch((const char *)(from + ahead * s->z_pitch), _MM_HINT_T0);
            v = vec_mul(v, vec_gate(z, o->scale[e], o->shift[e], o->slope[e]));
            o->sum[1][e] = vec_fma(v, vec_sub(z, o->centre[e]), o->sum[1][e]);
        } else if (s->bias) {
            v = vec_add(v, o->bias[e]);
        }
        if (hook == CONV_MOMENTS)
            o->sum[1][e] = vec_fma(v, v, o->sum[1][e]);
        if (hook)
            o->sum[0][e] = vec_add(o->sum[0][e], v);
        vec_put(s->data + voxel * s->pitch + at, v, s->stream);
    }
}

/* A tile's sums join those of the tiles before it. */
ALWAYS_INLINE void sums_add(const struct wino_sink *s, const struct out *o, int64_t c, bool add)
{
    for (int i = 0; i < 2; i++)
        for (int e = 0; e < LANE_VECS; e++) {
            REAL *to = s->sums + i * s->channels + c + e * VEC_LANES;
            vec_store(to, add ? vec_add(vec_load(to), o->sum[i][e]) : o->sum[i][e]);
        }
}

/* Along d: t[e][d][h w], for every vector e of LANES channels from `c` on. */
ALWAYS_INLINE void output_planes(const int md, const int points, const struct wino_block *from,
                                 vec t[LANE_VECS][4][FACE])
{
    const int pd = wino_points(md);

    for (int i = 0; i < points; i++)
        for (int e = 0; e < LANE_VECS; e++) {
            vec a[SIDE], b[SIDE];
            UNROLL
            for (int d = 0; d < pd; d++) {
                const REAL *at = from->at + (d * points + i) * from->point + e * VEC_LANES;
                a[d] = vec_load(at);
                if (e == 0)
                    _mm_prefetch((const char *)(at + LANES), _MM_HINT_T0); /* the next channels or tile */
            }
            wino_output(md, a, b);
            UNROLL
            for (int d = 0; d < md; d++)
                t[e][d][i] = b[d];
        }
}

/* One plane of a tile along h and w, and out: the voxels from `voxel` on, a whole line of channels each. */
ALWAYS_INLINE void output_plane(const int mh, const int mw, const unsigned hook, const struct wino *q,
                                const struct wino_sink *s, const struct extent *e, vec t[LANE_VECS][4][FACE],
                                int64_t d, int64_t voxel, int64_t c, struct out *o)
{
    const int ph = wino_points(mh), pw = wino_points(mw);
    vec u[LANE_VECS][4][SIDE];

    for (int i = 0; i < LANE_VECS; i++) {
        UNROLL
        for (int w = 0; w < pw; w++) {
            vec a[SIDE], b[SIDE];
            UNROLL
            for (int h = 0; h < ph; h++)
                a[h] = t[i][d][h * pw + w];
            wino_output(mh, a, b);
            UNROLL
            for (int h = 0; h < mh; h++)
                u[i][h][w] = b[h];
        }
    }
    for (int64_t h = 0; h < e->h; h++) {
        vec r[LANE_VECS][4] = {{vec_zero()}};
        UNROLL
        for (int i = 0; i < LANE_VECS; i++)
            wino_output(mw, u[i][h], r[i]);
        if (e->w == mw) {
            UNROLL
            for (int w = 0; w < mw; w++)
                out_put(hook, o, s, voxel + h * q->size[2] + w, c, r, w, mw);
        } else {
            for (int w = 0; w < (int)e->w; w++)
                out_put(hook, o, s, voxel + h * q->size[2] + w, c, r, w, mw);
        }
    }
}

ALWAYS_INLINE void output_hooked(const int md, const int mh, const int mw, const unsigned hook,
                                 const struct wino *q, const struct wino_sink *s, const struct wino_part *p,
                                 const struct wino_block *from)
{
    for (int64_t j = 0; j < p->tiles; j++) {
        const struct extent e = extent_of(md, mh, mw, q, p, j);
        const int64_t voxel = voxel_of(md, mh, mw, q, p, j);
        for (int64_t c = p->c0; c < p->c1; c += LANES) {
            const struct wino_block at = {from->at + j * from->tile + c, from->point, from->tile};
            vec t[LANE_VECS][4][FACE];
            struct out o;
            out_begin(hook, s, p, c, &o);
            output_planes(md, wino_points(mh) * wino_points(mw), &at, t);
            for (int64_t d = 0; d < e.d; d++)
                output_plane(mh, mw, hook, q, s, &e, t, d, voxel + d * q->size[1] * q->size[2], c, &o);
            if (hook)
                sums_add(s, &o, c, j > 0);
        }
    }
}

/* ---- weights: G and G' ---- */

ALWAYS_INLINE int taps_of(const int m)
{
    return m == 1 ? 1 : 3;
}

ALWAYS_INLINE void weight(const int md, const int mh, const int mw, const REAL taps[][TILE_COLS], int vectors,
                          REAL *to, int64_t point)
{
    const int kd = taps_of(md), pd = wino_points(md), ph = wino_points(mh), pw = wino_points(mw);

    for (int v = 0; v < vectors * VEC_LANES; v += VEC_LANES) {
        vec t[SIDE][3][3];
        for (int i = 0; i < 9; i++) {
            vec a[SIDE], b[SIDE];
            UNROLL
            for (int d = 0; d < kd; d++)
                a[d] = vec_load(&taps[d * 9 + i][v]);
            wino_weight(md, a, b);
            UNROLL
            for (int d = 0; d < pd; d++)
                t[d][i / 3][i % 3] = b[d];
        }
        for (int d = 0; d < pd; d++) {
            vec u[SIDE][3];
            UNROLL
            for (int w = 0; w < 3; w++) {
                vec a[3] = {t[d][0][w], t[d][1][w], t[d][2][w]}, b[SIDE];
                wino_weight(mh, a, b);
                UNROLL
                for (int h = 0; h < ph; h++)
                    u[h][w] = b[h];
            }
            UNROLL
            for (int h = 0; h < ph; h++) {
                vec b[SIDE];
                wino_weight(mw, u[h], b);
                UNROLL
                for (int w = 0; w < pw; w++)
                    vec_store(to + ((d * ph + h) * pw + w) * point + v, b[w]);
            }
        }
    }
}

ALWAYS_INLINE void weight_sum(const int md, const int mh, const int mw, const REAL *from, int64_t point,
                              REAL *to, int64_t tap)
{
    const int kd = taps_of(md), pd = wino_points(md), ph = wino_points(mh), pw = wino_points(mw);
    vec t[3][FACE];

    for (int i = 0; i < ph * pw; i++) {
        vec a[SIDE], b[SIDE];
        UNROLL
        for (int d = 0; d < pd; d++)
            a[d] = vec_load(from + (d * ph * pw + i) * point);
        wino_weight_sum(md, a, b);
        UNROLL
        for (int d = 0; d < kd; d++)
            t[d][i] = b[d];
    }
    for (int d = 0; d < kd; d++) {
        vec u[3][SIDE];
        UNROLL
        for (int w = 0; w < pw; w++) {
            vec a[SIDE], b[SIDE];
            UNROLL
            for (int h = 0; h < ph; h++)
                a[h] = t[d][h * pw + w];
            wino_weight_sum(mh, a, b);
            UNROLL
            for (int h = 0; h < 3; h++)
                u[h][w] = b[h];
        }
        UNROLL
        for (int h = 0; h < 3; h++) {
            vec b[SIDE];
            wino_weight_sum(mw, u[h], b);
            UNROLL
            for (int w = 0; w < 3; w++)
                vec_store(to + ((d * 3 + h) * 3 + w) * tap, b[w]);
        }
    }
}

/* ---- the variants ---- */

#define VARIANT(d, h, w)                                                                                     \
    static void input_##d##h##w(const struct wino *q, const struct wino_source *s,                           \
                                const struct wino_part *p, const struct wino_block *to)                      \
    {                                                                                                        \
        input(d, h, w, q, s, p, to);                                                                         \
    }                                                                                                        \
    static void gradient_##d##h##w(const struct wino *q, const struct wino_source *s,                        \
                                   const struct wino_part *p, const struct wino_block *to)                   \
    {                                                                                                        \
        gradient(d, h, w, q, s, p, to);                                                                      \
    }                                                                                                        \
    static void output_##d##h##w(const struct wino *q, const struct wino_sink *s, const struct wino_part *p, \
                                 const struct wino_block *from)                                              \
    {                                                                                                        \
        if (s->hook == CONV_GATE)                                                                            \
            output_hooked(d, h, w, CONV_GATE, q, s, p, from);                                                \
        else if (s->hook == CONV_MOMENTS)                                                                    \
            output_hooked(d, h, w, CONV_MOMENTS, q, s, p, from);                                             \
        else                                                                                                 \
            output_hooked(d, h, w, 0, q, s, p, from);                                                        \
    }                                                                                                        \
    static void weight_##d##h##w(const REAL taps[][TILE_COLS], int vectors, REAL *to, int64_t point)         \
    {                                                                                                        \
        weight(d, h, w, taps, vectors, to, point);                                                           \
    }                                                                                                        \
    static void weight_sum_##d##h##w(const REAL *from, int64_t point, REAL *to, int64_t tap)                 \
    {                                                                                                        \
        weight_sum(d, h, w, from, point, to, tap);                                                           \
    }
#define ENTRY(d, h, w)                                                                                       \
    {                                                                                                        \
        input_##d##h##w, gradient_##d##h##w, output_##d##h##w, weight_##d##h##w, weight_sum_##d##h##w        \
    }

VARIANT(4, 4, 4)
VARIANT(3, 3, 3)
VARIANT(2, 4, 4)
VARIANT(2, 2, 2)
VARIANT(1, 4, 4)
VARIANT(1, 2, 2)

const struct wino_transforms wino_transforms[WINO_VARIANTS] = {
    ENTRY(4, 4, 4), ENTRY(3, 3, 3), ENTRY(2, 4, 4), ENTRY(2, 2, 2), ENTRY(1, 4, 4), ENTRY(1, 2, 2),
};
