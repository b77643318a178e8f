#include "test.h"

#include "base/mem.h"
#include "data/plan.h"

static void presets_are_the_table(void **state)
{
    struct arena *a = arena_new();
    struct plan p = {0};

    (void)state;
    assert_ok(plan_preset(&p, a, "paper"));
    assert_ok(plan_check(&p));
    assert_true(p.spacing[0] == 1 && p.window[0] == -21 && p.window[1] == 189);
    assert_true(p.stages == 5 && p.features == 32 && p.features_max == 320 && p.patch[2] == 96 &&
                p.batch == 2);
    assert_true(p.optimiser == OPT_SGD && p.lr == 0.01 && p.momentum == 0.99 && p.weight_decay == 3e-5 &&
                p.clip == 12);
    assert_true(p.epochs == 1000 && p.iterations == 250 && p.foreground == 0.33 && p.ce_weight == 0.5);
    assert_ok(plan_preset(&p, a, "demo"));
    assert_ok(plan_check(&p));
    assert_true(p.spacing[2] == 3 && p.stages == 4 && p.features_max == 128 && p.patch[0] == 64 &&
                p.batch == 2);
    assert_true(p.sampling == SAMPLING_FOREGROUND && p.foreground == 0.67 && p.tumour == 0.6);
    assert_true(p.optimiser == OPT_ADAMW && p.schedule == SCHED_COSINE && p.lr == 1e-3 && p.deep_supervision);
    assert_err(plan_preset(&p, a, "papre"), ERR_USAGE, "papre");
    arena_free(a);
}

static void a_plan_survives_its_file(void **state)
{
    const char *path = test_path(test_folder(), "plan.json");
    struct arena *a = arena_new();
    struct plan p = {0}, q = {0};

    (void)state;
    assert_ok(plan_preset(&p, a, "demo"));
    p.phases = 4;
    p.phase_names = "noncontrast,arterial,portal venous,delayed";
    p.reference = "portal venous";
    p.seed = 1234567890123;
    assert_ok(plan_write(&p, path));
    assert_ok(plan_read(&q, a, path));
    assert_string_equal(p.phase_names, q.phase_names);
    assert_string_equal(p.reference, q.reference);
    q.phase_names = p.phase_names;
    q.reference = p.reference;
    assert_memory_equal(&p, &q, sizeof p);
    p.patch[1] = 60;
    assert_ok(plan_write(&p, path));
    assert_err(plan_read(&q, a, path), ERR_INPUT, "patch 60");
    arena_free(a);
}

static void inconsistent_plans_are_refused(void **state)
{
    struct arena *a = arena_new();
    struct plan p = {0};
    const char *const bad[][2] = {{"patch=96,96,90", "multiple"},
                                  {"window_low=200", "window"},
                                  {"scale_low=2", "scale"},
                                  {"features=400", "features"}};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_ok(plan_preset(&p, a, "paper"));
        assert_ok(cfg_override(plan_table, &p, a, bad[i][0]));
        assert_err(plan_check(&p), ERR_USAGE, bad[i][1]);
    }
    assert_ok(plan_preset(&p, a, "paper"));
    assert_ok(cfg_override(plan_table, &p, a, "schedule=cosine"));
    assert_ok(plan_check(&p));
    p.epochs = 50;
    assert_err(plan_check(&p), ERR_USAGE, "warmup");
    p.stages = 6;
    p.patch[0] = p.patch[1] = p.patch[2] = 32;
    assert_err(plan_check(&p), ERR_USAGE, "one voxel");
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets_are_the_table),
        cmocka_unit_test(a_plan_survives_its_file),
        cmocka_unit_test(inconsistent_plans_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
