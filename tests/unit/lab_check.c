/* Pictures of findings. */
#include "check_patient.h"
#include "leak.h"

#include "lab/check_picture.h"
#include <cairo.h>

static struct check_report look_with_album(const char *set, const char *out)
{
    struct check_album a = {.folder = out};
    struct check_report r;

    assert_ok(folder_make(out));
    assert_ok(check_path(&r, set, &(struct check_options){.draw = check_picture, .ctx = &a}));
    assert_ok(check_album_finish(&a, &r, set));
    str_free(&a.names);
    return r;
}

/* Pixels of about this colour. */
static int count_colour(const char *path, int red, int green, int blue)
{
    cairo_surface_t *s = cairo_image_surface_create_from_png(path);
    const unsigned char *p = cairo_image_surface_get_data(s);
    int stride = cairo_image_surface_get_stride(s), n = 0;

    assert_int_equal(cairo_surface_status(s), CAIRO_STATUS_SUCCESS);
    for (int y = 0; y < cairo_image_surface_get_height(s); y++)
        for (int x = 0; x < cairo_image_surface_get_width(s); x++) {
            const unsigned char *at = p + y * stride + 4 * x;

            n += abs(at[0] - blue) < 40 && abs(at[1] - green) < 40 && abs(at[2] - red) < 40;
        }
    cairo_surface_destroy(s);
    return n;
}

static void what_is_meant_is_marked(void **state)
{
    const char *f = patient_set(), *out = test_folder();
    struct volume *v = patient(LABEL, 0);
    struct check_report r;
    const struct finding *t;
    uint8_t *text;
    size_t size;

    (void)state;
    for (int i = 0; i < 27; i++)
        label_of(v)[voxel_at(20 + i % 3, 30 + i / 3 % 3, 14 + i / 9)] = 2;
    put(v, f, "labelsTr/a.nii");
    r = look_with_album(f, out);
    t = found(&r, "tumour-outside-liver");
    assert_string_equal(t->picture, "a-tumour-outside-liver.png");
    assert_true(count_colour(test_path(out, t->picture), 255, 51, 191) > 20); /* marks */
    assert_true(count_colour(test_path(out, t->picture), 41, 230, 204) > 50); /* label */
    assert_ok(file_read(test_path(out, "index.html"), &text, &size));
    assert_non_null(strstr((char *)text, "src=\"a-tumour-outside-liver.png\""));
    assert_non_null(strstr((char *)text, t->rule->fix));
    mem_free(text);
    assert_ok(file_read(test_path(out, "check.json"), &text, &size));
    assert_non_null(strstr((char *)text, "\"picture\": \"a-tumour-outside-liver.png\""));
    mem_free(text);
    check_free(&r);
}

/* Errors that an image can show have a picture; those that none can have none. */
static void errors_have_pictures(void **state)
{
    const char *f = patient_set(), *out = test_folder();
    struct volume *v = patient(LABEL, 0);
    struct check_report r;

    (void)state;
    v->grid.affine[0][3] += 30;
    put(v, f, "labelsTr/a.nii");
    r = look_with_album(f, out);
    assert_string_equal(found(&r, "label-grid")->picture, "a-label-grid.png");
    assert_true(count_colour(test_path(out, "a-label-grid.png"), 41, 230, 204) > 50); /* where it says */
    check_free(&r);
    v = patient(LABEL, 0);
    for (int i = 0; i < 40; i++)
        label_of(v)[voxel_at(20 + i, 30, 14)] = 7;
    put(v, f, "labelsTr/a.nii");
    r = look_with_album(f, out);
    assert_true(count_colour(test_path(out, found(&r, "label-values")->picture), 255, 51, 191) > 20);
    check_free(&r);
    put(patient(LABEL, 0), f, "labelsTr/a.nii");
    v = patient(1, 0);
    v->grid.affine[2][3] += 190;
    put(v, f, "imagesTr/a_0001.nii");
    r = look_with_album(f, out);
    assert_non_null(found(&r, "phase-overlap")->picture);
    check_free(&r);
    put_text(f, "imagesTr/a_0002.nii", "no image");
    r = look_with_album(f, out);
    assert_null(found(&r, "not-nifti")->picture);
    check_free(&r);
}

static void two_of_a_kind_have_two_pictures(void **state)
{
    const char *f = patient_set(), *out = test_folder();
    struct check_report r;
    int pictures = 0;

    (void)state;
    for (int phase = 0; phase < 2; phase++) {
        struct volume *v = patient(phase, 0);

        for (int64_t i = 0; i < VOXELS; i++)
            hu_of(v)[i] = (int16_t)(hu_of(v)[i] + 1100);
        put(v, f, phase ? "imagesTr/a_0001.nii" : "imagesTr/a_0000.nii");
    }
    r = look_with_album(f, out);
    for (size_t i = 0; i < r.found.count; i++)
        if (!strcmp(r.found.item[i].rule->name, "hu-range"))
            assert_string_equal(r.found.item[i].picture, pictures++ ? "a-hu-range-2.png" : "a-hu-range.png");
    assert_int_equal(pictures, 2);
    check_free(&r);
    assert_true(count_colour(test_path(out, "a-hu-range.png"), 27, 35, 50) > 0 ||
                count_colour(test_path(out, "a-hu-range.png"), 255, 255, 255) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_meant_is_marked),
        cmocka_unit_test(errors_have_pictures),
        cmocka_unit_test(two_of_a_kind_have_two_pictures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
