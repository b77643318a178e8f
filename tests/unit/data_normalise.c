/* Normalisation by the labelled voxels of the training cases: NumPy's numbers, what goes through the plan's
 * file, what a network then sees, and that a crop and the whole volume are seen alike. */
#include "test.h"

#include "base/mem.h"
#include "data/normalise.h"
#include "data/source.h"
#include <math.h>

enum { CHANNELS = 3 };
static const int64_t dims[3] = {20, 15, 10};

/* Voxel i of case k, channel c: the rule that the NumPy figures below were made with. Some are unscanned. */
static int16_t hu_at(int64_t i, int64_t k, int64_t c)
{
    return (int16_t)(i % 41 ? (i * i * (k + 2) + 37 * i * (c + 1)) % 523 - 150 : -1024);
}

/* Case k: channel 0 in both, channel 2 in the second, channel 1 in none. */
static struct prepared *make_case(int k)
{
    struct prepared *c = mem_new(1, sizeof *c);

    assert_non_null(c);
    c->name = mem_str("case");
    c->phases = CHANNELS;
    c->grid = c->ras = grid_make(dims, (const double[3]){1, 1, 1}, (const double[3]){0, 0, 0});
    assert_ok(volume_new(&c->label, &c->grid, VOXEL_U8));
    for (int p = 0; p < CHANNELS; p++) {
        if (p && !(p == 2 && k == 1))
            continue;
        assert_ok(volume_new(&c->phase[p], &c->grid, VOXEL_I16));
        for (int64_t i = 0; i < grid_count(&c->grid); i++)
            ((int16_t *)c->phase[p]->data)[i] = hu_at(i, k, p);
    }
    for (int64_t i = 0; i < grid_count(&c->grid); i++)
        ((uint8_t *)c->label->data)[i] = i % (3 + k) ? 0 : (uint8_t)(1 + i % 2);
    return c;
}

struct fixture {
    struct arena *arena;
    struct prepared *item[2];
    struct plan plan;
};

static void fixture_make(struct fixture *f)
{
    f->arena = arena_new();
    f->item[0] = make_case(0);
    f->item[1] = make_case(1);
    f->plan = (struct plan){0};
    assert_ok(plan_preset(&f->plan, f->arena, "demo"));
    f->plan.phases = CHANNELS;
    f->plan.classes = 3;
    assert_int_equal(f->plan.normalisation, NORM_CT);
}

static void fixture_free(struct fixture *f)
{
    prepared_free(f->item[0]);
    prepared_free(f->item[1]);
    arena_free(f->arena);
}

static void same(const struct plan *p, int channel, double low, double high, double mean, double sd)
{
    struct plan_intensity v;

    assert_ok(plan_intensity(&v, p, channel));
    assert_true(v.low == low && v.high == high);
    assert_true(fabs(v.mean - mean) < 1e-6 && fabs(v.sd - sd) < 1e-6);
}

/* numpy.percentile(v, [0.5, 99.5]), v.mean(), v.std() of the voxels with label > 0 and more than -1000 HU. */
static void numpy_says_the_same(void **state)
{
    const char *path = test_path(test_folder(), "plan.json");
    struct fixture f;
    struct plan back = {0};

    (void)state;
    fixture_make(&f);
    assert_ok(plan_measure_intensities(&f.plan, f.arena, f.item, 2));
    same(&f.plan, 0, -149, 370, 105.75908558030481, 153.2558373785671);
    same(&f.plan, 2, -145.75, 370, 113.47195622435021, 153.78604612368605);
    same(&f.plan, 1, -149, 370, 108.072630283135, 153.45577695176107); /* all channels together */
    assert_ok(plan_write(&f.plan, path));
    assert_ok(plan_read(&back, f.arena, path));
    assert_string_equal(back.intensities, f.plan.intensities);
    assert_int_equal(back.normalisation, NORM_CT);
    assert_survives_exhaustion(plan_measure_intensities(&f.plan, f.arena, f.item, 2), (void)0);
    fixture_free(&f);
}

/* The network's numbers, and the same ones where the volume is a part of it. */
static void a_crop_is_seen_like_the_whole(void **state)
{
    static float whole[20 * 15 * 10 * CHANNELS], part[20 * 15 * 4 * CHANNELS];
    struct fixture f;
    struct source s;
    struct patch all = {{10, 15, 20}, CHANNELS, whole, NULL}, some = {{4, 15, 20}, CHANNELS, part, NULL};
    struct prepared *c;

    (void)state;
    fixture_make(&f);
    c = f.item[1];
    assert_err(source_make(&s, c, &f.plan), ERR_INPUT, "no intensities");
    assert_ok(plan_measure_intensities(&f.plan, f.arena, f.item, 2));
    assert_ok(source_make(&s, c, &f.plan));
    source_read(&s, (const int64_t[3]){0, 0, 0}, &all);
    for (int64_t i = 0; i < grid_count(&c->grid); i++) {
        double a = fmin(fmax(hu_at(i, 1, 0), -149), 370), b = fmin(fmax(hu_at(i, 1, 2), -145.75), 370);

        assert_true(fabs(whole[3 * i] - (a - 105.7590856) / 153.2558374) < 1e-5);
        assert_true(fabs(whole[3 * i + 2] - (b - 113.4719562) / 153.7860461) < 1e-5);
        assert_true(whole[3 * i + 1] == whole[3 * i]); /* phase 0 in the place of the missing one */
    }
    c->grid.dims[2] = 4; /* the lowest slices alone, with other statistics of their own */
    c->stats[0] = (struct phase_stats){.mean = 1000, .sd = 7};
    assert_ok(source_make(&s, c, &f.plan));
    source_read(&s, (const int64_t[3]){0, 0, 0}, &some);
    assert_memory_equal(part, whole, sizeof part);
    f.plan.normalisation = NORM_VOLUME;
    assert_ok(source_make(&s, c, &f.plan));
    assert_true(s.mean[0] == 1000 && s.low[0] == (float)f.plan.window[0]);
    fixture_free(&f);
}

static void nothing_to_measure(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f);
    for (int k = 0; k < 2; k++)
        memset(f.item[k]->label->data, 0, (size_t)grid_count(&f.item[k]->grid));
    assert_err(plan_measure_intensities(&f.plan, f.arena, f.item, 2), ERR_INPUT, "labelled voxel");
    assert_null(f.plan.intensities);
    /* one value everywhere still gives a range and a deviation */
    for (int64_t i = 0; i < grid_count(&f.item[0]->grid); i++) {
        ((uint8_t *)f.item[0]->label->data)[i] = 1;
        ((int16_t *)f.item[0]->phase[0]->data)[i] = 50;
    }
    assert_ok(plan_measure_intensities(&f.plan, f.arena, f.item, 1));
    same(&f.plan, 0, 50, 51, 50, 1e-3);
    fixture_free(&f);
}

/* Plans from elsewhere: malformed numbers are refused, and old plans mean what they meant. */
static void broken_and_old_plans(void **state)
{
    static const char *const bad[] = {"",
                                      "1,2,3",
                                      "1,2,3,4",
                                      "1,2,3,4;1,2,3,4;1,2,3,0",
                                      "2,1,3,4;1,2,3,4;1,2,3,4",
                                      "1,nan,3,4;1,2,3,4;1,2,3,4",
                                      "1,2,3,inf;1,2,3,4;1,2,3,4",
                                      "1,2,3,4;1,2,3,4;1,2,3,4;1,2,3,4",
                                      "1,2;3,4;1,2,3,4;1,2,3,4"};
    static const char old[] = "{\"patch\": [64, 64, 64], \"phases\": 3, \"classes\": 3}";
    struct fixture f;
    struct plan p = {0};
    json_t *j = NULL;

    (void)state;
    fixture_make(&f);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        f.plan.intensities = bad[i];
        if (plan_check(&f.plan) == ERR_OK)
            fail_msg("\"%s\" passes", bad[i]);
    }
    f.plan.intensities = "-1,2.5,3,4;1,2,3,4e0;1,2,-3,4";
    assert_ok(plan_check(&f.plan));
    j = json_loads(old, 0, NULL);
    assert_ok(plan_parse(&p, f.arena, j, "old.json"));
    assert_true(p.normalisation == NORM_VOLUME && !p.intensities);
    json_decref(j);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numpy_says_the_same), cmocka_unit_test(a_crop_is_seen_like_the_whole),
        cmocka_unit_test(nothing_to_measure), cmocka_unit_test(broken_and_old_plans)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
