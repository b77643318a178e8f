/* Reading: every voxel type, both byte orders, both versions, all containers, scaling, HU, labels. */
#include "test.h"

#include "base/file.h"
#include "base/mem.h"
#include "nifti_build.h"
#include "volume/nifti.h"
#include <math.h>
#include <zlib.h>

enum { COUNT = 5 * 6 * 7 };

static const int type_codes[] = {2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280};

static bool noted(const struct notes *n, const char *name)
{
    for (size_t i = 0; i < n->count; i++)
        if (!strcmp(n->item[i].name, name))
            return true;
    return false;
}

static enum err parse(struct volume **out, struct built f, enum nifti_kind kind,
                      const struct nifti_options *o, struct notes *n)
{
    struct nifti_bytes b = {.what = "test.nii", .file = f.data, .size = f.size};
    enum err err = nifti_parse(out, &b, kind, o, n);

    free(f.data);
    return err;
}

static double value(int type, int i)
{
    double v = i % 7 * 10;

    if (type == 256 || type == 4 || type == 8 || type == 1024)
        v = i % 2 ? v : -v - 1;
    if (type == 16 || type == 64)
        v = (i - 100) * 9.25;
    return v;
}

static void check_type(int type, bool big, int version)
{
    struct build b = build_default();
    double v[COUNT];
    struct volume *hu = NULL, *real = NULL;
    struct notes notes = {0};

    for (int i = 0; i < COUNT; i++)
        v[i] = value(type, i);
    b.type = type;
    b.big = big;
    b.version = version;
    assert_ok(parse(&hu, build_values(b, v, COUNT), NIFTI_HU, NULL, &notes));
    assert_ok(parse(&real, build_values(b, v, COUNT), NIFTI_FLOAT, NULL, &notes));
    assert_int_equal(notes.count, 0);
    assert_int_equal(hu->type, VOXEL_I16);
    assert_int_equal(real->type, VOXEL_F32);
    for (int i = 0; i < COUNT; i++) {
        assert_true(((float *)real->data)[i] == (float)v[i]);
        assert_int_equal(((int16_t *)hu->data)[i], (int)nearbyint(v[i]));
    }
    assert_true(hu->grid.dims[0] == 5 && hu->grid.dims[1] == 6 && hu->grid.dims[2] == 7);
    assert_true(hu->grid.spacing[1] == 1.5 && hu->grid.affine[2][3] == 30);
    assert_int_equal(nifti_form_used(hu), NIFTI_SFORM);
    volume_free(hu);
    volume_free(real);
    notes_clear(&notes);
}

static void every_type_order_and_version(void **state)
{
    (void)state;
    for (size_t t = 0; t < sizeof type_codes / sizeof *type_codes; t++)
        for (int big = 0; big < 2; big++)
            for (int version = 1; version < 3; version++)
                check_type(type_codes[t], big, version);
}

/* 64-bit extremes, where a cast could overflow */
static void extremes_are_clamped(void **state)
{
    static const double v[] = {1.8446744073709550e19, 0, 3071, 3072};
    static const double w[] = {-9.2233720368547758e18, 9.2233720368547748e18, -1024, -1025};
    struct build b = build_default();
    struct volume *u = NULL, *s = NULL;
    struct notes notes = {0};

    (void)state;
    b.dim[1] = 4;
    b.dim[2] = b.dim[3] = 1;
    b.type = 1280;
    assert_ok(parse(&u, build_values(b, v, 4), NIFTI_HU, NULL, &notes));
    assert_true(noted(&notes, "hu-clamped"));
    assert_non_null(strstr(notes.item[notes.count - 1].text, "2 of 4"));
    assert_memory_equal(u->data, ((int16_t[]){3071, 0, 3071, 3071}), 8);
    b.type = 1024;
    assert_ok(parse(&s, build_values(b, w, 4), NIFTI_HU, NULL, NULL));
    assert_memory_equal(s->data, ((int16_t[]){-1024, 3071, -1024, -1024}), 8);
    volume_free(u);
    volume_free(s);
    notes_clear(&notes);
}

struct scale_case {
    double slope, inter, stored, want;
    const char *note; /* NULL: no note allowed */
};

static void slope_rules(void **state)
{
    static const struct scale_case cases[] = {
        {1, 0, 100, 100, NULL},
        {2, -10, 100, 190, NULL},
        {0.5, 0.25, 101, 51, NULL}, /* 50.75 */
        {0, 55, 100, 100, NULL},
        {NAN, 0, 100, 100, "slope-nan"},
        {NAN, 7, 100, 100, "slope-nan"},
        {2, NAN, 100, 100, "slope-nan"},
        {INFINITY, 0, 100, 100, "slope-nan"},
        {2, -INFINITY, 100, 100, "slope-nan"},
        {-1, 20, 100, -80, "slope-negative"},
        {1e30, 0, 100, 3071, "hu-clamped"},
        {1, -1024, 0, -1024, NULL},
        {1, 0.4999, 3071, 3071, NULL}, /* rounds back into the range: not clamped */
        {1, 0.75, 3071, 3071, "hu-clamped"},
    };

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct build b = build_default();
        struct volume *v = NULL;
        struct notes notes = {0};
        double stored[5];

        for (int i = 0; i < 5; i++)
            stored[i] = cases[k].stored;
        for (int i = 1; i <= 3; i++)
            b.dim[i] = i == 1 ? 5 : 1;
        b.version = 1 + (int)k % 2;
        b.slope = cases[k].slope;
        b.inter = cases[k].inter;
        assert_ok(parse(&v, build_values(b, stored, 5), NIFTI_HU, NULL, &notes));
        assert_int_equal(((int16_t *)v->data)[0], (int)cases[k].want);
        if (cases[k].note)
            assert_true(noted(&notes, cases[k].note));
        else
            assert_int_equal(notes.count, 1); /* thin-volume */
        volume_free(v);
        notes_clear(&notes);
    }
}

static void voxels_that_are_no_numbers(void **state)
{
    struct build b = build_default();
    double v[COUNT];
    const char *reason = NULL;
    struct nifti_options o = {.reason = &reason};
    struct volume *hu = NULL;
    struct notes notes = {0};

    (void)state;
    b.type = 16;
    for (int i = 0; i < COUNT; i++)
        v[i] = i < 3 ? (double[]){NAN, INFINITY, -INFINITY}[i] : i;
    assert_ok(parse(&hu, build_values(b, v, COUNT), NIFTI_HU, &o, &notes));
    assert_int_equal(notes.count, 1);
    assert_string_equal(notes.item[0].name, "nonfinite-voxels");
    assert_non_null(strstr(notes.item[0].text, "3 of 210"));
    assert_memory_equal(hu->data, ((int16_t[]){-1024, -1024, -1024, 3}), 8);
    volume_free(hu);
    for (int i = 0; i < COUNT / 2; i++)
        v[i] = NAN;
    hu = NULL;
    assert_ok(parse(&hu, build_values(b, v, COUNT), NIFTI_HU, &o, NULL)); /* exactly half */
    volume_free(hu);
    v[COUNT / 2] = NAN;
    hu = NULL;
    assert_err(parse(&hu, build_values(b, v, COUNT), NIFTI_HU, &o, NULL), ERR_INPUT, "106 of 210 voxels");
    assert_string_equal(reason, "nonfinite-voxels");
    assert_null(hu);
    notes_clear(&notes);
}

static enum err labels_of(uint8_t out[4], int type, const double v[4], const char *map)
{
    struct build b = build_default();
    struct nifti_options o = {.map = map};
    struct volume *l = NULL;
    enum err err;

    b.type = type;
    b.dim[1] = 4;
    b.dim[2] = b.dim[3] = 1;
    err = parse(&l, build_values(b, v, 4), NIFTI_LABELS, &o, NULL);
    if (err)
        return err;
    assert_int_equal(l->type, VOXEL_U8);
    memcpy(out, l->data, 4);
    volume_free(l);
    return ERR_OK;
}

static void labels_are_rounded_never_cut(void **state)
{
    uint8_t l[4];

    (void)state;
    assert_ok(labels_of(l, 64, (double[]){0.0005, 0.9995, 2, 254}, NULL));
    assert_memory_equal(l, ((uint8_t[]){0, 1, 2, 254}), 4);
    assert_ok(labels_of(l, 16, (double[]){-0.0009, 1.0009, 2, 2}, NULL));
    assert_memory_equal(l, ((uint8_t[]){0, 1, 2, 2}), 4);
    assert_err(labels_of(l, 16, (double[]){0, 1, 1.25, 2}, NULL), ERR_INPUT,
               "no labels: 1.25, beside labels 0, 1, 2");
    assert_err(labels_of(l, 64, (double[]){0, 0.998, 1, 2}, NULL), ERR_INPUT, "0.998");
    assert_err(labels_of(l, 4, (double[]){0, 1, -1, 255}, NULL), ERR_INPUT,
               "test.nii: values that are no labels: -1, 255, beside labels 0, 1; say what they mean, for "
               "example --map "
               "-1=0");
    assert_err(labels_of(l, 2, (double[]){255, 255, 255, 255}, NULL), ERR_INPUT, "--map 255=2");
    assert_err(labels_of(l, 16, (double[]){0, NAN, 1, 1}, NULL), ERR_INPUT, "not a number");
    assert_err(labels_of(l, 16, (double[]){NAN, -1, NAN, 1}, NULL), ERR_INPUT,
               "no labels: -1, nan, beside labels 1");
    assert_err(labels_of(l, 64, (double[]){0, INFINITY, 1e300, -1e300}, NULL), ERR_INPUT,
               "-1e+300, 1e+300, inf");
}

static void labels_are_mapped(void **state)
{
    static const char *const wrong[] = {"255",      "255=",   "=2",    "255=2,", "255=2;3=2",
                                        "255=255",  "255=-1", "nan=1", "a=b",    "1=2,3",
                                        "1=2,,3=4", "inf=1",  "1=2 "};
    uint8_t l[4];
    char longest[64 * 4 + 4] = "";

    (void)state;
    assert_ok(labels_of(l, 4, (double[]){0, 255, 3, -1}, "255=2,3=1,-1=0"));
    assert_memory_equal(l, ((uint8_t[]){0, 2, 1, 0}), 4);
    assert_ok(labels_of(l, 16, (double[]){0, 0.5, 1, 2}, "0.5=1"));
    assert_memory_equal(l, ((uint8_t[]){0, 1, 1, 2}), 4);
    assert_ok(labels_of(l, 4, (double[]){0, 1, 2, 1}, "1=2,2=1")); /* once, not in a chain */
    assert_memory_equal(l, ((uint8_t[]){0, 2, 1, 2}), 4);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        enum err code = labels_of(l, 4, (double[]){0, 0, 0, 0}, wrong[i]);
        if (strcmp(wrong[i], "255=2,")) /* a comma at the end does no harm */
            assert_int_equal(code, ERR_USAGE);
    }
    for (int i = 0; i < 65; i++)
        strcat(longest, i ? ",1=2" : "1=2");
    assert_err(labels_of(l, 4, (double[]){0, 0, 0, 0}, longest), ERR_USAGE, "at most 64 pairs");
}

static void many_wrong_values_make_one_line(void **state)
{
    struct build b = build_default();
    double v[COUNT];
    struct volume *l = NULL;

    (void)state;
    b.type = 64;
    for (int i = 0; i < COUNT; i++)
        v[i] = -1e-300 * i - 1234567.25 * i;
    assert_err(parse(&l, build_values(b, v, COUNT), NIFTI_LABELS, NULL, NULL), ERR_INPUT, "...");
    assert_null(strchr(err_text(), '\n'));
}

static void write_gzip(const char *path, struct built f, size_t cut)
{
    gzFile g = gzopen(path, "wb"); /* two members */

    assert_int_equal(gzwrite(g, f.data, (unsigned)cut), cut);
    gzclose(g);
    g = gzopen(path, "ab");
    assert_int_equal(gzwrite(g, f.data + cut, (unsigned)(f.size - cut)), f.size - cut);
    gzclose(g);
}

static struct built default_file(bool pair)
{
    struct build b = build_default();
    double v[COUNT];

    b.pair = pair;
    for (int i = 0; i < COUNT; i++)
        v[i] = i;
    return build_values(b, v, COUNT);
}

static void check_loaded(const char *path, const char *note)
{
    struct volume *hu = NULL, *labels = NULL, *grid = NULL;
    struct notes notes = {0};

    assert_ok(nifti_load_hu(&hu, path, NULL, &notes));
    assert_ok(nifti_load_labels(&labels, path, NULL, NULL));
    assert_ok(nifti_load_grid(&grid, path, NULL, NULL));
    for (int i = 0; i < COUNT; i++)
        assert_true(((int16_t *)hu->data)[i] == i && ((uint8_t *)labels->data)[i] == i);
    assert_null(grid->data);
    assert_int_equal(grid->type, VOXEL_I16);
    assert_memory_equal(&grid->grid, &hu->grid, sizeof grid->grid);
    if (note)
        assert_true(noted(&notes, note));
    else
        assert_int_equal(notes.count, 0);
    volume_free(hu);
    volume_free(labels);
    volume_free(grid);
    notes_clear(&notes);
}

static void containers_go_by_content(void **state)
{
    const char *folder = test_folder(), *path;
    struct built f = default_file(false);

    (void)state;
    path = test_path(folder, "plain.nii");
    assert_ok(file_write(path, f.data, f.size));
    check_loaded(path, NULL);
    path = test_path(folder, "plain.nii.gz");
    assert_ok(file_write(path, f.data, f.size));
    check_loaded(path, "plain-in-gz");
    path = test_path(folder, "two.nii.gz");
    write_gzip(path, f, 100); /* the first member ends inside the header */
    check_loaded(path, NULL);
    path = test_path(folder, "packed.nii");
    write_gzip(path, f, 400);
    check_loaded(path, "gzip-in-nii");
    path = test_path(folder, "tail.nii");
    f.data = realloc(f.data, f.size + 9);
    memset(f.data + f.size, 7, 9);
    f.size += 9;
    assert_ok(file_write(path, f.data, f.size));
    check_loaded(path, "trailing-data");
    path = test_path(folder, "tail.nii.gz");
    write_gzip(path, f, 400);
    check_loaded(path, "trailing-data");
    free(f.data);
}

static void pairs_are_read_by_either_name(void **state)
{
    const char *folder = test_folder(), *other = test_folder();
    const char *header = test_path(folder, "p.hdr"), *image = test_path(folder, "p.img");
    const char *packed = test_path(other, "q.img.gz"), *reason = NULL;
    struct nifti_options o = {.reason = &reason};
    struct built f = default_file(true), image_part;
    struct volume *v = NULL;

    (void)state;
    assert_ok(file_write(header, f.data, 348));
    assert_err(nifti_load_hu(&v, header, &o, NULL), ERR_INPUT, ".img is not beside it");
    assert_string_equal(reason, "pair-missing");
    assert_ok(file_write(image, f.data + 348, f.size - 348));
    check_loaded(header, NULL);
    check_loaded(image, NULL);
    assert_err(nifti_load_hu(&v, test_path(folder, "none.img"), &o, NULL), ERR_USAGE, "none.img");
    image_part = (struct built){f.data + 348, f.size - 348};
    write_gzip(packed, image_part, 10);
    assert_err(nifti_load_hu(&v, packed, &o, NULL), ERR_INPUT, ".hdr is not beside it");
    assert_ok(file_write(test_path(other, "q.hdr"), f.data, 348));
    check_loaded(packed, NULL);
    assert_ok(file_write(test_path(folder, "alone.nii"), f.data, f.size));
    assert_err(nifti_load_hu(&v, test_path(folder, "alone.nii"), &o, NULL), ERR_INPUT, "pair");
    free(f.data);
}

static void extensions_are_skipped(void **state)
{
    struct build b = build_default();
    double v[COUNT];
    struct volume *hu = NULL;

    (void)state;
    for (int i = 0; i < COUNT; i++)
        v[i] = i;
    b.offset = 352 + 64;
    assert_ok(parse(&hu, build_values(b, v, COUNT), NIFTI_HU, NULL, NULL));
    assert_int_equal(((int16_t *)hu->data)[71], 71);
    volume_free(hu);
}

static void survives_exhaustion(void **state)
{
    const char *folder = test_folder(), *gz = test_path(folder, "a.nii.gz"),
               *header = test_path(folder, "p.hdr");
    const char *small = test_path(folder, "small.nii.gz");
    struct built f = default_file(false), pair = default_file(true), bytes;
    struct build b = build_default();
    struct notes notes = {0};
    struct volume *v = NULL;
    double values[COUNT] = {0};

    (void)state;
    write_gzip(gz, f, 100);
    b.type = 2;
    bytes = build_values(b, values, COUNT);
    write_gzip(small, bytes, 100);
    assert_ok(file_write(header, pair.data, 348));
    assert_ok(file_write(test_path(folder, "p.img"), pair.data + 348, pair.size - 348));
    assert_survives_exhaustion(nifti_load_hu(&v, gz, NULL, &notes), volume_free(v));
    assert_survives_exhaustion(nifti_load_hu(&v, small, NULL, &notes), volume_free(v));
    assert_survives_exhaustion(nifti_load_labels(&v, gz, NULL, &notes), volume_free(v));
    assert_survives_exhaustion(nifti_load_labels(&v, header, NULL, &notes), volume_free(v));
    assert_survives_exhaustion(nifti_load_grid(&v, gz, NULL, &notes), volume_free(v));
    notes_clear(&notes);
    free(f.data);
    free(pair.data);
    free(bytes.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_order_and_version),
        cmocka_unit_test(extremes_are_clamped),
        cmocka_unit_test(slope_rules),
        cmocka_unit_test(voxels_that_are_no_numbers),
        cmocka_unit_test(labels_are_rounded_never_cut),
        cmocka_unit_test(labels_are_mapped),
        cmocka_unit_test(many_wrong_values_make_one_line),
        cmocka_unit_test(containers_go_by_content),
        cmocka_unit_test(pairs_are_read_by_either_name),
        cmocka_unit_test(extensions_are_skipped),
        cmocka_unit_test(survives_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
