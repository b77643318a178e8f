/* The set of cases: means over cases, pooled values, summary.json and back, the table. */
#include "test.h"

#include "base/json.h"
#include "base/mem.h"
#include "eval/score.h"
#include <math.h>

static const char *const names[] = {NULL, "liver", "tumour"};
#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-12)

/* 10 x 10 x 1 voxels of 2 x 2 x 5 mm (0.02 ml); columns x0 <= x < x1 of the first row are `label`. */
static struct volume *strip(int x0, int x1, uint8_t label)
{
    const int64_t dims[3] = {10, 10, 1};
    const double spacing[3] = {2, 2, 5}, origin[3] = {0, 0, 0};
    struct grid g = grid_make(dims, spacing, origin);
    struct volume *v = NULL;

    assert_ok(volume_new(&v, &g, VOXEL_U8));
    for (int x = x0; x < x1; x++)
        ((uint8_t *)v->data)[x] = label;
    return v;
}

static void add(struct evaluation *e, const char *name, struct volume *r, struct volume *p)
{
    assert_ok(evaluation_add(e, &(struct score_files){name, "ref.nii.gz", p ? "pred.nii.gz" : NULL}, r, p));
    volume_free(r);
    volume_free(p);
}

/* Four cases: half right, perfect, both without tumour, prediction missing. */
static struct evaluation *sample(void)
{
    struct evaluation *e = NULL;

    assert_ok(evaluation_new(&e, 2, names, EMPTY_EXCLUDE));
    add(e, "a", strip(0, 4, 2), strip(2, 6, 2));
    add(e, "b", strip(0, 8, 2), strip(0, 8, 2));
    add(e, "<c> \xFF", strip(0, 3, 1), strip(0, 3, 1));
    add(e, "d", strip(0, 2, 2), NULL);
    return e;
}

static void means_and_pooled(void **state)
{
    struct evaluation *e = sample();
    struct region_summary s;
    struct lesion_counts l = evaluation_lesions(e);

    (void)state;
    assert_int_equal(e->regions, 3);
    assert_string_equal(e->region[1].name, "liver only");
    assert_ok(evaluation_region(e, 2, &s));
    assert_true(s.score[SCORE_DSC].n == 3 && s.score[SCORE_DSC].undefined == 1);
    NEAR(s.score[SCORE_DSC].mean, (0.5 + 1 + 0) / 3);
    assert_true(s.score[SCORE_PRE].n == 2 && s.score[SCORE_SE].n == 3);
    assert_true(s.pooled.tp == 10 && s.pooled.fp == 2 && s.pooled.fn == 4 && s.pooled.tn == 384);
    NEAR(s.pooled_overlap.dsc, 20. / 26);
    NEAR(s.pooled_overlap.jac, s.pooled_overlap.dsc / (2 - s.pooled_overlap.dsc));
    assert_ok(evaluation_region(e, 0, &s));
    assert_true(s.score[SCORE_DSC].n == 4);
    assert_true(l.reference == 3 && l.predicted == 2 && l.detected == 2 && l.false_positive == 0);
    assert_int_equal(evaluation_missing(e), 1);
    NEAR(e->item[0].voxel_ml, 0.02);
    evaluation_free(e);
}

static double number_at(const json_t *o, const char *a, const char *b)
{
    return json_number_value(json_object_get(json_object_get(o, a), b));
}

static void summary_has_nnunets_shape(void **state)
{
    struct evaluation *e = sample();
    char *extra[] = {(char[]){"x.nii.gz"}};
    json_t *j = evaluation_json(e, extra, 1), *cases, *first, *ours;
    char *text = json_text(j);

    (void)state;
    assert_non_null(j);
    assert_null(strstr(text, "NaN"));
    cases = json_object_get(j, "metric_per_case");
    assert_int_equal(json_array_size(cases), 4);
    first = json_array_get(cases, 0);
    assert_string_equal(json_string_value(json_object_get(first, "reference_file")), "ref.nii.gz");
    NEAR(number_at(json_object_get(first, "metrics"), "2", "Dice"), 0.5);
    assert_true(number_at(json_object_get(first, "metrics"), "2", "n_ref") == 4);
    assert_true(
        json_is_integer(json_object_get(json_object_get(json_object_get(first, "metrics"), "2"), "TP")));
    assert_true(json_is_null(json_object_get(json_array_get(cases, 3), "prediction_file")));
    assert_true(json_is_null(
        json_object_get(json_object_get(json_object_get(json_array_get(cases, 2), "metrics"), "2"), "Dice")));
    NEAR(number_at(json_object_get(j, "mean"), "2", "Dice"), 0.5);
    NEAR(json_number_value(json_object_get(json_object_get(j, "foreground_mean"), "TP")),
         (3. / 4 + 10. / 4) / 2);
    ours = json_object_get(j, "d4m");
    assert_string_equal(json_string_value(json_object_get(ours, "empty_policy")), "exclude");
    assert_int_equal(json_array_size(json_object_get(ours, "missing_predictions")), 1);
    assert_int_equal(json_array_size(json_object_get(ours, "extra_predictions")), 1);
    mem_free(text);
    json_decref(j);
    evaluation_free(e);
}

static void summary_reads_back(void **state)
{
    struct evaluation *e = sample(), *f = NULL;
    const char *path = test_path(test_folder(), "summary.json");
    json_t *j, *k;

    (void)state;
    e->phantom = true;
    j = evaluation_json(e, NULL, 0);
    assert_ok(json_write(j, path));
    assert_ok(evaluation_read(&f, path));
    assert_true(f->count == 4 && f->labels == 2 && f->policy == EMPTY_EXCLUDE && f->phantom);
    assert_null(f->item[3].prediction);
    assert_string_equal(f->item[2].name, "<c> \xEF\xBF\xBD");
    k = evaluation_json(f, NULL, 0);
    assert_true(json_equal(j, k));
    evaluation_free(f);
    assert_survives_exhaustion(evaluation_read(&f, path), evaluation_free(f));
    json_decref(j);
    json_decref(k);
    evaluation_free(e);
}

/* Each broken summary is refused with the name of what is wrong, never half read. */
static void broken_summaries(void **state)
{
    static const char *const row[][2] = {
        {"{}", "d4m"},
        {"{\"d4m\": 3, \"metric_per_case\": []}", "empty_policy"},
        {"{\"d4m\": {\"empty_policy\": \"maybe\"}, \"metric_per_case\": []}", "maybe"},
        {"{\"d4m\": {\"empty_policy\": \"one\", \"label_names\": []}, \"metric_per_case\": []}",
         "label_names"},
        {"{\"d4m\": {\"empty_policy\": \"one\", \"label_names\": [7]}, \"metric_per_case\": []}",
         "label_names"},
        {"{\"d4m\": {\"empty_policy\": \"one\", \"label_names\": [\"a\"]}, \"metric_per_case\": [{}]}",
         "d4m"},
        {"{\"d4m\": {\"empty_policy\": \"one\", \"label_names\": [\"a\"]}, \"metric_per_case\": "
         "[{\"prediction_file\": "
         "null, \"reference_file\": \"r\", \"d4m\": {\"case\": \"c\", \"voxel_ml\": 1, \"lesions\": {}, "
         "\"regions\": "
         "{\"1\": {\"TP\": -1}}}}]}",
         "TP"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct evaluation *e = NULL;
        json_t *j = NULL;

        assert_ok(json_parse(&j, row[i][0], strlen(row[i][0]), "s.json"));
        assert_err(evaluation_from_json(&e, j, "s.json"), ERR_INPUT, row[i][1]);
        assert_null(e);
        json_decref(j);
    }
}

static void wrong_labels_change_nothing(void **state)
{
    struct evaluation *e = NULL;
    struct volume *r = strip(0, 4, 3), *p = strip(0, 4, 1);
    struct score_files files = {"a", "ref.nii.gz", "pred.nii.gz"};

    (void)state;
    assert_err(evaluation_new(&e, 0, names, EMPTY_ZERO), ERR_INPUT, "foreground labels");
    assert_ok(evaluation_new(&e, 2, names, EMPTY_ZERO));
    assert_err(evaluation_add(e, &files, r, p), ERR_INPUT, "ref.nii.gz: label values 0, 3");
    assert_err(evaluation_add(e, &files, p, r), ERR_INPUT, "pred.nii.gz: label values 0, 3");
    assert_int_equal(e->count, 0);
    assert_survives_exhaustion(evaluation_add(e, &files, p, p), assert_int_equal(e->count, 1));
    volume_free(r);
    volume_free(p);
    evaluation_free(e);
}

static void table_says_it_all(void **state)
{
    static const char *const part[] = {"liver (labels 1-2)",
                                       "liver only (label 1)",
                                       "tumour (label 2)",
                                       "0.5000 \xC2\xB1 0.5000",
                                       "no prediction: scored as empty",
                                       "n = 4",
                                       "policy \"exclude\"",
                                       "26-connected",
                                       "2 of 3 detected",
                                       "n 3/3/3/2",
                                       "95 % CI",
                                       "min-max",
                                       "0.0000-1.0000",
                                       PHANTOM_SENTENCE};
    struct evaluation *e = sample();
    struct str table = {0};

    (void)state;
    e->phantom = true;
    assert_ok(evaluation_table(e, &table));
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        if (!strstr(table.s, part[i]))
            fail_msg("\"%s\" is not in\n%s", part[i], table.s);
    assert_null(strstr(table.s, "nan"));
    assert_null(strchr(table.s, '\xFF'));
    str_free(&table);
    evaluation_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(means_and_pooled),
                                       cmocka_unit_test(summary_has_nnunets_shape),
                                       cmocka_unit_test(summary_reads_back),
                                       cmocka_unit_test(broken_summaries),
                                       cmocka_unit_test(wrong_labels_change_nothing),
                                       cmocka_unit_test(table_says_it_all)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
