/* Where a phantom grows: what survives a run that ends at any moment, and what --force may touch. */
#include "test.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "stage/phantom_place.h"
#include <sys/stat.h>

static void put(const char *path, const char *text)
{
    assert_ok(file_write(path, text, strlen(text)));
}

static bool holds(const char *path, const char *text)
{
    uint8_t *data;
    size_t size;
    bool same;

    if (!file_exists(path))
        return false;
    assert_ok(file_read(path, &data, &size));
    same = size == strlen(text) && !memcmp(data, text, size);
    mem_free(data);
    return same;
}

static json_t *named(const char *key, const char *value)
{
    json_t *j;

    json_setup();
    j = json_pack("{s:s}", key, value);
    assert_non_null(j);
    return j;
}

static enum err open_one(struct phantom_place *p, const char *out, const char *what, bool force)
{
    json_t *j = named("what", what);
    enum err err = phantom_place_open(p, out, j, force);

    json_decref(j);
    return err;
}

static void put_case(const struct phantom_place *p, enum phantom_folder f, const char *name, const char *text)
{
    char *path = phantom_place_path(p, f, name);

    assert_non_null(path);
    put(path, text);
    mem_free(path);
}

static void commit(struct phantom_place *p, const char *what)
{
    json_t *j = named("phantom", what);

    assert_ok(phantom_place_commit(p, j));
    json_decref(j);
    phantom_place_close(p, false);
}

/* A data set with one training case and, with `test`, a testing one. */
static void make(const char *out, const char *what, bool force, bool test)
{
    struct phantom_place p;

    assert_ok(open_one(&p, out, what, force));
    put_case(&p, IMAGES_TR, "ph_00000_0002.nii.gz", what);
    put_case(&p, TRUTH, "ph_00000.json", what);
    if (test)
        put_case(&p, IMAGES_TS, "ph_00001_0002.nii.gz", what);
    commit(&p, what);
}

static bool is_made(const char *out, const char *what)
{
    return holds(test_path(out, "imagesTr/ph_00000_0002.nii.gz"), what) &&
           holds(test_path(out, "truth/ph_00000.json"), what) &&
           file_exists(test_path(out, "dataset.json")) && !folder_exists(test_path(out, ".phantom"));
}

/* Files of the user's stay, whatever they lie beside; files of the phantom's go. */
static void test_force_touches_only_its_own(void **state)
{
    static const char *const mine[] = {"notes.txt", "imagesTr/my_0000.nii.gz",
                                       "imagesTr/ph_00000_0002_mine.nii.gz", "imagesTs/ph_mine.txt",
                                       "truth/ph_1.json"};
    const char *out = test_folder();

    (void)state;
    make(out, "old", false, true);
    for (size_t i = 0; i < sizeof mine / sizeof *mine; i++)
        put(test_path(out, mine[i]), mine[i]);
    make(out, "new", true, false);
    assert_true(is_made(out, "new"));
    assert_false(file_exists(test_path(out, "imagesTs/ph_00001_0002.nii.gz")));
    for (size_t i = 0; i < sizeof mine / sizeof *mine; i++)
        assert_true(holds(test_path(out, mine[i]), mine[i]));
}

/* Until everything new is there the old data set stays; a failure then leaves it as it was. */
static void test_old_until_new(void **state)
{
    const char *out = test_folder();
    struct phantom_place p;
    json_t *dataset = named("phantom", "new");

    (void)state;
    make(out, "old", false, true);
    assert_err(open_one(&p, out, "new", false), ERR_USAGE, "--force");
    assert_ok(open_one(&p, out, "new", true));
    put_case(&p, LABELS_TR, "ph_00000.nii.gz", "new");
    phantom_place_close(&p, true);
    assert_true(file_exists(test_path(out, "dataset.json")));
    assert_ok(open_one(&p, out, "new", true));
    put(test_path(out, "labelsTr"), "in the way");
    assert_err(phantom_place_commit(&p, dataset), ERR_OUTPUT, "labelsTr");
    phantom_place_close(&p, false);
    json_decref(dataset);
    assert_true(is_made(out, "old"));
    assert_true(holds(test_path(out, "imagesTs/ph_00001_0002.nii.gz"), "old"));
}

/* Leaves `out` as a run does that is killed while it moves: `old` is retired, a file has moved. */
static void kill_while_moving(const char *out, bool force)
{
    struct phantom_place p;

    assert_ok(open_one(&p, out, "new", force));
    put_case(&p, IMAGES_TR, "ph_00000_0002.nii.gz", "new");
    put_case(&p, TRUTH, "ph_00000.json", "new");
    put_case(&p, TRUTH, ".d4m-1-1.tmp", "half a file");
    put(test_path(out, ".phantom/ready.json"), "{\"phantom\": \"new\"}");
    if (force)
        assert_int_equal(rename(test_path(out, "dataset.json"), test_path(out, ".phantom/replaced.json")), 0);
    else {
        assert_ok(folder_make(test_path(out, "truth")));
        assert_int_equal(
            rename(test_path(out, ".phantom/truth/ph_00000.json"), test_path(out, "truth/ph_00000.json")), 0);
    }
    phantom_place_close(&p, true);
}

static void test_killed_while_moving(void **state)
{
    (void)state;
    for (int force = 0; force < 2; force++) {
        const char *out = test_folder();
        struct phantom_place p;

        if (force)
            make(out, "old", false, true);
        kill_while_moving(out, force);
        assert_err(open_one(&p, out, "another", false), ERR_USAGE, "--force");
        assert_ok(open_one(&p, out, "new", force));
        assert_true(p.complete);
        commit(&p, "new");
        assert_true(is_made(out, "new"));
        assert_false(folder_exists(test_path(out, "imagesTs")));
    }
}

/* Another data set may be made there instead, even with a stop on the way. */
static void test_killed_while_moving_then_another(void **state)
{
    (void)state;
    for (int force = 0; force < 2; force++) {
        const char *out = test_folder();
        struct phantom_place p;

        if (force)
            make(out, "old", false, true);
        kill_while_moving(out, force);
        for (int stops = 0; stops < 2; stops++) {
            assert_ok(open_one(&p, out, "another", true));
            assert_false(p.complete);
            phantom_place_close(&p, stops == 0);
        }
        make(out, "another", true, false);
        assert_true(is_made(out, "another"));
        assert_false(folder_exists(test_path(out, "imagesTs")));
    }
}

/* A failure takes away what the run had made, parents too, and nothing else. */
static void test_failure_leaves_nothing(void **state)
{
    const char *out = test_folder();
    struct phantom_place p;

    (void)state;
    assert_ok(open_one(&p, test_path(out, "a/b//c/"), "new", false));
    put_case(&p, TRUTH, ".d4m-1-1.tmp", "half a file");
    phantom_place_close(&p, false);
    assert_false(folder_exists(test_path(out, "a")));
    assert_true(folder_exists(out));
    put(test_path(out, "file"), "");
    assert_err(open_one(&p, test_path(out, "file"), "new", false), ERR_OUTPUT, "is a file");
    assert_err(open_one(&p, "", "new", false), ERR_USAGE, "empty");
    put(test_path(out, "dataset.json"), "{\"name\": \"mine\"}");
    assert_err(open_one(&p, out, "new", true), ERR_USAGE, "did not make");
    assert_false(folder_exists(test_path(out, ".phantom")));
}

static void test_exhaustion(void **state)
{
    const char *out = test_folder();
    struct phantom_place p;
    json_t *what = named("what", "new"), *dataset = named("phantom", "new");

    (void)state;
    assert_survives_exhaustion(phantom_place_open(&p, out, what, false), );
    put_case(&p, TRUTH, "ph_00000.json", "new");
    assert_survives_exhaustion(phantom_place_commit(&p, dataset), );
    phantom_place_close(&p, false);
    assert_true(holds(test_path(out, "truth/ph_00000.json"), "new"));
    json_decref(what);
    json_decref(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_force_touches_only_its_own),
        cmocka_unit_test(test_old_until_new),
        cmocka_unit_test(test_killed_while_moving),
        cmocka_unit_test(test_killed_while_moving_then_another),
        cmocka_unit_test(test_failure_leaves_nothing),
        cmocka_unit_test(test_exhaustion),
    };

    return cmocka_run_group_tests_name("stage_phantom_place", tests, NULL, NULL);
}
