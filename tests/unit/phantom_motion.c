#include "test.h"

#include "align/mapper.h"
#include "align/transform_field.h"
#include "base/mem.h"
#include "base/par.h"
#include "phantom/body.h"
#include "phantom/motion.h"
#include "volume/nifti.h"
#include <math.h>

/* A liver of a good half of the usual size: two thirds of an ellipsoid's points are near its surface. */
static const float radius[3] = {50, 52, 44};

static void ellipsoid(const void *ctx, const struct points *p, int n, float *d)
{
    const float *centre = ctx;

    for (int i = 0; i < n; i++) {
        float x = (p->x[i] - centre[0]) / radius[0], y = (p->y[i] - centre[1]) / radius[1],
              z = (p->z[i] - centre[2]) / radius[2];

        d[i] = radius[2] * (sqrtf(x * x + y * y + z * z) - 1);
    }
}

static const float centre[3] = {40, 0, 5};

static struct motion_options options(double breath, double dial)
{
    struct motion_options o = {.breath = breath, .dial = dial, .scale = .56};

    o.liver = (struct liver){.distance = ellipsoid, .ctx = centre};
    for (int a = 0; a < 3; a++) {
        o.liver.lo[a] = (double)(centre[a] - radius[a]);
        o.liver.hi[a] = (double)(centre[a] + radius[a]);
    }
    return o;
}

/* The portal venous grid of the tests: around the liver. */
static struct grid around(void)
{
    return grid_make((int64_t[3]){44, 46, 34}, (double[3]){3, 2.5, 3.5}, (double[3]){-25, -57, -55});
}

static struct motion made(uint64_t seed, int phase, double breath, double dial)
{
    struct motion_options o = options(breath, dial);
    struct phantom_id id = {.seed = seed};
    struct grid g = around();
    struct motion m;

    assert_ok(motion_make(&m, &id, phase, &o, &g));
    return m;
}

static double apart(const struct points *a, const struct points *b, int i)
{
    double x = (double)(a->x[i] - b->x[i]), y = (double)(a->y[i] - b->y[i]), z = (double)(a->z[i] - b->z[i]);

    return sqrt(x * x + y * y + z * z);
}

static void scatter(struct points *p, uint64_t seed, double reach)
{
    struct rng r = rng_at(seed, 77);

    for (int i = 0; i < BLOCK_MAX; i++) {
        p->x[i] = (float)(40 + rng_between(&r, -reach, reach));
        p->y[i] = (float)rng_between(&r, -reach, reach);
        p->z[i] = (float)rng_between(&r, -reach, reach);
    }
}

/* Mean length of T(x) - x and of p(y) - y over the liver's points, and the worst of T(p(y)) - y. */
struct lengths {
    double truth, forward, trip;
};

static struct lengths lengths_of(const struct motion *m)
{
    static struct points x, y, p;
    struct lengths l = {0};

    for (int64_t b = 0; b < liver_points_blocks(&m->inside); b++) {
        int n = liver_points_in(&m->inside, b);

        x = m->inside.block[b];
        motion_truth(m, &x, n, &y);
        motion_visceral(m, &x, n, &p);
        for (int i = 0; i < n; i++) {
            l.truth += apart(&y, &x, i) / (double)m->inside.count;
            l.forward += apart(&p, &x, i) / (double)m->inside.count;
        }
        motion_truth(m, &p, n, &p);
        for (int i = 0; i < n; i++)
            l.trip = fmax(l.trip, apart(&p, &x, i));
    }
    return l;
}

static void dial_is_the_mean_displacement(void **state)
{
    static const double dials[] = {1, 2, 3, 5, 8, 12, 15};

    (void)state;
    for (size_t k = 0; k < sizeof dials / sizeof *dials; k++) {
        struct motion m = made(3 + k, PHANTOM_ART, 0, dials[k]);
        struct lengths l = lengths_of(&m);
        double mean, p95;

        assert_float_equal(l.truth / dials[k], 1, .01);
        assert_float_equal(l.forward / dials[k], 1, .08);
        assert_true(l.trip <= (dials[k] > 5 ? .002 : .001));
        assert_ok(motion_in_liver(&m, &mean, &p95));
        assert_float_equal(mean, l.truth, 1e-6);
        assert_true(p95 > 1.2 * mean && p95 < 3 * mean);
        motion_free(&m);
    }
}

/* Least determinant of T over the liver, from differences over 2 mm either way. */
static double least_determinant(const struct motion *m)
{
    static struct points side[3][2];
    double least = INFINITY;

    for (int64_t b = 0; b < liver_points_blocks(&m->inside); b++) {
        int n = liver_points_in(&m->inside, b);

        for (int a = 0; a < 3; a++)
            for (int s = 0; s < 2; s++) {
                struct points *p = &side[a][s];
                float *moved = a == 0 ? p->x : a == 1 ? p->y : p->z;

                *p = m->inside.block[b];
                for (int i = 0; i < n; i++)
                    moved[i] += s ? 2 : -2;
                motion_truth(m, p, n, p);
            }
        for (int i = 0; i < n; i++) {
            double j[3][3];

            for (int a = 0; a < 3; a++) {
                j[0][a] = (double)(side[a][1].x[i] - side[a][0].x[i]) / 4;
                j[1][a] = (double)(side[a][1].y[i] - side[a][0].y[i]) / 4;
                j[2][a] = (double)(side[a][1].z[i] - side[a][0].z[i]) / 4;
            }
            least = fmin(least, j[0][0] * (j[1][1] * j[2][2] - j[1][2] * j[2][1]) -
                                    j[0][1] * (j[1][0] * j[2][2] - j[1][2] * j[2][0]) +
                                    j[0][2] * (j[1][0] * j[2][1] - j[1][1] * j[2][0]));
        }
    }
    return least;
}

static void flows_do_not_fold(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 6; seed++) {
        double dial = seed % 2 ? 5 : 15;
        struct motion m = made(seed, PHANTOM_NC, 0, dial);

        assert_true(least_determinant(&m) >= (dial > 5 ? .12 : .5));
        motion_free(&m);
    }
}

/* The liver that phantoms have. */
static void real_livers_move_alike(void **state)
{
    (void)state;
    for (int64_t number = 0; number < 2; number++) {
        struct phantom_id id = {.seed = 3, .number = number};
        struct motion_options o = {.dial = number ? 5 : 12, .scale = .56};
        struct grid g = around();
        struct texture texture;
        struct body body;
        struct lengths l;
        struct motion m;

        assert_ok(texture_make(&texture, &id));
        body_draw(&body, &id, &texture, &(struct body_odds){.scale = o.scale});
        o.liver = liver_of_body(&body);
        assert_ok(motion_make(&m, &id, PHANTOM_DEL, &o, &g));
        l = lengths_of(&m);
        assert_float_equal(l.truth / o.dial, 1, .01);
        assert_float_equal(l.forward / o.dial, 1, .08);
        assert_true(l.trip <= 2e-3);
        assert_true(least_determinant(&m) >= (number ? .5 : .12));
        motion_free(&m);
        texture_free(&texture);
    }
}

static void truth_undoes_motion(void **state)
{
    static const struct {
        double breath, dial, reach, limit;
    } tries[] = {{9, 0, 80, 1e-3}, {9, 5, 80, 2e-3}, {30, 0, 80, 2e-3}, {9, 15, 60, 5e-3}, {9, 3, 400, 2e-3}};
    static struct points x, y, p;

    (void)state;
    for (size_t k = 0; k < sizeof tries / sizeof *tries; k++) {
        struct motion m = made(k, PHANTOM_DEL, tries[k].breath, tries[k].dial);

        scatter(&x, k, tries[k].reach);
        motion_truth(&m, &x, BLOCK_MAX, &y);
        motion_visceral(&m, &y, BLOCK_MAX, &p);
        for (int i = 0; i < BLOCK_MAX; i++)
            assert_true(apart(&p, &x, i) <= 3e-4);
        motion_truth(&m, &p, BLOCK_MAX, &p);
        for (int i = 0; i < BLOCK_MAX; i++)
            assert_true(apart(&p, &y, i) <= tries[k].limit);
        motion_free(&m);
    }
}

/* Scanners put their origin where they like. */
static void far_worlds_move_alike(void **state)
{
    static const float far_centre[3] = {40, 500, -1900};
    static struct points x, y, p;
    struct motion_options o = options(9, 5);
    struct phantom_id id = {.seed = 5};
    struct grid g =
        grid_make((int64_t[3]){44, 46, 34}, (double[3]){3, 2.5, 3.5}, (double[3]){-25, 443, -1955});
    struct motion m;

    (void)state;
    o.liver.ctx = far_centre;
    for (int a = 0; a < 3; a++) {
        o.origin[a] = (double)(far_centre[a] - centre[a]);
        o.liver.lo[a] += o.origin[a];
        o.liver.hi[a] += o.origin[a];
    }
    assert_ok(motion_make(&m, &id, PHANTOM_ART, &o, &g));
    scatter(&x, 3, 60);
    for (int i = 0; i < BLOCK_MAX; i++) {
        x.y[i] += 500;
        x.z[i] -= 1905;
    }
    motion_truth(&m, &x, BLOCK_MAX, &y);
    motion_visceral(&m, &y, BLOCK_MAX, &p);
    for (int i = 0; i < BLOCK_MAX; i++) {
        assert_true(apart(&p, &x, i) <= 1.2e-3);
        assert_true(apart(&y, &x, i) < 45);
    }
    motion_free(&m);
}

/* The formulas of phantom.md in double, at nodes of the map, where p is exact. */
static void breathing_is_the_formula(void **state)
{
    static struct points y, p, q, wobble;
    struct motion m = made(5, PHANTOM_ART, 9, 0);
    double k = .56, turn[3];

    (void)state;
    assert_true(fabs(m.amplitude) <= 18 && m.amplitude != 0);
    scatter(&y, 1, 110);
    for (int i = 0; i < BLOCK_MAX; i++) {
        y.x[i] = 2 * roundf(y.x[i] / 2);
        y.y[i] = 2 * roundf(y.y[i] / 2);
        y.z[i] = 2 * roundf(y.z[i] / 2);
    }
    motion_visceral(&m, &y, BLOCK_MAX, &p);
    motion_wall(&m, &y, BLOCK_MAX, &q);
    noise3_read(&m.wobble, &y, BLOCK_MAX, &wobble);
    for (int a = 0; a < 3; a++)
        turn[a] = .6 * m.rotation[a];
    for (int i = 0; i < BLOCK_MAX; i++) {
        double y1 = (double)y.x[i], y2 = (double)y.y[i], y3 = (double)y.z[i];
        double f = fmax(0, fmin(1, .45 + .55 * (y3 / k + 120) / 190)), front = (y2 / k - 60) / 90;
        double x = y1 + turn[1] * y3 - turn[2] * y2 + m.shift[0] + 1.8 * (double)wobble.x[i];
        double yy = y2 + turn[2] * (y1 - 40 * k) - turn[0] * y3 + m.shift[1] + 1.8 * (double)wobble.y[i] -
                    .30 * m.amplitude * f * exp(-front * front);
        double z = y3 + turn[0] * y2 - turn[1] * (y1 - 40 * k) + m.shift[2] + 1.8 * (double)wobble.z[i] +
                   m.amplitude * f;

        assert_float_equal((double)p.x[i], x, 2e-4);
        assert_float_equal((double)p.y[i], yy, 2e-4);
        assert_float_equal((double)p.z[i], z, 2e-4);
        assert_float_equal((double)q.x[i], y1 + .5 * m.shift[0], 1e-4);
        assert_float_equal((double)q.y[i],
                           y2 + .5 * m.shift[1] - .13 * m.amplitude * fmax(0, fmin(1, (y2 / k + 20) / 120)),
                           1e-4);
        assert_float_equal((double)q.z[i], y3 + .5 * m.shift[2], 1e-4);
    }
    motion_free(&m);
}

static void breathing_is_a_contraction(void **state)
{
    static struct points a, b, pa, pb;

    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct motion m = made(seed, PHANTOM_ART, 9, 0);

        scatter(&a, seed, 90);
        scatter(&b, seed + 100, 5);
        for (int i = 0; i < BLOCK_MAX; i++) {
            b.x[i] = a.x[i] + b.x[i] - 40;
            b.y[i] += a.y[i];
            b.z[i] += a.z[i];
        }
        motion_visceral(&m, &a, BLOCK_MAX, &pa);
        motion_visceral(&m, &b, BLOCK_MAX, &pb);
        for (int i = 0; i < BLOCK_MAX; i++) {
            double x = (double)(pa.x[i] - a.x[i] - pb.x[i] + b.x[i]),
                   y = (double)(pa.y[i] - a.y[i] - pb.y[i] + b.y[i]),
                   z = (double)(pa.z[i] - a.z[i] - pb.z[i] + b.z[i]);

            assert_true(sqrt(x * x + y * y + z * z) <= .6 * apart(&a, &b, i) + 1e-3);
        }
        motion_free(&m);
    }
}

/* p is a function of y: what is stored and what is computed beyond the grid are one. */
static void grid_does_not_matter(void **state)
{
    static struct points y, p, q;
    struct motion_options o = options(9, 4);
    struct phantom_id id = {.seed = 6};
    struct grid small = grid_make((int64_t[3]){10, 10, 10}, (double[3]){3, 3, 3}, (double[3]){30, 0, 0});
    struct motion wide = made(6, PHANTOM_ART, 9, 4), narrow;

    (void)state;
    assert_ok(motion_make(&narrow, &id, PHANTOM_ART, &o, &small));
    scatter(&y, 9, 120);
    motion_visceral(&wide, &y, BLOCK_MAX, &p);
    motion_visceral(&narrow, &y, BLOCK_MAX, &q);
    for (int i = 0; i < BLOCK_MAX; i++)
        assert_true(apart(&p, &q, i) <= 1e-4);
    motion_visceral(&narrow, &y, BLOCK_MAX, &y); /* in place */
    for (int i = 0; i < BLOCK_MAX; i++)
        assert_true(apart(&y, &q, i) == 0);
    motion_free(&wide);
    motion_free(&narrow);
}

static void still_is_the_identity(void **state)
{
    static const struct {
        int phase;
        double breath, dial;
    } tries[] = {{PHANTOM_PVP, 9, 5}, {PHANTOM_ART, 0, 0}};
    static struct points y, p;

    (void)state;
    scatter(&y, 2, 300);
    for (int k = 0; k < 2; k++) {
        struct motion m = made(1, tries[k].phase, tries[k].breath, tries[k].dial);
        double mean, p95;

        assert_true(m.still && !m.map && !m.flow && m.amplitude == 0);
        motion_visceral(&m, &y, BLOCK_MAX, &p);
        assert_memory_equal(&p, &y, sizeof y);
        motion_wall(&m, &y, BLOCK_MAX, &p);
        assert_memory_equal(&p, &y, sizeof y);
        motion_truth(&m, &y, BLOCK_MAX, &p);
        assert_memory_equal(&p, &y, sizeof y);
        assert_ok(motion_in_liver(&m, &mean, &p95));
        assert_true(mean == 0 && p95 == 0);
        motion_free(&m);
    }
}

static void dial_changes_only_itself(void **state)
{
    static struct points y, p, q;
    struct motion none = made(4, PHANTOM_NC, 9, 0), some = made(4, PHANTOM_NC, 9, 3);
    struct motion low = made(4, PHANTOM_NC, 0, 2), high = made(4, PHANTOM_NC, 0, 6);
    double along = 0;

    (void)state;
    assert_true(none.amplitude == some.amplitude);
    assert_memory_equal(none.rotation, some.rotation, sizeof none.rotation);
    assert_memory_equal(none.shift, some.shift, sizeof none.shift);
    scatter(&y, 3, 60);
    motion_wall(&none, &y, BLOCK_MAX, &p);
    motion_wall(&some, &y, BLOCK_MAX, &q);
    assert_memory_equal(&p, &q, sizeof p);
    motion_wall(&low, &y, BLOCK_MAX, &p); /* the wall does not flow */
    assert_memory_equal(&p, &y, sizeof p);
    motion_visceral(&low, &y, BLOCK_MAX, &p);
    motion_visceral(&high, &y, BLOCK_MAX, &q);
    for (int i = 0; i < BLOCK_MAX; i++) {
        double dot = (double)(p.x[i] - y.x[i]) * (double)(q.x[i] - y.x[i]) +
                     (double)(p.y[i] - y.y[i]) * (double)(q.y[i] - y.y[i]) +
                     (double)(p.z[i] - y.z[i]) * (double)(q.z[i] - y.z[i]);

        along += dot / (apart(&p, &y, i) * apart(&q, &y, i)) / BLOCK_MAX;
    }
    assert_true(along > .93);
    motion_free(&none);
    motion_free(&some);
    motion_free(&low);
    motion_free(&high);
}

static void phases_move_on_their_own(void **state)
{
    static struct points y, p, q;
    struct motion a = made(4, PHANTOM_NC, 0, 3), b = made(4, PHANTOM_ART, 0, 3);
    double along = 0;

    (void)state;
    scatter(&y, 3, 60);
    motion_visceral(&a, &y, BLOCK_MAX, &p);
    motion_visceral(&b, &y, BLOCK_MAX, &q);
    for (int i = 0; i < BLOCK_MAX; i++)
        along += ((double)(p.x[i] - y.x[i]) * (double)(q.x[i] - y.x[i]) +
                  (double)(p.y[i] - y.y[i]) * (double)(q.y[i] - y.y[i]) +
                  (double)(p.z[i] - y.z[i]) * (double)(q.z[i] - y.z[i])) /
                 (apart(&p, &y, i) * apart(&q, &y, i)) / BLOCK_MAX;
    assert_true(fabs(along) < .5);
    motion_free(&a);
    motion_free(&b);
}

/* A normal deviate cut at two: its SD is .959. */
static void amplitudes_are_the_breath(void **state)
{
    enum { DRAWS = 240 };
    struct motion_options o = options(9, 0);
    struct grid point = grid_make((int64_t[3]){1, 1, 1}, (double[3]){1, 1, 1}, (double[3]){0, 0, 0});
    double sum = 0, squares = 0;

    (void)state;
    for (uint64_t seed = 0; seed < DRAWS / 3; seed++)
        for (int k = 0; k < 3; k++) {
            static const int phase[] = {PHANTOM_NC, PHANTOM_ART, PHANTOM_DEL};
            struct phantom_id id = {.seed = 2, .number = (int64_t)seed};
            struct motion m;

            assert_ok(motion_make(&m, &id, phase[k], &o, &point));
            assert_true(fabs(m.amplitude) <= 18);
            sum += m.amplitude / DRAWS;
            squares += m.amplitude * m.amplitude / DRAWS;
            motion_free(&m);
        }
    assert_float_equal(sqrt(squares) / 9, .959, .14);
    assert_true(fabs(sum) < 9 * 3.5 / sqrt(DRAWS));
}

/* The skin is the sphere of 150 mm around (40, 0, 0). */
static void sphere(const void *ctx, const struct points *p, int n, float *d)
{
    (void)ctx;
    for (int i = 0; i < n; i++)
        d[i] = sqrtf((p->x[i] - 40) * (p->x[i] - 40) + p->y[i] * p->y[i] + p->z[i] * p->z[i]) - 150;
}

static void breathing_fades_at_the_skin(void **state)
{
    static struct points y, p, q;
    struct motion_options o = options(9, 0);
    struct phantom_id id = {.seed = 8};
    struct grid g = around();
    struct motion m, free_ = made(8, PHANTOM_ART, 9, 0);

    (void)state;
    o.skin = sphere;
    assert_ok(motion_make(&m, &id, PHANTOM_ART, &o, &g));
    scatter(&y, 3, 140);
    motion_visceral(&m, &y, BLOCK_MAX, &p);
    motion_visceral(&free_, &y, BLOCK_MAX, &q);
    for (int i = 0; i < BLOCK_MAX; i++) {
        double r = sqrt((double)((y.x[i] - 40) * (y.x[i] - 40) + y.y[i] * y.y[i] + y.z[i] * y.z[i]));

        if (r > 154)
            assert_true(apart(&p, &y, i) < 1e-4);
        else if (r < 116)
            assert_true(apart(&p, &q, i) < 1e-4);
        else
            assert_true(apart(&p, &y, i) <= apart(&q, &y, i) * (154 - r) / 30 + .02);
    }
    motion_wall(&m, &y, BLOCK_MAX, &q);
    assert_memory_equal(&p, &q, sizeof p);
    motion_truth(&m, &p, BLOCK_MAX, &q);
    for (int i = 0; i < BLOCK_MAX; i++)
        assert_true(apart(&q, &y, i) <= 2e-3);
    motion_free(&m);
    motion_free(&free_);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The written field, as `d4m transform` reads it, against T at the liver's points. */
static void check_field(const struct motion *m, const struct grid *fixed, double p95, double most)
{
    const char *path = test_path(test_folder(), "field.nii.gz");
    double *error = mem_new((size_t)m->inside.count, sizeof *error);
    struct mapper_tally tally = {0};
    struct transform *t = NULL;
    struct mapper *map = NULL;
    static struct points y;

    assert_non_null(error);
    assert_ok(motion_write_field(m, fixed, path));
    assert_ok(field_read(&t, path, CONVENTION_AUTO, NULL));
    assert_ok(mapper_new(&map, t, NULL, NULL));
    for (int64_t b = 0; b < liver_points_blocks(&m->inside); b++) {
        const struct points *x = m->inside.block + b;

        motion_truth(m, x, liver_points_in(&m->inside, b), &y);
        for (int i = 0; i < liver_points_in(&m->inside, b); i++) {
            double got[3];

            mapper_point(map, (double[3]){(double)x->x[i], (double)x->y[i], (double)x->z[i]}, got, &tally);
            error[b * BLOCK_MAX + i] =
                sqrt(pow(got[0] - (double)y.x[i], 2) + pow(got[1] - (double)y.y[i], 2) +
                     pow(got[2] - (double)y.z[i], 2));
        }
    }
    qsort(error, (size_t)m->inside.count, sizeof *error, by_size);
    assert_true(error[m->inside.count * 95 / 100] <= p95);
    assert_true(error[m->inside.count - 1] <= most);
    assert_int_equal(tally.outside, 0);
    mapper_free(map);
    transform_free(t);
    mem_free(error);
}

static void written_field_is_the_truth(void **state)
{
    struct motion breathing = made(2, PHANTOM_ART, 9, 0), dialled = made(7, PHANTOM_NC, 0, 5);
    struct motion still = made(2, PHANTOM_ART, 0, 0), both = made(12, PHANTOM_DEL, 9, 5);
    struct grid g = around(), turned = g;

    (void)state;
    for (int r = 0; r < 3; r++) { /* axes to the left, to the back and up, from the far corner */
        turned.affine[r][0] = -g.affine[r][0];
        turned.affine[r][1] = -g.affine[r][1];
        turned.affine[r][3] +=
            g.affine[r][0] * (double)(g.dims[0] - 1) + g.affine[r][1] * (double)(g.dims[1] - 1);
    }
    check_field(&breathing, &g, .1, .4);
    check_field(&dialled, &g, .1, .4);
    check_field(&dialled, &turned, .1, .4);
    check_field(&both, &g, .1, .4);
    still.inside = dialled.inside;
    check_field(&still, &g, 0, 0);
    still.inside = (struct liver_points){0};
    motion_free(&still);
    motion_free(&breathing);
    motion_free(&dialled);
    motion_free(&both);
}

static void field_file_says_what_it_is(void **state)
{
    const char *path = test_path(test_folder(), "field.nii");
    struct motion m = made(2, PHANTOM_ART, 9, 0);
    struct nifti_options o = {.positions_matter = true};
    struct grid g = around();
    struct volume *v = NULL;
    struct nifti_intent intent;

    (void)state;
    assert_ok(motion_write_field(&m, &g, path));
    assert_ok(nifti_load_vectors(&v, path, &o, NULL));
    intent = nifti_intent_of(v);
    assert_int_equal(intent.code, 1007);
    assert_string_equal(intent.name, "NREG_TRANS");
    assert_true(intent.p1 == 1);
    for (int a = 0; a < 3; a++) {
        double reach = (double)(g.dims[a] - 1) * g.spacing[a];

        assert_float_equal(v->grid.spacing[a], 4, 1e-6);
        assert_float_equal(v->grid.affine[a][3], g.affine[a][3], 1e-4);
        assert_true(4 * (double)(v->grid.dims[a] - 1) >= reach - 1e-3);
        assert_true(4 * (double)(v->grid.dims[a] - 2) < reach);
    }
    volume_free(v);
    assert_int_equal(motion_write_field(&m, &g, "no/such/folder/field.nii"), ERR_OUTPUT);
    motion_free(&m);
}

static void threads_do_not_matter(void **state)
{
    static const int threads[] = {1, 2, 8};
    struct motion m[3];

    (void)state;
    for (int k = 0; k < 3; k++) {
        par_set_threads(threads[k]);
        m[k] = made(9, PHANTOM_ART, 9, 4);
    }
    par_set_threads(0);
    for (int k = 1; k < 3; k++) {
        int64_t nodes = m[0].map->size[0] * m[0].map->size[1] * m[0].map->size[2];

        assert_memory_equal(m[k].map->node, m[0].map->node, 3 * (size_t)nodes * sizeof(float));
    }
    for (int k = 0; k < 3; k++)
        motion_free(&m[k]);
}

static void nowhere(const void *ctx, const struct points *p, int n, float *d)
{
    (void)ctx;
    (void)p;
    for (int i = 0; i < n; i++)
        d[i] = 1;
}

static void bad_livers_are_refused(void **state)
{
    struct motion_options o = options(9, 4);
    struct phantom_id id = {.seed = 6};
    struct grid g = grid_make((int64_t[3]){4, 4, 4}, (double[3]){3, 3, 3}, (double[3]){30, 0, 0});
    struct motion m;

    (void)state;
    assert_survives_exhaustion(motion_make(&m, &id, PHANTOM_ART, &o, &g), motion_free(&m));
    o.liver.distance = nowhere;
    assert_err(motion_make(&m, &id, PHANTOM_ART, &o, &g), ERR_INPUT, "liver");
    o.liver.hi[0] = o.liver.lo[0] - 20;
    assert_err(motion_make(&m, &id, PHANTOM_ART, &o, &g), ERR_INPUT, "liver");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dial_is_the_mean_displacement), cmocka_unit_test(flows_do_not_fold),
        cmocka_unit_test(real_livers_move_alike),        cmocka_unit_test(truth_undoes_motion),
        cmocka_unit_test(far_worlds_move_alike),         cmocka_unit_test(breathing_is_the_formula),
        cmocka_unit_test(breathing_is_a_contraction),    cmocka_unit_test(grid_does_not_matter),
        cmocka_unit_test(still_is_the_identity),         cmocka_unit_test(dial_changes_only_itself),
        cmocka_unit_test(phases_move_on_their_own),      cmocka_unit_test(amplitudes_are_the_breath),
        cmocka_unit_test(breathing_fades_at_the_skin),   cmocka_unit_test(written_field_is_the_truth),
        cmocka_unit_test(field_file_says_what_it_is),    cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(bad_livers_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
