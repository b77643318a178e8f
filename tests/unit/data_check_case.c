/* Each finding about one case, provoked by what it names; the same case is silent without it. */
#include "check_patient.h"

static void a_good_case_is_silent(void **state)
{
    (void)state;
    assert_silent(patient_set());
}

/* every subset of the phases, too */
static void fewer_phases_are_silent_but_for_that(void **state)
{
    (void)state;
    for (int kept = 0; kept < 8; kept++) { /* of 0, 1, 3 */
        static const int phase[3] = {0, 1, 3};
        const char *f;
        char name[64];

        if (kept == 7)
            continue;
        f = patient_set();
        for (int i = 0; i < 3; i++) {
            snprintf(name, sizeof name, "imagesTr/a_%04d.nii", phase[i]);
            if (!(kept >> i & 1))
                assert_int_equal(remove(test_path(f, name)), 0);
        }
        assert_finds(f, "phase-missing", "present ones take its place", NULL);
    }
}

static void exchange(const char *f, int a, int b)
{
    char name[2][64];

    for (int i = 0; i < 2; i++)
        snprintf(name[i], sizeof name[i], "imagesTr/a_%04d.nii", i ? b : a);
    assert_int_equal(rename(test_path(f, name[0]), test_path(f, "t")), 0);
    assert_int_equal(rename(test_path(f, name[1]), test_path(f, name[0])), 0);
    assert_int_equal(rename(test_path(f, "t"), test_path(f, name[1])), 0);
}

static void swapped_phases_are_seen_by_contrast(void **state)
{
    (void)state;
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < a; b++) {
            const char *f = patient_set();

            exchange(f, a, b);
            assert_finds(f, "phase-order", "brighter in the", NULL);
            assert_int_equal(remove(test_path(f, "labelsTr/a.nii")), 0); /* without a label, too */
            assert_finds(f, "phase-order", "brighter in the", "no-label");
        }
}

static void one_phase_twice_is_seen(void **state)
{
    const char *f = patient_set();
    struct volume *v = patient(2, 0);

    (void)state;
    hu_of(v)[7]++;
    put(v, f, "imagesTr/a_0003.nii");
    assert_finds(f, "phase-alike", "the same phase twice", NULL);
    put(patient(2, 0), f, "imagesTr/a_0003.nii");
    assert_finds(f, "phase-copy", "is a byte copy of", "phase-alike");
    assert_int_equal(remove(test_path(f, "imagesTr/a_0003.nii")), 0);
    put(patient(2, 0), f, "imagesTr/a_0003.nii.gz");
    assert_finds(f, "phase-copy", "has the voxels of", "phase-alike,file-ending");
}

static void a_phase_that_misses_the_liver_is_seen(void **state)
{
    const char *f = patient_set();
    struct volume *v = patient(0, 0);

    (void)state;
    v->grid.affine[2][3] += 90;
    put(v, f, "imagesTr/a_0000.nii");
    assert_finds(f, "phase-cuts-liver", "outside its field of view", NULL);
    v = patient(0, 0);
    v->grid.affine[2][3] += 180;
    put(v, f, "imagesTr/a_0000.nii");
    assert_finds(f, "phase-overlap", "lies in its field of view", NULL);
}

static void patients_who_lie_wrong_are_seen(void **state)
{
    static const struct {
        const char *name, *text;
        int axis;
    } cases[] = {{"liver-on-left", "left of the spine", 0},
                 {"patient-front-back", "and so does the couch", 1},
                 {"patient-head-feet", "lungs lie at the lower end", 2}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *f = patient_set();
        char name[64];
        struct volume *v;

        for (int phase = 0; phase < 5; phase++) {
            snprintf(name, sizeof name, phase < 4 ? "imagesTr/a_%04d.nii" : "labelsTr/a.nii", phase);
            v = patient(phase < 4 ? phase : LABEL, 0);
            flip(v, cases[i].axis);
            put(v, f, name);
        }
        assert_finds(f, cases[i].name, cases[i].text, NULL);
    }
}

static void a_couch_in_front_is_remarked(void **state)
{
    const char *f = patient_set();
    struct volume *v = patient(2, 0);

    (void)state;
    for (int z = 0; z < NZ; z++)
        for (int x = 4; x < NX - 4; x++) {
            for (int y = 0; y < 8; y++)
                hu_of(v)[voxel_at(x, y, z)] = -1000;
            hu_of(v)[voxel_at(x, NY - 3, z)] = -100;
        }
    for (int phase = 0; phase < 4; phase++)
        if (phase != 2)
            assert_int_equal(
                remove(test_path(f, (const char *[]){"imagesTr/a_0000.nii", "imagesTr/a_0001.nii", "",
                                                     "imagesTr/a_0003.nii"}[phase])),
                0);
    put(v, f, "imagesTr/a_0002.nii");
    assert_finds(f, "couch-in-front", "in front of the body", "phase-missing");
}

static void values_that_are_not_hu_are_seen(void **state)
{
    const char *f = patient_set();
    struct volume *v = patient(2, 0);

    (void)state;
    for (int64_t i = 0; i < VOXELS; i++)
        hu_of(v)[i] = (int16_t)(hu_of(v)[i] + 1100);
    put(v, f, "imagesTr/a_0002.nii");
    assert_finds(f, "hu-range", "offset", "label-hu,phase-order");
    v = patient(2, 0);
    for (int64_t i = 0; i < VOXELS; i++)
        hu_of(v)[i] = (int16_t)(hu_of(v)[i] + 90);
    put(v, f, "imagesTr/a_0002.nii");
    assert_finds(f, "air-hu", "-910 HU", NULL);
    v = patient(3, 0);
    for (int64_t i = 0; i < VOXELS; i++)
        hu_of(v)[i] = 40;
    put(v, f, "imagesTr/a_0003.nii");
    put(patient(2, 0), f, "imagesTr/a_0002.nii");
    assert_finds(f, "hu-constant", "every voxel is 40 HU", NULL);
}

static bool in_corner(int64_t i)
{
    double x = (double)(i % NX) - (NX - 1) / 2.0, y = (double)(i / NX % NY) - (NY - 1) / 2.0;

    return hypot(x / NX, y / NY) > 0.5;
}

static void padding_is_remarked(void **state)
{
    static const int16_t value[] = {-1024, -2000, -3024};

    (void)state;
    for (int k = 0; k < 3; k++) {
        const char *f = patient_set();
        struct volume *v = patient(2, 0);

        for (int64_t i = 0; i < VOXELS; i++)
            if (in_corner(i))
                hu_of(v)[i] = value[k];
        put(v, f, "imagesTr/a_0002.nii");
        assert_finds(f, "padding", k ? "which is padding" : "all corners are -1024 HU", NULL);
    }
}

static void sizes_that_no_scan_has_are_seen(void **state)
{
    const char *f = patient_set();
    char name[64];

    (void)state;
    for (int phase = 0; phase < 5; phase++) {
        struct volume *v = patient(phase < 4 ? phase : LABEL, 0);

        for (int a = 0; a < 3; a++) {
            v->grid.spacing[a] *= 0.02;
            for (int k = 0; k < 4; k++)
                v->grid.affine[a][k] *= 0.02;
        }
        snprintf(name, sizeof name, phase < 4 ? "imagesTr/a_%04d.nii" : "labelsTr/a.nii", phase);
        put(v, f, name);
    }
    assert_finds(f, "spacing-implausible", "0.12 x 0.12 x 0.12 mm", "tumour-tiny");
}

static void a_lost_geometry_is_seen(void **state)
{
    const char *f = test_folder(), *path;
    struct volume *v = patient(2, 0);

    (void)state;
    path = put(v, f, "x.nii");
    assert_silent(path);
    v = patient(2, 0);
    v->grid = grid_make(v->grid.dims, (const double[3]){1, 1, 1}, (const double[3]){0, 0, 0});
    assert_finds(put(v, f, "x.nii"), "identity-affine", "from origin 0", NULL);
}

static void the_kind_of_voxels_is_remarked(void **state)
{
    const char *f = patient_set();
    struct volume *v = patient(2, 0), *w = NULL;

    (void)state;
    assert_ok(volume_new(&w, &v->grid, VOXEL_F32));
    for (int64_t i = 0; i < VOXELS; i++)
        ((float *)w->data)[i] = hu_of(v)[i];
    volume_free(v);
    put(w, f, "imagesTr/a_0002.nii");
    assert_finds(f, "image-storage", "stored as float32", NULL);
    put(patient(2, 0), f, "imagesTr/a_0002.nii");
    v = patient(LABEL, 0);
    w = NULL;
    assert_ok(volume_new(&w, &v->grid, VOXEL_F32));
    for (int64_t i = 0; i < VOXELS; i++)
        ((float *)w->data)[i] = label_of(v)[i];
    volume_free(v);
    put(w, f, "labelsTr/a.nii");
    assert_finds(f, "label-storage", "stored as float32", NULL);
}

static void labels_of_something_else_are_seen(void **state)
{
    (void)state;
    for (int axis = 0; axis < 3; axis++) {
        const char *f = patient_set();
        struct volume *v = patient(LABEL, 0);

        flip(v, axis);
        if (axis == 1) { /* this liver is alike in front and behind */
            memmove(label_of(v), label_of(v) + 12 * NX, VOXELS - 12 * NX);
        }
        put(v, f, "labelsTr/a.nii");
        if (axis == 0)
            assert_finds(f, "liver-on-left", "left of the spine", NULL);
        else
            assert_finds(f, "label-hu", "is fat, air or bone", "label-outside-body");
    }
}

static void labels_in_the_air_are_seen(void **state)
{
    const char *f = patient_set();
    struct volume *v = patient(LABEL, 0);

    (void)state;
    for (int x = 30; x < 34; x++)
        for (int z = 10; z < 14; z++)
            label_of(v)[voxel_at(x, NY - 2, z)] = 1;
    put(v, f, "labelsTr/a.nii");
    assert_finds(f, "label-outside-body", "in the air around the body", "label-pieces");
}

static void a_cut_liver_is_seen(void **state)
{
    static const char *const side[2] = {"lower end", "upper end"};

    (void)state;
    for (int end = 0; end < 2; end++) {
        const char *f = patient_set();
        struct volume *v = patient(LABEL, 0);

        for (int x = 44; x < 50; x++)
            for (int y = 26; y < 32; y++)
                for (int z = end ? 16 : 0; z < (end ? NZ : 16); z++)
                    if (label_of(v)[voxel_at(x, y, z)] == 0)
                        label_of(v)[voxel_at(x, y, z)] = 1;
        put(v, f, "labelsTr/a.nii");
        assert_finds(f, "label-border", side[end], "label-hu");
    }
}

static void pieces_of_liver_are_remarked(void **state)
{
    const char *f = patient_set();
    struct volume *v = patient(LABEL, 0);

    (void)state;
    for (int i = 0; i < 8; i++)
        label_of(v)[voxel_at(20 + i % 2, 30 + i / 2 % 2, 14 + i / 4)] = 1;
    put(v, f, "labelsTr/a.nii");
    assert_finds(f, "label-pieces", "1 pieces (1.73 ml) lie apart", NULL);
}

static void tumours_outside_the_liver_are_seen(void **state)
{
    const char *f = patient_set();
    struct volume *v = patient(LABEL, 0);

    (void)state;
    for (int i = 0; i < 3; i++)
        label_of(v)[voxel_at(20 + i, 30, 14)] = 2;
    put(v, f, "labelsTr/a.nii");
    assert_finds(f, "tumour-outside-liver", "1 of 2 tumours (0.648 ml) touch no labelled liver",
                 "label-pieces");
}

static void specks_are_remarked(void **state)
{
    const char *f = patient_set();
    struct volume *v = patient(LABEL, 0);

    (void)state;
    label_of(v)[voxel_at(48, 22, 12)] = 2; /* in the liver, one voxel */
    put(v, f, "labelsTr/a.nii");
    assert_finds(f, "tumour-tiny", "1 of 2 tumours are specks", NULL);
}

static void lesion_free_cases_are_remarked(void **state)
{
    const char *f = patient_set();
    struct volume *v = patient(LABEL, 0);

    (void)state;
    put_text(
        f, "dataset.json",
        "{\"channel_names\": {\"0\": \"noncontrast\", \"1\": \"arterial\", \"2\": \"portal_venous\", \"3\": "
        "\"delayed\"}, \"labels\": {\"background\": 0, \"liver\": 1, \"tumour\": 2}, \"numTraining\": 2, "
        "\"file_ending\": \".nii\"}");
    put_case(f, "Tr", "b", 1);
    assert_silent(f);
    for (int64_t i = 0; i < VOXELS; i++)
        label_of(v)[i] = label_of(v)[i] != 0;
    put(v, f, "labelsTr/a.nii");
    assert_finds(f, "lesion-free", "no voxel is labelled tumour", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_case_is_silent),
        cmocka_unit_test(fewer_phases_are_silent_but_for_that),
        cmocka_unit_test(swapped_phases_are_seen_by_contrast),
        cmocka_unit_test(one_phase_twice_is_seen),
        cmocka_unit_test(a_phase_that_misses_the_liver_is_seen),
        cmocka_unit_test(patients_who_lie_wrong_are_seen),
        cmocka_unit_test(a_couch_in_front_is_remarked),
        cmocka_unit_test(values_that_are_not_hu_are_seen),
        cmocka_unit_test(padding_is_remarked),
        cmocka_unit_test(sizes_that_no_scan_has_are_seen),
        cmocka_unit_test(a_lost_geometry_is_seen),
        cmocka_unit_test(the_kind_of_voxels_is_remarked),
        cmocka_unit_test(labels_of_something_else_are_seen),
        cmocka_unit_test(labels_in_the_air_are_seen),
        cmocka_unit_test(a_cut_liver_is_seen),
        cmocka_unit_test(pieces_of_liver_are_remarked),
        cmocka_unit_test(tumours_outside_the_liver_are_seen),
        cmocka_unit_test(specks_are_remarked),
        cmocka_unit_test(lesion_free_cases_are_remarked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
