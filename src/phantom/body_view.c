#include "phantom/body_view.h"
#include "phantom/poly.h"

#define PI 3.14159265f

void body_view_reset(struct view *v, const struct body *b)
{
    v->body = b;
    v->box = shape_box(&v->at, v->n);
    memset(v->have, 0, sizeof v->have);
}

void body_view_warp(struct view *v, const struct body *b, const struct points *p, int n)
{
    noise3_read(&b->texture->warp, p, n, &v->at);
    for (int i = 0; i < n; i++) {
        v->at.x[i] = p->x[i] + 3.2f * v->at.x[i];
        v->at.y[i] = p->y[i] + 3.2f * v->at.y[i];
        v->at.z[i] = p->z[i] + 3.2f * v->at.z[i];
    }
    v->n = n;
    body_view_reset(v, b);
}

/* Section 5: f^5 = (|x/a|^2.5 + |y/b|^2.5)^2, t = rho (1/f - 1). */
static float depth_of(const struct body *b, float x, float y, float z)
{
    float width = (float)b->half_width * (1 + .00025f * z);
    float front = (float)b->half_depth * (1 - .0004f * z), back = (float)b->half_depth * .97f;
    float u = fabsf(x / width), v = fabsf(y) / (y > 0 ? front : back);
    float sum = u * u * sqrtf(u) + v * v * sqrtf(v), g = poly_root5(poly_max(sum, 1e-7f));

    return sqrtf(x * x + y * y) * (g * g - 1);
}

static void depth(struct view *v, float *out)
{
    for (int i = 0; i < v->n; i++)
        out[i] = depth_of(v->body, v->at.x[i], v->at.y[i], v->at.z[i]);
}

static void angle(struct view *v, float *out)
{
    for (int i = 0; i < v->n; i++)
        out[i] = poly_angle(fabsf(v->at.x[i]), -v->at.y[i]);
}

static void fat0(struct view *v, float *out)
{
    const float *phi = body_field(v, FIELD_ANGLE);
    float thick = (float)v->body->fat;

    for (int i = 0; i < v->n; i++)
        out[i] = thick * (.75f + .45f * poly_bell(phi[i], .9f, .5f) + .25f * poly_bell(phi[i], PI, .5f));
}

static void muscle0(struct view *v, float *out)
{
    const float *phi = body_field(v, FIELD_ANGLE);

    for (int i = 0; i < v->n; i++)
        out[i] = 13.5f - 3.5f * poly_bell(phi[i], PI, .22f) + 17 * poly_bell(phi[i], 0, .55f);
}

static void fat(struct view *v, float *out)
{
    const float *bare = body_field(v, FIELD_FAT0), *n24 = body_field(v, FIELD_N24);

    for (int i = 0; i < v->n; i++)
        out[i] = bare[i] + 1.5f * n24[i];
}

static void muscle(struct view *v, float *out)
{
    const float *bare = body_field(v, FIELD_MUSCLE0);
    const float *n24 = body_field(v, FIELD_N24), *n10 = body_field(v, FIELD_N10);

    for (int i = 0; i < v->n; i++)
        out[i] = bare[i] + .9f * n10[i] + .8f * n24[i];
}

static void cavity(struct view *v, float *out)
{
    const float *t = body_field(v, FIELD_DEPTH);
    const float *f = body_field(v, FIELD_FAT), *m = body_field(v, FIELD_MUSCLE);

    for (int i = 0; i < v->n; i++)
        out[i] = f[i] + m[i] - t[i];
}

/* r^3.2 from r^2, r at least .05 */
static float dome(float u, float v)
{
    float r2 = poly_max(u * u + v * v, .0025f), g = poly_root5(r2);

    return 95 * r2 * r2 * g * g;
}

static void diaphragm(struct view *v, float *out)
{
    for (int i = 0; i < v->n; i++) {
        float x = v->at.x[i], y = v->at.y[i];
        float right = 86 - dome((x - 66) / 84, (y + 8) / 98) + .26f * y;
        float left = 74 - dome((x + 66) / 82, (y + 6) / 98) + .26f * y;
        float heart = 38 + .1f * y - .006f * (x + 14) * (x + 14) - .004f * (y - 20) * (y - 20);
        out[i] = .62f * (v->at.z[i] - poly_max(poly_max(right, left), heart));
    }
}

static void n24(struct view *v, float *out)
{
    noise_read(&v->body->texture->n24, &v->at, v->n, 1, 0, out);
}
static void n10(struct view *v, float *out)
{
    noise_read(&v->body->texture->n10, &v->at, v->n, 1, 0, out);
}
static void n4(struct view *v, float *out)
{
    noise_read(&v->body->texture->n4, &v->at, v->n, 1, 0, out);
}

static void (*const read_field[FIELDS])(struct view *, float *) = {
    [FIELD_N24] = n24,
    [FIELD_N10] = n10,
    [FIELD_N4] = n4,
    [FIELD_DEPTH] = depth,
    [FIELD_ANGLE] = angle,
    [FIELD_FAT0] = fat0,
    [FIELD_MUSCLE0] = muscle0,
    [FIELD_FAT] = fat,
    [FIELD_MUSCLE] = muscle,
    [FIELD_CAVITY] = cavity,
    [FIELD_DIAPHRAGM] = diaphragm,
};

const float *body_field(struct view *v, enum field f)
{
    if (!v->have[f]) {
        read_field[f](v, v->field[f]);
        v->have[f] = true;
    }
    return v->field[f];
}

/* The wall's noise: 1.5 + .8 of N24, .9 of N10. Far from the wall its thickest place is bound enough. */
float body_cavity_most(struct view *v)
{
    float shallow = shape_range(body_field(v, FIELD_DEPTH), v->n).lo;
    float thickest = 1.25f * (float)v->body->fat + 30.5f, noise = 3.2f * NOISE_MOST;

    if (thickest + 20 < shallow)
        return thickest + noise - shallow;
    return shape_range(body_field(v, FIELD_FAT0), v->n).hi +
           shape_range(body_field(v, FIELD_MUSCLE0), v->n).hi + noise - shallow;
}

static float nearest(float lo, float hi)
{
    return poly_max(poly_max(lo, -hi), 0);
}

/* t is largest at the box's point that is nearest to the axis. */
bool body_view_air(const struct body *b, const struct shape_box *box)
{
    float x = nearest(box->lo[0], box->hi[0]), y = nearest(box->lo[1], box->hi[1]), t = -1e9f;

    if (box->hi[1] < 0)
        y = -y;
    for (int k = 0; k < 2; k++) /* the outline is wider at one of the ends */
        t = poly_max(t, depth_of(b, x, y, k ? box->hi[2] : box->lo[2]));
    return t < -40;
}
