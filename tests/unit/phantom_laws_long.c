/* The laws of phantom.md section 15 on `demo` cases. */
#include "phantom_made.h"

static void check_hu(const struct made *m, int p)
{
    static const struct {
        int label, inside;
        enum tissue tissue;
    } row[] = {{PHANTOM_LIVER, 2, TISSUE_LIVER},
               {PHANTOM_SPLEEN, 2, TISSUE_SPLEEN},
               {PHANTOM_AORTA, 1, TISSUE_AORTA},
               {PHANTOM_PORTAL, 1, TISSUE_PORTAL}};

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        double mean = made_mean(&m->phase[p], row[i].label, row[i].inside),
               drawn = m->c->scene.tissues.hu[row[i].tissue][p];

        if (!isnan(mean) && fabs(mean - drawn) > 4)
            fail_msg("label %d, phase %d: %.1f HU, drawn %.1f", row[i].label, p, mean, drawn);
    }
}

/* SD of the noise in the liver against noise sqrt(3/thickness) and the profile over the body. */
static void check_noise(const struct made *m, int p)
{
    const struct volume *l = m->phase[p].image.label;
    const uint8_t *label = l->data;
    const int16_t *hu = m->phase[p].image.hu->data, *clean = m->phase[p].image.clean->data;
    double sum = 0, sum2 = 0, expected = 0;
    int64_t n = 0;

    for (int64_t i = 0; i < grid_count(&l->grid); i++) {
        double index[3] = {(double)(i % l->grid.dims[0]), (double)(i / l->grid.dims[0] % l->grid.dims[1]), 0},
               mm[3], d, profile;

        if (label[i] != PHANTOM_LIVER)
            continue;
        grid_world(&l->grid, index, mm);
        d = hu[i] - clean[i];
        profile = 0.72 + 0.45 * exp(-1.4 * (mm[0] * mm[0] / (165 * 165) + mm[1] * mm[1] / (112 * 112)));
        sum += d;
        sum2 += d * d;
        expected += profile * profile;
        n++;
    }
    sum /= (double)n;
    expected = m->c->noise * sqrt(3 / m->c->scan[p].thickness) * sqrt(expected / (double)n);
    assert_true(fabs(sum) < 1);
    assert_true(fabs(sqrt(sum2 / (double)n) / expected - 1) < 0.1);
}

static void check_maps(const struct made *m, int p)
{
    bool thick = m->c->scan[p].thickness > 3.5;
    double liver = made_dice(m, p, made_is_liver), spleen = made_dice(m, p, made_is_spleen),
           kidneys = made_dice(m, p, made_is_kidney);

    if (liver < (thick ? 0.975 : 0.98) || spleen < (thick ? 0.96 : 0.965) || kidneys < 0.95)
        fail_msg("phase %d: Dice through T %.4f %.4f %.4f", p, liver, spleen, kidneys);
}

static void check_case(const struct made *m)
{
    const int64_t *n = m->c->facts[PHANTOM_PVP].voxels;
    double ml = m->c->facts[PHANTOM_PVP].voxel_ml *
                (double)(n[PHANTOM_LIVER] + n[PHANTOM_TUMOUR] + n[PHANTOM_BENIGN]);

    assert_true(ml > 900 && ml < 2400); /* without its vessels */
    for (int p = 0; p < PHANTOM_PHASES; p++) {
        check_hu(m, p);
        check_noise(m, p);
        if (p != PHANTOM_PVP)
            check_maps(m, p);
    }
}

static void test_breathing(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct made m;

        made_case(&m, PHANTOM_DEMO, (struct phantom_id){100 + (uint64_t)i, i}, NULL, 15);
        check_case(&m);
        made_free(&m);
    }
}

static void test_dial(void **state)
{
    static const char *const dial[] = {"dial=2", "dial=5", "dial=8"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        const char *const set[] = {"registered=true", dial[i], NULL};
        struct made m;

        made_case(&m, PHANTOM_DEMO, (struct phantom_id){200 + (uint64_t)i, i}, set, 15);
        check_case(&m);
        for (int p = 0; p < PHANTOM_PHASES; p++)
            if (p != PHANTOM_PVP)
                assert_true(fabs(m.c->facts[p].moved_mean / m.params.dial - 1) < 0.03);
        made_free(&m);
    }
}

static void test_sizes(void **state)
{
    const char *const liver[] = {"count=12", NULL};
    struct made m;

    (void)state;
    made_case(&m, PHANTOM_LIVER_BOX, (struct phantom_id){5, 5}, liver, 6);
    assert_true(m.c->facts[PHANTOM_PVP].voxels[PHANTOM_LIVER] > 50000);
    check_hu(&m, PHANTOM_PVP);
    made_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_breathing),
        cmocka_unit_test(test_dial),
        cmocka_unit_test(test_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
