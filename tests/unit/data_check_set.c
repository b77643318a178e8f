/* Findings about a data set as a whole: names, links, copies, classes, room, a phantom's truth. */
#include "check_patient.h"

#include <sys/stat.h>

static const char two_cases[] =
    "{\"channel_names\": {\"0\": \"noncontrast\", \"1\": \"arterial\", \"2\": \"portal_venous\", \"3\": "
    "\"delayed\"}, "
    "\"labels\": {\"background\": 0, \"liver\": 1, \"tumour\": 2}, \"numTraining\": 2, \"file_ending\": "
    "\".nii\"}";

static const char *two_patients(const char *second)
{
    const char *f = patient_set();

    put_text(f, "dataset.json", two_cases);
    put_case(f, "Tr", second, 1);
    return f;
}

static void names_that_do_not_travel_are_seen(void **state)
{
    (void)state;
    assert_silent(two_patients("case-2_b.1"));
    assert_finds(two_patients("b c"), "file-name", "other than letters", NULL);
    assert_finds(two_patients("A"), "file-name", "differ in case only", NULL);
}

static void endings_that_were_not_promised_are_seen(void **state)
{
    const char *f = patient_set();

    (void)state;
    assert_int_equal(remove(test_path(f, "imagesTr/a_0003.nii")), 0);
    put(patient(3, 0), f, "imagesTr/a_0003.nii.gz");
    assert_finds(f, "file-ending", "a_0003.nii.gz does not end in .nii", NULL);
    f = patient_set();
    put_text(f, "dataset.json",
             "{\"channel_names\": {\"0\": \"noncontrast\", \"1\": \"arterial\", \"2\": \"portal_venous\", "
             "\"3\": \"delayed\"}, "
             "\"labels\": {\"background\": 0, \"liver\": 1, \"tumour\": 2}, \"numTraining\": 1, "
             "\"file_ending\": \".nii.gz\"}");
    assert_finds(f, "file-ending", ".nii does not end in .nii.gz", NULL);
}

static void links_out_of_the_set_are_remarked(void **state)
{
    const char *f = patient_set();
    char target[512];

    (void)state;
    /* within: silent */
    assert_int_equal(rename(test_path(f, "imagesTr/a_0003.nii"), test_path(f, "kept.nii")), 0);
    assert_int_equal(symlink("../kept.nii", test_path(f, "imagesTr/a_0003.nii")), 0);
    assert_silent(f);
    assert_int_equal(remove(test_path(f, "imagesTr/a_0003.nii")), 0);
    snprintf(target, sizeof target, "../../%s-far.nii", f);
    assert_int_equal(rename(test_path(f, "kept.nii"), target + 6), 0);
    assert_int_equal(symlink(target, test_path(f, "imagesTr/a_0003.nii")), 0);
    assert_finds(f, "link-outside", "1 files are links", NULL);
    /* nothing behind it: an error */
    assert_int_equal(remove(target + 6), 0);
    assert_finds(f, "unreadable", "a_0003.nii", NULL);
}

static void patients_that_come_twice_are_seen(void **state)
{
    const char *f = two_patients("b");
    char name[64];

    (void)state;
    put(patient(2, 0), f, "imagesTr/b_0002.nii");
    assert_finds(f, "case-copy", "b_0002.nii is a byte copy of", NULL);
    f = patient_set();
    put_case(f, "Ts", "t", 1);
    assert_silent(f);
    for (int phase = 0; phase < 4; phase++) { /* other bytes, the same voxels */
        snprintf(name, sizeof name, "imagesTs/t_%04d.nii", phase);
        assert_int_equal(remove(test_path(f, name)), 0);
        strcat(name, ".gz");
        put(patient(phase, 0), f, name);
    }
    assert_finds(f, "case-in-both-parts", "has the voxels of", "file-ending");
}

static void classes_that_never_come_are_seen(void **state)
{
    const char *f = patient_set();
    struct volume *v = patient(LABEL, 0);

    (void)state;
    for (int64_t i = 0; i < VOXELS; i++)
        label_of(v)[i] = label_of(v)[i] != 0;
    put(v, f, "labelsTr/a.nii");
    assert_finds(f, "class-unused", "has the value 2 (tumour)", "lesion-free");
}

static void a_plan_that_does_not_fit_is_seen(void **state)
{
    const char *f = patient_set();
    struct check_report r;

    (void)state;
    assert_ok(check_path(&r, f, &(struct check_options){.memory = 1 << 20, .disk = 1 << 20}));
    assert_non_null(strstr(found(&r, "memory-short")->text, "preparing a takes"));
    assert_non_null(strstr(found(&r, "disk-short")->text, "0.000977 are free"));
    assert_int_equal(r.found.count, 2);
    check_free(&r);
}

static const char *phantom_set(void)
{
    const char *f = patient_set();
    char name[64];

    put_text(f, "dataset.json",
             "{\"channel_names\": {\"0\": \"CT\", \"1\": \"CT\", \"2\": \"CT\", \"3\": \"CT\"}, "
             "\"phase_names\": {\"0\": \"noncontrast\", \"1\": \"arterial\", \"2\": "
             "\"portal_venous\", \"3\": \"delayed\"}, \"phantom\": {\"preset\": \"tiny\", \"seed\": 3}, "
             "\"labels\": {\"background\": 0, \"liver\": 1, \"tumour\": 2}, \"numTraining\": 1, "
             "\"file_ending\": \".nii\"}");
    for (int phase = 0; phase < 4; phase++) {
        snprintf(name, sizeof name, "truth/a_labels_%04d.nii.gz", phase);
        put(patient(LABEL, 0), f, name);
        snprintf(name, sizeof name, "truth/a_field_%04d.nii.gz", phase);
        if (phase != 2)
            put_text(f, name, "a field");
    }
    put_text(f, "truth/a.json", "{}");
    return f;
}

static void truth_belongs_to_its_images(void **state)
{
    static const char *const names[] = {"truth/a_labels_0001.nii.gz", "truth/a_field_0003.nii.gz",
                                        "truth/a.json"};
    const char *f = phantom_set();
    struct volume *v = patient(LABEL, 0);

    (void)state;
    assert_finds(f, "phantom", "preset tiny, seed 3", NULL);
    v->grid.affine[0][3] += 5;
    put(v, f, "truth/a_labels_0003.nii.gz");
    assert_finds(f, "truth-grid", "does not lie on the grid of", "phantom");
    assert_int_equal(remove(test_path(f, "imagesTr/a_0003.nii")), 0); /* no phase, no truth of it */
    assert_finds(f, "phase-missing", "no delayed phase", "phantom");
    for (int i = 0; i < 3; i++) {
        f = phantom_set();
        assert_int_equal(remove(test_path(f, names[i])), 0);
        assert_finds(f, "truth-missing", names[i], "phantom");
    }
    f = phantom_set();
    assert_int_equal(rename(test_path(f, "truth"), test_path(f, "elsewhere")), 0);
    assert_finds(f, "truth-missing", "there is no such folder", "phantom");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_do_not_travel_are_seen),
        cmocka_unit_test(endings_that_were_not_promised_are_seen),
        cmocka_unit_test(links_out_of_the_set_are_remarked),
        cmocka_unit_test(patients_that_come_twice_are_seen),
        cmocka_unit_test(classes_that_never_come_are_seen),
        cmocka_unit_test(a_plan_that_does_not_fit_is_seen),
        cmocka_unit_test(truth_belongs_to_its_images),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
