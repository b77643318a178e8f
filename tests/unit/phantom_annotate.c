#include "test.h"

#include "base/mem.h"
#include "base/par.h"
#include "phantom/annotate.h"
#include <math.h>

/* Twenty lesions on a lattice of places in a liver that is everywhere, or in a ball of one. */
enum { COLUMNS = 5, LESIONS = 20 };

struct setting {
    struct texture texture;
    struct lesions lesions;
    double contrast[PHANTOM_LESIONS];
    double hole[3], hole_radius, ball_radius; /* mm; 0: none */
    struct volume *truth;
    struct annotation a;
    struct phantom_id id;
};

static void liver_distance(const void *ctx, const struct points *p, int n, float *d)
{
    const struct setting *s = ctx;

    for (int i = 0; i < n; i++) {
        double q[3] = {(double)p->x[i], (double)p->y[i], (double)p->z[i]}, r = 0, h = 0;

        for (int a = 0; a < 3; a++) {
            r += q[a] * q[a];
            h += (q[a] - s->hole[a]) * (q[a] - s->hole[a]);
        }
        d[i] = s->ball_radius > 0 ? (float)(sqrt(r) - s->ball_radius) : -100;
        if (s->hole_radius > 0)
            d[i] = fmaxf(d[i], (float)(s->hole_radius - sqrt(h)));
    }
}

static struct lesion lesion_of(double diameter, double x, double y)
{
    return (struct lesion){.kind = LESION_HCC,
                           .diameter = diameter,
                           .border = 1.5,
                           .centre = {x, y, 0},
                           .axes = {diameter / 2, diameter / 2, diameter / 2},
                           .offset = {x, y, 7},
                           .bump = 0.10};
}

static void fill_truth(struct setting *s)
{
    const struct grid *g = &s->truth->grid;
    uint8_t *v = s->truth->data;

    for (int64_t i = 0; i < grid_count(g); i++) {
        struct points p;
        float d;
        double at[3] = {(double)(i % g->dims[0]), (double)(i / g->dims[0] % g->dims[1]),
                        (double)(i / (g->dims[0] * g->dims[1]))},
               mm[3];

        grid_world(g, at, mm);
        p.x[0] = (float)mm[0];
        p.y[0] = (float)mm[1];
        p.z[0] = (float)mm[2];
        liver_distance(s, &p, 1, &d);
        v[i] = d < 0 ? PHANTOM_LIVER : PHANTOM_BODY;
        for (int k = 0; k < s->lesions.count; k++) {
            const struct lesion *l = &s->lesions.item[k];

            if (hypot(mm[0] - l->centre[0], mm[1] - l->centre[1]) > 0.7 * l->diameter + 2)
                continue;
            lesion_distance(l, &s->texture, &p, 1, &d);
            if (d < 0)
                v[i] = (uint8_t)(PHANTOM_LESION + k);
        }
    }
}

/* cell: mm between the lesions. */
static void set_up(struct setting *s, int count, double diameter, double cell)
{
    int64_t dims[3] = {(int64_t)(cell * fmin(count, COLUMNS)),
                       (int64_t)(cell * ceil(count / (double)COLUMNS)), (int64_t)(cell / 2.5)};
    double spacing[3] = {1, 1, 2.5}, origin[3] = {0.5, 0.5, -1.25 * (double)(dims[2] - 1) + 0.3};
    struct grid g = grid_make(dims, spacing, origin);

    assert_ok(volume_new(&s->truth, &g, VOXEL_U8));
    s->lesions.count = count;
    for (int i = 0; i < count; i++) {
        s->lesions.item[i] =
            lesion_of(diameter, cell * (i % COLUMNS + 0.5), cell * (i / COLUMNS + 0.5) + 0.2);
        s->contrast[i] = -40;
    }
    fill_truth(s);
    s->id = (struct phantom_id){1, 0};
    s->a = (struct annotation){.id = &s->id,
                               .lesions = &s->lesions,
                               .texture = &s->texture,
                               .liver = {liver_distance, s, {-1000, -1000, -1000}, {1000, 1000, 1000}},
                               .contrast = s->contrast,
                               .oversize = 0.3};
}

static void clear(struct setting *s)
{
    volume_free(s->truth);
    s->truth = NULL;
    s->hole_radius = s->ball_radius = 0;
}

static struct volume *draw(struct setting *s, bool drawn[PHANTOM_LESIONS])
{
    struct volume *out;

    assert_ok(annotate(&out, drawn, s->truth, &s->a));
    return out;
}

/* Dice of what was drawn and lesion i, in its cell. */
static double dice(const struct setting *s, const struct volume *drawn, int i, double cell)
{
    const int64_t *n = drawn->grid.dims;
    int64_t both = 0, sum = 0, c = (int64_t)cell;

    for (int64_t z = 0; z < n[2]; z++)
        for (int64_t y = i / COLUMNS * c; y < (i / COLUMNS + 1) * c; y++)
            for (int64_t x = i % COLUMNS * c; x < (i % COLUMNS + 1) * c; x++) {
                int64_t at = x + n[0] * (y + n[1] * z);
                bool a = ((uint8_t *)s->truth->data)[at] >= PHANTOM_LESION;
                bool b = ((uint8_t *)drawn->data)[at] == 2;

                both += a && b;
                sum += a + b;
            }
    return 2 * (double)both / (double)sum;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median_dice(struct setting *s, double diameter, int rounds)
{
    static double list[20 * LESIONS];
    double cell = ceil(diameter * 1.2 + 12);
    int n = 0;

    set_up(s, LESIONS, diameter, cell);
    for (int c = 0; c < rounds; c++) {
        bool drawn[PHANTOM_LESIONS];
        struct volume *v;

        s->id.number = c;
        v = draw(s, drawn);
        for (int i = 0; i < LESIONS; i++) {
            assert_true(drawn[i]);
            list[n++] = dice(s, v, i, cell);
        }
        volume_free(v);
    }
    clear(s);
    qsort(list, (size_t)n, sizeof *list, by_value);
    return list[n / 2];
}

/* The figures of section 11, and the law of section 15 with them. */
static void readers_agree_as_they_do(void **state)
{
    struct setting *s = *state;

    assert_float_equal(median_dice(s, 8, 2), 0.72, 0.05);
    assert_float_equal(median_dice(s, 12, 4), 0.83, 0.03);
    assert_float_equal(median_dice(s, 16, 3), 0.87, 0.03);
    assert_float_equal(median_dice(s, 20, 2), 0.90, 0.02);
    assert_true(median_dice(s, 45, 1) >= 0.93);
}

static int count_drawn(const bool drawn[PHANTOM_LESIONS], int n)
{
    int sum = 0;

    for (int i = 0; i < n; i++)
        sum += drawn[i];
    return sum;
}

/* Lesions drawn in 10 cases of 20. */
static int drawn_of_200(struct setting *s, int *label)
{
    int sum = 0;

    for (int c = 0; c < 10; c++) {
        bool drawn[PHANTOM_LESIONS];
        struct volume *v;

        s->id.number = 100 + c;
        v = draw(s, drawn);
        sum += count_drawn(drawn, LESIONS);
        for (int64_t i = 0; i < grid_count(&v->grid); i++)
            *label += ((uint8_t *)v->data)[i] == 2;
        volume_free(v);
    }
    return sum;
}

static void small_and_faint_lesions_are_left_out(void **state)
{
    struct setting *s = *state;
    int label = 0;

    set_up(s, LESIONS, 5, 18);
    s->a.oversize = 1.5;
    assert_in_range(drawn_of_200(s, &label), 80, 120);
    assert_true(label > 80 * 20);
    s->a.oversize = -1; /* what is left of them has less than 12 mm2 */
    label = 0;
    assert_in_range(drawn_of_200(s, &label), 0, 60);
    clear(s);

    set_up(s, LESIONS, 12, 26);
    for (int i = 0; i < LESIONS; i++)
        s->contrast[i] = -9.5;
    assert_in_range(drawn_of_200(s, &label), 120, 160);
    s->contrast[3] = NAN; /* nobody could measure it */
    s->lesions.item[4].kind = LESION_FNH;
    s->lesions.item[5].kind = LESION_CYST;
    for (int k = 0; k < 2; k++) {
        bool drawn[PHANTOM_LESIONS];

        for (int i = 0; i < LESIONS; i++)
            s->contrast[i] = i == 3 ? NAN : 30;
        s->a.benign_is_tumour = k;
        volume_free(draw(s, drawn));
        assert_int_equal(count_drawn(drawn, LESIONS), 18 + k);
        assert_int_equal(drawn[4], k);
        assert_false(drawn[5]);
        assert_true(drawn[3]);
    }
    clear(s);
}

static void areas_below_12_mm2_are_dropped_and_holes_filled(void **state)
{
    struct setting *s = *state;
    bool drawn[PHANTOM_LESIONS];
    struct volume *v;
    int holes = 0;

    set_up(s, 1, 24, 44);
    memcpy(s->hole, (double[3]){23, 20, 0.3}, sizeof s->hole);
    s->hole_radius = 3; /* the liver ends in the middle of the lesion */
    v = draw(s, drawn);
    for (int64_t z = 0; z < v->grid.dims[2]; z++)
        for (int64_t y = 0; y < 44; y++) {
            const uint8_t *row = (uint8_t *)v->data + 44 * (y + 44 * z);
            int starts = 0;

            for (int x = 1; x < 44; x++)
                starts += row[x] == 2 && row[x - 1] != 2;
            holes += starts > 1 && y > 16 && y < 24;
        }
    assert_int_equal(holes, 0);
    for (int64_t z = 0; z < v->grid.dims[2]; z++) {
        int area = 0;

        for (int i = 0; i < 44 * 44; i++)
            area += ((uint8_t *)v->data)[44 * 44 * z + i] == 2;
        assert_true(area == 0 || area >= 12);
    }
    volume_free(v);
    clear(s);
}

static double radius_of(const struct volume *v, int label)
{
    double sum = 0;

    for (int64_t i = 0; i < grid_count(&v->grid); i++)
        sum += ((uint8_t *)v->data)[i] == label;
    return cbrt(sum * 2.5 * 3 / (4 * 3.14159265));
}

static void oversize_moves_the_surface(void **state)
{
    struct setting *s = *state;
    double radius[3], truth;

    set_up(s, 1, 30, 54);
    truth = radius_of(s->truth, PHANTOM_LESION);
    for (int k = 0; k < 3; k++) {
        bool drawn[PHANTOM_LESIONS];
        struct volume *v;

        s->a.oversize = k - 1;
        v = draw(s, drawn);
        radius[k] = radius_of(v, 2);
        volume_free(v);
    }
    assert_float_equal(radius[1], truth, 0.5);
    assert_float_equal(radius[2] - radius[1], 1, 0.15);
    assert_float_equal(radius[1] - radius[0], 1, 0.15);
    clear(s);
}

static void the_liver_is_drawn_without_the_cava(void **state)
{
    struct setting *s = *state;
    bool drawn[PHANTOM_LESIONS];
    struct volume *v;
    int cava = 0;

    s->ball_radius = 30;
    set_up(s, 1, 6, 80);
    s->lesions.count = 0;
    for (int a = 0; a < 3; a++) {
        s->a.liver.lo[a] = -30;
        s->a.liver.hi[a] = 30;
    }
    s->truth->grid.affine[0][3] = s->truth->grid.affine[1][3] = -39.5;
    fill_truth(s);
    for (int64_t i = 0; i < grid_count(&s->truth->grid); i++)
        if (i % 80 > 36 && i % 80 < 44)
            ((uint8_t *)s->truth->data)[i] = PHANTOM_CAVA;
    v = draw(s, drawn);
    for (int64_t i = 0; i < grid_count(&v->grid); i++) {
        double x = (double)(i % 80) - 39.5, y = (double)(i / 80 % 80) - 39.5;
        double z = (double)(i / 6400) * 2.5 + v->grid.affine[2][3], r = sqrt(x * x + y * y + z * z);
        int label = ((uint8_t *)v->data)[i];

        if (((uint8_t *)s->truth->data)[i] == PHANTOM_CAVA) {
            assert_int_equal(label, 0);
            cava++;
        } else if (fabs(r - 30) > 4) {
            assert_int_equal(label, r < 30);
        }
    }
    assert_true(cava > 1000);
    volume_free(v);
    clear(s);
}

static void off_is_the_truth(void **state)
{
    struct setting *s = *state;
    bool drawn[PHANTOM_LESIONS];
    struct volume *v;
    uint8_t *truth;

    set_up(s, 2, 20, 40);
    s->lesions.item[1].kind = LESION_CYST;
    s->a.off = true;
    truth = s->truth->data;
    for (int i = 0; i < 40; i++)
        truth[i] = PHANTOM_PORTAL; /* in the liver */
    truth[40] = PHANTOM_KIDNEY_L;
    truth[41] = PHANTOM_CAVA;
    v = draw(s, drawn);
    for (int64_t i = 0; i < grid_count(&v->grid); i++)
        assert_int_equal(((uint8_t *)v->data)[i], truth[i] == PHANTOM_LESION ? 2
                                                  : truth[i] == PHANTOM_KIDNEY_L || truth[i] == PHANTOM_CAVA
                                                      ? 0
                                                      : 1);
    assert_true(drawn[0]);
    assert_false(drawn[1]);
    volume_free(v);
    clear(s);
}

static void threads_change_nothing_and_the_case_does(void **state)
{
    struct setting *s = *state;
    struct volume *v[4];

    set_up(s, 2, 20, 40);
    for (int k = 0; k < 4; k++) {
        bool drawn[PHANTOM_LESIONS];

        par_set_threads(k == 0 ? 1 : k == 1 ? 2 : 8);
        s->id.number = k == 3;
        v[k] = draw(s, drawn);
    }
    par_set_threads(0);
    for (int k = 1; k < 4; k++) {
        int same = !memcmp(v[0]->data, v[k]->data, (size_t)grid_count(&v[0]->grid));

        assert_int_equal(same, k < 3);
    }
    for (int k = 0; k < 4; k++)
        volume_free(v[k]);
    clear(s);
}

static void survives_exhaustion(void **state)
{
    struct setting *s = *state;
    bool drawn[PHANTOM_LESIONS];
    struct volume *v;

    set_up(s, 1, 8, 20);
    par_set_threads(1);
    assert_survives_exhaustion(annotate(&v, drawn, s->truth, &s->a), volume_free(v));
    par_set_threads(0);
    clear(s);
}

static int make(void **state)
{
    struct setting *s = mem_new(1, sizeof *s);

    *state = s;
    return !s || noise_make(&s->texture.n10, rng_at(1, 10), 5, 2);
}

static int unmake(void **state)
{
    struct setting *s = *state;

    noise_free(&s->texture.n10);
    mem_free(s);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_agree_as_they_do),
        cmocka_unit_test(small_and_faint_lesions_are_left_out),
        cmocka_unit_test(areas_below_12_mm2_are_dropped_and_holes_filled),
        cmocka_unit_test(oversize_moves_the_surface),
        cmocka_unit_test(the_liver_is_drawn_without_the_cava),
        cmocka_unit_test(off_is_the_truth),
        cmocka_unit_test(threads_change_nothing_and_the_case_does),
        cmocka_unit_test(survives_exhaustion),
    };

    return cmocka_run_group_tests(tests, make, unmake);
}
