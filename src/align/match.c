#include "align/match.h"
#include "align/fit.h"
#include "base/mem.h"
#include "base/par.h"
#include <stdlib.h>
#include <string.h>

/* Section 5.2. Control points are level-2 nodes; displacements are steps of `level`. */
static const struct round {
    enum fit_model model;
    int level, radius;
} rounds[MATCH_ROUNDS] = {
    {FIT_TRANSLATION, 2, 4},
    {FIT_AFFINE, 1, 4},
    {FIT_AFFINE, 1, 2},
    {FIT_AFFINE, 1, 2},
};
enum { POINTS_LEAST = 500, BLOCK = 1024 /* control points at once */ };
static const double contrast_least = 0.08; /* mean over displacements minus minimum, of c */
/* Two box sums of 27 in byte units -> c. */
static const double cost_scale = 1 / (27.0 * 27.0 * 255 * 255);

struct matching {
    const struct match_input *in;
    const struct features *moving; /* on the fixed lattice of the round's level */
    int64_t ratio, radius, across, points, count;
    const int64_t *size; /* of the control lattice */
    int64_t *point;      /* control nodes in the body */
    int32_t *cost;       /* [displacement][point] */
    int *failed;         /* by displacement row */
    struct match *pair;  /* by point */
    uint8_t *good;
    struct affine map; /* the round's affine so far */
};

/* out(i) = in(i-1) + in(i) + in(i+1) along an axis, replicated borders. */
static void sum_along(const int32_t *in, int32_t *out, const int64_t size[3], int axis)
{
    int64_t step = axis == 0 ? 1 : axis == 1 ? size[0] : size[0] * size[1], nx = size[0];

    for (int64_t z = 0; z < size[2]; z++)
        for (int64_t y = 0; y < size[1]; y++) {
            int64_t row = lattice_index(size, 0, y, z), at = axis == 1 ? y : z, n = size[axis];
            const int32_t *c = in + row;

            if (axis == 0) {
                for (int64_t x = 1; x < nx - 1; x++)
                    out[row + x] = c[x - 1] + c[x] + c[x + 1];
                out[row] = 2 * c[0] + c[nx > 1];
                out[row + nx - 1] = 2 * c[nx - 1] + c[nx > 1 ? nx - 2 : 0];
                continue;
            }
            const int32_t *low = at > 0 ? c - step : c, *high = at < n - 1 ? c + step : c;
            for (int64_t x = 0; x < nx; x++)
                out[row + x] = low[x] + c[x] + high[x];
        }
}

/* c at every control point for one displacement; nodes beyond the lattice are the nearest ones. */
static void distances(const struct matching *m, const int64_t d[3], int32_t *out)
{
    const int64_t *n = m->moving->at.size, *size = m->size;

    for (int64_t z = 0; z < size[2]; z++)
        for (int64_t y = 0; y < size[1]; y++) {
            const uint8_t *f = m->in->fixed->node + FEATURE_NODE * lattice_index(size, 0, y, z);
            const uint8_t *row =
                m->moving->node + FEATURE_NODE * lattice_index(n, 0, lattice_clamp(y * m->ratio + d[1], n[1]),
                                                               lattice_clamp(z * m->ratio + d[2], n[2]));

            for (int64_t x = 0; x < size[0]; x++) {
                const uint8_t *b = row + FEATURE_NODE * lattice_clamp(x * m->ratio + d[0], n[0]);
                int32_t c = feature_distance(f + FEATURE_NODE * x, b);

                *out++ = b[FEATURE_VALID] ? c : MATCH_OUTSIDE;
            }
        }
}

/* All displacements of one row along x. */
static void cost_row(void *ctx, int64_t job)
{
    struct matching *m = ctx;
    int32_t *a = mem_new((size_t)m->count, 2 * sizeof *a), *b = a + m->count;
    int64_t d[3] = {0, job % m->across - m->radius, job / m->across - m->radius};

    m->failed[job] = !a;
    for (int64_t x = 0; a && x < m->across; x++) {
        int32_t *cost = m->cost + (job * m->across + x) * m->points;

        d[0] = x - m->radius;
        distances(m, d, a);
        for (int axis = 0; axis < 3; axis++) { /* the box, twice */
            sum_along(a, b, m->size, axis);
            sum_along(b, a, m->size, axis);
        }
        for (int64_t i = 0; i < m->points; i++)
            cost[i] = a[m->point[i]];
    }
    mem_free(a);
}

/* Where the parabola through three costs has its minimum, relative to the middle one. */
static double parabola(int32_t low, int32_t mid, int32_t high)
{
    double bend = (double)low - 2.0 * mid + (double)high;

    return bend > 0 ? 0.5 * ((double)low - (double)high) / bend : 0;
}

/* The pair of point i, whose least cost is `least` at displacement `best`; false on the search's border or
 * where no displacement stands out. */
static bool make_pair(const struct matching *m, int64_t i, int64_t best, double mean)
{
    int64_t d[3] = {best % m->across, best / m->across % m->across, best / (m->across * m->across)};
    int64_t step[3] = {1, m->across, m->across * m->across}, node = m->point[i];
    double p[3] = {(double)(node % m->size[0]), (double)(node / m->size[0] % m->size[1]),
                   (double)(node / (m->size[0] * m->size[1]))};
    double shift[3];
    const int32_t *cost = m->cost + best * m->points + i;

    for (int a = 0; a < 3; a++)
        if (d[a] == 0 || d[a] == m->across - 1)
            return false;
    if ((mean - (double)*cost) * cost_scale < contrast_least)
        return false;
    for (int a = 0; a < 3; a++)
        shift[a] = (double)(d[a] - m->radius) +
                   parabola(cost[-step[a] * m->points], *cost, cost[step[a] * m->points]);
    affine_apply(&m->in->fixed->at.to_world, p, p);
    affine_turn(&m->moving->at.to_world, shift, shift);
    for (int a = 0; a < 3; a++) {
        m->pair[i].from[a] = p[a];
        shift[a] += p[a];
    }
    affine_apply(&m->map, shift, m->pair[i].to);
    return true;
}

static void pair_block(void *ctx, int64_t job)
{
    struct matching *m = ctx;
    int64_t from = job * BLOCK, n = m->points - from < BLOCK ? m->points - from : BLOCK;
    int64_t displacements = m->across * m->across * m->across;
    int32_t least[BLOCK], best[BLOCK];
    double sum[BLOCK];

    for (int64_t i = 0; i < n; i++) {
        least[i] = INT32_MAX;
        best[i] = 0;
        sum[i] = 0;
    }
    for (int64_t d = 0; d < displacements; d++) {
        const int32_t *cost = m->cost + d * m->points + from;

        for (int64_t i = 0; i < n; i++) {
            bool less = cost[i] < least[i];
            best[i] = less ? (int32_t)d : best[i];
            least[i] = less ? cost[i] : least[i];
            sum[i] += cost[i];
        }
    }
    for (int64_t i = 0; i < n; i++)
        m->good[from + i] = make_pair(m, from + i, best[i], sum[i] / (double)displacements);
}

static int64_t find_points(struct matching *m)
{
    int64_t n = 0;

    for (int64_t i = 0; i < m->count; i++)
        if (m->in->body[i])
            m->point[n++] = i;
    return n;
}

/* Pairs of control points and their matches in the moving image, packed to the front of m->pair; returns how
 * many. */
static enum err find_pairs(struct matching *m, int64_t *pairs)
{
    int64_t rows = m->across * m->across, n = 0;
    bool failed = false;

    m->cost = mem_new((size_t)(rows * m->across * m->points), sizeof *m->cost);
    m->failed = mem_new((size_t)rows, sizeof *m->failed);
    if (m->cost && m->failed) {
        par_for(rows, cost_row, m);
        for (int64_t i = 0; i < rows; i++)
            failed |= m->failed[i] != 0;
        if (!failed)
            par_for((m->points + BLOCK - 1) / BLOCK, pair_block, m);
        for (int64_t i = 0; !failed && i < m->points; i++)
            if (m->good[i])
                m->pair[n++] = m->pair[i];
    }
    failed |= !m->cost || !m->failed;
    mem_free(m->cost);
    mem_free(m->failed);
    *pairs = n;
    return failed ? err_set(ERR_MEMORY, "out of memory while matching blocks") : ERR_OK;
}

/* The moving features of the round's level on the fixed lattice; at level 1 smoothed, to be like the control
 * points' level 2. */
static enum err warp(struct features *out, const struct match_input *in, const struct round *r,
                     const struct affine *a)
{
    const struct features *moving = in->moving[r->level - 1];
    const struct lattice *at = r->level == 2 ? &in->fixed->at : in->fine;
    struct affine map = lattice_map(at, a, &moving->at);
    struct features f;

    TRY(features_warp(&f, moving, at, &map));
    if (r->level == 2) {
        *out = f;
        return ERR_OK;
    }
    enum err err = features_smooth(out, &f);
    features_free(&f);
    return err;
}

static enum err fit(struct affine *a, struct match_report *out, const struct matching *m, int round,
                    int64_t n)
{
    enum fit_model model = rounds[round].model;
    struct affine next;
    struct fit_shape shape;

    out->points[round] = n;
    if (n < POINTS_LEAST)
        return ERR_OK;
    TRY(fit_trimmed(&next, &out->rms[round], m->pair, n, model));
    shape = fit_shape(&next);
    out->rigid = out->outside = false;
    if (!fit_inside(&shape)) {
        out->rigid = true;
        TRY(fit_trimmed(&next, &out->rms[round], m->pair, n, FIT_RIGID));
        shape = fit_shape(&next);
        out->outside = !fit_inside(&shape);
    }
    *a = next;
    return ERR_OK;
}

enum err match_affine(struct affine *a, struct match_report *out, const struct match_input *in)
{
    struct matching m = {.in = in, .size = in->fixed->at.size, .count = lattice_count(&in->fixed->at)};
    struct features moving = {0};
    enum err err;

    *out = (struct match_report){0};
    m.point = mem_new((size_t)m.count, sizeof *m.point);
    m.pair = mem_new((size_t)m.count, sizeof *m.pair);
    m.good = mem_new((size_t)m.count, 1);
    err = m.point && m.pair && m.good ? ERR_OK : ERR_MEMORY;
    TRY_OR(done, err);
    m.points = find_points(&m);
    for (int i = 0; i < MATCH_ROUNDS && m.points; i++) {
        int64_t n;

        m.ratio = rounds[i].level == 2 ? 1 : 2;
        m.radius = rounds[i].radius;
        m.across = 2 * m.radius + 1;
        m.map = *a;
        m.moving = &moving;
        features_free(&moving);
        TRY_OR(done, warp(&moving, in, &rounds[i], a));
        TRY_OR(done, find_pairs(&m, &n));
        TRY_OR(done, fit(a, out, &m, i, n));
    }
done:
    features_free(&moving);
    mem_free(m.point);
    mem_free(m.pair);
    mem_free(m.good);
    return err;
}
