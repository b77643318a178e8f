/* Laws of drawing, placing and painting lesions (phantom.md section 8). */
#include "test.h"

#include "base/mem.h"
#include "base/par.h"
#include "phantom/lesion_kind.h"
#include "phantom_liver.h"
#include <stdbool.h>

static const float one = 1;
static struct texture texture;
static const struct tissues tissues = {
    .hu = {[TISSUE_LIVER] = {57, 74, 110, 90}, [TISSUE_AORTA] = {40, 315, 152, 106}}};
static const struct lesion_odds usual = {.weight = {.5, .22, .08, .1, .06, .04},
                                         .count = -1,
                                         .median = 2.6,
                                         .spread = .9,
                                         .least = 6,
                                         .most = 110};

static struct lesions drawn(int64_t number, const struct lesion_odds *odds)
{
    struct liver liver = ball_liver(&one);
    struct lesions l = {0};

    assert_ok(lesions_draw(&l, &(struct phantom_id){11, number}, &liver, odds));
    return l;
}

static double between(const double a[3], const double b[3])
{
    return sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) +
                (a[2] - b[2]) * (a[2] - b[2]));
}

static double depth_of(const struct lesion *l)
{
    struct points p = {.x = {(float)l->centre[0]}, .y = {(float)l->centre[1]}, .z = {(float)l->centre[2]}};
    float d;

    ball_distance(&one, &p, 1, &d);
    return -(double)d;
}

/* --- drawing and placing --- */

static void numbers_are_as_asked(void **state)
{
    static const int64_t asked[] = {0, 1, 12, 20};
    struct lesion_odds odds = usual;
    struct liver liver = ball_liver(&one);
    struct lesions l = {0};

    (void)state;
    for (int k = 0; k < 4; k++) {
        odds.count = asked[k];
        l = drawn(1, &odds);
        assert_int_equal(l.count, asked[k]);
        lesions_free(&l);
    }
    odds.count = 21;
    assert_err(lesions_draw(&l, &(struct phantom_id){1, 1}, &liver, &odds), ERR_USAGE, "at most 20");
    odds.count = 2;
    memset(odds.weight, 0, sizeof odds.weight);
    assert_err(lesions_draw(&l, &(struct phantom_id){1, 1}, &liver, &odds), ERR_USAGE, "above 0");
    odds.count = 0;
    l = drawn(1, &odds);
    assert_int_equal(l.count, 0);
}

static void numbers_are_distributed(void **state)
{
    int small = 0, several = 0, kinds[LESION_KINDS] = {0}, all = 0;

    (void)state;
    for (int i = 0; i < 150; i++) {
        struct lesions l = drawn(i, &usual);

        assert_in_range(l.count, 1, 12);
        small += l.count <= 3;
        several += l.count >= 8;
        all += l.count;
        for (int k = 0; k < l.count; k++)
            kinds[l.item[k].kind]++;
        lesions_free(&l);
    }
    assert_in_range(small, 78, 117); /* 65 % */
    assert_in_range(several, 5, 32); /* 11 % */
    for (int k = 0; k < LESION_KINDS; k++)
        assert_true(fabs(kinds[k] - all * usual.weight[k]) < 4 * sqrt(all * usual.weight[k]));
}

static void places_keep_their_rules(void **state)
{
    struct lesion_odds odds = usual;

    (void)state;
    odds.count = 12;
    for (int i = 0; i < 10; i++) {
        struct lesions l = drawn(i, &odds);

        for (int k = 0; k < l.count; k++) {
            const struct lesion *a = &l.item[k];

            assert_true(a->diameter >= 6 && a->diameter <= 110);
            assert_true(depth_of(a) > fmin(.42 * a->diameter, 22) - 1e-3);
            assert_true(fabs(a->axes[0] * a->axes[1] * a->axes[2] - pow(a->diameter / 2, 3)) <
                        1e-9 * pow(a->diameter, 3));
            for (int j = 0; j < k; j++)
                assert_true(between(a->centre, l.item[j].centre) >
                            .55 * (a->diameter + l.item[j].diameter) + 4);
        }
        lesions_free(&l);
    }
}

/* Nothing that is asked of one lesion moves another's draws. */
static void lesions_are_independent(void **state)
{
    struct lesion_odds few = usual, many = usual, other = usual;
    struct lesions a, b, c;

    (void)state;
    few.count = 3;
    many.count = 9;
    other.count = 3;
    memset(other.weight, 0, sizeof other.weight);
    other.weight[LESION_CYST] = 1;
    a = drawn(5, &few);
    b = drawn(5, &many);
    c = drawn(5, &other);
    for (int k = 0; k < 3; k++) {
        struct lesion x = a.item[k], y = b.item[k];

        x.cell = y.cell = NULL;
        assert_memory_equal(&x, &y, sizeof x);
        assert_memory_equal(a.item[k].normal, c.item[k].normal, sizeof x.normal);
        assert_memory_equal(a.item[k].uniform, c.item[k].uniform, sizeof x.uniform);
        assert_memory_equal(a.item[k].offset, c.item[k].offset, sizeof x.offset);
    }
    lesions_free(&a);
    lesions_free(&b);
    lesions_free(&c);
}

static void threads_do_not_matter(void **state)
{
    struct lesions first = {0};

    (void)state;
    for (int k = 0; k < 3; k++) {
        struct lesions l;

        par_set_threads((const int[]){1, 2, 8}[k]);
        l = drawn(2, &usual);
        for (int i = 0; i < PHANTOM_LESIONS; i++)
            assert_true(
                !k || !l.item[i].cell ||
                !memcmp(l.item[i].cell, first.item[i].cell, sizeof(float[4]) * (size_t)l.item[i].cells));
        assert_true(!k || l.count == first.count);
        for (int i = 0; k && i < l.count; i++)
            assert_memory_equal(l.item[i].centre, first.item[i].centre, sizeof first.item[i].centre);
        if (k)
            lesions_free(&l);
        else
            first = l;
    }
    lesions_free(&first);
    par_set_threads(0);
}

/* A liver too small for any of what is asked leaves lesions out. */
static void what_does_not_fit_is_left_out(void **state)
{
    static const float small = .3f, tiny = .05f;
    struct liver liver = ball_liver(&small);
    struct lesion_odds odds = usual;
    struct lesions l = {0};

    (void)state;
    odds.count = 20;
    odds.least = odds.most = 30;
    assert_ok(lesions_draw(&l, &(struct phantom_id){1, 1}, &liver, &odds));
    assert_in_range(l.count, 1, 4);
    lesions_free(&l);
    liver = ball_liver(&tiny);
    assert_ok(lesions_draw(&l, &(struct phantom_id){1, 1}, &liver, &odds));
    assert_int_equal(l.count, 0);
}

static void from_a_ball(const void *ctx, const struct points *p, int n, float *d)
{
    const float *at = ctx;

    for (int i = 0; i < n; i++)
        d[i] = sqrtf((p->x[i] - at[0]) * (p->x[i] - at[0]) + (p->y[i] - at[1]) * (p->y[i] - at[1]) +
                     (p->z[i] - at[2]) * (p->z[i] - at[2])) -
               at[3];
}

static void taken_space_is_left_alone(void **state)
{
    static const float ball[4] = {40, 10, 0, 30};
    struct lesion_odds odds = usual;

    (void)state;
    odds.count = 12;
    odds.taken = from_a_ball;
    odds.ctx = ball;
    odds.apart = 15;
    for (int i = 0; i < 5; i++) {
        struct lesions l = drawn(i, &odds);

        assert_true(l.count > 4);
        for (int k = 0; k < l.count; k++)
            assert_true(between(l.item[k].centre, (const double[]){40, 10, 0}) >=
                        45 + l.item[k].diameter / 2 - 1e-3);
        lesions_free(&l);
    }
}

static void drawing_survives_exhaustion(void **state)
{
    struct liver liver = ball_liver(&one);
    struct lesion_odds odds = usual;
    struct lesions l = {0};

    (void)state;
    odds.count = 6;
    odds.least = 30;
    assert_survives_exhaustion(lesions_draw(&l, &(struct phantom_id){3, 1}, &liver, &odds), lesions_free(&l));
}

/* --- shape --- */

/* Random points of a ball around a lesion. */
static void fill_ball(struct points *p, const struct lesion *l, double radius, uint64_t seed)
{
    struct rng r = rng_at(seed, 5);

    for (int i = 0; i < BLOCK_MAX;) {
        double v[3], square = 0;

        for (int c = 0; c < 3; c++) {
            v[c] = rng_between(&r, -radius, radius);
            square += v[c] * v[c];
        }
        if (square > radius * radius)
            continue;
        p->x[i] = (float)(l->centre[0] + v[0]);
        p->y[i] = (float)(l->centre[1] + v[1]);
        p->z[i] = (float)(l->centre[2] + v[2]);
        i++;
    }
}

/* Volumes are those of balls of the diameter, but for the bumps; lesions do not overlap by more than those.
 */
static void volumes_are_the_diameters(void **state)
{
    struct lesion_odds odds = usual;
    double sum = 0;
    int count = 0;

    (void)state;
    odds.count = 12;
    for (int i = 0; i < 8; i++) {
        struct lesions l = drawn(i, &odds);

        for (int k = 0; k < l.count; k++) {
            const struct lesion *a = &l.item[k];
            double radius = lesion_reach(a), volume, shared = 0;
            struct points p;
            float d[BLOCK_MAX], e[BLOCK_MAX];
            int in = 0;

            fill_ball(&p, a, radius, (uint64_t)k);
            lesion_distance(a, &texture, &p, BLOCK_MAX, d);
            for (int j = 0; j < BLOCK_MAX; j++)
                in += d[j] < 0;
            volume = in * pow(2 * radius / a->diameter, 3) / BLOCK_MAX;
            assert_true(fabs(volume - 1) < .3 + 6 * a->bump);
            sum += volume;
            count++;
            for (int j = 0; j < l.count; j++) {
                if (j == k)
                    continue;
                lesion_distance(&l.item[j], &texture, &p, BLOCK_MAX, e);
                for (int m = 0; m < BLOCK_MAX; m++)
                    shared += d[m] < 0 && e[m] < 0;
            }
            assert_true(shared <= .05 * in);
        }
        lesions_free(&l);
    }
    assert_true(fabs(sum / count - 1) < .2); /* the lesions of one patient read one lattice */
}

/* A lesion as the tests need it: round, smooth, with a hard edge, all normals 0. */
static struct lesion round_one(enum lesion_kind kind, double diameter, double uniform)
{
    struct lesion l = {.kind = kind, .diameter = diameter, .border = .05, .centre = {10, -20, 30}};

    for (int c = 0; c < 3; c++)
        l.axes[c] = diameter / 2;
    for (int i = 0; i < 8; i++)
        l.uniform[i] = uniform;
    return l;
}

struct view {
    struct points p;
    float hu[BLOCK_MAX], liver_d[BLOCK_MAX];
    uint8_t label[BLOCK_MAX];
};

static void paint(struct view *v, const struct lesion *l, int phase, float grow)
{
    struct lesion_paint how = {
        .lesion = l, .index = 4, .texture = &texture, .tissues = &tissues, .phase = phase, .grow = grow};

    for (int i = 0; i < BLOCK_MAX; i++) {
        v->hu[i] = (float)tissues.hu[TISSUE_LIVER][phase];
        v->label[i] = PHANTOM_LIVER;
    }
    lesion_paint(&how, &v->p, v->liver_d, BLOCK_MAX, v->hu, v->label);
}

static void view_ball(struct view *v, const struct lesion *l, double radius)
{
    fill_ball(&v->p, l, radius, 1);
    for (int i = 0; i < BLOCK_MAX; i++)
        v->liver_d[i] = -100;
}

/* Points at one distance from the centre. */
static void view_shell(struct view *v, const struct lesion *l, double radius)
{
    for (int i = 0; i < BLOCK_MAX; i++) {
        double z = (2 * i + 1.) / BLOCK_MAX - 1, turn = 2.399963229728653 * i, r = sqrt(1 - z * z);

        v->p.x[i] = (float)(l->centre[0] + radius * r * cos(turn));
        v->p.y[i] = (float)(l->centre[1] + radius * r * sin(turn));
        v->p.z[i] = (float)(l->centre[2] + radius * z);
        v->liver_d[i] = -100;
    }
}

/* Mean contrast to the liver at a depth below the surface, over several textures. */
static double contrast_at(const struct lesion *l, double depth, int phase)
{
    struct lesion moved = *l;
    struct view v;
    double sum = 0;

    view_shell(&v, l, l->diameter / 2 - depth);
    for (int k = 0; k < 16; k++) {
        for (int c = 0; c < 3; c++)
            moved.offset[c] = 4 * k + .3 * c;
        paint(&v, &moved, phase, 0);
        for (int i = 0; i < BLOCK_MAX; i++)
            sum += (double)v.hu[i];
    }
    return sum / (16 * BLOCK_MAX) - tissues.hu[TISSUE_LIVER][phase];
}

static void labels_end_at_the_surface(void **state)
{
    (void)state;
    for (int k = 0; k < LESION_KINDS; k++) {
        struct lesion_odds odds = usual;
        struct lesions l;
        struct view v;
        float d[BLOCK_MAX];

        odds.count = 1;
        memset(odds.weight, 0, sizeof odds.weight);
        odds.weight[k] = 1;
        l = drawn(k, &odds);
        assert_int_equal(l.item[0].kind, k);
        view_ball(&v, &l.item[0], 1.3 * lesion_reach(&l.item[0]));
        lesion_distance(&l.item[0], &texture, &v.p, BLOCK_MAX, d);
        for (int p = 0; p < PHANTOM_PHASES; p++) {
            paint(&v, &l.item[0], p, 0);
            for (int i = 0; i < BLOCK_MAX; i++) {
                double x[3] = {(double)v.p.x[i], (double)v.p.y[i], (double)v.p.z[i]};
                bool same = v.hu[i] == (float)tissues.hu[TISSUE_LIVER][p];

                assert_true(isfinite(v.hu[i]) && v.hu[i] > -20 && v.hu[i] < 300);
                assert_int_equal(v.label[i], d[i] < 0 ? PHANTOM_LESION + 4 : PHANTOM_LIVER);
                assert_true(same || (double)d[i] < l.item[0].border);
                assert_true(same || between(x, l.item[0].centre) < lesion_reach(&l.item[0]));
            }
        }
        lesions_free(&l);
    }
}

/* The liver's surface cuts a lesion, and `grow` moves its own by no more than a fifth of the radius. */
static void surfaces_move(void **state)
{
    static const float grow[] = {0, 1, -2, 9};
    static const double radius[] = {10, 11, 8, 12};
    struct lesion l = round_one(LESION_CYST, 20, 0);
    struct view v;

    (void)state;
    for (int k = 0; k < 4; k++)
        for (int far = 0; far < 2; far++) {
            view_shell(&v, &l, radius[k] + (far ? .1 : -.1));
            paint(&v, &l, PHANTOM_PVP, grow[k]);
            for (int i = 0; i < BLOCK_MAX; i++)
                assert_int_equal(v.label[i], far ? PHANTOM_LIVER : PHANTOM_LESION + 4);
        }
    view_ball(&v, &l, 9);
    for (int i = 0; i < BLOCK_MAX; i++)
        v.liver_d[i] = i % 2 ? -.25f : -.35f;
    paint(&v, &l, PHANTOM_PVP, 0);
    for (int i = 0; i < BLOCK_MAX; i++)
        assert_int_equal(v.label[i], i % 2 ? PHANTOM_LIVER : PHANTOM_LESION + 4);
}

/* --- what is inside --- */

static bool near_value(double value, double expected, double tolerance)
{
    if (fabs(value - expected) < tolerance)
        return true;
    print_error("%g, expected %g +- %g\n", value, expected, tolerance);
    return false;
}

static void carcinomas_have_capsules(void **state)
{
    static const double capsule[] = {0, -4, 10, 24}, inside[] = {-7, 38, -10, -22};
    struct lesion with = round_one(LESION_HCC, 27, .5), without = round_one(LESION_HCC, 27, .65);

    (void)state;
    for (int p = 0; p < PHANTOM_PHASES; p++) {
        assert_true(near_value(contrast_at(&with, .6, p), capsule[p], .2));
        assert_true(near_value(contrast_at(&with, 7, p), inside[p], 1));
        assert_true(near_value(contrast_at(&without, .6, p), inside[p], 1));
    }
    with.diameter = 17; /* too small for one */
    with.axes[0] = with.axes[1] = with.axes[2] = 8.5;
    assert_true(near_value(contrast_at(&with, .6, PHANTOM_DEL), -4, 1)); /* and washes out less often */
}

static void washout_comes_with_size(void **state)
{
    double small = 0, small_out = 0, large = 0, large_out = 0, bright = 0;
    struct lesion_odds odds = usual;

    (void)state;
    odds.count = 20;
    memset(odds.weight, 0, sizeof odds.weight);
    odds.weight[LESION_HCC] = 1;
    for (int i = 0; i < 45; i++) {
        struct lesions l = drawn(i, &odds);

        for (int k = 0; k < l.count; k++) {
            const struct lesion *a = &l.item[k];
            bool out = lesion_change(a, PHANTOM_DEL) - 8 * a->normal[PHANTOM_DEL] < -13;

            assert_true(out == (lesion_change(a, PHANTOM_PVP) - 8 * a->normal[PHANTOM_PVP] < -4));
            *(a->diameter < 20 ? &small : &large) += 1;
            *(a->diameter < 20 ? &small_out : &large_out) += out;
            bright += lesion_change(a, PHANTOM_ART) - 14 * a->normal[PHANTOM_ART] > 37;
        }
        lesions_free(&l);
    }
    assert_true(small > 300 && large > 300);
    assert_true(near_value(small_out / small, .45, .08));
    assert_true(near_value(large_out / large, .75, .08));
    assert_true(near_value(bright / (small + large), .8, .05));
}

/* The mosaic against a plain search over all cells. */
static void mosaics_are_exact(void **state)
{
    static const double sd[] = {3, 12, 8, 7}, change[] = {-7, 38, -10, -22};
    struct lesion l = round_one(LESION_HCC, 100, .65);
    float cell[LESION_CELLS][4], fine[BLOCK_MAX];
    struct rng r = rng_at(4, 4);
    struct view v;

    (void)state;
    l.cell = cell;
    l.cells = LESION_CELLS;
    for (int i = 0; i < LESION_CELLS; i++)
        for (int c = 0; c < 4; c++)
            cell[i][c] = (float)((c < 3 ? 22 : 1) * rng_normal(&r));
    for (int p = 0; p < PHANTOM_PHASES; p++) {
        double least = fabs(change[p]) * .1 + 2;

        view_ball(&v, &l, p % 2 ? 45 : 8);
        noise_read(&texture.n4, &v.p, BLOCK_MAX, 1, (float)l.offset[2], fine);
        paint(&v, &l, p, 0);
        for (int i = 0; i < BLOCK_MAX; i++) {
            double at[3] = {(double)v.p.x[i] - 10, (double)v.p.y[i] + 20, (double)v.p.z[i] - 30}, best = 1e9;
            double expected = tissues.hu[TISSUE_LIVER][p] + change[p] + least * (double)fine[i], own = 0;

            for (int k = 0; k < LESION_CELLS; k++) {
                double c[3] = {(double)cell[k][0], (double)cell[k][1], (double)cell[k][2]};

                own = between(at, c) < best ? (double)cell[k][3] : own;
                best = fmin(best, between(at, c));
            }
            assert_true(near_value((double)v.hu[i], expected + sd[p] * own, .01));
        }
    }
}

static void metastases_have_rims_and_cores(void **state)
{
    struct lesion rim = round_one(LESION_METASTASIS, 34, .5), plain = round_one(LESION_METASTASIS, 34, .8);
    struct lesion dead = round_one(LESION_METASTASIS, 60, .5), bright = round_one(LESION_METASTASIS, 34, .1);
    double at = .12 * 17 + .5;

    (void)state;
    assert_true(near_value(contrast_at(&plain, at, PHANTOM_PVP), -42, 1));
    assert_true(near_value(contrast_at(&plain, 16, PHANTOM_PVP), -54, 2));
    assert_true(near_value(contrast_at(&rim, at, PHANTOM_PVP), -16, 1));
    assert_true(near_value(contrast_at(&rim, at, PHANTOM_ART), 10, 1));
    assert_true(near_value(contrast_at(&rim, at, PHANTOM_NC), -14, 1));
    assert_true(contrast_at(&dead, 28, PHANTOM_PVP) < -65); /* -88 where all of it is necrotic */
    bright.uniform[CHANCE_SHELL] = 1;
    assert_true(near_value(contrast_at(&bright, at, PHANTOM_ART), 40, 1));
}

static void cholangiocarcinomas_have_bands(void **state)
{
    struct lesion late = round_one(LESION_ICC, 40, .5), dark = round_one(LESION_ICC, 40, .3);

    (void)state;
    assert_true(near_value(contrast_at(&late, 2, PHANTOM_ART), 14, 3));
    assert_true(near_value(contrast_at(&late, 12, PHANTOM_ART), -20, 4));
    assert_true(near_value(contrast_at(&late, 12, PHANTOM_PVP), -34, 4));
    assert_true(near_value(contrast_at(&late, 15, PHANTOM_DEL), 14, 5));
    assert_true(near_value(contrast_at(&dark, 15, PHANTOM_DEL), -12, 5));
}

static void cysts_are_water(void **state)
{
    struct lesion l = round_one(LESION_CYST, 20, .5);

    (void)state;
    l.normal[0] = 1;
    l.normal[1] = l.normal[2] = l.normal[3] = -5; /* one draw for all phases */
    for (int p = 0; p < PHANTOM_PHASES; p++)
        assert_true(near_value(contrast_at(&l, 4, p) + tissues.hu[TISSUE_LIVER][p], 11, 1e-3));
}

/* How much of a haemangioma is nearer to its nodules' HU than to its own. */
static double filled(const struct lesion *l, int phase)
{
    static const double own[] = {-17, -12, -26, -14};
    double liver = tissues.hu[TISSUE_LIVER][phase], blood = tissues.hu[TISSUE_AORTA][phase] - liver, n = 0;
    double nodule = phase == PHANTOM_ART ? .32 * blood : phase == PHANTOM_PVP ? .75 * blood + 20 : 18;
    struct view v;

    view_ball(&v, l, l->diameter / 2 - .1);
    paint(&v, l, phase, 0);
    for (int i = 0; i < BLOCK_MAX; i++)
        n += (double)v.hu[i] - liver > .5 * (own[phase] + nodule);
    return n / BLOCK_MAX;
}

static void haemangiomas_fill(void **state)
{
    struct lesion small = round_one(LESION_HAEMANGIOMA, 12, .5);
    double sum[PHANTOM_PHASES] = {0};

    (void)state;
    for (int k = 0; k < 12; k++) {
        struct lesion l = round_one(LESION_HAEMANGIOMA, 40, .5);

        l.offset[0] = 5 * k;
        for (int p = PHANTOM_ART; p < PHANTOM_PHASES; p++)
            sum[p] += filled(&l, p) / 12;
        assert_true(near_value(contrast_at(&l, 10, PHANTOM_NC), -17, 1));
    }
    assert_true(near_value(sum[PHANTOM_ART], .25, .12));
    assert_true(near_value(sum[PHANTOM_PVP], .62, .15));
    assert_true(sum[PHANTOM_DEL] > .9);
    for (int p = PHANTOM_ART; p < PHANTOM_PHASES; p++)
        assert_true(filled(&small, p) > .99);
    assert_true(near_value(contrast_at(&small, 3, PHANTOM_NC), -17, 1));
}

static void hyperplasia_has_scars(void **state)
{
    struct lesion with = round_one(LESION_FNH, 40, .5), without = round_one(LESION_FNH, 40, .65);

    (void)state;
    assert_true(near_value(contrast_at(&without, 19, PHANTOM_ART), 52, 2));
    assert_true(near_value(contrast_at(&with, 19, PHANTOM_ART), 52 - 38, 2));
    assert_true(near_value(contrast_at(&with, 19, PHANTOM_DEL), 1 + 14, 2));
    assert_true(near_value(contrast_at(&with, 2, PHANTOM_ART), 52, 2));
}

/* Of a bright hcc that washes out, or an ordinary lesion of another kind. */
static double mean_contrast(const struct lesion *l, int phase)
{
    struct lesion plain = *l;
    struct view v;
    double sum = 0;

    plain.uniform[CHANCE_ARTERY] = .5;
    plain.uniform[CHANCE_WASHOUT] = .8;
    view_ball(&v, &plain, .7 * l->diameter / 2);
    paint(&v, &plain, phase, 0);
    for (int i = 0; i < BLOCK_MAX; i++)
        sum += (double)v.hu[i];
    return sum / BLOCK_MAX - tissues.hu[TISSUE_LIVER][phase];
}

/* Where the drawn change is larger than twice its scatter, so is what one measures inside. */
static void contrast_has_its_sign(void **state)
{
    static const struct {
        enum lesion_kind kind;
        int sign[PHANTOM_PHASES];
    } expected[] = {
        {LESION_HCC, {0, 1, 0, -1}},     {LESION_METASTASIS, {-1, 0, -1, -1}}, {LESION_ICC, {-1, 0, -1, 0}},
        {LESION_CYST, {-1, -1, -1, -1}}, {LESION_HAEMANGIOMA, {-1, 0, 0, 1}},  {LESION_FNH, {0, 1, 0, 0}},
    };

    (void)state;
    for (int k = 0; k < LESION_KINDS; k++) {
        struct lesion_odds odds = usual;
        int right[PHANTOM_PHASES] = {0}, all = 0;

        odds.count = 10;
        odds.most = 30;
        memset(odds.weight, 0, sizeof odds.weight);
        odds.weight[expected[k].kind] = 1;
        for (int i = 0; i < 20; i++) {
            struct lesions l = drawn(i, &odds);

            for (int j = 0; j < l.count; j++, all++)
                for (int p = 0; p < PHANTOM_PHASES; p++)
                    right[p] += expected[k].sign[p] * mean_contrast(&l.item[j], p) > 0;
            lesions_free(&l);
        }
        for (int p = 0; p < PHANTOM_PHASES; p++)
            if (expected[k].sign[p] && right[p] < .97 * all)
                fail_msg("%s, phase %d: %d of %d", lesion_names[expected[k].kind], p, right[p], all);
    }
}

static int make_texture(void **state)
{
    const struct phantom_id id = {1, 0};

    (void)state;
    return noise_make(&texture.n10, phantom_rng(&id, "noise/10", 0), 5, 2) ||
           noise_make(&texture.n4, phantom_rng(&id, "noise/4", 0), 2.2, 1.6);
}

static int free_texture(void **state)
{
    (void)state;
    noise_free(&texture.n10);
    noise_free(&texture.n4);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_as_asked),
        cmocka_unit_test(numbers_are_distributed),
        cmocka_unit_test(places_keep_their_rules),
        cmocka_unit_test(lesions_are_independent),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(what_does_not_fit_is_left_out),
        cmocka_unit_test(taken_space_is_left_alone),
        cmocka_unit_test(drawing_survives_exhaustion),
        cmocka_unit_test(volumes_are_the_diameters),
        cmocka_unit_test(labels_end_at_the_surface),
        cmocka_unit_test(surfaces_move),
        cmocka_unit_test(carcinomas_have_capsules),
        cmocka_unit_test(washout_comes_with_size),
        cmocka_unit_test(mosaics_are_exact),
        cmocka_unit_test(metastases_have_rims_and_cores),
        cmocka_unit_test(cholangiocarcinomas_have_bands),
        cmocka_unit_test(cysts_are_water),
        cmocka_unit_test(haemangiomas_fill),
        cmocka_unit_test(hyperplasia_has_scars),
        cmocka_unit_test(contrast_has_its_sign),
    };

    return cmocka_run_group_tests(tests, make_texture, free_texture);
}
