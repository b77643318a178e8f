/* phantom_write as a whole: progress that a bar can show, and stops at any moment that change no byte. */
#include "test.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/par.h"
#include "stage/phantom.h"

struct seen {
    int64_t last, total;
    int updates, ends;
    bool backwards;
    atomic_int stop;
    int stop_at; /* the update that asks for a stop; 0: none */
};

static void update(void *ctx, const char *what, int64_t done, int64_t total, const char *text)
{
    struct seen *s = ctx;

    (void)text;
    assert_string_equal(what, "phantom");
    s->backwards |= done < s->last || (s->total && total != s->total);
    s->last = done;
    s->total = total;
    s->ends += done == total;
    if (++s->updates == s->stop_at)
        atomic_store(&s->stop, 1);
}

static void line(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

/* Few voxels, two phases. */
static void read_params(struct phantom_params *p, struct arena *a)
{
    static const char *const set[] = {"spacing=5", "thickness=6", "missing=1,0,1", "count=2", "dial=1"};

    assert_non_null(a);
    assert_ok(cfg_defaults(phantom_table, p, a));
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        assert_ok(cfg_override(phantom_table, p, a, set[i]));
}

static enum err write_to(const char *out, struct seen *s, int stop_at)
{
    struct arena *a = arena_new();
    struct progress progress = {.update = update, .line = line, .ctx = s};
    struct phantom_job job = {
        .out = out, .seed = 1, .count = 2, .preset = PHANTOM_TINY, .stop = &s->stop, .progress = &progress};
    enum err err;

    *s = (struct seen){.stop_at = stop_at};
    read_params(&job.params, a);
    err = phantom_write(&job);
    arena_free(a);
    return err;
}

static void same_files(const char *a, const char *b)
{
    static const char *const files[] = {"dataset.json",
                                        "imagesTr/ph_00000_0001.nii.gz",
                                        "imagesTr/ph_00000_0002.nii.gz",
                                        "imagesTs/ph_00001_0001.nii.gz",
                                        "labelsTr/ph_00000.nii.gz",
                                        "labelsTs/ph_00001.nii.gz",
                                        "truth/ph_00000.json",
                                        "truth/ph_00001.json",
                                        "truth/ph_00001_field_0001.nii.gz",
                                        "truth/ph_00001_labels_0001.nii.gz"};

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        uint64_t x, y;

        assert_ok(file_hash(test_path(a, files[i]), &x));
        assert_ok(file_hash(test_path(b, files[i]), &y));
        assert_true(x == y);
    }
}

static void test_progress_and_stops(void **state)
{
    const char *whole = test_path(test_folder(), "whole"), *parts;
    struct seen s;
    int all;

    (void)state;
    assert_ok(write_to(whole, &s, 0));
    assert_int_equal(s.ends, 1);
    assert_int_equal(s.last, s.total);
    assert_false(s.backwards);
    all = s.updates;
    assert_true(all > 12); /* more than one a phase */
    parts = test_path(test_folder(), "parts");
    for (int at = 1; at < all; at += all / 5) {
        par_set_threads(1 + at % 3);
        assert_int_equal(write_to(parts, &s, at), ERR_STOPPED);
        assert_int_equal(s.ends, 0);
        assert_false(file_exists(test_path(parts, "dataset.json")));
        if (at > all / 2) /* what was finished is not made again */
            break;
    }
    par_set_threads(0);
    assert_ok(write_to(parts, &s, 0));
    assert_true(s.updates < all);
    assert_false(folder_exists(test_path(parts, ".phantom")));
    same_files(whole, parts);
}

/* Keys beyond their tables' ranges are refused with the reason, before anything is made. */
static void test_open_ends(void **state)
{
    static const char *const bad[][2] = {{"fpeak=0", "fpeak"},
                                         {"fpeak=0.04", "fpeak"},
                                         {"noise=-0.5", "noise"},
                                         {"spacing=0.3", "spacing"},
                                         {"thickness=0.4", "thickness"}};
    const char *out = test_path(test_folder(), "out");
    struct arena *a = arena_new();
    struct phantom_job job = {.out = out, .count = 1, .preset = PHANTOM_TINY};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        read_params(&job.params, a);
        assert_ok(cfg_override(phantom_table, &job.params, a, bad[i][0]));
        assert_err(phantom_write(&job), ERR_USAGE, bad[i][1]);
    }
    read_params(&job.params, a);
    job.licence = "free";
    assert_err(phantom_write(&job), ERR_USAGE, "--from");
    assert_false(folder_exists(out));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress_and_stops),
        cmocka_unit_test(test_open_ends),
    };

    return cmocka_run_group_tests_name("stage_phantom", tests, NULL, NULL);
}
