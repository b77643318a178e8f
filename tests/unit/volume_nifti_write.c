/* Writing: the geometry of the image to the byte, nothing else of it; mapping; failure leaves nothing behind.
 */
#include "test.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/par.h"
#include "nifti_build.h"
#include "volume/nifti.h"
#include <math.h>
#include <sys/stat.h>

/* Offset and length of what a mask carries, in NIfTI-1 and NIfTI-2: dim, pixdim, units, codes to the last row
 * of the sform. */
static const size_t carried[2][4][2] = {{{40, 16}, {76, 32}, {123, 1}, {252, 76}},
                                        {{16, 64}, {104, 64}, {500, 4}, {344, 152}}};

static struct volume *loaded(struct build b, struct built *file)
{
    static double v[210];
    struct nifti_options lax = {0};
    struct nifti_bytes bytes = {.what = "in.nii"};
    struct volume *image = NULL;

    *file = build_values(b, v, 210);
    bytes.file = file->data;
    bytes.size = file->size;
    assert_ok(nifti_parse(&image, &bytes, NIFTI_HU, &lax, NULL));
    return image;
}

static struct volume *mask_on(const struct volume *image)
{
    struct volume *m = NULL;

    assert_ok(volume_new(&m, &image->grid, VOXEL_U8));
    for (int64_t i = 0; i < grid_count(&m->grid); i++)
        ((uint8_t *)m->data)[i] = (uint8_t)(i % 3);
    return m;
}

static int64_t field(const uint8_t *p, size_t at, size_t n)
{
    int64_t v = 0;

    memcpy(&v, p + at, n);
    return v;
}

static void check_mask(const char *path, int version, const uint8_t *image, const struct volume *mask)
{
    uint8_t *raw = NULL, *out = NULL;
    size_t size = 0, raw_size, start = version == 1 ? 352 : 544;
    bool two = version == 2;

    assert_ok(file_read(path, &raw, &raw_size));
    if (gzip_is(raw, raw_size)) {
        assert_ok(gzip_decode(raw, raw_size, 1 << 20, path, NULL, &out, &size));
        mem_free(raw);
    } else {
        out = raw;
        size = raw_size;
    }
    assert_int_equal(size, start + 210);
    assert_memory_equal(out + start, mask->data, 210);
    for (int k = 0; k < 4; k++) {
        size_t at = carried[version - 1][k][0];
        assert_memory_equal(out + at, image + at, carried[version - 1][k][1]);
    }
    assert_int_equal(field(out, 0, 4), two ? 540 : 348);
    assert_memory_equal(out + (two ? 4 : 344), two ? "n+2\0\r\n\032\n" : "n+1", two ? 8 : 4);
    assert_int_equal(field(out, two ? 12 : 70, 2), 2); /* uint8 */
    assert_int_equal(field(out, two ? 14 : 72, 2), 8);
    for (size_t i = 0; i + 4 <= start; i++)
        assert_true(memcmp(out + i, "NAME", 4) != 0); /* descrip stays behind */
    for (size_t i = start - 4; i < start; i++)
        assert_int_equal(out[i], 0); /* no extension */
    mem_free(out);
}

static void masks_carry_the_geometry_to_the_byte(void **state)
{
    const char *folder = test_folder();

    (void)state;
    for (int version = 1; version < 3; version++)
        for (int k = 0; k < 4; k++) {
            struct build b = build_default();
            const char *path = test_path(folder, k % 2 ? "m.nii" : "m.nii.gz");
            struct built file;
            struct volume *image, *mask;

            b.version = version;
            b.dim[0] = 5; /* two trailing axes of length 1 */
            b.dim[6] = 9; /* what nobody reads is kept too */
            b.pixdim[0] = k < 2 ? 1 : -1;
            b.pixdim[5] = NAN;
            b.pixdim[1] = 2.0004;
            b.units = 2 | 8;
            b.qform = 2;
            b.sform = k < 2 ? 4 : 0;
            b.quatern[2] = k < 2 ? 1e-6 : 0;
            image = loaded(b, &file);
            mask = mask_on(image);
            assert_ok(nifti_save(mask, image, path));
            check_mask(path, version, file.data, mask);
            volume_free(image);
            volume_free(mask);
            free(file.data);
        }
}

/* A big-endian image gives a little-endian mask with equal values: the one that its little-endian twin gives.
 */
static void other_byte_order_same_values(void **state)
{
    const char *path = test_path(test_folder(), "m.nii");

    (void)state;
    for (int version = 1; version < 3; version++) {
        struct build b = build_default();
        struct built little, big;
        struct volume *image, *mask;

        b.version = version;
        b.pixdim[4] = 0.125;
        volume_free(loaded(b, &little));
        b.big = true;
        image = loaded(b, &big);
        mask = mask_on(image);
        assert_ok(nifti_save(mask, image, path));
        check_mask(path, version, little.data, mask);
        volume_free(image);
        volume_free(mask);
        free(little.data);
        free(big.data);
    }
}

static void scaling_of_the_image_is_not_carried(void **state)
{
    struct build b = build_default();
    const char *path = test_path(test_folder(), "m.nii");
    struct built file;
    struct volume *image, *mask, *again = NULL;
    struct notes n = {0};

    (void)state;
    b.slope = -2;
    b.inter = 5;
    image = loaded(b, &file);
    mask = mask_on(image);
    assert_ok(nifti_save(mask, image, path));
    assert_ok(nifti_load_labels(&again, path, NULL, &n));
    assert_int_equal(n.count, 0);
    assert_memory_equal(again->data, mask->data, 210);
    volume_free(image);
    volume_free(mask);
    volume_free(again);
    free(file.data);
}

static void floats_and_long_axes(void **state)
{
    const char *folder = test_folder(), *path = test_path(folder, "f.nii.gz");
    struct grid g = grid_make((int64_t[3]){40000, 1, 1}, (double[3]){0.5, 1, 2}, (double[3]){0, 0, 0});
    struct volume *v = NULL, *w = NULL;
    struct nifti_bytes b = {.what = path};
    uint8_t *raw = NULL;

    (void)state;
    assert_ok(volume_new(&v, &g, VOXEL_F32));
    for (int i = 0; i < 40000; i++)
        ((float *)v->data)[i] = (float)i / 7;
    assert_ok(nifti_save(v, NULL, path));
    assert_ok(file_read(path, &raw, &b.size));
    b.file = raw;
    assert_ok(nifti_parse(&w, &b, NIFTI_FLOAT, NULL, NULL));
    assert_int_equal(w->grid.dims[0], 40000); /* NIfTI-2 */
    assert_memory_equal(w->data, v->data, 40000 * sizeof(float));
    mem_free(raw);
    volume_free(v);
    volume_free(w);
}

static void mapping(void **state)
{
    const char *folder = test_folder(), *path = test_path(folder, "p.nii");
    struct grid g = grid_make((int64_t[3]){6, 7, 8}, (double[3]){1, 2, 3}, (double[3]){4, 5, 6});
    struct volume *v = NULL, *m = NULL;

    (void)state;
    for (int type = VOXEL_U8; type <= VOXEL_I16; type++) {
        assert_ok(volume_new(&v, &g, (enum voxel)type));
        memset(v->data, 5, 6 * 7 * 8 * voxel_size(v->type));
        assert_ok(nifti_save(v, NULL, path));
        assert_ok(nifti_map(&m, path));
        assert_int_equal(m->type, type);
        assert_true(grid_corner_distance(&m->grid, &g) < 1e-5);
        assert_memory_equal(m->data, v->data, 6 * 7 * 8 * voxel_size(v->type));
        volume_free(m);
        volume_free(v);
    }
    assert_survives_exhaustion(nifti_map(&m, path), volume_free(m));
}

static void refuse_mapping(struct build b, const char *path)
{
    static double v[210];
    struct built f = build_values(b, v, 210);
    struct volume *m = NULL;

    assert_ok(file_write(path, f.data, f.size));
    assert_err(nifti_map(&m, path), ERR_INPUT, "prepare it again");
    free(f.data);
}

static void only_plain_files_are_mapped(void **state)
{
    const char *folder = test_folder(), *path = test_path(folder, "p.nii"),
               *packed = test_path(folder, "p.nii.gz");
    struct grid g = grid_make((int64_t[3]){6, 7, 8}, (double[3]){1, 2, 3}, (double[3]){4, 5, 6});
    struct build b = build_default();
    struct volume *v = NULL;

    (void)state;
    b.big = true;
    refuse_mapping(b, path);
    b = build_default();
    b.type = 16;
    refuse_mapping(b, path);
    b = build_default();
    b.slope = 2;
    refuse_mapping(b, path);
    b = build_default();
    b.inter = 1;
    refuse_mapping(b, path);
    b = build_default();
    b.offset = 353;
    refuse_mapping(b, path);
    b = build_default();
    b.pair = true;
    refuse_mapping(b, path);
    assert_ok(volume_new(&v, &g, VOXEL_U8));
    assert_ok(nifti_save(v, NULL, packed));
    volume_free(v);
    v = NULL;
    assert_err(nifti_map(&v, packed), ERR_INPUT, "compressed");
}

static void failure_leaves_nothing_behind(void **state)
{
    const char *folder = test_folder(), *path = test_path(folder, "m.nii.gz");
    struct built file;
    struct volume *image = loaded(build_default(), &file), *mask = mask_on(image), *small = NULL;
    struct grid g = image->grid;
    char **names = NULL;
    size_t count = 0;
    uint64_t before, after;

    (void)state;
    assert_ok(nifti_save(mask, image, path));
    assert_ok(file_hash(path, &before));
    for (long n = 1; n < 4; n++) {
        mem_fail_at(n);
        assert_int_equal(nifti_save(mask, image, path), ERR_MEMORY);
        mem_fail_at(0);
        assert_ok(file_hash(path, &after));
        assert_true(before == after);
    }
    assert_survives_exhaustion(nifti_save(mask, image, path), (void)0);
    assert_ok(folder_list(folder, &names, &count));
    assert_int_equal(count, 1);
    names_free(names, count);
    g.dims[0]--;
    assert_ok(volume_new(&small, &g, VOXEL_U8));
    assert_err(nifti_save(small, image, path), ERR_INTERNAL, "differ in size");
    assert_err(nifti_save(mask, image, test_path(folder, "m.nrrd")), ERR_USAGE, "only .nii and .nii.gz");
    assert_err(nifti_save(mask, image, test_path(folder, "none/m.nii")), ERR_OUTPUT, "cannot be written");
    volume_free(small);
    volume_free(image);
    volume_free(mask);
    free(file.data);
}

static void bytes_do_not_depend_on_threads(void **state)
{
    const char *folder = test_folder(), *path = test_path(folder, "t.nii.gz");
    struct grid g = grid_make((int64_t[3]){256, 256, 150}, (double[3]){1, 1, 1}, (double[3]){0, 0, 0});
    struct volume *v = NULL;
    uint64_t one = 0, many = 1;

    (void)state;
    assert_ok(volume_new(&v, &g, VOXEL_U8));
    for (int64_t i = 0; i < grid_count(&g); i++)
        ((uint8_t *)v->data)[i] = (uint8_t)(i / 1000 % 3);
    par_set_threads(1);
    assert_ok(nifti_save(v, NULL, path));
    assert_ok(file_hash(path, &one));
    par_set_threads(3);
    assert_ok(nifti_save(v, NULL, path));
    assert_ok(file_hash(path, &many));
    par_set_threads(0);
    assert_true(one == many);
    volume_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_carry_the_geometry_to_the_byte),
        cmocka_unit_test(other_byte_order_same_values),
        cmocka_unit_test(scaling_of_the_image_is_not_carried),
        cmocka_unit_test(floats_and_long_axes),
        cmocka_unit_test(mapping),
        cmocka_unit_test(only_plain_files_are_mapped),
        cmocka_unit_test(failure_leaves_nothing_behind),
        cmocka_unit_test(bytes_do_not_depend_on_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
