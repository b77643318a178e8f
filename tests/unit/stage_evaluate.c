/* d4m evaluate on folders: storage orders, other grids, missing, extra and unusable masks, the files it
 * writes. */
#include "test.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "stage/evaluate.h"
#include "stage/label_names.h"
#include "volume/nifti.h"

static struct volume *volume_at(double x_origin)
{
    const int64_t dims[3] = {7, 6, 5};
    const double spacing[3] = {1, 2, 3}, origin[3] = {x_origin, -4, 12};
    struct grid g = grid_make(dims, spacing, origin);
    struct volume *v = NULL;

    assert_ok(volume_new(&v, &g, VOXEL_U8));
    return v;
}

/* Voxels first <= i < last in storage order are `label`. */
static void save(struct volume *v, int first, int last, const char *path)
{
    for (int i = first; i < last; i++)
        ((uint8_t *)v->data)[i] = i % 2 ? 1 : 2;
    assert_ok(nifti_save(v, NULL, path));
    volume_free(v);
}

struct folders {
    const char *root, *pred, *ref, *out;
};

static struct folders make_folders(void)
{
    struct folders f = {.root = test_folder()};

    f.pred = test_path(f.root, "pred");
    f.ref = test_path(f.root, "labels");
    f.out = test_path(f.root, "out");
    assert_ok(folder_make(f.pred));
    assert_ok(folder_make(f.ref));
    return f;
}

static enum err evaluate(struct evaluate_result *r, const struct folders *f, struct notes *n)
{
    return evaluate_run(r, &(struct evaluate_options){.pred = f->pred, .ref = f->ref}, n);
}

static bool noted(const struct notes *n, const char *name)
{
    for (size_t i = 0; i < n->count; i++)
        if (!strcmp(n->item[i].name, name))
            return true;
    return false;
}

/* The same mask stored along other axes is the same mask. */
static void storage_order_does_not_matter(void **state)
{
    struct folders f = make_folders();
    struct evaluate_result r = {0};
    struct notes n = {0};

    (void)state;
    for (int k = 0; k < 8; k++) {
        const struct orient o = {{(k + 1) % 3, (k + 2) % 3, k % 3}, {k & 1, k & 2, k & 4}};
        struct volume *ras = volume_at(3), *other = NULL;
        struct overlap s;

        for (int i = 30; i < 90; i++)
            ((uint8_t *)ras->data)[i] = i % 3 ? 1 : 2;
        assert_ok(volume_from_ras(&other, ras, o));
        assert_ok(nifti_save(ras, NULL, test_path(f.ref, "a.nii.gz")));
        assert_ok(nifti_save(other, NULL, test_path(f.pred, "a.nii.gz")));
        assert_ok(evaluate(&r, &f, &n));
        for (int region = 0; region < 3; region++) {
            s = evaluation_overlap(r.scores, 0, region);
            assert_true(s.dsc == 1 && s.jac == 1 && s.se == 1 && s.pre == 1);
        }
        evaluate_free(&r);
        volume_free(ras);
        volume_free(other);
    }
    assert_int_equal(n.count, 0);
    notes_clear(&n);
}

static void other_grids_are_refused(void **state)
{
    struct folders f = make_folders();
    struct evaluate_result r = {0};

    (void)state;
    save(volume_at(3), 0, 9, test_path(f.ref, "a.nii"));
    save(volume_at(5), 0, 9, test_path(f.pred, "a.nii"));
    assert_err(evaluate(&r, &f, NULL), ERR_INPUT, "2.0 mm apart");
    assert_null(r.scores);
    evaluate_free(&r);
}

/* LiTS masks say nothing about the scanner; with equal dims they lie on the other's grid. */
static void a_mask_without_position(void **state)
{
    struct folders f = make_folders();
    struct evaluate_result r = {0};
    struct notes n = {0};
    struct volume *plain = NULL;
    const int64_t dims[3] = {7, 6, 5};
    const double one[3] = {1, 1, 1}, zero[3] = {0, 0, 0};
    struct grid g = grid_make(dims, one, zero);

    (void)state;
    assert_ok(volume_new(&plain, &g, VOXEL_U8));
    save(plain, 0, 9, test_path(f.ref, "a.nii"));
    save(volume_at(5), 0, 9, test_path(f.pred, "a.nii"));
    assert_ok(evaluate(&r, &f, &n));
    assert_true(noted(&n, "label-placed"));
    assert_true(evaluation_overlap(r.scores, 0, 0).dsc == 1);
    evaluate_free(&r);
    notes_clear(&n);
}

static void missing_and_extra(void **state)
{
    struct folders f = make_folders();
    struct evaluate_result r = {0};
    struct notes n = {0};

    (void)state;
    save(volume_at(3), 0, 9, test_path(f.ref, "a.nii.gz"));
    save(volume_at(3), 0, 9, test_path(f.ref, "b.nii.gz"));
    save(volume_at(3), 0, 9, test_path(f.pred, "a.nii"));
    save(volume_at(3), 0, 9, test_path(f.pred, "c.nii"));
    assert_ok(file_write(test_path(f.pred, "result.json"), "{}", 2));
    assert_ok(evaluate(&r, &f, &n));
    assert_int_equal(r.scores->count, 2);
    assert_int_equal(evaluation_missing(r.scores), 1);
    assert_true(evaluation_overlap(r.scores, 0, 0).dsc == 1 && evaluation_overlap(r.scores, 1, 0).dsc == 0);
    assert_int_equal(r.extras, 1);
    assert_string_equal(r.extra[0], "c.nii");
    assert_true(noted(&n, "extra-prediction") && noted(&n, "no-prediction"));
    evaluate_free(&r);
    notes_clear(&n);
    assert_survives_exhaustion(evaluate(&r, &f, NULL), evaluate_free(&r));
}

static void bad_folders(void **state)
{
    struct folders f = make_folders();
    struct evaluate_result r = {0};
    struct volume *v = volume_at(3);

    (void)state;
    assert_err(evaluate(&r, &f, NULL), ERR_INPUT, "no label file");
    save(volume_at(3), 0, 9, test_path(f.ref, "a.nii"));
    ((uint8_t *)v->data)[3] = 5;
    save(v, 9, 12, test_path(f.pred, "a.nii"));
    assert_err(evaluate(&r, &f, NULL), ERR_INPUT, "5 found, expected 0 to 2");
    save(volume_at(3), 0, 9, test_path(f.pred, "a.nii.gz"));
    assert_err(evaluate(&r, &f, NULL), ERR_INPUT, "remove one");
    f.pred = "no/such/folder";
    assert_err(evaluate(&r, &f, NULL), ERR_USAGE, "no/such/folder");
    f.pred = test_path(f.ref, "a.nii");
    assert_err(evaluate(&r, &f, NULL), ERR_USAGE, "is a file but");
    f.ref = f.pred;
    assert_ok(evaluate(&r, &f, NULL));
    assert_true(r.scores->count == 1 && !strcmp(r.scores->item[0].name, "a"));
    evaluate_free(&r);
}

static void label_names_of_a_data_set(void **state)
{
    static const char *const bad[][2] = {
        {"{}", "labels"},
        {"{\"labels\": {\"background\": 0}}", "no label but background"},
        {"{\"labels\": {\"liver\": 1, \"other\": 1}}", "named twice"},
        {"{\"labels\": {\"liver\": 2}}", "1 has no name"},
        {"{\"labels\": {\"liver\": 99}}", "expected 0 to"},
        {"{\"labels\": {\"liver\": [1, 2]}}", "regions"},
    };
    static const char *const good[] = {
        "{\"labels\": {\"background\": 0, \"liver\": 1, \"cancer\": 2}}",
        "{\"labels\": {\"0\": \"background\", \"1\": \"liver\", \"2\": \"cancer\"}}"};
    struct label_names n = {0};
    json_t *j;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_ok(json_parse(&j, good[i], strlen(good[i]), "d"));
        assert_ok(label_names_parse(&n, j, "d"));
        assert_int_equal(n.count, 2);
        assert_string_equal(n.name[2], "cancer");
        label_names_free(&n);
        json_decref(j);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_ok(json_parse(&j, bad[i][0], strlen(bad[i][0]), "d"));
        assert_err(label_names_parse(&n, j, "d"), ERR_INPUT, bad[i][1]);
        json_decref(j);
    }
}

static void no_notes(const struct cli *cli)
{
    (void)cli;
}

/* The command: summary.json is written, a missing prediction gives ERR_CASES with its name, and names come
 * from dataset.json. */
static void the_command(void **state)
{
    struct folders f = make_folders();
    struct notes n = {0};
    struct cli_common common = {.json = true};
    struct cli cli = {.common = &common,
                      .command_line = "d4m evaluate",
                      .arena = arena_new(),
                      .notes = &n,
                      .show_notes = no_notes};
    char *argv[] = {(char[]){"--pred"}, (char *)(uintptr_t)f.pred,
                    (char[]){"--ref"},  (char *)(uintptr_t)f.ref,
                    (char[]){"-o"},     (char *)(uintptr_t)f.out};
    void *config = arena_alloc(cli.arena, 1, cmd_evaluate.cfg_size);
    json_t *j = NULL;
    const char *labels = "{\"phantom\": {}, \"labels\": {\"background\": 0, \"liver\": 1, \"cyst\": 2}}";

    (void)state;
    assert_ok(file_write(test_path(f.root, "dataset.json"), labels, strlen(labels)));
    save(volume_at(3), 0, 9, test_path(f.ref, "a.nii.gz"));
    save(volume_at(3), 0, 9, test_path(f.pred, "a.nii.gz"));
    assert_ok(cfg_defaults(cmd_evaluate.table, config, cli.arena));
    assert_ok(cfg_parse(cmd_evaluate.table, config, cli.arena, 6, argv));
    assert_ok(cmd_evaluate.run(&cli, config));
    assert_ok(json_read(&j, test_path(f.out, "summary.json")));
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(json_object_get(j, "d4m"), "label_names"), 1)),
        "cyst");
    assert_string_equal(json_string_value(json_object_get(json_object_get(j, "d4m"), "phantom")),
                        PHANTOM_SENTENCE);
    json_decref(j);
    save(volume_at(3), 0, 9, test_path(f.ref, "lost.nii.gz"));
    assert_err(cmd_evaluate.run(&cli, config), ERR_CASES, "lost");
    assert_ok(json_read(&j, test_path(f.out, "summary.json")));
    assert_int_equal(json_array_size(json_object_get(j, "metric_per_case")), 2);
    json_decref(j);
    notes_clear(&n);
    arena_free(cli.arena);
}

/* A shifted copy of the real labels scores what counting says, and the tumour's identities hold. */
static void a_real_case(void **state)
{
    static const char path[] = D4M_SOURCE_DIR "/../shared/data/hcc-005-small/labelsTr/hcc005.nii.gz";
    struct folders f = make_folders();
    struct evaluate_result r = {0};
    struct nifti_options o = {.positions_matter = true};
    struct volume *v = NULL, *moved = NULL;
    struct overlap s;
    int64_t n;

    (void)state;
    if (!file_exists(path)) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    assert_ok(nifti_load_labels(&v, path, &o, NULL));
    assert_ok(volume_new(&moved, &v->grid, VOXEL_U8));
    n = grid_count(&v->grid);
    memcpy((uint8_t *)moved->data + 2, v->data, (size_t)n - 2);
    assert_ok(nifti_save(moved, v, test_path(f.pred, "hcc005.nii.gz")));
    assert_ok(evaluate_run(&r, &(struct evaluate_options){.pred = f.pred, .ref = path}, NULL));
    s = evaluation_overlap(r.scores, 0, 2);
    assert_true(s.dsc > 0.85 && s.dsc < 0.99 && s.jac < s.dsc);
    assert_true(r.scores->item[0].lesions.reference == 3 && r.scores->item[0].lesions.detected == 3);
    s = evaluation_overlap(r.scores, 0, 0);
    assert_true(s.dsc > 0.95);
    evaluate_free(&r);
    volume_free(v);
    volume_free(moved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(storage_order_does_not_matter),
                                       cmocka_unit_test(other_grids_are_refused),
                                       cmocka_unit_test(a_mask_without_position),
                                       cmocka_unit_test(missing_and_extra),
                                       cmocka_unit_test(bad_folders),
                                       cmocka_unit_test(label_names_of_a_data_set),
                                       cmocka_unit_test(the_command),
                                       cmocka_unit_test(a_real_case)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
