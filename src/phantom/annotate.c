#include "phantom/annotate.h"
#include "base/mem.h"
#include "base/par.h"
#include "image/morph.h"
#include <math.h>
#include <stdatomic.h>

/* The pen (section 11): mm of smooth and of slice-wise error, and what is too small or too faint to be drawn.
 */
static const double liver_grow = 0.3, liver_wander = 0.8, lesion_wander = 0.7, lesion_slip = 0.4;
static const double liver_within = 0.3; /* mm that a lesion stays below the liver's surface (section 8) */
static const double area_least = 12 /* mm2 */, diameter_least = 6 /* mm */, contrast_least = 10 /* HU */;
static const double odds_small = 0.5, odds_faint = 0.3;

static const double lesion_near = 1; /* mm from where it is meant to be drawn: every area begins there */

enum { BACKGROUND, LIVER, TUMOUR };
enum { UNMARKED, MARKED, NEAR }; /* by the pen */
enum { TILE = 16 };              /* pixels; TILE * TILE fit a block */

struct pen {
    const struct annotation *a;
    const struct volume *truth;
    struct volume *out;
    float offset;         /* of the liver's noise */
    int64_t lo[3], hi[3]; /* voxels of the box that is drawn in, hi beyond */
    /* the lesion that is drawn */
    const struct lesion *lesion;
    double reach; /* mm from its centre */
    struct rng rng;
    atomic_long drawn;
    atomic_int failure; /* enum err */
};

static void find_box(struct pen *pen, const double lo[3], const double hi[3], double margin)
{
    const struct grid *g = &pen->truth->grid;

    for (int a = 0; a < 3; a++) {
        double from = (lo[a] - margin - g->affine[a][3]) / g->spacing[a];
        double to = (hi[a] + margin - g->affine[a][3]) / g->spacing[a];

        pen->lo[a] = (int64_t)fmin(fmax(floor(from), 0), (double)g->dims[a]);
        pen->hi[a] = (int64_t)fmax(fmin(ceil(to) + 1, (double)g->dims[a]), (double)pen->lo[a]);
    }
}

static void point_at(const struct pen *pen, double x, double y, int64_t z, struct points *p, int i)
{
    const struct grid *g = &pen->truth->grid;

    p->x[i] = (float)(g->affine[0][3] + x * g->spacing[0]);
    p->y[i] = (float)(g->affine[1][3] + y * g->spacing[1]);
    p->z[i] = (float)(g->affine[2][3] + (double)z * g->spacing[2]);
}

/* ---- the liver ---- */

struct tile {
    int64_t at[2], size[2];
};

static void liver_tile(const struct pen *pen, const struct tile *t, int64_t z)
{
    const struct annotation *a = pen->a;
    const int64_t *n = pen->truth->grid.dims;
    const uint8_t *truth = pen->truth->data;
    uint8_t *out = pen->out->data;
    float d[BLOCK_MAX], wander[BLOCK_MAX];
    struct points p;
    int count = 0;

    for (int64_t y = 0; y < t->size[1]; y++)
        for (int64_t x = 0; x < t->size[0]; x++)
            point_at(pen, (double)(t->at[0] + x), (double)(t->at[1] + y), z, &p, count++);
    a->liver.distance(a->liver.ctx, &p, count, d);
    noise_read(&a->texture->n10, &p, count, 1, pen->offset, wander);
    for (int i = 0; i < count; i++) {
        int64_t at = t->at[0] + i % t->size[0] + n[0] * (t->at[1] + i / t->size[0] + n[1] * z);

        if (truth[at] == PHANTOM_TUMOUR) { /* a real mask's: somebody has drawn it already */
            out[at] = TUMOUR;
            continue;
        }
        /* the vena cava runs through the liver's shape, and no reader counts it in */
        if ((double)d[i] - liver_grow - liver_wander * (double)wander[i] < 0 && truth[at] != PHANTOM_CAVA)
            out[at] = LIVER;
    }
}

static void liver_slice(void *ctx, int64_t k)
{
    const struct pen *pen = ctx;
    const double *h = pen->truth->grid.spacing;
    const double far = 1.4 * 0.5 * TILE * sqrt(h[0] * h[0] + h[1] * h[1]) + liver_grow + 5 * liver_wander;
    struct tile t;

    for (t.at[1] = pen->lo[1]; t.at[1] < pen->hi[1]; t.at[1] += TILE)
        for (t.at[0] = pen->lo[0]; t.at[0] < pen->hi[0]; t.at[0] += TILE) {
            struct points p;
            float d;

            for (int a = 0; a < 2; a++)
                t.size[a] = pen->hi[a] - t.at[a] < TILE ? pen->hi[a] - t.at[a] : TILE;
            point_at(pen, (double)t.at[0] + 0.5 * (double)t.size[0],
                     (double)t.at[1] + 0.5 * (double)t.size[1], pen->lo[2] + k, &p, 0);
            pen->a->liver.distance(pen->a->liver.ctx, &p, 1, &d);
            if ((double)d < far)
                liver_tile(pen, &t, pen->lo[2] + k);
        }
}

/* ---- a lesion ---- */

struct span {
    int64_t x, y, z;
    int n;
};

static void span_points(const struct pen *pen, const struct span *s, struct points *p)
{
    for (int i = 0; i < s->n; i++)
        point_at(pen, (double)(s->x + i), (double)s->y, s->z, p, i);
}

/* What the pen marks of a span; slice: the noise's offset and the slip of this slice. The liver and the noise
 * are looked at only where the lesion is near. */
static void draw_span(const struct pen *pen, struct span s, const double slice[2], uint8_t *mask)
{
    const struct annotation *a = pen->a;
    const double far = a->oversize + 5 * (lesion_wander + lesion_slip);
    float distance[BLOCK_MAX], liver[BLOCK_MAX], wander[BLOCK_MAX], *d = distance;
    struct points p;

    if (s.n < 1)
        return;
    span_points(pen, &s, &p);
    lesion_distance(pen->lesion, a->texture, &p, s.n, d);
    while (s.n > 0 && (double)d[s.n - 1] > far)
        s.n--;
    for (; s.n > 0 && (double)*d > far; s.n--, s.x++, d++, mask++)
        ;
    if (s.n < 1)
        return;
    span_points(pen, &s, &p);
    a->liver.distance(a->liver.ctx, &p, s.n, liver);
    for (int i = 0; i < s.n; i++)
        p.z[i] = 0; /* the noise is the plane's own */
    noise_read(&a->texture->n10, &p, s.n, 1, (float)slice[0], wander);
    for (int i = 0; i < s.n; i++) {
        double away = fmax((double)d[i], (double)liver[i] + liver_within);
        double pen_at = away - a->oversize - lesion_wander * (double)wander[i] - lesion_slip * slice[1];

        mask[i] = pen_at >= 0 ? UNMARKED : away < lesion_near + fmax(a->oversize, 0) ? NEAR : MARKED;
    }
}

/* The chord of a row through the ball that the lesion may reach. */
static void lesion_row(const struct pen *pen, int64_t y, int64_t z, const double slice[2], uint8_t *mask)
{
    const struct grid *g = &pen->truth->grid;
    const double *c = pen->lesion->centre;
    double dy = g->affine[1][3] + (double)y * g->spacing[1] - c[1];
    double dz = g->affine[2][3] + (double)z * g->spacing[2] - c[2];
    double half = sqrt(fmax(pen->reach * pen->reach - dy * dy - dz * dz, 0)) / g->spacing[0];
    double middle = (c[0] - g->affine[0][3]) / g->spacing[0];
    int64_t from = (int64_t)fmax(floor(middle - half), (double)pen->lo[0]);
    int64_t to = (int64_t)fmin(ceil(middle + half), (double)pen->hi[0]);

    for (int64_t x = from; x < to && half > 0; x += BLOCK_MAX) {
        struct span s = {x, y, z, (int)(to - x < BLOCK_MAX ? to - x : BLOCK_MAX)};

        draw_span(pen, s, slice, mask + (x - pen->lo[0]));
    }
}

/* Drops areas that are too small or away from the lesion (where the pen's error alone made a mark), and fills
 * the holes of the others. */
static enum err tidy(uint8_t *mask, const int64_t dims[3], double pixel)
{
    struct components c = {0};
    bool *kept;

    TRY(components_find(&c, mask, dims, CORNERS));
    kept = mem_new((size_t)c.count + 1, sizeof *kept);
    for (int64_t i = 0; i < dims[0] * dims[1] && kept; i++)
        kept[c.label[i]] |= mask[i] == NEAR && (double)c.size[c.label[i]] * pixel >= area_least;
    for (int64_t i = 0; i < dims[0] * dims[1] && kept; i++)
        if (!kept[c.label[i]])
            mask[i] = UNMARKED;
    components_free(&c);
    if (!kept)
        return ERR_MEMORY;
    mem_free(kept);
    return morph_fill_holes(mask, dims);
}

static void lesion_slice(void *ctx, int64_t k)
{
    struct pen *pen = ctx;
    const struct grid *g = &pen->truth->grid;
    int64_t dims[3] = {pen->hi[0] - pen->lo[0], pen->hi[1] - pen->lo[1], 1}, z = pen->lo[2] + k;
    struct rng r = rng_at(pen->rng.seed, rng_key(pen->rng.stream, (uint64_t)z));
    double slice[2] = {NOISE_SIDE * rng_unit(&r), rng_normal(&r)};
    uint8_t *mask = mem_new((size_t)(dims[0] * dims[1]), 1);
    enum err err = mask ? ERR_OK : ERR_MEMORY;
    long drawn = 0;

    for (int64_t y = 0; y < dims[1] && !err; y++)
        lesion_row(pen, pen->lo[1] + y, z, slice, mask + y * dims[0]);
    if (!err)
        err = tidy(mask, dims, g->spacing[0] * g->spacing[1]);
    for (int64_t i = 0; i < dims[0] * dims[1] && !err; i++)
        if (mask[i]) {
            int64_t row = pen->lo[1] + i / dims[0] + g->dims[1] * z;

            ((uint8_t *)pen->out->data)[pen->lo[0] + i % dims[0] + g->dims[0] * row] = TUMOUR;
            drawn++;
        }
    mem_free(mask);
    atomic_fetch_add(&pen->drawn, drawn);
    if (err)
        atomic_store(&pen->failure, (int)err);
}

static bool is_tumour(const struct annotation *a, int i)
{
    enum lesion_kind k = a->lesions->item[i].kind;

    return lesion_malignant(k) || (a->benign_is_tumour && k != LESION_CYST);
}

static enum err draw_lesion(struct pen *pen, int i, bool *drawn)
{
    const struct annotation *a = pen->a;
    const struct lesion *l = &a->lesions->item[i];
    double u[2];

    *drawn = false;
    pen->rng = phantom_rng(a->id, "annotation", i);
    u[0] = rng_unit(&pen->rng);
    u[1] = rng_unit(&pen->rng);
    if (!is_tumour(a, i) || (l->diameter < diameter_least && u[0] < odds_small) ||
        (fabs(a->contrast[i]) < contrast_least && u[1] < odds_faint))
        return ERR_OK;
    pen->lesion = l;
    pen->reach = lesion_reach(l) + fmax(a->oversize, 0) + 2;
    atomic_store(&pen->drawn, 0);
    find_box(pen, l->centre, l->centre, pen->reach);
    if (pen->lo[0] < pen->hi[0] && pen->lo[1] < pen->hi[1])
        par_for(pen->hi[2] - pen->lo[2], lesion_slice, pen);
    *drawn = atomic_load(&pen->drawn) > 0;
    if (atomic_load(&pen->failure))
        return err_set((enum err)atomic_load(&pen->failure), "no memory to draw lesion %d", i + 1);
    return ERR_OK;
}

/* ---- all of it ---- */

static enum err draw(struct pen *pen, bool drawn[PHANTOM_LESIONS])
{
    const struct liver *liver = &pen->a->liver;
    struct rng r = phantom_rng(pen->a->id, "annotation", PHANTOM_LESIONS);

    pen->offset = (float)(NOISE_SIDE * rng_unit(&r));
    find_box(pen, liver->lo, liver->hi, liver_grow + 5 * liver_wander);
    par_for(pen->hi[2] - pen->lo[2], liver_slice, pen);
    for (int i = 0; i < pen->a->lesions->count; i++)
        TRY(draw_lesion(pen, i, &drawn[i]));
    return ERR_OK;
}

/* The truth's own labels: what of the portal vein lies in the liver is liver. */
static void copy_slice(void *ctx, int64_t z)
{
    const struct pen *pen = ctx;
    const int64_t *n = pen->truth->grid.dims;
    int64_t first = z * n[0] * n[1];
    const uint8_t *truth = (const uint8_t *)pen->truth->data + first;
    uint8_t *out = (uint8_t *)pen->out->data + first;

    for (int64_t i = 0; i < n[0] * n[1]; i++) {
        struct points p;
        float d = 0;

        if (truth[i] == PHANTOM_PORTAL || truth[i] == PHANTOM_HEPATIC) {
            point_at(pen, (double)(i % n[0]), (double)(i / n[0]), z, &p, 0);
            pen->a->liver.distance(pen->a->liver.ctx, &p, 1, &d);
            out[i] = d < 0 ? LIVER : BACKGROUND;
        } else if (truth[i] >= PHANTOM_LESION) {
            out[i] = is_tumour(pen->a, truth[i] - PHANTOM_LESION) ? TUMOUR : LIVER;
        } else if (truth[i] == PHANTOM_TUMOUR) {
            out[i] = TUMOUR;
        } else {
            out[i] = truth[i] == PHANTOM_LIVER || truth[i] == PHANTOM_BENIGN ? LIVER : BACKGROUND;
        }
    }
}

static void copy(struct pen *pen, bool drawn[PHANTOM_LESIONS])
{
    const uint8_t *truth = pen->truth->data;

    par_for(pen->truth->grid.dims[2], copy_slice, pen);
    for (int i = 0; i < pen->a->lesions->count; i++)
        drawn[i] = false;
    for (int64_t i = 0; i < grid_count(&pen->truth->grid); i++)
        if (truth[i] >= PHANTOM_LESION)
            drawn[truth[i] - PHANTOM_LESION] = is_tumour(pen->a, truth[i] - PHANTOM_LESION);
}

enum err annotate(struct volume **out, bool drawn[PHANTOM_LESIONS], const struct volume *truth,
                  const struct annotation *a)
{
    struct pen pen = {.a = a, .truth = truth};
    enum err err = volume_new(&pen.out, &truth->grid, VOXEL_U8);

    if (!err && a->off)
        copy(&pen, drawn);
    else if (!err)
        err = draw(&pen, drawn);
    if (err) {
        volume_free(pen.out);
        return err;
    }
    *out = pen.out;
    return ERR_OK;
}
