#include "phantom/organ.h"
#include "phantom/poly.h"
#include <assert.h>

enum { MOST_BEADS = 8 };

static struct ellipsoid ellipsoid_of(const struct part *p, const struct body *b)
{
    struct ellipsoid e = p->ellipsoid;

    for (int k = 0; k < 3; k++) {
        if (p->shift)
            e.centre[k] += (float)b->shift[p->shift - 1][k];
        if (p->stretch[k])
            e.axes[k] *= (float)b->liver[p->stretch[k] - 1];
    }
    e.centre[1] += p->spine * (float)(-50 * b->half_depth / 110);
    e.centre[1] *= p->front ? (float)b->front : 1;
    return e;
}

static void chain_of(const struct part *p, const struct body *b, struct bead out[MOST_BEADS])
{
    assert(p->beads <= MOST_BEADS);
    for (int i = 0; i < p->beads; i++) {
        out[i] = p->chain[i];
        for (int k = 0; k < 3 && p->shift; k++)
            out[i].at[k] += (float)b->shift[p->shift - 1][k];
        if (p->front)
            out[i].at[1] *= (float)b->front;
        if (p->vessel)
            out[i].radius /= (float)b->scale;
    }
}

static struct view *layer_of(const struct part *p, const struct layers *l)
{
    return p->wall ? l->wall : l->organ;
}

static struct shape_box mirrored(struct shape_box b)
{
    float lo = b.lo[0], hi = b.hi[0];

    b.lo[0] = poly_max(poly_max(lo, -hi), 0);
    b.hi[0] = poly_max(-lo, hi);
    return b;
}

static float organ_least(const struct part *organ, const struct layers *l);

/* A bound from below on a part's distance in the block. */
static float part_least(const struct part *p, const struct layers *l)
{
    struct view *v = layer_of(p, l);
    struct shape_box box = p->both ? mirrored(v->box) : v->box;
    struct bead bead[MOST_BEADS];
    struct ellipsoid e;

    switch (p->what) {
    case PART_ELLIPSOID:
        e = ellipsoid_of(p, v->body);
        return shape_ellipsoid_least(&e, &box) + p->add;
    case PART_CHAIN:
        chain_of(p, v->body, bead);
        return shape_chain_least(bead, p->beads, &box) + p->add;
    case PART_ORGAN:
        return organ_least(p->organ, l) + p->add;
    default:
        return -INFINITY;
    }
}

/* By how much what follows part p can lower the distance. */
static float slack_after(const struct part *p)
{
    float slack = 0;

    for (p++; p->what; p++) {
        if (p->how == PART_ADD)
            slack += fabsf(p->k) * NOISE_MOST;
        else if (p->how == PART_SHELL)
            slack += p->k;
        else if (p->how == PART_UNION)
            return INFINITY;
    }
    return slack;
}

static float organ_least(const struct part *organ, const struct layers *l)
{
    float least = INFINITY, slack = 0;

    for (const struct part *p = organ; p->what; p++) {
        if (p->how == PART_IS || p->how == PART_UNION)
            least = poly_min(least, part_least(p, l));
        if (p->how == PART_ADD)
            slack += fabsf(p->k) * NOISE_MOST;
        else if (p->how == PART_SHELL)
            slack += p->k;
        else if (p->how == PART_UNION)
            slack += p->k / 4;
    }
    return least - slack;
}

static void both_sides(const struct points *p, int n, struct points *out)
{
    for (int i = 0; i < n; i++) {
        out->x[i] = fabsf(p->x[i]);
        out->y[i] = p->y[i];
        out->z[i] = p->z[i];
    }
}

static void part_distance(const struct part *p, const struct layers *l, float *d)
{
    struct view *v = layer_of(p, l);
    const struct points *at = &v->at;
    struct points turned;
    struct bead bead[MOST_BEADS];
    struct ellipsoid e;

    if (p->both) {
        both_sides(at, v->n, &turned);
        at = &turned;
    }
    if (p->what == PART_ELLIPSOID) {
        e = ellipsoid_of(p, v->body);
        shape_ellipsoid(&e, at, v->n, d);
    } else if (p->what == PART_CHAIN) {
        chain_of(p, v->body, bead);
        shape_chain(bead, p->beads, at, v->n, d);
    } else if (p->what == PART_FIELD) {
        const float *f = body_field(v, p->field), sign = p->negative ? -1 : 1;
        for (int i = 0; i < v->n; i++)
            d[i] = sign * f[i];
    } else if (p->what == PART_ORGAN) {
        organ_distance(p->organ, l, INFINITY, d);
    } else if (p->what == PART_FUNCTION) {
        p->function(p, v, d);
    }
    for (int i = 0; i < v->n && p->add != 0; i++)
        d[i] += p->add;
}

/* Whether combining with part p changes nothing where distances so far are within r. */
static bool idle(const struct part *p, const struct layers *l, struct shape_range r)
{
    if (l->all)
        return false;
    if (p->how == PART_UNION)
        return part_least(p, l) >= p->k + r.hi;
    if (p->how == PART_SUB)
        return part_least(p, l) >= p->k - r.lo;
    if (p->how == PART_INTER && p->what == PART_FIELD && p->field == FIELD_CAVITY)
        return body_cavity_most(layer_of(p, l)) + p->add <= r.lo - p->k;
    return false;
}

static void combine(const struct part *p, float *d, const float *own, int n)
{
    switch (p->how) {
    case PART_UNION:
        shape_union(d, own, p->k, n);
        break;
    case PART_SUB:
        shape_subtract(d, own, p->k, n);
        break;
    case PART_INTER:
        shape_intersect(d, own, p->k, n);
        break;
    case PART_ADD:
        for (int i = 0; i < n; i++)
            d[i] += p->k * own[i];
        break;
    case PART_SHELL:
        for (int i = 0; i < n; i++)
            d[i] = fabsf(d[i]) - p->k;
        break;
    default:
        memcpy(d, own, (size_t)n * sizeof *d);
    }
}

bool organ_distance(const struct part *organ, const struct layers *l, float reach, float *d)
{
    float own[BLOCK_MAX];
    struct shape_range r = {0, 0};
    int n = l->organ->n;

    if (!l->all && organ_least(organ, l) > reach)
        return false;
    for (const struct part *p = organ; p->what; p++) {
        if (p > organ && idle(p, l, r))
            continue;
        if (p->what != PART_SELF)
            part_distance(p, l, own);
        combine(p, d, own, n);
        r = shape_range(d, n);
        if (!l->all && r.lo - slack_after(p) > reach)
            return false;
    }
    return true;
}
