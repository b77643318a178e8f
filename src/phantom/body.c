#include "phantom/body.h"
#include "phantom/organs.h"
#include "phantom/poly.h"
#include <math.h>

enum err texture_make(struct texture *out, const struct phantom_id *id)
{
    struct texture t = {0};
    struct rng warp[3];
    enum err err;

    for (int i = 0; i < 3; i++)
        warp[i] = phantom_rng(id, "warp", i);
    TRY_OR(done, noise_make(&t.n24, phantom_rng(id, "noise", 24), 12, 2));
    TRY_OR(done, noise_make(&t.n10, phantom_rng(id, "noise", 10), 5, 2));
    TRY_OR(done, noise_make(&t.n4, phantom_rng(id, "noise", 4), 2.2, 1.6));
    TRY_OR(done, noise3_make(&t.warp, warp, 14, 2));
    *out = t;
    return ERR_OK;
done:
    texture_free(&t);
    return err;
}

void texture_free(struct texture *t)
{
    if (!t)
        return;
    noise_free(&t->n24);
    noise_free(&t->n10);
    noise_free(&t->n4);
    noise3_free(&t->warp);
    memset(t, 0, sizeof *t);
}

static enum stomach stomach_of(double u)
{
    return u < .45 ? STOMACH_WATER : u < .8 ? STOMACH_FOOD : STOMACH_GAS;
}

static void draw_bowel(struct body *b, struct rng r, struct rng bends)
{
    static const float fluid[] = {12, 28, 45};

    for (int i = 0; i < BOWEL_LOOPS; i++) {
        struct bowel_loop *l = b->bowel + i;
        static const double lo[3] = {-85, 5, -150}, hi[3] = {72, 70, -42}, half[3] = {16, 10, 7};
        for (int k = 0; k < 3; k++)
            l->centre[k] = (float)(rng_between(&r, lo[k], hi[k]) * (k == 1 ? b->front : 1));
        for (int k = 0; k < 3; k++)
            l->half[k] = (float)(half[k] * rng_normal(&r));
        l->radius = (float)rng_between(&r, 10, 14);
        l->fluid = fluid[rng_below(&r, 3)];
        l->gas = (float)rng_unit(&r);
        for (int k = 0; k < 3; k++)
            l->bend[k] = (float)(8 * rng_normal(&bends));
    }
}

static void draw_mesenteric(struct body *b, struct rng r)
{
    static const double lo[3] = {-75, 0, -140}, hi[3] = {70, 80, 10};

    for (int i = 0; i < MESENTERIC_VESSELS; i++) {
        struct mesenteric *m = b->mesenteric + i;
        for (int k = 0; k < 3; k++)
            m->centre[k] = (float)(rng_between(&r, lo[k], hi[k]) * (k == 1 ? b->front : 1));
        for (int k = 0; k < 3; k++)
            m->half[k] = (float)(14 * rng_normal(&r));
        m->radius = (float)rng_between(&r, .9, 1.9);
    }
}

/* Beyond section 5: where the wall is thick, kidneys lie further in front, so that no more than 4 mm of one's
 * back is in the muscle. side: 1 right, -1 left. */
static void seat_kidney(struct body *b, int side, double shift[3])
{
    struct view v;
    float deep, wall;

    v.n = 1;
    v.at.x[0] = (float)(side * 64 + shift[0]);
    v.at.y[0] = (float)(-49 * b->half_depth / 110 - 25 + shift[1]);
    v.at.z[0] = -54;
    body_view_reset(&v, b);
    deep = body_field(&v, FIELD_DEPTH)[0];
    wall = body_field(&v, FIELD_FAT0)[0] + body_field(&v, FIELD_MUSCLE0)[0];
    shift[1] += (double)poly_max(wall - 4 - deep, 0);
}

/* Beyond section 5: fat widens a body more than it narrows the cavity, and nobody is flatter than the liver
 * and spine allow. front: how far from the axis the cavity ends in front, against 85 mm. */
static void size_body(struct body *b)
{
    double more = .6 * (b->fat - 15);

    b->half_width += more;
    b->half_depth = fmax(b->half_depth + more, .64 * b->half_width);
    b->front = fmin(fmax((b->half_depth - b->fat - 10) / 85, .75), 1.2);
}

void body_draw(struct body *out, const struct phantom_id *id, const struct texture *t,
               const struct body_odds *odds)
{
    struct rng r = phantom_rng(id, "body", 0);

    *out = (struct body){.texture = t, .scale = odds->scale};
    out->half_width = 163 * (1 + .05 * rng_normal(&r));
    out->half_depth = 110 * (1 + .06 * rng_normal(&r));
    out->fat = exp(log(15) + .35 * rng_normal(&r));
    out->fat = out->fat < 5 ? 5 : out->fat > 40 ? 40 : out->fat;
    size_body(out);
    for (int i = 0; i < 3; i++)
        out->liver[i] = 1 + .04 * rng_normal(&r);
    for (int i = 0; i < ORGAN_SHIFTS; i++)
        for (int k = 0; k < 3; k++)
            out->shift[i][k] = 2.5 * rng_normal(&r);
    seat_kidney(out, 1, out->shift[SHIFT_KIDNEY_R - 1]);
    seat_kidney(out, -1, out->shift[SHIFT_KIDNEY_L - 1]);
    out->stomach = stomach_of(rng_unit(&r));
    out->oral = rng_unit(&r) < odds->oral;
    draw_bowel(out, phantom_rng(id, "bowel", 0), phantom_rng(id, "bowel", 1));
    draw_mesenteric(out, phantom_rng(id, "mesenteric", 0));
}

void body_liver_unit(const struct body *b, const struct points *a, int n, float *d)
{
    struct view v;
    struct layers l = {.organ = &v};

    if (n <= 0)
        return;
    v.at = *a;
    v.n = n;
    body_view_reset(&v, b);
    organ_distance(organ_liver, &l, INFINITY, d);
}

void body_liver(const struct body *b, const struct points *p, int n, float *d)
{
    struct points unit;
    struct view v;
    struct layers l = {.organ = &v};
    float scale = (float)b->scale;

    if (n <= 0)
        return;
    for (int i = 0; i < n; i++) {
        unit.x[i] = p->x[i] / scale;
        unit.y[i] = p->y[i] / scale;
        unit.z[i] = p->z[i] / scale;
    }
    body_view_warp(&v, b, &unit, n);
    organ_distance(organ_liver, &l, INFINITY, d);
    for (int i = 0; i < n; i++)
        d[i] *= scale;
}

static void liver_distance(const void *ctx, const struct points *p, int n, float *d)
{
    body_liver(ctx, p, n, d);
}

struct liver liver_of_body(const struct body *b)
{
    static const double lo[3] = {-105, -115, -110}, hi[3] = {180, 110, 103};
    struct liver l = {.distance = liver_distance, .ctx = b};

    for (int k = 0; k < 3; k++) {
        l.lo[k] = b->scale * lo[k];
        l.hi[k] = b->scale * hi[k];
    }
    return l;
}
