#include "phantom/lesion.h"
#include "base/mem.h"
#include "base/par.h"
#include "phantom/lesion_kind.h"
#include <math.h>
#include <string.h>

enum { TRIES = 60, CELLS_LEAST = 6 };
static const double step = 4;                              /* of the lattice of places, mm */
static const double deepest = 22, depth_by_diameter = .42; /* mm; a centre's least depth in the liver */
static const double apart = 4, apart_by_sum = .55;         /* mm; of two centres, by their diameters */
static const double axis_spread = .12;                     /* of the logarithm of a semi-axis */
static const double cell_spread = .45;                     /* of a mosaic's centres, radii */

static double clamp(double x, double lo, double hi)
{
    return fmin(fmax(x, lo), hi);
}

/* The number drawn; it is drawn even when it is given, so that giving it moves nothing else. */
static int draw_count(const struct phantom_id *id, const struct lesion_odds *odds)
{
    struct rng r = phantom_rng(id, "tumours", 0);
    double n = clamp(rint(exp(log(odds->median) + odds->spread * rng_normal(&r))), 1, 12);

    return odds->count >= 0 ? (int)odds->count : (int)n;
}

static enum lesion_kind kind_of(double uniform, const double weight[LESION_KINDS])
{
    double sum = 0;
    int k, last = 0;

    for (k = 0; k < LESION_KINDS; k++)
        sum += weight[k];
    for (k = 0; k < LESION_KINDS; k++) {
        uniform -= weight[k] / sum;
        last = weight[k] > 0 ? k : last;
        if (uniform < 0)
            break;
    }
    return k < LESION_KINDS ? (enum lesion_kind)k : (enum lesion_kind)last; /* rounding may leave a rest */
}

/* All that does not depend on where the lesion lies. Every lesion has a stream of its own and draws the same
 * numbers whatever its kind. */
static void draw_lesion(struct lesion *l, struct rng *r, const double weight[LESION_KINDS], double stretch[3])
{
    double border, sum = 0;

    for (int i = 0; i < 8; i++)
        l->normal[i] = rng_normal(r);
    for (int i = 0; i < 8; i++)
        l->uniform[i] = rng_unit(r);
    l->kind = kind_of(rng_unit(r), weight);
    border = rng_unit(r);
    for (int c = 0; c < 3; c++)
        l->offset[c] = rng_between(r, 0, NOISE_SIDE);
    for (int c = 0; c < 3; c++)
        sum += stretch[c] = axis_spread * rng_normal(r);
    for (int c = 0; c < 3; c++)
        stretch[c] = exp(stretch[c] - sum / 3);
    l->bump = lesion_rows[l->kind].bump;
    l->border = lesion_rows[l->kind].border[0] +
                border * (lesion_rows[l->kind].border[1] - lesion_rows[l->kind].border[0]);
}

/* Where centres may lie: the nodes of a lattice over the liver that are deep enough for the smallest lesion.
 */
struct place {
    float at[3];
    float depth; /* mm below the liver's surface */
    float room;  /* mm to what is taken already; infinite without */
    float clear; /* least of the distance to another centre minus what that lesion claims, mm */
};
struct places {
    struct place *item;
    int64_t count;
};

struct survey {
    const struct liver *liver;
    int64_t dims[3];
    float *distance; /* [z][y][x] */
};

static double node(const struct survey *s, int axis, int64_t i)
{
    return s->liver->lo[axis] + step * (double)i;
}

static void survey_slice(void *ctx, int64_t z)
{
    const struct survey *s = ctx;
    int64_t size = s->dims[0] * s->dims[1];
    struct points p;

    for (int64_t from = 0; from < size; from += BLOCK_MAX) {
        int n = (int)(size - from < BLOCK_MAX ? size - from : BLOCK_MAX);

        for (int i = 0; i < n; i++) {
            p.x[i] = (float)node(s, 0, (from + i) % s->dims[0]);
            p.y[i] = (float)node(s, 1, (from + i) / s->dims[0]);
            p.z[i] = (float)node(s, 2, z);
        }
        s->liver->distance(s->liver->ctx, &p, n, s->distance + z * size + from);
    }
}

/* Puts the nodes deeper than `depth` into an array. */
static enum err deep_nodes(struct places *out, const struct survey *s, double depth)
{
    int64_t all = s->dims[0] * s->dims[1] * s->dims[2], n = 0;

    for (int64_t i = 0; i < all; i++)
        n += s->distance[i] < -depth;
    out->item = mem_new((size_t)n + 1, sizeof *out->item);
    if (!out->item)
        return ERR_MEMORY;
    for (int64_t i = 0; i < all; i++) {
        struct place *p = &out->item[out->count];

        if (!(s->distance[i] < -depth))
            continue;
        p->at[0] = (float)node(s, 0, i % s->dims[0]);
        p->at[1] = (float)node(s, 1, i / s->dims[0] % s->dims[1]);
        p->at[2] = (float)node(s, 2, i / (s->dims[0] * s->dims[1]));
        p->depth = -s->distance[i];
        p->room = p->clear = INFINITY;
        out->count++;
    }
    return ERR_OK;
}

static void measure_room(struct places *places, const struct lesion_odds *odds)
{
    struct points p;
    float d[BLOCK_MAX];

    for (int64_t from = 0; odds->taken && from < places->count; from += BLOCK_MAX) {
        int n = (int)(places->count - from < BLOCK_MAX ? places->count - from : BLOCK_MAX);

        for (int i = 0; i < n; i++) {
            p.x[i] = places->item[from + i].at[0];
            p.y[i] = places->item[from + i].at[1];
            p.z[i] = places->item[from + i].at[2];
        }
        odds->taken(odds->ctx, &p, n, d);
        for (int i = 0; i < n; i++)
            places->item[from + i].room = d[i];
    }
}

static enum err find_places(struct places *out, const struct liver *liver, const struct lesion_odds *odds)
{
    struct survey s = {.liver = liver};
    size_t count = 1;
    enum err err;

    for (int c = 0; c < 3; c++) {
        s.dims[c] = (int64_t)floor((liver->hi[c] - liver->lo[c]) / step) + 1;
        count *= (size_t)s.dims[c];
    }
    s.distance = mem_new(count, sizeof *s.distance);
    if (!s.distance)
        return ERR_MEMORY;
    par_for(s.dims[2], survey_slice, &s);
    err = deep_nodes(out, &s, fmin(depth_by_diameter * odds->least, deepest));
    mem_free(s.distance);
    if (!err)
        measure_room(out, odds);
    return err;
}

static bool fits(const struct place *p, double diameter, double taken_apart)
{
    return (double)p->depth > fmin(depth_by_diameter * diameter, deepest) &&
           (double)p->room >= taken_apart + diameter / 2 &&
           (double)p->clear > apart_by_sum * diameter + apart;
}

/* Centres must lie .55 (D + D') + 4 mm apart: what a placed lesion leaves to the others. */
static void claim_place(struct places *places, const struct lesion *l)
{
    const float x = (float)l->centre[0], y = (float)l->centre[1], z = (float)l->centre[2];
    const float own = (float)(apart_by_sum * l->diameter);

    for (int64_t i = 0; i < places->count; i++) {
        struct place *p = &places->item[i];
        float dx = p->at[0] - x, dy = p->at[1] - y, dz = p->at[2] - z;

        p->clear = fminf(p->clear, sqrtf(dx * dx + dy * dy + dz * dz) - own);
    }
}

/* A uniformly random place among those that a diameter fits; NULL if there is none. */
static const struct place *pick_place(const struct places *places, double diameter, double taken_apart,
                                      double uniform)
{
    int64_t n = 0, chosen;

    for (int64_t i = 0; i < places->count; i++)
        n += fits(&places->item[i], diameter, taken_apart);
    chosen = (int64_t)(uniform * (double)n);
    for (int64_t i = 0; i < places->count; i++)
        if (fits(&places->item[i], diameter, taken_apart) && chosen-- == 0)
            return &places->item[i];
    return NULL;
}

/* Draws diameters until one finds a place. */
static bool place_lesion(struct lesion *l, struct rng *r, struct places *places,
                         const struct lesion_odds *odds)
{
    const struct lesion_row *row = &lesion_rows[l->kind];

    for (int try = 0; try < TRIES; try++) {
        double d = row->median * exp(row->spread * rng_normal(r)), uniform = rng_unit(r);
        const struct place *p;

        l->diameter = clamp(d, odds->least, odds->most);
        p = pick_place(places, l->diameter, odds->apart, uniform);
        if (!p)
            continue;
        for (int c = 0; c < 3; c++)
            l->centre[c] = (double)p->at[c];
        claim_place(places, l);
        return true;
    }
    return false;
}

/* The centres and deviates of a mosaic; stream `cells/i`. */
static enum err draw_cells(struct lesion *l, struct rng r)
{
    const struct lesion_mosaic *m = &lesion_rows[l->kind].mosaic;

    if (m->from == 0 || l->diameter <= m->from)
        return ERR_OK;
    l->cells = (int)clamp(pow(l->diameter / m->size, 3), CELLS_LEAST, LESION_CELLS);
    l->cell = mem_new((size_t)l->cells, sizeof *l->cell);
    if (!l->cell)
        return ERR_MEMORY;
    for (int i = 0; i < l->cells; i++) {
        for (int c = 0; c < 3; c++)
            l->cell[i][c] = (float)(cell_spread * l->diameter / 2 * rng_normal(&r));
        l->cell[i][3] = (float)rng_normal(&r);
    }
    return ERR_OK;
}

static enum err draw_all(struct lesions *out, const struct phantom_id *id, struct places *places,
                         const struct lesion_odds *odds)
{
    int count = draw_count(id, odds);

    for (int i = 0; i < count; i++) {
        struct lesion *l = &out->item[out->count];
        struct rng r = phantom_rng(id, "tumours", i + 1);
        double stretch[3];

        *l = (struct lesion){0};
        draw_lesion(l, &r, odds->weight, stretch);
        if (!place_lesion(l, &r, places, odds))
            continue;
        for (int c = 0; c < 3; c++)
            l->axes[c] = l->diameter / 2 * stretch[c];
        TRY(draw_cells(l, phantom_rng(id, "cells", i)));
        out->count++;
    }
    return ERR_OK;
}

enum err lesions_draw(struct lesions *out, const struct phantom_id *id, const struct liver *liver,
                      const struct lesion_odds *odds)
{
    struct lesions drawn = {0};
    struct places places = {0};
    enum err err = ERR_OK;
    double sum = 0;

    for (int k = 0; k < LESION_KINDS; k++)
        sum += odds->weight[k];
    if (odds->count > PHANTOM_LESIONS || (odds->count && !(sum > 0)))
        return err_set(ERR_USAGE, "lesions: at most %d, and one kind needs odds above 0", PHANTOM_LESIONS);
    if (odds->count)
        TRY_OR(done, find_places(&places, liver, odds));
    TRY_OR(done, draw_all(&drawn, id, &places, odds));
    *out = drawn;
    drawn = (struct lesions){0};
done:
    mem_free(places.item);
    lesions_free(&drawn);
    return err;
}

void lesions_free(struct lesions *l)
{
    for (int i = 0; i < PHANTOM_LESIONS; i++)
        mem_free(l->item[i].cell);
    *l = (struct lesions){0};
}
