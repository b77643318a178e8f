/* Memory that runs out anywhere on the way of a phantom: ERR_MEMORY, nothing leaks, nothing is left. */
#include "phantom_made.h"

#include "base/file.h"
#include "base/json.h"
#include "base/par.h"
#include "stage/phantom.h"

/* A case of few voxels that still does everything. */
static const char *const few[] = {"spacing=6", "thickness=10", "missing=1,0,1", "count=2",
                                  "kinds=hcc", "dial=1",       "breath=2",      NULL};

static void read_params(struct phantom_params *p, struct arena *a)
{
    assert_ok(cfg_defaults(phantom_table, p, a));
    for (int i = 0; few[i]; i++)
        assert_ok(cfg_override(phantom_table, p, a, few[i]));
}

/* All allocations near the start, where most of the code is, then some. */
static long next_of(long n)
{
    return n < 32 ? n + 1 : n + 1 + n / 4;
}

static enum err make_all(struct phantom_case *c, const struct phantom_source *source)
{
    static const int phase[] = {PHANTOM_PVP, PHANTOM_ART};
    struct phantom_id id = {1, 0};
    struct phantom_watch w = {0};
    struct volume *drawn = NULL;

    TRY(phantom_case_make(c, &id, source));
    for (int i = 0; i < 2; i++) {
        struct phantom_phase p = {0};
        enum err err = phantom_case_render(&p, c, phase[i], &w);

        if (!err && phase[i] == PHANTOM_PVP)
            err = phantom_case_annotate(&drawn, c, &p);
        phantom_phase_free(&p);
        volume_free(drawn);
        drawn = NULL;
        if (err)
            return err;
    }
    return ERR_OK;
}

static void test_case(void **state)
{
    struct arena *a = arena_new();
    struct phantom_params params;
    struct phantom_source source = {.preset = PHANTOM_TINY, .params = &params};
    struct phantom_case *c = mem_new(1, sizeof *c);
    enum err err = ERR_MEMORY;

    (void)state;
    assert_non_null(a);
    assert_non_null(c);
    read_params(&params, a);
    for (long n = 1; err; n = next_of(n)) {
        mem_fail_at(n);
        err = make_all(c, &source);
        mem_fail_at(0);
        if (err)
            assert_int_equal(err, ERR_MEMORY);
        phantom_case_free(c);
    }
    mem_free(c);
    arena_free(a);
}

/* A record is whole or not there. */
static void test_record(void **state)
{
    struct made m;
    char *whole, *text;
    json_t *j;
    bool done = false;

    (void)state;
    made_case(&m, PHANTOM_TINY, (struct phantom_id){1, 0}, few, 15);
    j = phantom_record(m.c);
    whole = json_text(j);
    assert_non_null(whole);
    json_decref(j);
    for (long n = 1; !done; n++) {
        mem_fail_at(n);
        j = phantom_record(m.c);
        done = mem_fail_at(0) < n;
        text = j ? json_text(j) : NULL;
        if (text)
            assert_string_equal(text, whole);
        assert_true(!done || text);
        mem_free(text);
        json_decref(j);
    }
    mem_free(whole);
    made_free(&m);
}

static void test_data_set(void **state)
{
    struct arena *a = arena_new();
    const char *out = test_path(test_folder(), "made/out");
    struct phantom_job job = {
        .out = out, .seed = 1, .count = 1, .preset = PHANTOM_TINY, .memory = 1 << 30, .clean = true};
    enum err err = ERR_MEMORY;

    (void)state;
    assert_non_null(a);
    read_params(&job.params, a);
    for (long n = 1; err; n = next_of(n)) {
        mem_fail_at(n);
        err = phantom_write(&job);
        mem_fail_at(0);
        if (!err)
            break;
        assert_int_equal(err, ERR_MEMORY);
        if (folder_exists(out)) /* what is complete waits for another try */
            assert_true(file_exists(test_path(out, ".phantom/ready.json")));
    }
    assert_true(file_exists(test_path(out, "dataset.json")));
    assert_true(file_exists(test_path(out, "truth/ph_00000.json")));
    assert_false(folder_exists(test_path(out, ".phantom")));
    arena_free(a);
}

/* What does not fit is refused before anything is made. */
static void test_memory_limit(void **state)
{
    struct arena *a = arena_new();
    const char *out = test_path(test_folder(), "out");
    struct phantom_job job = {.out = out, .count = 1, .preset = PHANTOM_REAL, .memory = 100 << 20};

    (void)state;
    assert_non_null(a);
    read_params(&job.params, a);
    job.params.spacing = 0.7;
    assert_err(phantom_write(&job), ERR_MEMORY, "0.10 GB may be used");
    assert_false(folder_exists(out));
    arena_free(a);
}

static int one_thread(void **state)
{
    (void)state;
    par_set_threads(1); /* whose allocations are counted */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_case),
        cmocka_unit_test(test_record),
        cmocka_unit_test(test_data_set),
        cmocka_unit_test(test_memory_limit),
    };

    return cmocka_run_group_tests_name("phantom_exhaustion", tests, one_thread, NULL);
}
