#include "test.h"

#include "base/file.h"
#include "base/mem.h"
#include "data/cases.h"

static void put(const char *folder, const char *name, const char *text)
{
    char path[512], *slash;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    slash = strrchr(path, '/');
    *slash = 0;
    assert_ok(folder_make(path));
    *slash = '/';
    assert_ok(file_write(path, text, strlen(text)));
}

static const char four[] =
    "{\"phase_names\": {\"0\": \"noncontrast\", \"1\": \"arterial\", \"2\": \"portal_venous\", \"3\": "
    "\"delayed\"}, \"channel_names\": {\"0\": \"CT\"}, \"labels\": {\"background\": 0, \"liver\": 1, "
    "\"tumour\": 2}, \"numTraining\": 3, \"file_ending\": \".nii.gz\"}";

static bool noted(const struct notes *n, const char *name)
{
    for (size_t i = 0; i < n->count; i++)
        if (!strcmp(n->item[i].name, name))
            return true;
    return false;
}

static void phases_have_many_names(void **state)
{
    const struct {
        const char *name;
        enum phase phase;
    } rows[] = {{"NC", PHASE_NONCONTRAST},
                {"Non-contrast", PHASE_NONCONTRAST},
                {"plain phase", PHASE_NONCONTRAST},
                {"pre-contrast", PHASE_NONCONTRAST},
                {"ART", PHASE_ARTERIAL},
                {"CT arterial", PHASE_ARTERIAL},
                {"PVP", PHASE_PORTAL},
                {"portal_venous", PHASE_PORTAL},
                {"Portal Venous Phase", PHASE_PORTAL},
                {"venous", PHASE_PORTAL},
                {"DELAY", PHASE_DELAYED},
                {"equilibrium", PHASE_DELAYED},
                {"CT", PHASE_UNKNOWN},
                {"", PHASE_UNKNOWN},
                {"T1", PHASE_UNKNOWN}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (phase_find(rows[i].name) != rows[i].phase)
            fail_msg("%s is %d", rows[i].name, phase_find(rows[i].name));
    for (int p = 0; p < PHASE_KINDS; p++)
        assert_int_equal(phase_find(phase_text((enum phase)p)), p);
}

static void a_dataset_lists_its_cases(void **state)
{
    const char *f = test_folder();
    struct case_list *l = NULL;
    struct notes n = {0};
    struct arena *a = arena_new();
    struct plan p = {0};

    (void)state;
    put(f, "dataset.json", four);
    put(f, "imagesTr/b_0002.nii.gz", "");
    put(f, "imagesTr/b_0000.nii.gz", "");
    put(f, "imagesTr/a_0002.nii", "");
    put(f, "imagesTr/c_0001.nii.gz", "");
    put(f, "imagesTr/d_0002.nii.gz", "");
    put(f, "imagesTr/._b_0000.nii.gz", "");
    put(f, "imagesTr/notes.txt", "");
    put(f, "labelsTr/a.nii.gz", "");
    put(f, "labelsTr/b.nii.gz", "");
    put(f, "labelsTr/c.nii.gz", "");
    put(f, "labelsTr/lonely.nii.gz", "");
    assert_ok(case_list_read(&l, f, CASES_TRAIN, &n));
    assert_int_equal(l->count, 4);
    assert_string_equal(l->item[0].name, "a");
    assert_string_equal(path_base(l->item[1].phase[0]), "b_0000.nii.gz");
    assert_true(!l->item[1].phase[1] && l->item[1].phase[2] && l->item[1].label && !l->item[1].bad);
    assert_int_equal(l->item[1].reference, 2);
    assert_int_equal(l->item[2].reference, 1);
    assert_string_equal(l->item[2].bad, "no portal venous phase");
    assert_non_null(strstr(l->item[3].bad, "no label"));
    assert_int_equal(l->classes, 3);
    assert_string_equal(l->class_name[2], "tumour");
    assert_true(noted(&n, "file-ignored") && noted(&n, "label-without-image") && noted(&n, "num-training"));
    assert_ok(case_list_plan(l, &p, a));
    assert_string_equal(p.phase_names, "noncontrast,arterial,portal_venous,delayed");
    assert_string_equal(p.reference, "portal_venous");
    assert_err(case_list_require(l, false, &n), ERR_INPUT, "c: no portal venous phase; d: no label");
    assert_int_equal(l->count, 4);
    assert_ok(case_list_require(l, true, &n));
    assert_int_equal(l->count, 2);
    case_list_free(l);
    notes_clear(&n);
    arena_free(a);
}

/* Each text makes case_list_read fail with a message that holds the second string. */
static void broken_datasets_are_refused(void **state)
{
#define REST "\"labels\": {\"background\": 0, \"liver\": 1}, \"file_ending\": \".nii.gz\"}"
#define CHANNEL "{\"channel_names\": {\"0\": \"venous\"}, "
    const char *const rows[][2] = {
        {"[]", "object"},
        {"{", "dataset.json"},
        {"{" REST, "channel_names"},
        {"{\"channel_names\": {}, " REST, "channels"},
        {"{\"channel_names\": {\"0\": \"CT\", \"1\": \"CT\"}, " REST, "no phase"},
        {"{\"channel_names\": {\"0\": \"ART\", \"1\": \"arterial\"}, " REST, "same phase"},
        {"{\"channel_names\": {\"0\": \"ART\", \"1\": \"NC\"}, " REST, "portal venous"},
        {"{\"channel_names\": {\"1\": \"ART\"}, " REST, "channel 0"},
        {CHANNEL "\"file_ending\": \".nii.gz\"}", "no labels"},
        {CHANNEL "\"labels\": {\"liver\": 1, \"tumour\": 2}}", "must be 0"},
        {CHANNEL "\"labels\": {\"background\": 0, \"tumour\": 2}}", "follow"},
        {CHANNEL "\"labels\": {\"background\": 0, \"a\": 1, \"b\": 1}}", "both"},
        {CHANNEL "\"labels\": {\"background\": 0, \"a\": [1, 2]}}", "regions"},
        {CHANNEL "\"labels\": {\"background\": 0, \"a\": 1, \"ignore\": 2}}", "ignore"},
        {CHANNEL "\"labels\": {\"background\": 0, \"a\": 255}}", "255"},
        {CHANNEL "\"labels\": {\"background\": 0, \"a\": 1, \"a\": 1}}", "dataset.json"},
        {CHANNEL "\"labels\": {\"background\": 0, \"liver\": 1}, \"file_ending\": \".mha\"}", ".mha"},
    };
    const char *f = test_folder();
    struct case_list *l = NULL;

    (void)state;
    assert_err(case_list_read(&l, "no/such/folder", CASES_TRAIN, NULL), ERR_USAGE, "no/such/folder");
    assert_err(case_list_read(&l, f, CASES_TRAIN, NULL), ERR_INPUT, "dataset.json");
    put(f, "imagesTr/a_0000.nii.gz", "");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum err err;

        put(f, "dataset.json", rows[i][0]);
        err = case_list_read(&l, f, CASES_TRAIN, NULL);
        if ((err != ERR_INPUT && err != ERR_CORRUPT) || !strstr(err_text(), rows[i][1]))
            fail_msg("%s: error %d: %s", rows[i][0], (int)err, err_text());
    }
    put(f, "dataset.json", CHANNEL REST);
    put(f, "imagesTr/a_0000.nii", "");
    assert_err(case_list_read(&l, f, CASES_TRAIN, NULL), ERR_INPUT, "both channel 0");
    assert_null(l);
}

static void old_keys_are_understood(void **state)
{
    const char *f = test_folder();
    struct case_list *l = NULL;
    struct notes n = {0};

    (void)state;
    put(f, "dataset.json",
        "\xef\xbb\xbf{\"modality\": {\"0\": \"CT\"}, \"labels\": {\"0\": \"background\", \"1\": \"liver\", "
        "\"2\": \"cancer\"}, "
        "\"numTraining\": 1, \"training\": []}");
    put(f, "imagesTr/liver_0.nii.gz", "");
    put(f, "labelsTr/liver_0.nii.gz", "");
    assert_ok(case_list_read(&l, f, CASES_TRAIN, &n));
    assert_int_equal(l->count, 1);
    assert_string_equal(l->item[0].name, "liver_0");
    assert_true(l->item[0].label && !l->item[0].bad && l->phases.portal == 0 &&
                l->phases.kind[0] == PHASE_PORTAL);
    assert_string_equal(l->class_name[2], "cancer");
    assert_true(noted(&n, "dataset-v1") && noted(&n, "phase-assumed") && noted(&n, "file-ending-missing"));
    case_list_free(l);
    notes_clear(&n);
}

static void an_explicit_map_replaces_folders(void **state)
{
    const char *f = test_folder();
    struct case_list *l = NULL;

    (void)state;
    put(f, "dataset.json",
        "{\"channel_names\": [\"NC\", \"PV\"], \"labels\": {\"background\": 0, \"liver\": 1}, "
        "\"numTraining\": 1, "
        "\"file_ending\": \".nii.gz\", \"dataset\": {\"x\": {\"images\": [null, \"../y/pv.nii.gz\"], "
        "\"label\": \"/z.nii\"}}}");
    assert_ok(case_list_read(&l, f, CASES_TRAIN, NULL));
    assert_int_equal(l->count, 1);
    assert_true(!l->item[0].phase[0] && !l->item[0].bad);
    assert_non_null(strstr(l->item[0].phase[1], "/../y/pv.nii.gz"));
    assert_string_equal(l->item[0].label, "/z.nii");
    case_list_free(l);
}

static enum err read_once(const char *folder)
{
    struct case_list *l = NULL;
    enum err err = case_list_read(&l, folder, CASES_TRAIN, NULL);

    case_list_free(l);
    return err;
}

static void exhaustion_is_an_error(void **state)
{
    const char *f = test_folder();

    (void)state;
    put(f, "dataset.json", four);
    put(f, "imagesTr/a_0002.nii.gz", "");
    put(f, "imagesTr/b_0002.nii.gz", "");
    put(f, "labelsTr/a.nii.gz", "");
    assert_survives_exhaustion(read_once(f), (void)0);
}

static struct phase_map model(struct arena *a, const char *names)
{
    struct phase_map m = {0};

    assert_ok(phase_map_parse(&m, a, names));
    return m;
}

#define FIND(l, m, phase_name, ...)                                                                          \
    case_list_find(                                                                                          \
        (l), (m),                                                                                            \
        &(struct case_query){.path = (const char *const[]){__VA_ARGS__},                                     \
                             .count = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *),           \
                             .phase = (phase_name)},                                                         \
        NULL)

static void files_prefixes_and_folders_are_found(void **state)
{
    const char *f = test_folder();
    struct arena *a = arena_new();
    struct phase_map m = model(a, "noncontrast,arterial,portal_venous,delayed");
    struct case_list *l = NULL;

    (void)state;
    put(f, "a_0001.nii.gz", "");
    put(f, "a_0003.nii.gz", "");
    put(f, "b_0002.nii.gz", "");
    put(f, "scan.nii.gz", "");
    /* one file is one phase, several files of a case are one case */
    assert_ok(FIND(&l, &m, NULL, test_path(f, "a_0001.nii.gz")));
    assert_true(l->count == 1 && l->item[0].phase[1] && !l->item[0].phase[3] && l->item[0].reference == 1);
    case_list_free(l);
    assert_ok(FIND(&l, &m, NULL, test_path(f, "a_0003.nii.gz"), test_path(f, "a_0001.nii.gz")));
    assert_true(l->count == 1 && l->item[0].phase[1] && l->item[0].phase[3]);
    case_list_free(l);
    /* a prefix is the whole case */
    assert_ok(FIND(&l, &m, NULL, test_path(f, "a")));
    assert_true(l->count == 1 && l->item[0].phase[1] && l->item[0].phase[3]);
    case_list_free(l);
    assert_err(FIND(&l, &m, NULL, test_path(f, "c")), ERR_USAGE, "no such file");
    /* a name without a channel */
    assert_err(FIND(&l, &m, NULL, test_path(f, "scan.nii.gz")), ERR_USAGE, "--phase");
    assert_err(FIND(&l, &m, "T1", test_path(f, "scan.nii.gz")), ERR_USAGE, "T1");
    assert_err(FIND(&l, &m, NULL, f), ERR_USAGE, "--phase");
    assert_ok(FIND(&l, &m, "ART", test_path(f, "scan.nii.gz")));
    assert_true(l->count == 1 && l->item[0].phase[1] && !strcmp(l->item[0].name, "scan"));
    case_list_free(l);
    assert_ok(FIND(&l, &m, "delayed", f));
    assert_true(l->count == 3 && l->item[2].phase[3] && l->item[1].reference == 2);
    case_list_free(l);
    put(f, "a_0004.nii.gz", "");
    l = NULL;
    assert_err(FIND(&l, &m, "pv", f), ERR_INPUT, "channel 4");
    assert_null(l);
    arena_free(a);
}

static void patients_may_have_folders(void **state)
{
    const char *f = test_folder(), *g = test_folder();
    struct arena *a = arena_new();
    struct phase_map m = model(a, "noncontrast,arterial,portal_venous,delayed");
    struct case_list *l = NULL;

    (void)state;
    put(f, "p1/arterial.nii.gz", "");
    put(f, "p1/PV.nii.gz", "");
    put(f, "p2/p2_delayed.nii.gz", "");
    assert_ok(FIND(&l, &m, NULL, f));
    assert_int_equal(l->count, 2);
    assert_true(!strcmp(l->item[0].name, "p1") && l->item[0].phase[1] && l->item[0].phase[2] &&
                l->item[0].reference == 2);
    assert_true(!strcmp(l->item[1].name, "p2") && l->item[1].phase[3]);
    case_list_free(l);
    put(g, "x/a_0000.nii.gz", "");
    put(g, "y/a_0000.nii.gz", "");
    assert_err(FIND(&l, &m, NULL, g), ERR_USAGE, "two cases are called a");
    arena_free(a);
}

/* The data set counts its channels in another order than the model. */
static void the_datasets_order_counts(void **state)
{
    const char *f = test_folder();
    struct arena *a = arena_new();
    struct phase_map m = model(a, "noncontrast,arterial,portal_venous");
    struct case_list *l = NULL;

    (void)state;
    put(f, "dataset.json", "{\"channel_names\": {\"0\": \"PV\", \"1\": \"delayed\", \"2\": \"NC\"}}");
    put(f, "imagesTs/a_0000.nii.gz", "");
    put(f, "imagesTs/a_0001.nii.gz", "");
    put(f, "imagesTs/a_0002.nii.gz", "");
    assert_ok(FIND(&l, &m, NULL, f));
    assert_int_equal(l->count, 1);
    assert_string_equal(path_base(l->item[0].phase[2]), "a_0000.nii.gz");
    assert_string_equal(path_base(l->item[0].phase[0]), "a_0002.nii.gz");
    assert_null(l->item[0].phase[1]);
    case_list_free(l);
    arena_free(a);
}

/* A list of n cases called 000, 001, ... */
static void numbered(struct case_list *l, struct case_files *items, char names[][24], size_t n)
{
    *l = (struct case_list){.item = items, .count = n};
    for (size_t i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "%03zu", i);
        items[i] = (struct case_files){.name = names[i]};
    }
}

static void folds_are_nnunets(void **state)
{
    static const struct {
        size_t n;
        int fold;
        size_t count, val[32];
    } rows[] = {
        {10, 0, 2, {0, 7}},
        {10, 1, 2, {3, 9}},
        {10, 4, 2, {2, 5}},
        {27, 0, 6, {8, 10, 12, 18, 21, 23}},
        {27, 2, 5, {0, 6, 7, 11, 22}},
        {29, 3, 6, {14, 17, 24, 26, 27, 28}},
        {29, 4, 5, {1, 2, 4, 5, 9}},
        {36, 1, 7, {8, 12, 15, 19, 20, 24, 31}},
        {45, 0, 9, {8, 12, 20, 21, 26, 30, 32, 33, 39}},
        {131, 0, 27, {4,  13, 16, 19, 24, 25, 33, 40, 42, 48, 49,  51,  54, 63,
                      66, 67, 68, 70, 76, 78, 79, 85, 92, 99, 104, 106, 112}},
    };
    struct case_list l;
    struct case_files items[131];
    char names[131][24];

    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        struct split s = {0};

        numbered(&l, items, names, rows[r].n);
        assert_ok(split_make(&s, &l, NULL, rows[r].fold, NULL));
        assert_int_equal(s.vals, rows[r].count);
        assert_int_equal(s.trains, rows[r].n - rows[r].count);
        for (size_t i = 0; i < s.vals; i++)
            assert_int_equal(s.val[i], rows[r].val[i]);
        split_free(&s);
    }
}

static void few_cases_are_all_used(void **state)
{
    struct case_list l;
    struct case_files items[10];
    char names[10][24];
    struct split s = {0};
    struct notes n = {0};

    (void)state;
    numbered(&l, items, names, 4);
    assert_ok(split_make(&s, &l, NULL, 2, &n));
    assert_true(s.trains == 4 && s.vals == 4 && noted(&n, "fold-all"));
    split_free(&s);
    numbered(&l, items, names, 10);
    assert_ok(split_make(&s, &l, NULL, FOLD_ALL, NULL));
    assert_true(s.trains == 10 && s.vals == 10);
    split_free(&s);
    assert_ok(split_make(&s, &l, NULL, 7, NULL)); /* no such fold: 80:20 */
    assert_true(s.trains == 8 && s.vals == 2);
    split_free(&s);
    notes_clear(&n);
}

static void a_splits_file_is_honoured(void **state)
{
    const char *f = test_folder();
    struct case_list l;
    struct case_files items[4];
    char names[4][24];
    struct split s = {0};

    (void)state;
    numbered(&l, items, names, 4);
    put(f, "splits_final.json",
        "[{\"train\": [\"003\", \"000\"], \"val\": [\"002\"]}, {\"train\": [\"9\"], \"val\": []}, "
        "{\"train\": [\"001\"], \"val\": [\"001\"]}, {\"train\": 1}]");
    assert_ok(split_make(&s, &l, f, 0, NULL));
    assert_true(s.trains == 2 && s.train[0] == 0 && s.train[1] == 3 && s.vals == 1 && s.val[0] == 2);
    split_free(&s);
    assert_err(split_make(&s, &l, f, 1, NULL), ERR_INPUT, "does not have");
    assert_err(split_make(&s, &l, f, 2, NULL), ERR_INPUT, "in train and in val");
    assert_err(split_make(&s, &l, f, 3, NULL), ERR_INPUT, "expected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_have_many_names),
        cmocka_unit_test(a_dataset_lists_its_cases),
        cmocka_unit_test(broken_datasets_are_refused),
        cmocka_unit_test(old_keys_are_understood),
        cmocka_unit_test(an_explicit_map_replaces_folders),
        cmocka_unit_test(exhaustion_is_an_error),
        cmocka_unit_test(files_prefixes_and_folders_are_found),
        cmocka_unit_test(patients_may_have_folders),
        cmocka_unit_test(the_datasets_order_counts),
        cmocka_unit_test(folds_are_nnunets),
        cmocka_unit_test(few_cases_are_all_used),
        cmocka_unit_test(a_splits_file_is_honoured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
