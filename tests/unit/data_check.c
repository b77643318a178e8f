#include "check_patient.h"
#include "test.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/check.h"
#include <math.h>

static const int64_t dims[3] = {24, 20, 16};
static const double spacing[3] = {2, 2, 3};

enum what { SCAN, DRAWN };

/* A ball of 100 HU (label 1, with 2 at its heart) in fat and air; `phase` changes the texture. */
static struct volume *make(enum what what, int phase)
{
    struct grid g = grid_make(dims, spacing, (double[3]){-23, -19, -20});
    struct volume *v = NULL;
    int64_t p = 0;

    assert_ok(volume_new(&v, &g, what == DRAWN ? VOXEL_U8 : VOXEL_I16));
    for (int k = 0; k < 16; k++)
        for (int j = 0; j < 20; j++)
            for (int i = 0; i < 24; i++, p++) {
                double r = sqrt((i - 12) * (i - 12) + (j - 10) * (j - 10) + (k - 8) * (k - 8));

                if (what == DRAWN)
                    ((uint8_t *)v->data)[p] = (uint8_t)(r < 3 ? 2 : r < 7 ? 1 : 0);
                else
                    ((int16_t *)v->data)[p] = (int16_t)(r < 7   ? 100 + 10 * phase
                                                        : j < 3 ? -1000
                                                                : -80 + (i * (phase + 3)) % 17);
            }
    return v;
}

static void describe(const char *folder)
{
    const char *text =
        "{\"channel_names\": {\"0\": \"ART\", \"1\": \"PV\"}, \"labels\": {\"background\": 0, \"liver\": 1, "
        "\"tumour\": 2}, \"numTraining\": 2, \"file_ending\": \".nii.gz\"}";

    assert_ok(folder_make(folder));
    assert_ok(file_write(test_path(folder, "dataset.json"), text, strlen(text)));
}

/* Two good cases. */
static const char *good_dataset(void)
{
    const char *f = test_folder();

    describe(f);
    put(make(SCAN, 1), f, "imagesTr/a_0000.nii.gz");
    put(make(SCAN, 2), f, "imagesTr/a_0001.nii.gz");
    put(make(DRAWN, 0), f, "labelsTr/a.nii.gz");
    put(make(SCAN, 3), f, "imagesTr/b_0000.nii.gz");
    put(make(SCAN, 4), f, "imagesTr/b_0001.nii.gz");
    put(make(DRAWN, 0), f, "labelsTr/b.nii.gz");
    return f;
}

static size_t errors(const struct check_report *r)
{
    return r->found.of[FINDING_ERROR];
}

static void good_data_has_no_findings(void **state)
{
    struct check_report r = look(good_dataset());

    (void)state;
    for (size_t i = 0; i < r.found.count; i++)
        fail_msg("%s: %s", r.found.item[i].rule->name, r.found.item[i].text);
    assert_true(r.cases == 2 && check_verdict(&r) == ERR_OK);
    check_free(&r);
}

static void copies_and_gaps_are_warned_about(void **state)
{
    const char *f = good_dataset();
    struct check_report r;
    struct volume *v = make(SCAN, 2);
    json_t *j;

    (void)state;
    put(make(SCAN, 2), f, "imagesTr/a_0000.nii.gz"); /* the bytes of a_0001 */
    ((int16_t *)v->data)[5]++;
    put(v, f, "imagesTr/b_0001.nii.gz");
    assert_int_equal(remove(test_path(f, "imagesTr/b_0000.nii.gz")), 0);
    r = look(f);
    assert_true(found(&r, "phase-copy") && found(&r, "phase-alike") && found(&r, "phase-missing"));
    assert_true(found(&r, "phase-copy")->rule->severity == FINDING_WARNING && errors(&r) == 0 &&
                check_verdict(&r) == ERR_OK);
    j = check_to_json(&r);
    assert_non_null(j);
    assert_int_equal(json_array_size(json_object_get(j, "findings")), r.found.count);
    json_decref(j);
    check_free(&r);
}

static void implausible_values_are_warned_about(void **state)
{
    const char *f = good_dataset();
    struct volume *v = make(SCAN, 2), *w = make(DRAWN, 0);
    struct check_report r;

    (void)state;
    for (int i = 0; i < 24 * 20 * 16; i++)
        ((int16_t *)v->data)[i] = (int16_t)(((int16_t *)v->data)[i] + 1024);
    put(v, f, "imagesTr/a_0001.nii.gz");
    memset(w->data, 0, 24 * 20 * 16);
    put(w, f, "labelsTr/b.nii.gz");
    r = look(f);
    assert_true(found(&r, "hu-range") && found(&r, "label-hu") && found(&r, "label-empty") && !errors(&r));
    check_free(&r);
}

static void errors_decide_the_verdict(void **state)
{
    const char *f = good_dataset(), *label = test_path(f, "labelsTr/a.nii.gz");
    struct volume *v = make(DRAWN, 0);
    struct check_report r;

    (void)state;
    /* one case of two */
    v->grid.affine[0][3] += 10;
    put(v, f, "labelsTr/a.nii.gz");
    r = look(f);
    assert_true(found(&r, "label-grid")->rule->severity == FINDING_ERROR &&
                !strcmp(found(&r, "label-grid")->where, "a"));
    assert_true(r.bad_cases == 1 && check_verdict(&r) == ERR_CASES);
    check_free(&r);
    v = make(DRAWN, 0);
    ((uint8_t *)v->data)[0] = 9;
    put(v, f, "labelsTr/a.nii.gz");
    r = look(f);
    assert_non_null(strstr(found(&r, "label-values")->text, "0, 1, 2, 9"));
    check_free(&r);
    assert_ok(file_write(label, "cut", 3));
    assert_int_equal(remove(test_path(f, "imagesTr/b_0001.nii.gz")), 0);
    r = look(f);
    assert_true(r.bad_cases == 2 && found(&r, "no-portal-venous") && check_verdict(&r) == ERR_CASES);
    check_free(&r);
    assert_int_equal(remove(label), 0);
    r = look(f);
    assert_non_null(found(&r, "no-label"));
    check_free(&r);
    /* the data set itself */
    assert_ok(file_write(test_path(f, "splits_final.json"), "{}", 2));
    r = look(f);
    assert_true(found(&r, "dataset")->rule->severity == FINDING_ERROR && check_verdict(&r) == ERR_INPUT);
    check_free(&r);
    assert_err(check_path(&r, "no/such/path", &(struct check_options){0}), ERR_USAGE, "No such file");
}

static void single_files_are_checked(void **state)
{
    const char *f = test_folder(), *path = put(make(SCAN, 1), f, "x.nii.gz");
    struct check_report r = look(path);

    (void)state;
    assert_true(r.found.count == 0 && r.cases == 1);
    check_free(&r);
    assert_ok(file_write(path, "this is no image at all", 23));
    r = look(path);
    assert_true(errors(&r) == 1 && check_verdict(&r) == ERR_INPUT);
    check_free(&r);
    r = look(put(make(DRAWN, 0), f, "y.nii.gz"));
    assert_int_equal(r.found.count, 0);
    check_free(&r);
}

static enum err check_once(const char *folder)
{
    struct check_report r;
    enum err err = check_path(&r, folder, &(struct check_options){0});

    if (!err)
        check_free(&r);
    return err;
}

static void exhaustion_is_an_error(void **state)
{
    const char *f = test_folder();

    (void)state;
    describe(f);
    put(make(SCAN, 1), f, "imagesTr/a_0000.nii");
    put(make(SCAN, 2), f, "imagesTr/a_0001.nii");
    put(make(DRAWN, 0), f, "labelsTr/a.nii");
    assert_survives_exhaustion(check_once(f), (void)0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_data_has_no_findings),
        cmocka_unit_test(copies_and_gaps_are_warned_about),
        cmocka_unit_test(implausible_values_are_warned_about),
        cmocka_unit_test(errors_decide_the_verdict),
        cmocka_unit_test(single_files_are_checked),
        cmocka_unit_test(exhaustion_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
