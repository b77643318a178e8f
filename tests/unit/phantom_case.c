/* Whole `tiny` cases: what a parameter may change, what is measured, and that nothing odd comes out. */
#include "phantom_made.h"

#include "base/json.h"
#include "base/par.h"

static const unsigned all = 15;

/* One case twice: with other threads, and made after another one. */
static void test_same_bytes(void **state)
{
    struct phantom_id id = {1, 3};
    struct made a, b;

    (void)state;
    par_set_threads(1);
    made_case(&a, PHANTOM_TINY, id, NULL, all);
    par_set_threads(5);
    made_case(&b, PHANTOM_TINY, (struct phantom_id){1, 2}, NULL, 1);
    made_free(&b);
    made_case(&b, PHANTOM_TINY, id, NULL, all);
    par_set_threads(0);
    for (int p = 0; p < PHANTOM_PHASES; p++) {
        assert_true(made_same(a.phase[p].image.hu, b.phase[p].image.hu));
        assert_true(made_same(a.phase[p].image.label, b.phase[p].image.label));
        assert_true(made_same(a.phase[p].image.clean, b.phase[p].image.clean));
    }
    assert_true(made_same(a.annotation, b.annotation));
    made_free(&b);
    made_case(&b, PHANTOM_TINY, (struct phantom_id){2, 3}, NULL, 4);
    assert_false(made_same(a.phase[2].image.clean, b.phase[2].image.clean));
    made_free(&b);
    made_free(&a);
}

/* noise = image - clean where both are in range and nothing is padded */
static int64_t noise_differs(const struct phantom_phase *a, const struct phantom_phase *b)
{
    const int16_t *x = a->image.hu->data, *y = b->image.hu->data, *cx = a->image.clean->data,
                  *cy = b->image.clean->data;
    int64_t n = 0;

    for (int64_t i = 0; i < grid_count(&a->image.hu->grid); i++)
        n += abs((x[i] - cx[i]) - (y[i] - cy[i])) > 1 && cx[i] > -650 && cy[i] > -650 && x[i] > -1000 &&
             y[i] > -1000;
    return n;
}

static void test_parameter_changes_what_it_names(void **state)
{
    struct phantom_id id = {7, 1};
    const char *const dial[] = {"dial=6", NULL}, *const quiet[] = {"noise=5", NULL},
                      *const reader[] = {"oversize=1", NULL}, *const few[] = {"missing=1,0,1", NULL};
    struct made a, b;

    (void)state;
    made_case(&a, PHANTOM_TINY, id, NULL, all);
    made_case(&b, PHANTOM_TINY, id, dial, all);
    assert_true(made_same(a.phase[PHANTOM_PVP].image.hu, b.phase[PHANTOM_PVP].image.hu));
    assert_true(made_same(a.annotation, b.annotation));
    assert_false(made_same(a.phase[PHANTOM_ART].image.label, b.phase[PHANTOM_ART].image.label));
    assert_int_equal(noise_differs(&a.phase[PHANTOM_ART], &b.phase[PHANTOM_ART]), 0);
    made_free(&b);
    made_case(&b, PHANTOM_TINY, id, quiet, all);
    for (int p = 0; p < PHANTOM_PHASES; p++) {
        assert_true(made_same(a.phase[p].image.clean, b.phase[p].image.clean));
        assert_true(made_same(a.phase[p].image.label, b.phase[p].image.label));
        assert_false(made_same(a.phase[p].image.hu, b.phase[p].image.hu));
    }
    made_free(&b);
    made_case(&b, PHANTOM_TINY, id, reader, 4);
    assert_true(made_same(a.phase[PHANTOM_PVP].image.hu, b.phase[PHANTOM_PVP].image.hu));
    assert_false(made_same(a.annotation, b.annotation));
    made_free(&b);
    made_case(&b, PHANTOM_TINY, id, few, all);
    assert_false(b.c->facts[PHANTOM_NC].present || b.c->facts[PHANTOM_DEL].present);
    assert_true(made_same(a.phase[PHANTOM_ART].image.hu, b.phase[PHANTOM_ART].image.hu));
    made_free(&b);
    made_free(&a);
}

/* Without breathing and dial all phases see the same patient at the same points; the dial moves labels by
 * what it says. */
static void test_registered(void **state)
{
    const char *const still[] = {"registered=true", NULL}, *const dial[] = {"registered=true", "dial=5",
                                                                            NULL};
    struct made m;

    (void)state;
    made_case(&m, PHANTOM_TINY, (struct phantom_id){3, 0}, still, all);
    for (int p = 0; p < PHANTOM_PHASES; p++) {
        assert_true(made_same(m.phase[p].image.label, m.phase[PHANTOM_PVP].image.label));
        assert_true(m.c->facts[p].moved_mean == 0);
    }
    made_free(&m);
    made_case(&m, PHANTOM_TINY, (struct phantom_id){3, 0}, dial, all);
    for (int p = 0; p < PHANTOM_PHASES; p++) {
        if (p == PHANTOM_PVP)
            continue;
        assert_false(made_same(m.phase[p].image.label, m.phase[PHANTOM_PVP].image.label));
        assert_true(fabs(m.c->facts[p].moved_mean - 5) < 0.15);
        assert_true(made_dice(&m, p, made_is_liver) > 0.95);
    }
    made_free(&m);
}

/* Labels, volumes and HU against what is recorded. */
static void test_measured(void **state)
{
    const char *const set[] = {"count=4", NULL};

    (void)state;
    for (int seed = 0; seed < 3; seed++) {
        struct made m;

        made_case(&m, PHANTOM_TINY, (struct phantom_id){(uint64_t)seed, 0}, set, all);
        for (int p = 0; p < PHANTOM_PHASES; p++) {
            const struct phase_facts *f = &m.c->facts[p];
            int64_t count[256] = {0};
            double liver = made_mean(&m.phase[p], PHANTOM_LIVER, 2),
                   spleen = made_mean(&m.phase[p], PHANTOM_SPLEEN, 1);

            for (int64_t i = 0; i < grid_count(&m.phase[p].image.label->grid); i++)
                count[((const uint8_t *)m.phase[p].image.label->data)[i]]++;
            for (int l = 0; l <= PHANTOM_BENIGN; l++)
                if (l != PHANTOM_TUMOUR && l != PHANTOM_BENIGN)
                    assert_int_equal(count[l], f->voxels[l]);
            for (int i = 0; i < m.c->scene.lesions.count; i++)
                assert_int_equal(count[PHANTOM_LESION + i], f->lesion[i].voxels);
            assert_true(fabs(liver - m.c->scene.tissues.hu[TISSUE_LIVER][p]) < 4);
            assert_true(isnan(spleen) || fabs(spleen - m.c->scene.tissues.hu[TISSUE_SPLEEN][p]) < 6);
            assert_true(
                fabs(f->voxel_ml * 1000 - m.c->scan[p].grid.spacing[0] * m.c->scan[p].grid.spacing[1] *
                                              m.c->scan[p].grid.spacing[2]) < 1e-9);
        }
        made_free(&m);
    }
}

/* Every kind alone, no lesion, twelve, all subsets of phases: a record with numbers, labels only where the
 * body is. */
static void check_sane(const struct made *m)
{
    json_t *record = phantom_record(m->c);
    char *text = json_text(record);

    assert_non_null(text);
    assert_null(strstr(text, ": nan"));
    assert_null(strstr(text, ": inf"));
    mem_free(text);
    json_decref(record);
    for (int p = 0; p < PHANTOM_PHASES; p++) {
        const struct phantom_phase *ph = &m->phase[p];

        if (!ph->image.label)
            continue;
        for (int64_t i = 0; i < grid_count(&ph->image.label->grid); i++) {
            int label = ((const uint8_t *)ph->image.label->data)[i];
            int16_t hu = ((const int16_t *)ph->image.clean->data)[i];

            assert_true(label <= PHANTOM_BENIGN || label < PHANTOM_LESION + m->c->scene.lesions.count);
            /* gas is in the gut and in lungs, never in the solid organs */
            if ((made_is_liver(label) || made_is_spleen(label) || made_is_kidney(label)) &&
                made_inside(ph->image.label, i, 2))
                assert_true(hu > -250 && hu < 700);
        }
    }
}

static void test_kinds_and_subsets(void **state)
{
    static const char *const counts[] = {"count=0", "count=12", "count=2"};
    char kind[64], missing[64];
    struct made m;

    (void)state;
    for (int k = 0; k < LESION_KINDS; k++) {
        const char *const set[] = {kind, counts[k % 3], "extent=1", missing, NULL};

        snprintf(kind, sizeof kind, "kinds=%s", lesion_names[k]);
        snprintf(missing, sizeof missing, "missing=%d,%d,%d", k & 1, k >> 1 & 1, k >> 2 & 1);
        made_case(&m, PHANTOM_TINY, (struct phantom_id){11, k}, set, all);
        for (int i = 0; i < m.c->scene.lesions.count; i++)
            assert_int_equal(m.c->scene.lesions.item[i].kind, k);
        if (k % 3 == 0)
            assert_int_equal(m.c->scene.lesions.count, 0);
        check_sane(&m);
        made_free(&m);
    }
}

static void test_params(void **state)
{
    struct lesion_odds o = {0};
    struct phantom_frame f;
    struct phantom_params p = {.spacing = 1.5, .noise = -1, .fpeak = -1};
    struct phantom_id id = {0, 0};

    (void)state;
    assert_ok(phantom_kinds(&o, "hcc=2,cyst,hcc=.5"));
    assert_true(o.weight[LESION_HCC] == 2.5 && o.weight[LESION_CYST] == 1 && o.weight[LESION_FNH] == 0);
    assert_ok(phantom_kinds(&o, "lits"));
    assert_true(o.weight[LESION_METASTASIS] == 0.6 && o.median == 3);
    assert_err(phantom_kinds(&o, "adenoma=1"), ERR_USAGE, "adenoma");
    assert_err(phantom_kinds(&o, "hcc=x"), ERR_USAGE, "hcc");
    assert_err(phantom_kinds(&o, "hcc="), ERR_USAGE, "hcc");
    assert_err(phantom_kinds(&o, "hcc=-1"), ERR_USAGE, "hcc");
    assert_err(phantom_kinds(&o, "hcc=nan"), ERR_USAGE, "hcc");
    assert_err(phantom_kinds(&o, "hcc=0"), ERR_USAGE, "count=0");
    assert_err(phantom_kinds(&o, ""), ERR_USAGE, "kinds");
    /* the field of view stays, except at `real`, where the matrix does */
    assert_ok(phantom_frame_draw(&f, &id, PHANTOM_DEMO, &p));
    assert_int_equal(f.dims[0], 235);
    assert_ok(phantom_frame_draw(&f, &id, PHANTOM_REAL, &p));
    assert_int_equal(f.dims[0], 512);
    assert_true(f.spacing[0] == 1.5);
    p.spacing = 0.2;
    assert_err(phantom_frame_draw(&f, &id, PHANTOM_DEMO, &p), ERR_USAGE, "0.4");
    for (int i = 0; i < 50; i++) { /* `real` within its ranges */
        p.spacing = 0;
        id.number = i;
        assert_ok(phantom_frame_draw(&f, &id, PHANTOM_REAL, &p));
        assert_true(f.spacing[0] >= 0.66 && f.spacing[0] <= 0.9);
        assert_true((double)f.dims[2] * f.spacing[2] > 185 && (double)f.dims[2] * f.spacing[2] < 265);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params),
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_parameter_changes_what_it_names),
        cmocka_unit_test(test_registered),
        cmocka_unit_test(test_measured),
        cmocka_unit_test(test_kinds_and_subsets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
