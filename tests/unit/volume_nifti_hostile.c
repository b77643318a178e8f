/* Files that lie, are cut short, or are something else: the right code, one line, no memory taken first. */
#include "test.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "nifti_build.h"
#include "volume/nifti.h"
#include <math.h>
#include <zlib.h>

static const char *reason;

static enum err parse(const uint8_t *p, size_t n, enum nifti_kind kind)
{
    struct nifti_bytes b = {.what = "x.nii", .file = p, .size = n};
    struct nifti_options o = {.reason = &reason};
    struct volume *v = NULL;
    enum err err = nifti_parse(&v, &b, kind, &o, NULL);

    volume_free(v);
    return err;
}

static enum err build_and_parse(struct build b)
{
    static double v[210];
    struct built f = build_values(b, v, 210);
    enum err err = parse(f.data, f.size, NIFTI_HU);

    free(f.data);
    return err;
}

static struct built good_file(void)
{
    static double v[210];

    return build_values(build_default(), v, 210);
}

static void other_files_are_named(void **state)
{
    static const struct {
        const char *text;
        size_t at;
        const char *hint;
    } cases[] = {
        {"DICM", 128, "d4m import"},
        {"NRRD0004\n", 0, "NRRD"},
        {"ObjectType = Image\n", 0, "MetaImage"},
        {"version https://git-lfs.github.com/spec/v1\n", 0, "git lfs pull"},
        {"/annex/objects/MD5-s1--0", 0, "git annex get"},
        {"<!DOCTYPE html>", 0, "web page"},
        {"something", 0, "no NIfTI header"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t file[600] = {0};
        memcpy(file + cases[i].at, cases[i].text, strlen(cases[i].text));
        assert_err(parse(file, sizeof file, NIFTI_HU), ERR_CORRUPT, cases[i].hint);
        assert_string_equal(reason, "not-nifti");
        assert_int_equal(parse(file, cases[i].at + strlen(cases[i].text), NIFTI_HU), ERR_CORRUPT);
    }
    assert_err(parse((const uint8_t *)"", 0, NIFTI_HU), ERR_CORRUPT, "empty");
    assert_err(parse((const uint8_t *)"abc", 3, NIFTI_HU), ERR_CORRUPT, "not a NIfTI");
}

static void every_cut_is_corrupt(void **state)
{
    struct built f = good_file();

    (void)state;
    for (size_t n = 0; n < f.size; n++) {
        uint8_t *exact = malloc(n ? n : 1); /* so that reading behind the end is caught */
        memcpy(exact, f.data, n);
        assert_int_equal(parse(exact, n, NIFTI_HU), ERR_CORRUPT);
        assert_int_equal(parse(exact, n, NIFTI_GRID), ERR_CORRUPT);
        assert_string_equal(reason, n < 4 ? "not-nifti" : n < 348 ? "header-truncated" : "truncated");
        free(exact);
    }
    assert_ok(parse(f.data, f.size, NIFTI_HU));
    free(f.data);
}

static void magic_is_required(void **state)
{
    struct built f = good_file();
    struct build b = build_default();
    static double v[210];

    (void)state;
    f.data[344] = 0;
    assert_err(parse(f.data, f.size, NIFTI_HU), ERR_CORRUPT, "ANALYZE");
    memcpy(f.data + 344, "n+2", 4);
    assert_err(parse(f.data, f.size, NIFTI_HU), ERR_CORRUPT, "no NIfTI magic (n+1 or ni1)");
    free(f.data);
    b.version = 2;
    f = build_values(b, v, 210);
    f.data[8] = '\n';
    assert_err(parse(f.data, f.size, NIFTI_HU), ERR_CORRUPT, "line ends");
    assert_string_equal(reason, "header-damaged");
    free(f.data);
}

static void absurd_dims(void **state)
{
    struct build b = build_default();

    (void)state;
    for (int version = 1; version < 3; version++)
        for (int big = 0; big < 2; big++) {
            b = build_default();
            b.version = version;
            b.big = big;
            b.dim[0] = 0;
            assert_err(build_and_parse(b), ERR_CORRUPT, "0 axes");
            b.dim[0] = 8;
            assert_err(build_and_parse(b), ERR_CORRUPT, "8 axes");
            b.dim[0] = -3;
            assert_err(build_and_parse(b), ERR_CORRUPT, "-3 axes");
            b.dim[0] = 3;
            b.dim[2] = 0;
            assert_err(build_and_parse(b), ERR_CORRUPT, "axis 2 has length 0");
            b.dim[2] = -7;
            assert_err(build_and_parse(b), ERR_CORRUPT, "length -7");
        }
    b = build_default();
    b.version = 2;
    b.dim[1] = INT64_MAX;
    assert_err(build_and_parse(b), ERR_CORRUPT, "no file holds");
    for (int i = 1; i <= 3; i++)
        b.dim[i] = (int64_t)1 << 22; /* the product wraps to 4 */
    assert_err(build_and_parse(b), ERR_CORRUPT, "no file holds");
    b.dim[1] = b.dim[2] = (int64_t)1 << 30;
    b.dim[3] = 1;
    assert_err(build_and_parse(b), ERR_CORRUPT, "truncated");
    b.dim[0] = 4;
    b.dim[4] = INT64_MIN;
    assert_err(build_and_parse(b), ERR_CORRUPT, "axis 4");
}

static void absurd_offsets(void **state)
{
    static const double wrong[] = {NAN,   INFINITY, -INFINITY, -1,   -352,  1,      347,
                                   352.5, 1e30,     -1e30,     1e19, 1e-40, 0x1p53, 9.3e18};
    struct build b = build_default();

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        b.offset = wrong[i];
        assert_int_equal(build_and_parse(b), ERR_CORRUPT);
        assert_string_equal(reason, "vox-offset");
    }
    b.offset = 1e9;
    assert_err(build_and_parse(b), ERR_CORRUPT, "truncated");
    b.offset = 348;
    assert_ok(build_and_parse(b));
    b.version = 2;
    b.offset = -8;
    assert_err(build_and_parse(b), ERR_CORRUPT, "vox_offset");
    b.offset = 541;
    assert_ok(build_and_parse(b));
}

static void offset_zero_means_behind_the_header(void **state)
{
    struct built f = good_file();
    struct notes n = {0};
    struct volume *v = NULL;
    struct nifti_bytes b = {.what = "x.nii", .file = f.data, .size = f.size};

    (void)state;
    memset(f.data + 108, 0, 4);
    f.data[352] = 77;
    assert_ok(nifti_parse(&v, &b, NIFTI_HU, NULL, &n));
    assert_int_equal(((int16_t *)v->data)[0], 77);
    assert_string_equal(n.item[0].name, "vox-offset");
    volume_free(v);
    notes_clear(&n);
    free(f.data);
}

/* Sizes that the file cannot hold are refused before anything of that size is allocated: the test would run
 * out of memory. */
static void sizes_are_checked_before_allocation(void **state)
{
    struct build b = build_default();
    uint8_t packed[4096];
    uLongf header = 0;
    static double v[1];
    struct built f;
    z_stream z = {0};

    (void)state;
    b.dim[1] = b.dim[2] = b.dim[3] = 32767;
    assert_err(build_and_parse(b), ERR_CORRUPT,
               "truncated: the header says 32767 x 32767 x 32767 int16 voxels");
    f = build_values(b, v, 1);
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = f.data;
    z.avail_in = (uInt)f.size;
    z.next_out = packed;
    z.avail_out = sizeof packed;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    header = z.total_out;
    deflateEnd(&z);
    assert_err(parse(packed, header, NIFTI_HU), ERR_CORRUPT, "at most");
    assert_err(parse(packed, header, NIFTI_GRID), ERR_CORRUPT, "at most");
    free(f.data);
}

static size_t pack(uint8_t *out, size_t room, const struct built *f)
{
    z_stream z = {.next_in = f->data, .avail_in = (uInt)f->size, .next_out = out, .avail_out = (uInt)room};
    size_t n;

    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    n = z.total_out;
    deflateEnd(&z);
    return n;
}

static void damaged_gzip(void **state)
{
    struct built f = good_file();
    uint8_t packed[4096], *exact;
    size_t n;

    (void)state;
    for (size_t i = 352; i < f.size; i += 2)
        f.data[i] = (uint8_t)(i * i);
    n = pack(packed, sizeof packed, &f);
    for (size_t cut = 2; cut < n; cut++) {
        exact = malloc(cut);
        memcpy(exact, packed, cut);
        assert_int_equal(parse(exact, cut, NIFTI_HU), ERR_CORRUPT);
        free(exact);
    }
    assert_ok(parse(packed, n, NIFTI_HU));
    for (int k = 1; k <= 8; k++) { /* CRC and ISIZE */
        packed[n - (size_t)k] ^= 1;
        assert_err(parse(packed, n, NIFTI_HU), ERR_CORRUPT, "x.nii");
        assert_string_equal(reason, "gzip");
        packed[n - (size_t)k] ^= 1;
    }
    packed[10] = 0xff;
    assert_err(parse(packed, n, NIFTI_GRID), ERR_CORRUPT, "damaged gzip");
    free(f.data);
}

static void gzip_of_another_length(void **state)
{
    struct built f = good_file();
    uint8_t *packed = malloc(1 << 16);
    size_t n;

    (void)state;
    f.data[46] = 9; /* nine slices, seven there */
    n = pack(packed, 1 << 16, &f);
    assert_err(parse(packed, n, NIFTI_HU), ERR_CORRUPT, "truncated: 892 bytes are needed");
    assert_string_equal(reason, "truncated");
    f.data[46] = 7;
    f.data = realloc(f.data, 8 << 20); /* much more behind the voxels than any writer leaves */
    memset(f.data + f.size, 0, (8 << 20) - f.size);
    f.size = 8 << 20;
    n = pack(packed, 1 << 16, &f);
    assert_err(parse(packed, n, NIFTI_HU), ERR_CORRUPT, "x.nii");
    assert_string_equal(reason, "gzip");
    free(packed);
    free(f.data);
}

/* Whatever a byte becomes, the reader ends with a documented code and one line. */
static void flipped_bytes_end_well(void **state)
{
    struct rng r = rng_at(7, 7);
    struct built f = good_file();

    (void)state;
    for (int round = 0; round < 20000; round++) {
        uint8_t keep[4];
        size_t at[4];
        enum err err;

        for (int k = 0; k < 4; k++) {
            at[k] = (size_t)rng_below(&r, 348);
            keep[k] = f.data[at[k]];
            f.data[at[k]] = (uint8_t)rng_u32(&r);
        }
        err = parse(f.data, f.size, (enum nifti_kind)(round % 4));
        assert_true(err == ERR_OK || err == ERR_INPUT || err == ERR_CORRUPT);
        assert_true(!err || !strchr(err_text(), '\n'));
        for (int k = 3; k >= 0; k--)
            f.data[at[k]] = keep[k];
    }
    free(f.data);
}

static void paths_that_cannot_be_read(void **state)
{
    const char *folder = test_folder(), *loop = test_path(folder, "loop.nii");
    struct nifti_options o = {.reason = &reason};
    struct volume *v = NULL;

    (void)state;
    assert_err(nifti_load_hu(&v, test_path(folder, "none.nii"), &o, NULL), ERR_USAGE, "none.nii");
    assert_string_equal(reason, "unreadable");
    assert_err(nifti_load_labels(&v, folder, &o, NULL), ERR_USAGE, folder);
    assert_int_equal(symlink("loop.nii", loop), 0);
    assert_err(nifti_load_grid(&v, loop, &o, NULL), ERR_USAGE, "loop.nii");
    assert_err(nifti_map(&v, loop), ERR_USAGE, "loop.nii");
    assert_ok(file_write(test_path(folder, "empty.nii"), "", 0));
    assert_err(nifti_load_hu(&v, test_path(folder, "empty.nii"), &o, NULL), ERR_CORRUPT, "is empty");
    assert_err(nifti_map(&v, test_path(folder, "empty.nii")), ERR_CORRUPT, "is empty");
    assert_null(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_files_are_named),
        cmocka_unit_test(every_cut_is_corrupt),
        cmocka_unit_test(magic_is_required),
        cmocka_unit_test(absurd_dims),
        cmocka_unit_test(absurd_offsets),
        cmocka_unit_test(offset_zero_means_behind_the_header),
        cmocka_unit_test(sizes_are_checked_before_allocation),
        cmocka_unit_test(damaged_gzip),
        cmocka_unit_test(gzip_of_another_length),
        cmocka_unit_test(flipped_bytes_end_well),
        cmocka_unit_test(paths_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
