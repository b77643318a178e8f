/* Transforms that SimpleITK wrote, and what it made of points and an image with them
 * (scripts/make-transform-fixtures.py). scripts/check-transforms-peers.py runs it itself. */
#include "test.h"

#include "align/transform_file.h"
#include "align/warp.h"
#include "base/file.h"
#include "base/mem.h"
#include "volume/nifti.h"
#include <math.h>

enum { IMAGES = 3, FILES = 8, COLUMNS = 3 + 3 * FILES };
static const char *const names[IMAGES] = {"affine", "composite", "field"};
static const char *const files[FILES] = {"affine.tfm",     "composite.tfm",     "field.nii.gz",
                                         "euler.tfm",      "zyx.tfm",           "versor.tfm",
                                         "similarity.tfm", "0GenericAffine.mat"};

static const char *fixture(const char *name)
{
    return test_path(D4M_SOURCE_DIR "/tests/data/transform", name);
}

static void points_agree(void **state)
{
    uint8_t *text;
    size_t size;

    (void)state;
    assert_ok(file_read(fixture("points.csv"), &text, &size));
    for (int k = 0; k < FILES; k++) {
        struct transform *t = NULL;
        struct mapper *m = NULL;
        struct mapper_tally tally = {0};
        int points = 0;

        assert_ok(transform_read(&t, fixture(files[k]), CONVENTION_AUTO, NULL));
        assert_ok(mapper_new(&m, t, NULL, NULL));
        for (const char *line = (char *)text; *line; line = strchr(line, '\n') + 1, points++) {
            double v[COLUMNS], y[3];
            char *at = (char *)(uintptr_t)line;

            for (int i = 0; i < COLUMNS; i++, at++)
                v[i] = strtod(at, &at);
            mapper_point(m, (double[3]){-v[0], -v[1], v[2]}, y, &tally);
            for (int c = 0; c < 3; c++)
                assert_float_equal(c < 2 ? -y[c] : y[c], v[3 + 3 * k + c], k == 2 ? 1e-5 : 1e-8);
        }
        assert_int_equal(points, 20);
        assert_int_equal(tally.outside, 0);
        mapper_free(m);
        transform_free(t);
    }
    mem_free(text);
}

/* Within 1 HU on 99.9 % of voxels (registration.md, section 14). */
static void images_agree(void **state)
{
    struct volume *moving = NULL;

    (void)state;
    assert_ok(nifti_load_hu(&moving, fixture("moving.nii.gz"), NULL, NULL));
    for (int k = 0; k < IMAGES; k++) {
        struct transform *t = NULL;
        struct volume *want = NULL, *got = NULL;
        struct mapper_tally tally = {0};
        int64_t off = 0, inside = 0, n;
        char name[32];

        snprintf(name, sizeof name, "by_%s.nii.gz", names[k]);
        assert_ok(transform_read(&t, fixture(files[k]), CONVENTION_AUTO, NULL));
        assert_ok(nifti_load_hu(&want, fixture(name), NULL, NULL));
        assert_ok(warp_volume(&got, NULL, &(struct warp){t, moving, &want->grid, WARP_LINEAR}, &tally));
        n = grid_count(&want->grid);
        for (int64_t i = 0; i < n; i++) {
            int a = ((int16_t *)want->data)[i], b = ((int16_t *)got->data)[i];

            off += abs(a - b) > 1;
            inside += a > -1024;
        }
        assert_true(inside > n / 2 && inside < n);
        assert_true(off * 1000 <= n);
        volume_free(want), volume_free(got);
        transform_free(t);
    }
    volume_free(moving);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(points_agree), cmocka_unit_test(images_agree)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
