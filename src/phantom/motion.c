#include "phantom/motion.h"
#include "base/rng.h"
#include "phantom/dial.h"
#include "phantom/poly.h"
#include <math.h>
#include <string.h>

static const double map_mm = 2, liver_mm = 4;
static const double turn_degrees = .8, shift_mm = 1.2;
static const float wobble_mm = 1.8f;
static const double wobble_step = 13, wobble_sigma = 2;
static const float turn_share = .6f; /* of the rotation acts */
static const float skin_mm = 30;
static const double around_mm = 120; /* of the liver where the dial's pattern varies; it goes on as there */
static const double margin_mm = 6;   /* of the stored map around the grid; breathing adds A along z */

static void draw(struct motion *m, const struct phantom_id *id, int phase)
{
    struct rng r = phantom_rng(id, "motion", phase);

    m->amplitude = m->options.breath * fmax(-2, fmin(2, rng_normal(&r)));
    for (int a = 0; a < 3; a++)
        m->rotation[a] = turn_degrees * 3.14159265358979323846 / 180 * rng_normal(&r);
    for (int a = 0; a < 3; a++)
        m->shift[a] = shift_mm * rng_normal(&r);
}

/* Of every point how much of the breathing acts on it. */
static void fade_at_skin(const struct motion_options *o, const struct points *y, int n, float *fade)
{
    if (!o->skin) {
        for (int i = 0; i < n; i++)
            fade[i] = 1;
        return;
    }
    o->skin(o->skin_ctx, y, n, fade);
    for (int i = 0; i < n; i++)
        fade[i] = poly_clamp(-fade[i] / skin_mm, 0, 1);
}

/* B(y) = y + A F (e3 - .30 exp(-((y2 - 60)/90)^2) e2) + .6 omega x (y - (40,0,0)) + s + 1.8 (N,N,N)_b */
static void breathe(const struct motion *m, struct points *y, int n)
{
    const struct motion_options *o = &m->options;
    float k = (float)o->scale, amplitude = (float)m->amplitude, w[3], s[3], from[3];
    float fade[BLOCK_MAX];
    struct points wobble;

    for (int a = 0; a < 3; a++) {
        w[a] = turn_share * (float)m->rotation[a];
        s[a] = (float)m->shift[a];
        from[a] = (float)o->origin[a];
    }
    fade_at_skin(o, y, n, fade);
    noise3_read(&m->wobble, y, n, &wobble);
    for (int i = 0; i < n; i++) {
        float x1 = y->x[i] - from[0] - 40 * k, x2 = y->y[i] - from[1], x3 = y->z[i] - from[2];
        float rise = amplitude * poly_clamp(.45f + .55f * (x3 + 120 * k) / (190 * k), 0, 1);

        y->x[i] += fade[i] * (w[1] * x3 - w[2] * x2 + s[0] + wobble_mm * wobble.x[i]);
        y->y[i] += fade[i] * (w[2] * x1 - w[0] * x3 + s[1] + wobble_mm * wobble.y[i] -
                              .30f * rise * poly_bell(x2, 60 * k, 90 * k));
        y->z[i] += fade[i] * (w[0] * x2 - w[1] * x1 + s[2] + wobble_mm * wobble.z[i] + rise);
    }
}

/* Phi(B(y)) - y over y: what the map's nodes hold. */
static void displace(void *ctx, struct points *y, int n)
{
    const struct motion *m = ctx;
    struct points from = *y;

    if (m->breathes)
        breathe(m, y, n);
    if (m->flow)
        dial_flow(m->flow, 1, m->steps, y, n, y);
    for (int i = 0; i < n; i++) {
        y->x[i] -= from.x[i];
        y->y[i] -= from.y[i];
        y->z[i] -= from.z[i];
    }
}

/* The box around a grid's voxels, in mm of the world. */
static void box_of(const struct grid *g, double lo[3], double hi[3])
{
    for (int a = 0; a < 3; a++) {
        lo[a] = INFINITY;
        hi[a] = -INFINITY;
    }
    for (int corner = 0; corner < 8; corner++) {
        double at[3];

        for (int a = 0; a < 3; a++)
            at[a] = (corner >> a & 1) ? (double)g->dims[a] - .5 : -.5;
        grid_world(g, at, at);
        for (int a = 0; a < 3; a++) {
            lo[a] = fmin(lo[a], at[a]);
            hi[a] = fmax(hi[a], at[a]);
        }
    }
}

static enum err make_flow(struct motion *m, const struct phantom_id *id, int phase)
{
    struct dial d = {.mm = m->options.dial, .liver = &m->options.liver, .inside = &m->inside};

    for (int a = 0; a < 3; a++) {
        d.lo[a] = d.liver->lo[a] - around_mm;
        d.hi[a] = d.liver->hi[a] + around_mm;
    }
    return dial_make(&m->flow, &m->steps, id, phase, &d);
}

static enum err make_moving(struct motion *m, const struct phantom_id *id, int phase, const struct grid *box)
{
    struct rng r[3];
    double lo[3], hi[3];

    for (int c = 0; c < 3; c++)
        r[c] = phantom_rng(id, "wobble", 3 * phase + c);
    box_of(box, lo, hi);
    for (int a = 0; a < 3; a++) {
        double margin = margin_mm + (m->breathes && a == 2 ? fabs(m->amplitude) : 0);

        lo[a] -= margin;
        hi[a] += margin;
    }
    TRY(liver_points_make(&m->inside, &m->options.liver, liver_mm));
    if (m->breathes)
        TRY(noise3_make(&m->wobble, r, wobble_step, wobble_sigma));
    if (m->options.dial > 0)
        TRY(make_flow(m, id, phase));
    TRY(vectors_new(&m->map, lo, hi, map_mm));
    vectors_fill(m->map, displace, m);
    return ERR_OK;
}

enum err motion_make(struct motion *out, const struct phantom_id *id, int phase,
                     const struct motion_options *o, const struct grid *box)
{
    struct motion m = {.options = *o};
    enum err err = ERR_OK;

    m.breathes = o->breath > 0;
    m.still = phase == PHANTOM_PVP || (!m.breathes && !(o->dial > 0));
    if (!m.still) {
        if (m.breathes)
            draw(&m, id, phase);
        err = make_moving(&m, id, phase, box);
    }
    if (err)
        motion_free(&m);
    else
        *out = m;
    return err;
}

void motion_free(struct motion *m)
{
    noise3_free(&m->wobble);
    vectors_free(m->flow);
    vectors_free(m->map);
    liver_points_free(&m->inside);
    *m = (struct motion){.still = true};
}

enum { CORNERS = 8, FEW = BLOCK_MAX / CORNERS };

/* The interpolant at points beyond the stored nodes: theirs are computed. at: indices into y. */
static void displace_beyond(const struct motion *m, const struct points *y, const int *at, int n,
                            struct points *out)
{
    const float step = (float)map_mm;
    float base[FEW][3], part[FEW][3];
    struct points node;

    for (int i = 0; i < n; i++) {
        const float here[3] = {y->x[at[i]], y->y[at[i]], y->z[at[i]]};

        for (int a = 0; a < 3; a++) {
            base[i][a] = floorf(here[a] / step);
            part[i][a] = here[a] / step - base[i][a];
        }
        for (int c = 0; c < CORNERS; c++) {
            node.x[CORNERS * i + c] = step * (base[i][0] + (float)(c & 1));
            node.y[CORNERS * i + c] = step * (base[i][1] + (float)(c >> 1 & 1));
            node.z[CORNERS * i + c] = step * (base[i][2] + (float)(c >> 2 & 1));
        }
    }
    displace((void *)(uintptr_t)m, &node, CORNERS * n);
    for (int i = 0; i < n; i++) {
        float x = 0, yy = 0, z = 0;

        for (int c = 0; c < CORNERS; c++) {
            float w = 1;

            for (int a = 0; a < 3; a++)
                w *= c >> a & 1 ? part[i][a] : 1 - part[i][a];
            x += w * node.x[CORNERS * i + c];
            yy += w * node.y[CORNERS * i + c];
            z += w * node.z[CORNERS * i + c];
        }
        out->x[at[i]] = x;
        out->y[at[i]] = yy;
        out->z[at[i]] = z;
    }
}

void motion_visceral(const struct motion *m, const struct points *y, int n, struct points *p)
{
    struct points d;
    int at[FEW], few = 0;

    if (m->still) {
        if (p != y)
            *p = *y;
        return;
    }
    vectors_read(m->map, y, n, &d);
    for (int i = 0; i < n; i++) {
        if (!vectors_hold(m->map, y->x[i], y->y[i], y->z[i]))
            at[few++] = i;
        if (few == FEW || (few && i == n - 1)) {
            displace_beyond(m, y, at, few, &d);
            few = 0;
        }
    }
    for (int i = 0; i < n; i++) {
        p->x[i] = y->x[i] + d.x[i];
        p->y[i] = y->y[i] + d.y[i];
        p->z[i] = y->z[i] + d.z[i];
    }
}

/* W(y) = y - .13 A clamp((y2 + 20)/120, 0, 1) e2 + s/2 */
void motion_wall(const struct motion *m, const struct points *y, int n, struct points *q)
{
    float k = (float)m->options.scale, chest = .13f * (float)m->amplitude, s[3];

    if (m->options.skin) {
        motion_visceral(m, y, n, q);
        return;
    }
    if (q != y)
        *q = *y;
    if (m->still || !m->breathes)
        return;
    for (int a = 0; a < 3; a++)
        s[a] = .5f * (float)m->shift[a];
    for (int i = 0; i < n; i++) {
        float front = (q->y[i] - (float)m->options.origin[1] + 20 * k) / (120 * k);

        q->x[i] += s[0];
        q->y[i] += s[1] - chest * poly_clamp(front, 0, 1);
        q->z[i] += s[2];
    }
}
