#include "phantom/scene_paint.h"
#include "phantom/poly.h"

float scene_tissue(const struct paint *p, enum tissue t)
{
    return (float)p->scene->tissues.hu[t][p->phase];
}

float scene_edge(const struct paint *p, float width)
{
    return poly_max(p->least, width) * p->unit;
}

/* v (1 - alpha) + hu alpha, not v + alpha (hu - v): where alpha is 1 nothing remains of v. */
void scene_blend(struct paint *p, const float *d, float inset, float width, const float *hu)
{
    float scale = .5f / width;

    for (int i = 0; i < p->n; i++) {
        float alpha = poly_clamp(.5f - (d[i] + inset) * scale, 0, 1);
        p->hu[i] = hu[i] * alpha + p->hu[i] * (1 - alpha);
    }
}

void scene_label(struct paint *p, const float *d, float inset, enum phantom_label label)
{
    uint8_t *out = p->label, own = (uint8_t)label;

    if (!label)
        return;
    for (int i = 0; i < p->n; i++)
        out[i] = d[i] + inset < 0 ? own : out[i];
}

static void add(float *hu, int n, float share, const float *noise)
{
    for (int i = 0; i < n; i++)
        hu[i] += share * noise[i];
}

static void fill(float *hu, int n, float value)
{
    for (int i = 0; i < n; i++)
        hu[i] = value;
}

void scene_rule(const struct paint *p, const struct organ *o, const float *d, float *hu)
{
    const struct rule *r = &o->hu;
    struct view *v = o->wall ? p->layers.wall : p->layers.organ;
    float base = r->base + r->phase[p->phase] + r->bone * (float)p->scene->tissues.bone;

    for (int k = 0; k < 2; k++)
        base += r->mix[k].share != 0 ? r->mix[k].share * scene_tissue(p, r->mix[k].of) : 0;
    fill(hu, p->n, base);
    if (r->n24 != 0)
        add(hu, p->n, r->n24, body_field(v, FIELD_N24));
    if (r->n10 != 0)
        add(hu, p->n, r->n10, body_field(v, FIELD_N10));
    if (r->n4 != 0)
        add(hu, p->n, r->n4, body_field(v, FIELD_N4));
    if (r->more)
        r->more(p, o, d, hu);
}

static void paint_plain(struct paint *p, const float *d, float width, float value, enum phantom_label label)
{
    float hu[BLOCK_MAX];

    fill(hu, p->n, value);
    scene_blend(p, d, 0, scene_edge(p, width), hu);
    scene_label(p, d, 0, label);
}

bool scene_couch_near(const struct shape_box *wall)
{
    return wall->lo[1] < -70;
}

void scene_couch(struct paint *p)
{
    const struct points *q = &p->layers.wall->at;
    float d[BLOCK_MAX];

    if (!scene_couch_near(&p->layers.wall->box))
        return;
    for (int i = 0; i < p->n; i++)
        d[i] = poly_max(fabsf(q->y[i] + 124 - .0011f * q->x[i] * q->x[i]) - 2.2f, fabsf(q->x[i]) - 205);
    if (shape_range(d, p->n).lo < scene_edge(p, 1))
        paint_plain(p, d, 1, -60, 0);
}

/* ---- the wall: skin, fat, muscle, and the fat of the cavity ---- */

/* A dark line between two layers of the flank's muscle, and the linea alba. */
static void muscle_hu(struct paint *p, float *hu)
{
    struct view *v = p->layers.wall;
    const float *t = body_field(v, FIELD_DEPTH), *phi = body_field(v, FIELD_ANGLE);
    const float *fat = body_field(v, FIELD_FAT), *muscle = body_field(v, FIELD_MUSCLE);
    const float *n10 = body_field(v, FIELD_N10);
    float base = scene_tissue(p, TISSUE_MUSCLE);

    for (int i = 0; i < p->n; i++) {
        float side = fabsf(phi[i] - 1.75f) < .75f ? 45 : 0;
        float line = side * poly_bell(t[i], fat[i] + .45f * muscle[i], .7f);
        hu[i] = base + 4 * n10[i] - line - 120 * poly_bell(phi[i], 3.14159265f, .025f);
    }
}

static void cavity_hu(struct paint *p, float *hu)
{
    struct view *v = p->layers.wall;
    const float *n10 = body_field(v, FIELD_N10), *n4 = body_field(v, FIELD_N4);
    float base = scene_tissue(p, TISSUE_FAT) + 6;

    for (int i = 0; i < p->n; i++)
        hu[i] = base + 6 * n10[i] + 6 * n4[i];
}

static void paint_skin_and_fat(struct paint *p, const float *t, float width)
{
    float d[BLOCK_MAX], hu[BLOCK_MAX];

    for (int i = 0; i < p->n; i++)
        d[i] = -t[i];
    paint_plain(p, d, .8f, scene_tissue(p, TISSUE_SKIN), PHANTOM_BODY);
    fill(hu, p->n, scene_tissue(p, TISSUE_FAT));
    add(hu, p->n, 5, body_field(p->layers.wall, FIELD_N10));
    scene_blend(p, d, 2, width, hu);
}

void scene_wall(struct paint *p)
{
    struct view *v = p->layers.wall;
    const float *t = body_field(v, FIELD_DEPTH), *fat, *cavity;
    struct shape_range depth = shape_range(t, p->n);
    float d[BLOCK_MAX], hu[BLOCK_MAX], width = scene_edge(p, .8f);
    bool all = p->layers.all;

    if (!all && depth.hi < -width)
        return;
    if (!all && body_cavity_most(v) < -width) {
        cavity_hu(p, p->hu);
        memset(p->label, PHANTOM_BODY, (size_t)p->n);
        return;
    }
    paint_skin_and_fat(p, t, width);
    fat = body_field(v, FIELD_FAT);
    for (int i = 0; i < p->n; i++)
        d[i] = fat[i] - t[i];
    if (!all && shape_range(d, p->n).lo > width)
        return;
    muscle_hu(p, hu);
    scene_blend(p, d, 0, width, hu);
    cavity = body_field(v, FIELD_CAVITY);
    if (!all && shape_range(cavity, p->n).lo > width)
        return;
    cavity_hu(p, hu);
    scene_blend(p, cavity, 0, width, hu);
}

/* ---- vessels and loops in the cavity ---- */

/* A capsule around a middle, or two that bend there, clipped to the cavity. false: not near. */
struct sausage {
    const float *centre, *half, *bend; /* bend: of the middle; NULL: straight */
    float radius, uneven, clip;        /* mm; times N10; from the cavity's surface */
};
static bool sausage_distance(const struct paint *p, const struct sausage *s, float reach, float *d)
{
    struct view *v = p->layers.organ;
    struct bead bead[3] = {{.radius = s->radius}, {.radius = s->radius}, {.radius = s->radius}};
    float inside = s->clip;
    int beads = s->bend ? 3 : 2;

    for (int k = 0; k < 3; k++) {
        bead[0].at[k] = s->centre[k] - s->half[k];
        bead[beads - 1].at[k] = s->centre[k] + s->half[k];
        if (s->bend)
            bead[1].at[k] = s->centre[k] + s->bend[k];
    }
    if (!p->layers.all && shape_chain_least(bead, beads, &v->box) > reach + s->uneven * NOISE_MOST)
        return false;
    shape_chain(bead, beads, &v->at, p->n, d);
    if (s->uneven != 0)
        add(d, p->n, s->uneven, body_field(v, FIELD_N10));
    if (!p->layers.all && body_cavity_most(p->layers.wall) + inside <= shape_range(d, p->n).lo)
        return true;
    for (int i = 0; i < p->n; i++)
        d[i] = poly_max(d[i], body_field(p->layers.wall, FIELD_CAVITY)[i] + inside);
    return true;
}

void scene_mesenteric(struct paint *p)
{
    float value = .6f * scene_tissue(p, TISSUE_PORTAL) + .4f * scene_tissue(p, TISSUE_AORTA) - 20;
    float d[BLOCK_MAX];

    for (int i = 0; i < MESENTERIC_VESSELS; i++) {
        const struct mesenteric *m = p->scene->body.mesenteric + i;
        struct sausage s = {m->centre, m->half, NULL, m->radius * p->unit, 0, 4};
        if (sausage_distance(p, &s, scene_edge(p, .8f), d))
            paint_plain(p, d, .8f, value, PHANTOM_BODY);
    }
}

/* Beyond section 5 loops bend, and gas stands over fluid: straight ones full of it are black rods. */
void scene_bowel(struct paint *p)
{
    const struct body *b = &p->scene->body;
    const float *y = p->layers.wall->at.y;
    float wall = scene_tissue(p, TISSUE_WALL) + (p->phase == PHANTOM_PVP ? 10 : 0), d[BLOCK_MAX],
          hu[BLOCK_MAX];

    for (int i = 0; i < BOWEL_LOOPS; i++) {
        const struct bowel_loop *l = b->bowel + i;
        struct sausage s = {l->centre, l->half, l->bend, l->radius, .9f, 3};
        bool gas = l->gas < .1f, bright = b->oral && l->gas > .4f;

        if (!sausage_distance(p, &s, scene_edge(p, .9f), d))
            continue;
        paint_plain(p, d, .9f, wall, PHANTOM_BODY);
        fill(hu, p->n, l->fluid + (bright ? 200.f : 0.f));
        add(hu, p->n, 5, body_field(p->layers.organ, FIELD_N10));
        for (int k = 0; k < p->n && gas; k++)
            hu[k] = y[k] > l->centre[1] ? -900 : hu[k];
        scene_blend(p, d, 2.4f, scene_edge(p, .9f), hu);
    }
}

/* ---- inside the liver ---- */

/* d <- max(d - wider, liver + inset), both in unit mm */
static void within_liver(const struct paint *p, const float *tree, float wider, float inset, float *d)
{
    for (int i = 0; i < p->n; i++)
        d[i] = poly_max((tree[i] - wider) * p->unit, p->liver[i] + inset);
}

/* The arteries run along one side of the portal veins: these, thinner and moved by 2.4 mm. (The sheath of
 * section 5, the same all around, makes rings of the veins.) */
static void paint_arteries(struct paint *p, const struct points *at)
{
    static const float aside[3] = {1.2f, -1.7f, -1.2f}, thinner = -.4f;
    struct points moved = {0};
    float tree[BLOCK_MAX], d[BLOCK_MAX];

    for (int i = 0; i < p->n; i++) {
        moved.x[i] = at->x[i] + aside[0] * p->unit;
        moved.y[i] = at->y[i] + aside[1] * p->unit;
        moved.z[i] = at->z[i] + aside[2] * p->unit;
    }
    tree_read(&p->scene->portal, &moved, p->n, tree);
    within_liver(p, tree, thinner, 0, d);
    paint_plain(p, d, .8f, .45f * scene_tissue(p, TISSUE_AORTA) + .55f * scene_tissue(p, TISSUE_LIVER), 0);
}

void scene_trees(struct paint *p)
{
    const struct points *at = &p->layers.organ->at;
    float tree[BLOCK_MAX], d[BLOCK_MAX];

    if (!p->liver)
        return;
    tree_read(&p->scene->hepatic, at, p->n, tree);
    within_liver(p, tree, 0, .5f, d);
    paint_plain(p, d, .8f, scene_tissue(p, TISSUE_HEPATIC), PHANTOM_HEPATIC);
    tree_read(&p->scene->portal, at, p->n, tree);
    if (p->phase == PHANTOM_ART)
        paint_arteries(p, at);
    within_liver(p, tree, 0, .5f, d);
    paint_plain(p, d, .8f, scene_tissue(p, TISSUE_PORTAL), PHANTOM_PORTAL);
}

static bool in_reach(const struct lesion *l, const struct shape_box *box)
{
    double reach = lesion_reach(l);

    for (int k = 0; k < 3; k++)
        if ((double)box->lo[k] > l->centre[k] + reach || (double)box->hi[k] < l->centre[k] - reach)
            return false;
    return true;
}

void scene_lesions(struct paint *p)
{
    const struct scene *s = p->scene;
    struct shape_box box = shape_box(p->p, p->n);
    float liver[BLOCK_MAX];

    for (int i = 0; i < p->n && p->liver; i++)
        liver[i] = p->liver[i] / p->unit;
    for (int k = 0; k < s->lesions.count && p->liver; k++) {
        struct lesion_paint l = {.lesion = s->lesions.item + k,
                                 .index = k,
                                 .texture = s->body.texture,
                                 .tissues = &s->tissues,
                                 .phase = p->phase,
                                 .grow = s->grow[k][p->phase],
                                 .least = p->least};
        if (p->layers.all || in_reach(l.lesion, &box))
            lesion_paint(&l, p->p, liver, p->n, p->hu, p->label);
    }
}

/* ---- ribs, over everything: the wall's layer may not be overdrawn ---- */

/* Where the lower ribs end and their cartilage runs up to the sternum. Beyond section 5, as are cartilage and
 * sternum: its ribs go on down to the navel. */
static float costal_margin(float phi)
{
    return -150 + 200 * poly_clamp((phi - 1.6f) / 1.5f, 0, 1);
}

/* Twelve a side, 34 mm apart, each coming down to the front. The nearest in height is the nearest. */
static void ribs_distance(struct view *v, float *d)
{
    const float *t = body_field(v, FIELD_DEPTH), *phi = body_field(v, FIELD_ANGLE),
                *n24 = body_field(v, FIELD_N24);
    const float *fat = body_field(v, FIELD_FAT), *muscle = body_field(v, FIELD_MUSCLE);

    for (int i = 0; i < v->n; i++) {
        float s = poly_sin(.41f * phi[i]), top = 274 - 236 * s * s; /* 1 - cos .82 phi = 2 sin^2 .41 phi */
        float k = poly_clamp(floorf((top - v->at.z[i]) / 34 + .5f), 0, 11);
        float end = k < 6.5f ? 3.05f : 2.35f - .28f * (k - 7), below = costal_margin(phi[i]) - v->at.z[i];
        float u = (t[i] - fat[i] - .6f * muscle[i] - .6f * n24[i]) / 3.6f,
              w = (v->at.z[i] - top + 34 * k) / 6.6f;
        float own = poly_max((sqrtf(u * u + w * w) - 1) * 3.6f, .6f * below);
        d[i] = poly_max(own, poly_max((phi[i] - end) * 120, (.22f - phi[i]) * 100));
    }
}

/* In front ribs are cartilage, and a bar of it follows the margin. d: of the ribs, then of those of bone. */
static void cartilage_distance(struct view *v, float *d, float *cartilage)
{
    const float *t = body_field(v, FIELD_DEPTH), *phi = body_field(v, FIELD_ANGLE),
                *n24 = body_field(v, FIELD_N24);
    const float *fat = body_field(v, FIELD_FAT), *muscle = body_field(v, FIELD_MUSCLE);

    for (int i = 0; i < v->n; i++) {
        float front = (phi[i] - 2.4f - .05f * n24[i]) * 110;
        float u = (t[i] - fat[i] - .55f * muscle[i] - .6f * n24[i]) / 4.4f,
              w = (v->at.z[i] - costal_margin(phi[i])) / 14;
        float bar = poly_max((sqrtf(u * u + w * w) - 1) * 4.4f, (1.85f - phi[i]) * 110);
        cartilage[i] = poly_min(poly_max(d[i], -front), bar);
        d[i] = poly_max(d[i], front);
    }
}

/* The sternum with its xiphoid: a plate from z 24 on, 34 mm wide above z 60. */
static void sternum_distance(struct view *v, float *d)
{
    const float *t = body_field(v, FIELD_DEPTH), *phi = body_field(v, FIELD_ANGLE);
    const float *fat = body_field(v, FIELD_FAT), *muscle = body_field(v, FIELD_MUSCLE);

    for (int i = 0; i < v->n; i++) {
        float z = v->at.z[i], wide = 5 + 12 * poly_clamp((z - 30) / 30, 0, 1);
        float u = (t[i] - fat[i] - .5f * muscle[i]) / 4.6f, w = v->at.x[i] / wide;
        float own = (sqrtf(u * u + w * w) - 1) * 4.6f;
        d[i] = poly_max(own, poly_max(24 - z, (2.5f - phi[i]) * 100));
    }
}

/* They lie at t_f + .6 t_m, so .4 t_m inside of the cavity's surface and .6 t_m under the fat. */
static bool ribs_near(struct view *v, float width)
{
    float reach = 4.6f + width + .6f * NOISE_MOST;

    return body_cavity_most(v) > -reach &&
           shape_range(body_field(v, FIELD_DEPTH), v->n).hi >
               shape_range(body_field(v, FIELD_FAT0), v->n).lo - 1.5f * NOISE_MOST - reach;
}

/* shell, marrow: HU of bone of the usual quality */
static void paint_bone(struct paint *p, const float *d, float width, float shell, float marrow)
{
    float bone = (float)p->scene->tissues.bone, hu[BLOCK_MAX];

    for (int i = 0; i < p->n; i++)
        hu[i] = (d[i] > -1.3f ? shell : marrow) * bone;
    scene_blend(p, d, 0, width, hu);
    scene_label(p, d, 0, PHANTOM_BONE);
}

void scene_ribs(struct paint *p)
{
    struct view *v = p->layers.wall;
    float width = scene_edge(p, .8f), d[BLOCK_MAX], other[BLOCK_MAX];

    if (!p->layers.all && !ribs_near(v, width))
        return;
    ribs_distance(v, d);
    if (p->layers.all || shape_range(body_field(v, FIELD_ANGLE), v->n).hi > 1.8f) {
        cartilage_distance(v, d, other);
        paint_plain(p, other, .8f, 120, PHANTOM_BODY);
        sternum_distance(v, other);
        paint_bone(p, other, width, 330, 120);
    }
    if (p->layers.all || shape_range(d, p->n).lo <= width)
        paint_bone(p, d, width, 520, 150);
}
