/* What a file's bytes and header may suffer, as check names it; twins are the good files beside. */
#include "check_patient.h"
#include "nifti_build.h"

static const char *folder;

static const char *put_built(struct built b, const char *name)
{
    const char *path = test_path(folder, name);

    assert_ok(file_write(path, b.data, b.size));
    free(b.data);
    return path;
}

/* Fat, air and organ at 5 x 6 x 7 voxels: nothing to remark. */
static struct built image(const struct build *b)
{
    double v[5 * 6 * 7];

    for (int i = 0; i < 5 * 6 * 7; i++)
        v[i] = i % 3 == 0 ? -1000 + i % 7 : i % 3 == 1 ? -100 + i : 60 - i % 11;
    return build_values(*b, v, 5 * 6 * 7);
}

static void expect(struct build b, const char *name)
{
    assert_finds(put_built(image(&b), "x.nii"), name, "x.nii", "qform-used");
}

static void good_files_are_silent(void **state)
{
    struct build b = build_default();

    (void)state;
    folder = test_folder();
    assert_silent(put_built(image(&b), "x.nii"));
    b.version = 2;
    b.big = true;
    assert_silent(put_built(image(&b), "x.nii"));
}

static void headers_are_seen_through(void **state)
{
    struct build b;

    (void)state;
    folder = test_folder();
#define WITH(change, name)                                                                                   \
    b = build_default();                                                                                     \
    change;                                                                                                  \
    expect(b, name)
    WITH(b.type = 128, "datatype");
    WITH(b.dim[0] = 9, "dims");
    WITH((b.dim[0] = 4, b.dim[4] = 3), "several-volumes");
    WITH(b.dim[3] = 700, "truncated");
    WITH(b.dim[3] = 6, "trailing-data");
    WITH(b.bits = 8, "bitpix");
    WITH(b.offset = 20, "vox-offset");
    WITH(b.slope = NAN, "slope-nan");
    WITH(b.units = 7, "units-unknown");
    WITH((b.qform = 0, b.sform = 0), "no-orientation");
    WITH((b.qform = 0, b.sform = 0, b.pixdim[1] = 0), "no-spacing");
    WITH(b.sform = 0, "qform-used");
    WITH(b.srow[0] = NAN, "sform-unusable");
    WITH(b.quatern[0] = NAN, "qform-unusable");
    WITH(b.qoffset[0] += 50, "form-conflict");
    WITH(b.qoffset[0] += 1, "form-conflict");
    WITH((b.qform = 0, b.srow[1] = 0.02), "shear");
    WITH((b.pixdim[1] = -2), "pixdim-negative");
    WITH((b.qform = 0, b.pixdim[1] = 2.5), "pixdim-differs");
#undef WITH
}

static void values_are_seen_through(void **state)
{
    struct build b = build_default();
    double v[5 * 6 * 7];

    (void)state;
    folder = test_folder();
    b.type = 16;
    for (int share = 1; share <= 3; share += 2) { /* a quarter, three quarters */
        struct check_report r;

        for (int i = 0; i < 5 * 6 * 7; i++)
            v[i] = i % 4 < share ? NAN : i % 4 == 3 ? -100 : 50;
        r = look(put_built(build_values(b, v, 5 * 6 * 7), "x.nii"));
        assert_int_equal(found(&r, "nonfinite-voxels")->rule->severity,
                         share == 1 ? FINDING_WARNING : FINDING_ERROR);
        check_free(&r);
    }
    for (int i = 0; i < 5 * 6 * 7; i++)
        v[i] = i % 3 ? 3000 + i : -200 + i;
    assert_finds(put_built(build_values(b, v, 5 * 6 * 7), "x.nii"), "hu-clamped", "clamped", "image-storage");
}

static void containers_are_seen_through(void **state)
{
    struct build b = build_default();
    struct built f = image(&b);
    uint8_t *packed, *longer;
    size_t size;

    (void)state;
    folder = test_folder();
    assert_ok(gzip_encode(f.data, f.size, &packed, &size));
    assert_ok(file_write(test_path(folder, "x.nii.gz"), packed, size));
    assert_silent(test_path(folder, "x.nii.gz"));
    assert_ok(file_write(test_path(folder, "x.nii"), packed, size));
    assert_finds(test_path(folder, "x.nii"), "gzip-in-nii", "x.nii", NULL);
    assert_ok(file_write(test_path(folder, "x.nii.gz"), packed, size - 6));
    assert_finds(test_path(folder, "x.nii.gz"), "gzip", "x.nii.gz", NULL);
    longer = mem_new(size + 9, 1);
    assert_non_null(longer);
    memcpy(longer, packed, size);
    memcpy(longer + size, "trailing", 9);
    assert_ok(file_write(test_path(folder, "x.nii.gz"), longer, size + 8));
    assert_finds(test_path(folder, "x.nii.gz"), "gzip-trailing-bytes", "8 bytes", NULL);
    mem_free(longer);
    mem_free(packed);
    assert_ok(file_write(test_path(folder, "x.nii.gz"), f.data, f.size));
    assert_finds(test_path(folder, "x.nii.gz"), "plain-in-gz", "x.nii.gz", NULL);
    assert_ok(file_write(test_path(folder, "x.nii"), f.data, 100));
    assert_finds(test_path(folder, "x.nii"), "header-truncated", "x.nii", NULL);
    assert_ok(file_write(test_path(folder, "x.nii"), "this is no image at all", 23));
    assert_finds(test_path(folder, "x.nii"), "not-nifti", "x.nii", NULL);
    free(f.data);
    b.pair = true;
    f = image(&b);
    assert_ok(file_write(test_path(folder, "y.hdr"), f.data, 348));
    free(f.data);
    assert_finds(test_path(folder, "y.hdr"), "pair-missing", "y.hdr", NULL);
}

static void thin_volumes_are_seen(void **state)
{
    struct build b = build_default();

    (void)state;
    folder = test_folder();
    b.dim[3] = 4;
    b.dim[2] = 6;
    assert_finds(
        put_built(build_values(b, (const double[120]){[0] = -1000, [1] = -900, [2] = -100, [9] = 40}, 120),
                  "x.nii"),
        "thin-volume", "only 4 slices", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_are_silent),   cmocka_unit_test(headers_are_seen_through),
        cmocka_unit_test(values_are_seen_through), cmocka_unit_test(containers_are_seen_through),
        cmocka_unit_test(thin_volumes_are_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
