#include "data/contrast.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>

/* The great vessels lie in this box before the spine, in parts of the body's width. */
static const double aside = 0.085, behind = 0.08, before = 0.25;
static const double blood_ml = 3;                        /* what changes most in that box */
static const double width_least = 150, width_most = 400; /* mm; bodies that fill the scan look narrower */
enum { BLOOD_SLOPE = 70, LIVER_SLOPE = 30 }; /* HU between neighbours: away from edges that move */
enum { BONE_LEAST = 200 };                   /* HU in every phase */
enum { BLOOD_LEAST_VOXELS = 10, LIVER_LEAST_VOXELS = 100 };

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

/* Before the spine. */
static bool in_box(const struct look *l, int64_t i, double width)
{
    const struct posture *p = l->in->posture;
    const double *h = l->in->least->hu->grid.spacing;
    double x = ((double)(i % l->n[0]) - p->spine[0]) * h[0] / width;
    double y = ((double)(i / l->n[0] % l->n[1]) - p->spine[1]) * h[1] / width;

    return fabs(x) < aside && y > behind && y < before;
}

static void pick_blood(struct look *l, double width, double wanted)
{
    static const int hu[2] = {0, 600};

    for (int64_t i = 0; i < grid_count(&l->in->least->hu->grid); i++)
        if (in_box(l, i, width) && even(l, i, hu, BLOOD_SLOPE))
            l->pick[l->picked++] = (int)i;
    if (l->picked > wanted)
        keep_changing(l, range_quantile(l, 1 - wanted / l->picked));
}

/* What is no bone in some phase, smooth or not: `wanted` voxels of it are brighter than the peak. */
static void measure_peaks(struct contrast *out, struct look *l, double width, double wanted)
{
    for (int64_t i = 0; i < grid_count(&l->in->least->hu->grid); i++) {
        int low, high;

        if (!in_box(l, i, width))
            continue;
        range_at(l, i, &low, &high);
        if (low > 0 && low < BONE_LEAST && high < 600)
            l->pick[l->picked++] = (int)i;
    }
    for (int k = 0; k < l->count && l->picked > wanted; k++) {
        for (int i = 0; i < l->picked; i++)
            l->value[i] = l->hu[k][l->pick[i]];
        out->peak[l->channel[k]] = quantile(l->value, l->picked, 1 - wanted / l->picked);
    }
}

static void measure_blood(struct contrast *out, struct look *l)
{
    const struct posture *p = l->in->posture;
    const double *h = l->in->least->hu->grid.spacing;
    double width = fmin(width_most, fmax(width_least, (p->high[0] - p->low[0] + 1) * h[0]));
    double wanted = fmax(12, blood_ml * 1000 * pow(width / 350, 3) / (h[0] * h[1] * h[2]));
    double sum[3] = {0};

    measure_peaks(out, l, width, wanted);
    l->picked = 0;
    pick_blood(l, width, wanted);
    if (l->picked < BLOOD_LEAST_VOXELS)
        return;
    for (int i = 0; i < l->count; i++) {
        out->blood[l->channel[i]] = median_in(l, i);
        for (int j = 0; j < l->count; j++) {
            for (int k = 0; k < l->picked; k++)
                l->value[k] = l->hu[i][l->pick[k]] - l->hu[j][l->pick[k]];
            out->lead[l->channel[i]][l->channel[j]] = quantile(l->value, l->picked, 0.2);
        }
    }
    for (int k = 0; k < l->picked; k++) {
        int64_t i = l->pick[k];

        sum[0] += (double)(i % l->n[0]);
        sum[1] += (double)(i / l->n[0] % l->n[1]);
        sum[2] += (double)(i / (l->n[0] * l->n[1]));
    }
    for (int a = 0; a < 3; a++)
        out->at[a] = (int64_t)lround(sum[a] / l->picked);
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
        out->blood[k] = out->liver[k] = out->peak[k] = NAN;
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
        measure_blood(out, &l);
        l.picked = 0;
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

static const double peak_least = 10; /* HU */

/* What must not be seen: `bright` brighter than `dark`. Margins in HU, 0: that organ says nothing. With
 * `both` the two organs must agree: portal venous and delayed phases are alike. */
struct order {
    enum phase bright, dark;
    double blood, liver;
    bool both;
};
static const struct order orders[] = {
    {PHASE_NONCONTRAST, PHASE_ARTERIAL, 30, 0, false}, {PHASE_NONCONTRAST, PHASE_PORTAL, 30, 15, false},
    {PHASE_NONCONTRAST, PHASE_DELAYED, 25, 15, false}, {PHASE_PORTAL, PHASE_ARTERIAL, 30, 0, false},
    {PHASE_DELAYED, PHASE_ARTERIAL, 30, 0, false},     {PHASE_ARTERIAL, PHASE_PORTAL, 0, 18, false},
    {PHASE_DELAYED, PHASE_PORTAL, 10, 6, true},
};

/* By how many times its margin blood contradicts; 0 if it says nothing. The peaks must say so, too: veins may
 * be brighter after the arterial phase, and gut with contrast medium may move, but then something as bright
 * is seen in the other phase. */
static double blood_excess(const struct contrast *c, const struct order *o, int bright, int dark)
{
    double lead = c->lead[bright][dark], peak = c->peak[bright] - c->peak[dark];

    if (o->blood <= 0 || isnan(lead) || (!o->both && !(peak > peak_least)))
        return 0;
    return lead / o->blood;
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
