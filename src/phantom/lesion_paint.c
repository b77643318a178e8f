#include "phantom/lesion.h"
#include "phantom/lesion_kind.h"
#include <math.h>

/* Section 8: what a lesion looks like. Samples that it may reach are put side by side; then each structure of
 * its kind is one pass over them. */

static const float bump_most = 3;        /* of the bumps, SD: what lesion_reach can promise */
static const float grow_most = 0.2f;     /* of the radius: what `extent` may change */
static const double edge_most = 3;       /* mm: the widest soft edge that lesion_reach counts with */
static const float under_surface = 0.3f; /* mm: lesions end below the liver's surface */

/* Of N10 at s. Its values keep together over 20 mm, i.e. these over .63, .28 and .31 of a diameter. (Section
 * 8 has .55, 1.4 and a fixed 1.3: as wide as the lesion, so outlines stay ellipsoids of another size.) */
static const float coarse_bumps = 1.6f, fine_bumps = 3.6f, patches = 3.2f;

static float clamp(float x, float lo, float hi)
{
    x = x < lo ? lo : x;
    return x > hi ? hi : x;
}

/* Thickness of the layer around the ellipsoid that its bumps may fill, mm. */
static float bump_size(const struct lesion *l)
{
    return (float)(l->bump * l->diameter / 2);
}

/* Distance to the ellipsoid. */
static void ellipsoid(const struct lesion *l, const struct points *p, int n, float *d)
{
    const float cx = (float)l->centre[0], cy = (float)l->centre[1], cz = (float)l->centre[2];
    const float rx = (float)(1 / l->axes[0]), ry = (float)(1 / l->axes[1]), rz = (float)(1 / l->axes[2]);

    for (int i = 0; i < n; i++) {
        float x = (p->x[i] - cx) * rx, y = (p->y[i] - cy) * ry, z = (p->z[i] - cz) * rz;
        float k0 = sqrtf(x * x + y * y + z * z), k1;

        x *= rx, y *= ry, z *= rz;
        k1 = sqrtf(x * x + y * y + z * z);
        d[i] = k0 * (k0 - 1) / (k1 > 1e-6f ? k1 : 1e-6f);
    }
}

/* s: lesions of all sizes have as many bumps. */
static float noise_scale(const struct lesion *l)
{
    return (float)(20 / fmax(l->diameter, 8));
}

/* N10 at the scale of the lesion's diameter, in a place of its own: the three offsets are its axes'. (One
 * offset for all axes would put all lesions on one line through the lattice, some of them side by side.) */
static void read_own(const struct lesion *l, const struct noise *z, const struct points *q, int n,
                     float scale, float *out)
{
    const float nodes = scale * noise_scale(l), mm = z->step / nodes;
    const float x = mm * (float)l->offset[0], y = mm * (float)l->offset[1], w = mm * (float)l->offset[2];
    struct points own = {0};

    for (int i = 0; i < n; i++) {
        own.x[i] = q->x[i] + x;
        own.y[i] = q->y[i] + y;
        own.z[i] = q->z[i] + w;
    }
    noise_read(z, &own, n, nodes, 0, out);
}

/* Adds the bumps to the ellipsoid's distance; q are offsets from its centre. */
static void add_bumps(const struct lesion *l, const struct texture *t, const struct points *q, int n,
                      float *d)
{
    const float size = bump_size(l);
    float coarse[BLOCK_MAX], fine[BLOCK_MAX];

    read_own(l, &t->n10, q, n, coarse_bumps, coarse);
    read_own(l, &t->n10, q, n, fine_bumps, fine);
    for (int i = 0; i < n; i++)
        d[i] -= size * clamp(0.8f * coarse[i] + 0.35f * fine[i], -bump_most, bump_most);
}

static void from_centre(const struct lesion *l, const struct points *p, int n, struct points *q)
{
    const float cx = (float)l->centre[0], cy = (float)l->centre[1], cz = (float)l->centre[2];

    for (int i = 0; i < n; i++) {
        q->x[i] = p->x[i] - cx;
        q->y[i] = p->y[i] - cy;
        q->z[i] = p->z[i] - cz;
    }
}

void lesion_distance(const struct lesion *l, const struct texture *t, const struct points *p, int n, float *d)
{
    struct points q;

    if (n < 1)
        return;
    from_centre(l, p, n, &q);
    ellipsoid(l, p, n, d);
    add_bumps(l, t, &q, n, d);
}

/* An ellipsoid's d is at least least semi-axis * (k0 - 1), and |q| at most k0 * largest semi-axis. */
double lesion_reach(const struct lesion *l)
{
    double least = fmin(l->axes[0], fmin(l->axes[1], l->axes[2]));
    double most = fmax(l->axes[0], fmax(l->axes[1], l->axes[2]));
    double layer =
        (double)(bump_most * bump_size(l)) + fmax(l->border, edge_most) + (double)grow_most * l->diameter / 2;

    return most * (1 + layer / least);
}

/* The samples of a block that a lesion paints, side by side. */
struct inside {
    const struct lesion *lesion;
    const struct lesion_row *row;
    int phase, n;
    int at[BLOCK_MAX];  /* in the block */
    struct points p, q; /* q: from the lesion's centre */
    float d[BLOCK_MAX];
    float f[BLOCK_MAX]; /* depth: 0 at the surface, 1 a radius below it */
    float m[BLOCK_MAX]; /* M, the noise that makes patches */
    float hu[BLOCK_MAX];
};

static void keep(struct inside *s, int to, int from)
{
    s->at[to] = s->at[from];
    s->p.x[to] = s->p.x[from];
    s->p.y[to] = s->p.y[from];
    s->p.z[to] = s->p.z[from];
    s->q.x[to] = s->q.x[from];
    s->q.y[to] = s->q.y[from];
    s->q.z[to] = s->q.z[from];
    s->d[to] = s->d[from];
}

/* Finds the samples nearer than `edge` to the lesion, and their distance, cut at the liver's surface. */
static void find_inside(struct inside *s, const struct lesion_paint *l, const struct points *p,
                        const float *liver_d, int n, float edge)
{
    const float radius = (float)l->lesion->diameter / 2;
    const float grow = clamp(l->grow, -grow_most * radius, grow_most * radius);
    const float reach = edge + grow + bump_most * bump_size(l->lesion);
    float d[BLOCK_MAX];
    int kept = 0;

    ellipsoid(l->lesion, p, n, d);
    for (int i = 0; i < n; i++) {
        if (!(d[i] < reach && liver_d[i] + under_surface < edge))
            continue;
        s->at[s->n] = i;
        s->p.x[s->n] = p->x[i];
        s->p.y[s->n] = p->y[i];
        s->p.z[s->n] = p->z[i];
        s->n++;
    }
    from_centre(l->lesion, &s->p, s->n, &s->q);
    ellipsoid(l->lesion, &s->p, s->n, s->d);
    add_bumps(l->lesion, l->texture, &s->q, s->n, s->d);
    for (int i = 0; i < s->n; i++) {
        float own = s->d[i] - grow, cut = liver_d[s->at[i]] + under_surface;

        s->d[i] = own > cut ? own : cut;
        if (s->d[i] < edge)
            keep(s, kept++, i);
    }
    s->n = kept;
    for (int i = 0; i < s->n; i++)
        s->f[i] = clamp(-s->d[i] / radius, 0, 1);
}

/* The plain change with its texture. */
static void paint_base(struct inside *s, const struct texture *t, float liver)
{
    const struct lesion_row *row = s->row;
    double change = lesion_change(s->lesion, s->phase);
    float mean = (float)change + (row->fluid ? 0 : liver), mottle = (float)row->mottle[s->phase];
    float amplitude = (float)(row->texture[0] + row->texture[1] * fabs(change));
    float fine[BLOCK_MAX];

    noise_read(&t->n4, &s->p, s->n, 1, (float)s->lesion->offset[2], fine);
    read_own(s->lesion, &t->n10, &s->q, s->n, patches, s->m);
    for (int i = 0; i < s->n; i++)
        s->hu[i] = mean + amplitude * fine[i] + mottle * s->m[i];
}

/* Cells that are the nearest one of some sample: none that is farther from the samples' middle than the
 * nearest by more than their extent. Returns how many. */
static int near_cells(int *out, const struct inside *s)
{
    const struct lesion *l = s->lesion;
    const struct points *q = &s->q;
    float middle[3] = {0}, radius = 0, least = INFINITY, d[LESION_CELLS];
    int n = 0;

    for (int i = 0; i < s->n; i++) {
        middle[0] += q->x[i] / (float)s->n;
        middle[1] += q->y[i] / (float)s->n;
        middle[2] += q->z[i] / (float)s->n;
    }
    for (int i = 0; i < s->n; i++) {
        float x = q->x[i] - middle[0], y = q->y[i] - middle[1], z = q->z[i] - middle[2];

        radius = fmaxf(radius, sqrtf(x * x + y * y + z * z));
    }
    for (int c = 0; c < l->cells; c++) {
        float x = l->cell[c][0] - middle[0], y = l->cell[c][1] - middle[1], z = l->cell[c][2] - middle[2];

        d[c] = sqrtf(x * x + y * y + z * z);
        least = fminf(least, d[c]);
    }
    for (int c = 0; c < l->cells; c++)
        if (d[c] <= least + 2.001f * radius + 1e-3f)
            out[n++] = c;
    return n;
}

/* A Voronoi partition whose cells differ. */
static void paint_mosaic(struct inside *s)
{
    const float sd = (float)s->row->mosaic.sd[s->phase];
    float best[BLOCK_MAX], deviate[BLOCK_MAX];
    const struct points *q = &s->q;
    int cell[LESION_CELLS], cells;

    if (!s->lesion->cells)
        return;
    cells = near_cells(cell, s);
    for (int i = 0; i < s->n; i++)
        best[i] = INFINITY, deviate[i] = 0;
    for (int c = 0; c < cells; c++) {
        const float *centre = s->lesion->cell[cell[c]];
        const float cx = centre[0], cy = centre[1], cz = centre[2], own = centre[3];

        for (int i = 0; i < s->n; i++) {
            float x = q->x[i] - cx, y = q->y[i] - cy, z = q->z[i] - cz, d = x * x + y * y + z * z;

            deviate[i] = d < best[i] ? own : deviate[i];
            best[i] = d < best[i] ? d : best[i];
        }
    }
    for (int i = 0; i < s->n; i++)
        s->hu[i] += sd * deviate[i];
}

static void paint_core(struct inside *s)
{
    const struct lesion_core *c = &s->row->core;
    const float change = (float)c->change[s->phase], begin = (float)c->begin, soft = (float)c->soft;

    if (soft == 0 || s->lesion->diameter <= c->from)
        return;
    for (int i = 0; i < s->n; i++)
        s->hu[i] += change * clamp((s->f[i] - begin) / soft, 0, 1);
}

static void paint_necrosis(struct inside *s)
{
    const struct lesion_necrosis *c = &s->row->necrosis;
    const float begin = (float)c->begin, wavy = (float)c->wavy, soft = (float)c->soft, hu = (float)c->hu;

    if (!lesion_has(s->lesion, CHANCE_NECROSIS, c->from, c->odds))
        return;
    for (int i = 0; i < s->n; i++)
        s->hu[i] += (hu - s->hu[i]) * clamp((s->f[i] + wavy * s->m[i] - begin) / soft, 0, 1);
}

/* A capsule, a rim or a band: a layer at some depth. */
static void paint_shell(struct inside *s, float liver)
{
    const struct lesion_shell *c = &s->row->shell;
    const double diameter = s->lesion->diameter;
    const float depth = (float)(c->depth + c->depth_by_radius * diameter / 2);
    const float width = (float)(c->width[s->phase] + c->width_by_diameter * diameter);
    const float change = (float)c->change[s->phase];

    if (!lesion_has(s->lesion, CHANCE_SHELL, c->from, c->odds))
        return;
    for (int i = 0; i < s->n; i++) {
        float u = (-s->d[i] - depth) / width, part = expf(-u * u);

        s->hu[i] += part * (c->replaces ? liver + change - s->hu[i] : change);
    }
}

/* Nodules that fill a haemangioma from its surface, nearly as bright as blood. */
static void paint_fill(struct inside *s, float liver, float blood)
{
    const struct lesion_fill *c = &s->row->fill;
    const int p = s->phase;
    const float nodule = liver + (float)c->of_blood[p] * (blood - liver) + (float)c->plus[p];
    const float begin = (float)c->begin[p], wavy = (float)c->wavy[p], closed = (float)c->closed[p];
    const bool full = s->lesion->diameter < c->from;

    if (begin == 0)
        return;
    for (int i = 0; i < s->n; i++) {
        float part =
            clamp((begin - s->f[i] + wavy * s->m[i]) / 0.08f, 0, 1) * clamp((s->m[i] + closed) / 0.25f, 0, 1);

        s->hu[i] += (full ? 1 : part) * (nodule - s->hu[i]);
    }
}

/* M in the direction of a sample from the centre: what is constant along rays. */
static void read_rays(const struct inside *s, const struct texture *t, float *out)
{
    const float length = (float)s->lesion->diameter / 2;
    struct points ray = s->q;

    for (int i = 0; i < s->n; i++) {
        float x = ray.x[i], y = ray.y[i], z = ray.z[i], k = length / (sqrtf(x * x + y * y + z * z) + 1e-3f);

        ray.x[i] *= k;
        ray.y[i] *= k;
        ray.z[i] *= k;
    }
    read_own(s->lesion, &t->n10, &ray, s->n, patches, out);
}

/* A central scar with arms, thin walls that run outwards. */
static void paint_scar(struct inside *s, const struct texture *t)
{
    const struct lesion_scar *c = &s->row->scar;
    const float change = (float)c->change[s->phase];
    float ray[BLOCK_MAX];

    if (!lesion_has(s->lesion, CHANCE_SCAR, c->from, c->odds))
        return;
    read_rays(s, t, ray);
    for (int i = 0; i < s->n; i++) {
        float out = 1 - s->f[i], wall = fabsf(ray[i]) * out; /* as thick everywhere */
        float arms = clamp((0.11f - wall) / 0.06f, 0, 1) * clamp((s->f[i] - 0.25f) / 0.3f, 0, 1);
        float middle = clamp((s->f[i] - 0.8f) / 0.1f, 0, 1);

        s->hu[i] += change * clamp(arms + middle, 0, 1);
    }
}

/* Lays what was painted inside over the block, with a soft edge. */
static void lay(const struct inside *s, float edge, uint8_t own, float *hu, uint8_t *label)
{
    for (int i = 0; i < s->n; i++) {
        float a = clamp(0.5f - s->d[i] / (2 * edge), 0, 1);
        float *v = &hu[s->at[i]];

        *v += a * a * (3 - 2 * a) * (s->hu[i] - *v);
        if (s->d[i] < 0)
            label[s->at[i]] = own;
    }
}

void lesion_paint(const struct lesion_paint *l, const struct points *p, const float *liver_d, int n,
                  float *hu, uint8_t *label)
{
    const float liver = (float)l->tissues->hu[TISSUE_LIVER][l->phase];
    const float blood = (float)l->tissues->hu[TISSUE_AORTA][l->phase];
    const float edge = fmaxf((float)l->lesion->border, l->least);
    struct inside s;

    s.lesion = l->lesion;
    s.row = &lesion_rows[l->lesion->kind];
    s.phase = l->phase;
    s.n = 0;
    find_inside(&s, l, p, liver_d, n, edge);
    if (!s.n)
        return;
    paint_base(&s, l->texture, liver);
    paint_mosaic(&s);
    paint_core(&s);
    paint_necrosis(&s);
    paint_shell(&s, liver);
    paint_fill(&s, liver, blood);
    paint_scar(&s, l->texture);
    lay(&s, edge, (uint8_t)(PHANTOM_LESION + l->index), hu, label);
}
