#include "data/contrast.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>

/* The great vessels lie in this box before the spine, in parts of the body's width. */
static const double aside = 0.085, behind = 0.06, before = 0.22;
/* Their cross-section, cm2, in a body of 350 mm, and the length over which they run straight. */
static const double vessel_cm2 = 1.2, slab_mm = 50;
static const double width_least = 150, width_most = 400; /* mm; bodies that fill the scan look narrower */
enum { LIVER_SLOPE = 30 }; /* HU between neighbours: away from edges that move */
enum { BONE_LEAST = 180 }; /* HU in every phase */
enum { LIVER_LEAST_VOXELS = 100, SLAB_MOST = 64 };

struct look {
    const struct contrast_input *in;
    const int16_t *hu[PLAN_MAX_PHASES]; /* of the phases that are there */
    int channel[PLAN_MAX_PHASES], count;
    const int64_t *n;
    int *pick; /* voxels that were chosen */
    int picked;
    int *value; /* room for a value of each voxel */
};

static void range_at(const struct look *l, int64_t i, int *low, int *high)
{
    *low = *high = l->hu[0][i];
    for (int k = 1; k < l->count; k++) {
        int v = l->hu[k][i];

        *low = v < *low ? v : *low;
        *high = v > *high ? v : *high;
    }
}

static int range_of(const struct look *l, int64_t i)
{
    int low, high;

    range_at(l, i, &low, &high);
    return high - low;
}

/* In the body, soft in every phase, and no in-plane neighbour differs by more than `slope`. */
static bool even(const struct look *l, int64_t i, const int hu[2], int slope)
{
    int64_t x = i % l->n[0], y = i / l->n[0] % l->n[1];
    const int64_t near[4] = {i - 1, i + 1, i - l->n[0], i + l->n[0]};
    int low, high;

    if (x == 0 || y == 0 || x + 1 == l->n[0] || y + 1 == l->n[1])
        return false;
    range_at(l, i, &low, &high);
    if (!((const uint8_t *)l->in->least->body->data)[i] || low <= hu[0] || high >= hu[1])
        return false;
    for (int k = 0; k < l->count; k++)
        for (int j = 0; j < 4; j++)
            if (abs(l->hu[k][near[j]] - l->hu[k][i]) > slope)
                return false;
    return true;
}

static int by_value(const void *a, const void *b)
{
    return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

/* The value below which a share q of the first `count` lies; sorts them. */
static int quantile(int *v, int count, double q)
{
    qsort(v, (size_t)count, sizeof *v, by_value);
    return v[(int)(q * (count - 1))];
}

/* Keeps the picked voxels that change by at least `least` between phases. */
static void keep_changing(struct look *l, int least)
{
    int kept = 0;

    for (int i = 0; i < l->picked; i++)
        if (range_of(l, l->pick[i]) >= least)
            l->pick[kept++] = l->pick[i];
    l->picked = kept;
}

/* Range between phases below which a share q of the picked voxels lies. */
static int range_quantile(struct look *l, double q)
{
    for (int i = 0; i < l->picked; i++)
        l->value[i] = range_of(l, l->pick[i]);
    return quantile(l->value, l->picked, q);
}

static int median_in(struct look *l, int k)
{
    for (int i = 0; i < l->picked; i++)
        l->value[i] = l->hu[k][l->pick[i]];
    return quantile(l->value, l->picked, 0.5);
}

/* A vessel runs along the body: a rod is a column of the sketch over one slab, with the median of each phase.
 * What moves through it, such as gut, does not reach the median. */
struct rod {
    int hu[PLAN_MAX_PHASES]; /* by look.channel */
    int range;
    int64_t at[3];
};
struct rods {
    struct rod *item;
    int count, room;
    double wanted; /* how many the vessels fill */
};

static int median_of(int *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

/* The rod at (x, y) of slices from .. to - 1; false unless most of it is soft in every phase. */
static bool rod_make(struct rod *r, const struct look *l, int64_t column, const int64_t slab[2])
{
    int v[PLAN_MAX_PHASES][SLAB_MOST], n = 0, low = 0, high = 0;

    for (int64_t z = slab[0]; z < slab[1] && n < SLAB_MOST; z++) {
        int64_t i = column + l->n[0] * l->n[1] * z;

        range_at(l, i, &low, &high);
        if (!((const uint8_t *)l->in->least->body->data)[i] || low <= 0 || high >= 600)
            continue;
        for (int k = 0; k < l->count; k++)
            v[k][n] = l->hu[k][i];
        n++;
    }
    if (2 * n <= slab[1] - slab[0])
        return false;
    for (int k = 0; k < l->count; k++) {
        r->hu[k] = median_of(v[k], n);
        low = k && low < r->hu[k] ? low : r->hu[k];
        high = k && high > r->hu[k] ? high : r->hu[k];
    }
    r->range = high - low;
    r->at[0] = column % l->n[0];
    r->at[1] = column / l->n[0];
    r->at[2] = (slab[0] + slab[1]) / 2;
    return low < BONE_LEAST;
}

/* A neighbouring column is bone in some of the slab: what moves beside an edge of bone looks like contrast.
 */
static bool near_bone(const struct look *l, int64_t column, const int64_t slab[2])
{
    const int16_t *least = l->in->least->hu->data;
    int64_t x = column % l->n[0], y = column / l->n[0], area = l->n[0] * l->n[1];

    if (x == 0 || y == 0 || x + 1 == l->n[0] || y + 1 == l->n[1])
        return true;
    for (int k = 0; k < 9; k++) {
        int64_t i = column + k % 3 - 1 + l->n[0] * (k / 3 - 1), bone = 0;

        for (int64_t z = slab[0]; z < slab[1]; z++)
            bone += least[i + area * z] >= BONE_LEAST;
        if (4 * bone > slab[1] - slab[0])
            return true;
    }
    return false;
}

static int by_range(const void *a, const void *b)
{
    const struct rod *p = a, *q = b;

    return (p->range < q->range) - (p->range > q->range);
}

/* All rods of the box before the spine, those that change most first. */
static enum err find_rods(struct rods *r, const struct look *l)
{
    const struct posture *p = l->in->posture;
    const double *h = l->in->least->hu->grid.spacing;
    double width = fmin(width_most, fmax(width_least, (p->high[0] - p->low[0] + 1) * h[0]));
    double scale = width / 350;
    int64_t step = (int64_t)fmax(1, fmin(SLAB_MOST, rint(slab_mm * scale / h[2]))),
            slabs = (l->n[2] + step - 1) / step;

    *r = (struct rods){.room = (int)(l->n[0] * l->n[1] * slabs),
                       .wanted = fmax(4, vessel_cm2 * 100 * scale * scale / (h[0] * h[1]) * (double)slabs)};
    r->item = mem_new((size_t)r->room, sizeof *r->item);
    if (!r->item)
        return ERR_MEMORY;
    for (int64_t i = 0; i < r->room; i++) {
        int64_t column = i % (l->n[0] * l->n[1]), from = i / (l->n[0] * l->n[1]) * step;
        double x = ((double)(column % l->n[0]) - p->spine[0]) * h[0] / width;
        double y = ((double)(column / l->n[0]) - p->spine[1]) * h[1] / width;
        const int64_t slab[2] = {from, from + step < l->n[2] ? from + step : l->n[2]};

        if (fabs(x) < aside && y > behind && y < before && !near_bone(l, column, slab) &&
            rod_make(&r->item[r->count], l, column, slab))
            r->count++;
    }
    qsort(r->item, (size_t)r->count, sizeof *r->item, by_range);
    return ERR_OK;
}

/* From the rods that change most; l->value has room for all. */
static void measure_rods(struct contrast *out, struct look *l, const struct rods *r)
{
    int n = (int)r->wanted;
    double sum[3] = {0};

    if (r->count <= n)
        return;
    for (int i = 0; i < l->count; i++) {
        int c = l->channel[i];

        for (int k = 0; k < n; k++)
            l->value[k] = r->item[k].hu[i];
        out->blood[c] = quantile(l->value, n, 0.5);
        for (int j = 0; j < l->count; j++) {
            for (int k = 0; k < n; k++)
                l->value[k] = r->item[k].hu[i] - r->item[k].hu[j];
            out->lead[c][l->channel[j]] = quantile(l->value, n, 0.35);
        }
    }
    for (int k = 0; k < n; k++)
        for (int a = 0; a < 3; a++)
            sum[a] += (double)r->item[k].at[a] / n;
    for (int a = 0; a < 3; a++)
        out->at[a] = (int64_t)lround(sum[a]);
}

static enum err measure_blood(struct contrast *out, struct look *l)
{
    struct rods r;

    TRY(find_rods(&r, l));
    measure_rods(out, l, &r);
    mem_free(r.item);
    return ERR_OK;
}

/* Without a label: what changes on the right of the spine is mostly liver. */
static void pick_liver(struct look *l)
{
    static const int hu[2] = {-10, 220};
    const uint8_t *liver = l->in->liver ? l->in->liver->data : NULL;

    for (int64_t i = 0; i < grid_count(&l->in->least->hu->grid); i++)
        if ((liver ? liver[i] != 0 : (double)(i % l->n[0]) > l->in->posture->spine[0]) &&
            even(l, i, hu, LIVER_SLOPE))
            l->pick[l->picked++] = (int)i;
    if (!liver && l->picked >= LIVER_LEAST_VOXELS) {
        int half = range_quantile(l, 0.5);

        keep_changing(l, half > 20 ? half : 20);
    }
}

enum err contrast_measure(struct contrast *out, const struct contrast_input *in)
{
    const struct grid *g = &in->least->hu->grid;
    size_t count = (size_t)grid_count(g);
    struct look l = {.in = in, .n = g->dims};
    enum err err = ERR_OK;

    for (int k = 0; k < PLAN_MAX_PHASES; k++) {
        out->blood[k] = out->liver[k] = NAN;
        for (int j = 0; j < PLAN_MAX_PHASES; j++)
            out->lead[k][j] = NAN;
        if (!in->phase[k].hu)
            continue;
        l.channel[l.count] = k;
        l.hu[l.count++] = in->phase[k].hu->data;
    }
    for (int a = 0; a < 3; a++)
        out->at[a] = g->dims[a] / 2;
    if (l.count < 2 || isnan(in->posture->spine[0]) || count > INT32_MAX)
        return ERR_OK;
    l.pick = mem_new(count, sizeof *l.pick);
    l.value = mem_new(count, sizeof *l.value);
    if (l.pick && l.value) {
        err = measure_blood(out, &l);
        pick_liver(&l);
        for (int k = 0; k < l.count && l.picked >= LIVER_LEAST_VOXELS; k++)
            out->liver[l.channel[k]] = median_in(&l, k);
    } else {
        err = ERR_MEMORY;
    }
    mem_free(l.pick);
    mem_free(l.value);
    return err;
}

/* What must not be seen: `bright` brighter than `dark`. Margins in HU, 0: that organ says nothing. What
 * outshines the arterial phase has to be as bright as arteries: veins and gut with contrast medium are not.
 * With `both` the two organs must agree: portal venous and delayed phases are alike. */
struct order {
    enum phase bright, dark;
    double blood, liver;
    double least; /* HU of the brighter blood */
    bool both;
};
static const struct order orders[] = {
    {PHASE_NONCONTRAST, PHASE_ARTERIAL, 30, 0, 190, false},
    {PHASE_NONCONTRAST, PHASE_PORTAL, 30, 15, 0, false},
    {PHASE_NONCONTRAST, PHASE_DELAYED, 25, 15, 0, false},
    {PHASE_PORTAL, PHASE_ARTERIAL, 30, 0, 190, false},
    {PHASE_DELAYED, PHASE_ARTERIAL, 30, 0, 190, false},
    {PHASE_ARTERIAL, PHASE_PORTAL, 0, 18, 0, false},
    {PHASE_DELAYED, PHASE_PORTAL, 10, 6, 0, true},
};

/* By how many times its margin blood contradicts; 0 if it says nothing. */
static double blood_excess(const struct contrast *c, const struct order *o, int bright, int dark)
{
    double lead = c->lead[bright][dark];

    return o->blood > 0 && c->blood[bright] >= o->least ? lead / o->blood : 0;
}

static int channel_of(const struct phase_map *m, enum phase p)
{
    for (int k = 0; k < m->count; k++)
        if (m->kind[k] == p)
            return k;
    return -1;
}

/* The contradiction that exceeds its margin most; returns how many times. */
static double find_worst(struct contrast_swap *out, const struct contrast *c, const struct phase_map *phases)
{
    double worst = 1;

    *out = (struct contrast_swap){.bright = -1, .dark = -1, .exchange = {-1, -1}};
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        const struct order *o = &orders[i];
        int b = channel_of(phases, o->bright), d = channel_of(phases, o->dark);
        double blood, liver, excess;
        bool vessels;

        if (b < 0 || d < 0)
            continue;
        blood = blood_excess(c, o, b, d);
        liver = c->liver[b] - c->liver[d];
        liver = o->liver > 0 && !isnan(liver) ? liver / o->liver : 0;
        excess = o->both ? fmin(blood, liver) : fmax(blood, liver);
        if (excess <= worst)
            continue;
        worst = excess;
        vessels = blood >= liver;
        out->bright = b;
        out->dark = d;
        out->organ = vessels ? "the great vessels are" : "the liver is";
        out->hu[0] = vessels ? c->blood[b] : c->liver[b];
        out->hu[1] = vessels ? c->blood[d] : c->liver[d];
    }
    return worst;
}

struct contrast_swap contrast_judge(const struct contrast *c, const struct phase_map *phases)
{
    struct contrast_swap found, other;

    find_worst(&found, c, phases);
    if (found.bright < 0)
        return found;
    for (int i = 0; i < phases->count; i++)
        for (int j = 0; j < i; j++) {
            struct phase_map m = *phases;

            m.kind[i] = phases->kind[j];
            m.kind[j] = phases->kind[i];
            if (isnan(c->blood[i] + c->blood[j]) && isnan(c->liver[i] + c->liver[j]))
                continue;
            find_worst(&other, c, &m);
            if (other.bright < 0) {
                found.exchange[0] = j;
                found.exchange[1] = i;
            }
        }
    return found;
}
