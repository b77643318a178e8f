/* The report: well-formed, self-contained, everything escaped, and it says what it must. */
#include "test.h"
#include "html_check.h"
#include "leak.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/plan.h"
#include "eval/score.h"
#include "lab/report.h"
#include "lab/report_command.h"
#include "lab/report_sources.h"
#include "volume/nifti.h"
#include <sys/stat.h>

#define EVIL "<script>alert('1')</script>&\"\xFF"

static struct volume *volume_of(enum voxel type)
{
    const int64_t dims[3] = {20, 18, 16};
    const double spacing[3] = {2, 2, 3}, origin[3] = {0, 0, 0};
    struct grid g = grid_make(dims, spacing, origin);
    struct volume *v = NULL;

    assert_ok(volume_new(&v, &g, type));
    return v;
}

/* A mask with liver from x0 on and a lesion in it. */
static void write_mask(const char *path, int x0)
{
    struct volume *v = volume_of(VOXEL_U8);
    uint8_t *label = v->data;

    for (int64_t i = 0; i < grid_count(&v->grid); i++) {
        int64_t x = i % 20, y = i / 20 % 18, z = i / 360;

        if (x >= x0 && x < x0 + 10 && y > 3 && y < 14 && z > 3 && z < 12)
            label[i] = x < x0 + 4 && y < 8 && z < 8 ? 2 : 1;
    }
    assert_ok(nifti_save(v, NULL, path));
    volume_free(v);
}

static void write_image(const char *path)
{
    struct volume *v = volume_of(VOXEL_I16);

    for (int64_t i = 0; i < grid_count(&v->grid); i++)
        ((int16_t *)v->data)[i] = (int16_t)(i % 97);
    assert_ok(nifti_save(v, NULL, path));
    volume_free(v);
}

static void write_text(const char *path, const char *text)
{
    assert_ok(file_write(path, text, strlen(text)));
}

/* A data set of two cases, a work folder with model, predictions and evaluation. */
struct scene {
    const char *folder, *data, *work, *summary;
    const char *name[2];
};

static void write_plan(const char *path)
{
    struct arena *a = arena_new();
    struct plan p = {0};

    assert_ok(plan_preset(&p, a, "demo"));
    p.phases = 1;
    p.classes = 3;
    p.phase_names = "portal_venous";
    p.reference = "portal_venous";
    assert_ok(plan_write(&p, path));
    arena_free(a);
}

static void write_project(const struct scene *s)
{
    struct str b = {0};

    str_addf(&b, "{\"dataset\": \"%s\", \"command\": \"d4m train segmenter\"}", s->data);
    write_text(test_path(s->work, "project.json"), b.s);
    str_free(&b);
    write_text(
        test_path(s->work, "predictions/result.json"),
        "{\"command\": \"d4m predict\", \"cases\": [{\"case\": \"a\", \"phases_used\": [\"portal_venous\"], "
        "\"reference\": \"portal_venous\", \"notes\": [{\"name\": \"n\", \"text\": \"<i>odd</i>\"}]}]}");
}

/* An evaluation of predictions/NAME.nii against `labels`/NAME.nii of a data set. */
static void write_evaluation(const struct scene *s, const char *data, const char *labels, const char *path,
                             bool phantom)
{
    static const char *const names[] = {NULL, "liver", "tumour"};
    struct evaluation *e = NULL;
    json_t *j;

    assert_ok(evaluation_new(&e, 2, names, EMPTY_EXCLUDE));
    e->phantom = phantom;
    for (int i = 0; i < 2; i++) {
        struct volume *r = NULL, *p = NULL;
        struct nifti_options o = {0};
        char file[64];
        struct score_files f = {.name = s->name[i]};

        snprintf(file, sizeof file, "%s/%s.nii", labels, s->name[i]);
        f.reference = test_path(data, file);
        snprintf(file, sizeof file, "predictions/%s.nii", s->name[i]);
        f.prediction = test_path(s->work, file);
        assert_ok(nifti_load_labels(&r, f.reference, &o, NULL));
        assert_ok(nifti_load_labels(&p, f.prediction, &o, NULL));
        assert_ok(evaluation_add(e, &f, r, p));
        volume_free(r);
        volume_free(p);
    }
    j = evaluation_json(e, NULL, 0);
    assert_ok(json_write(j, path));
    json_decref(j);
    evaluation_free(e);
}

static void write_dataset(const char *data, const char *images, const char *labels, const struct scene *s,
                          const char *more)
{
    struct str b = {0};

    assert_ok(folder_make(test_path(data, images)));
    assert_ok(folder_make(test_path(data, labels)));
    str_addf(
        &b,
        "{\"name\": \"<toy>\", %s\"channel_names\": {\"0\": \"portal_venous\"}, \"labels\": {\"background\": "
        "0, \"liver\": 1, \"tumour\": 2}, \"numTraining\": 2, \"file_ending\": \".nii\"}",
        more);
    write_text(test_path(data, "dataset.json"), b.s);
    str_free(&b);
    for (int i = 0; i < 2; i++) {
        char file[64];

        snprintf(file, sizeof file, "%s/%s_0000.nii", images, s->name[i]);
        write_image(test_path(data, file));
        snprintf(file, sizeof file, "%s/%s.nii", labels, s->name[i]);
        write_mask(test_path(data, file), 4);
    }
}

static struct scene make_scene(void)
{
    struct scene s = {.folder = test_folder(), .name = {"a", "b'\"&<x>"}};

    s.data = test_path(s.folder, "data");
    s.work = test_path(s.folder, "work");
    s.summary = test_path(s.work, "evaluation/summary.json");
    write_dataset(s.data, "imagesTr", "labelsTr", &s, "");
    assert_ok(folder_make(test_path(s.work, "predictions")));
    assert_ok(folder_make(test_path(s.work, "evaluation")));
    assert_ok(folder_make(test_path(s.work, "models/segmenter-nnunet/fold_all")));
    for (int i = 0; i < 2; i++) {
        char file[64];

        snprintf(file, sizeof file, "predictions/%s.nii", s.name[i]);
        write_mask(test_path(s.work, file), 4 + 2 * i);
    }
    write_plan(test_path(s.work, "models/segmenter-nnunet/fold_all/plan.json"));
    write_text(test_path(s.work, "models/segmenter-nnunet/fold_all/log.jsonl"),
               "{\"epoch\": 0, \"train_loss\": 1, \"dice\": {\""
               "<b>"
               "\": 0.5}}\n{\"epoch\": 1, \"train_loss\": 0.5}\n");
    write_text(test_path(s.work, "models/segmenter-nnunet/fold_all/model.safetensors"), "weights");
    write_project(&s);
    write_evaluation(&s, s.data, "labelsTr", s.summary, false);
    return s;
}

static char *read_page(const char *path)
{
    uint8_t *text = NULL;
    size_t size = 0;
    struct html_check c;

    assert_ok(file_read(path, &text, &size));
    assert_int_equal(strlen((char *)text), size);
    if (!html_check(&c, (char *)text))
        fail_msg("%s: %s", path, c.error);
    return (char *)text;
}

static void holds(const char *page, const char *part)
{
    if (!strstr(page, part))
        fail_msg("the page lacks \"%s\"", part);
}

static size_t times(const char *page, const char *part)
{
    size_t n = 0;

    for (const char *p = strstr(page, part); p; p = strstr(p + 1, part))
        n++;
    return n;
}

static void use_sources(struct report_options *o, const struct report_sources *r)
{
    o->title = r->title;
    o->set = r->set;
    o->sets = r->sets;
    o->log = r->log;
    o->plan = r->plan;
    o->facts = r->fact;
    o->fact_count = r->facts;
    o->warnings = &r->warnings;
}

static void a_work_folder_becomes_a_page(void **state)
{
    struct scene s = make_scene();
    struct report_query q = {.work = s.work, .command_line = "d4m report -w " EVIL};
    struct report_sources r = {0};
    struct report_options o = {.path = test_path(s.folder, "new/folder/index.html")};
    char *page;

    (void)state;
    assert_ok(report_sources_find(&r, &q));
    assert_true(r.sets == 1 && r.cases == 2 && r.set[0].count == 2);
    assert_string_equal(r.set[0].name, "Evaluation");
    assert_null(r.set[0].unseen);
    assert_true(r.set[0].cases[0].training && r.set[0].cases[1].training);
    assert_string_equal(r.set[0].cases[0].used, "Predicted from portal_venous on the grid of portal_venous.");
    use_sources(&o, &r);
    assert_ok(report_write(&o));
    page = read_page(o.path);
    holds(page, "Research use only. Not a medical device. Not for clinical use.");
    holds(page, "These are the training cases.");
    holds(page, "They say nothing about generalisation");
    holds(page, "&lt;toy&gt;");
    holds(page, "prediction of a: &lt;i&gt;odd&lt;/i&gt;");
    holds(page, "b&#39;&quot;&amp;&lt;x&gt;");
    holds(page, "xxh3 ");
    holds(page, "PlainConvUNet");
    holds(page, "<polyline");
    holds(page, "1.000</td>");
    assert_int_equal(times(page, "src=\"data:image/png;base64,iVBORw0KGgo"), 2);
    assert_null(strstr(page, "<script"));
    assert_null(strchr(page, '\xFF'));
    /* the case with the lower lesion DSC comes first */
    assert_true(strstr(page, "Phases and planes of case b") < strstr(page, "Phases and planes of case a"));
    mem_free(page);
    assert_survives_exhaustion(report_write(&o), (void)0);
    report_sources_free(&r);
    assert_survives_exhaustion(report_sources_find(&r, &q), report_sources_free(&r));
}

static void hostile_texts_and_lost_images(void **state)
{
    struct scene s = make_scene();
    struct notes notes = {0};
    struct report_case cases[1] = {{.name = EVIL,
                                    .phase_name = {EVIL},
                                    .phase_path = {"no/such/" EVIL},
                                    .phases = 1,
                                    .used = EVIL,
                                    .training = true}};
    struct report_fact fact[1] = {{EVIL, EVIL}};
    struct report_set set = {
        .name = EVIL, .unseen = EVIL, .cases = cases, .count = 1, .facts = fact, .fact_count = 1};
    struct report_options o = {.path = test_path(s.folder, "r.html"),
                               .title = EVIL,
                               .date = EVIL,
                               .set = &set,
                               .sets = 1,
                               .facts = fact,
                               .fact_count = 1,
                               .warnings = &notes};
    char *page;

    (void)state;
    note_add(&notes, "n", "%s", EVIL);
    assert_ok(report_write(&o));
    page = read_page(o.path);
    holds(page, "No picture: ");
    holds(page, "This is the training case.");
    assert_true(times(page, "&lt;script&gt;") >= 12);
    mem_free(page);
    notes_clear(&notes);
}

static void registrations_are_shown(void **state)
{
    static const unsigned char png[] = "\x89PNG\r\n\x1a\nand so on";
    struct scene s = make_scene();
    struct report_options o = {.path = test_path(s.folder, "g.html"),
                               .registered = test_path(s.folder, "reg")};
    const char *json = test_path(s.folder, "reg/verdict.json");
    struct str b = {0};
    char *page;

    (void)state;
    assert_ok(folder_make(test_path(s.folder, "reg/qc")));
    assert_ok(file_write(test_path(s.folder, "reg/qc/a_0001.png"), png, sizeof png));
    assert_ok(file_write(test_path(s.folder, "reg/out.png"), png, sizeof png));
    str_add(
        &b,
        "{\"cases\": [{\"case\": \"a<b>\", \"phases\": {"
        "\"arterial\": {\"verdict\": \"pass\", \"body\": {\"moved_mean_mm\": 3.25, \"header\": {\"mean12\": "
        "0.05}, \"final\": {\"mean12\": 0.0125}}, \"picture\": \"a_0001\"}, "
        "\"delayed\": {\"verdict\": \"fail\", \"reasons\": [\"<u>folds\", \"far\"], \"picture\": "
        "\"../out\"}, "
        "\"noncontrast\": {\"verdict\": \"unfit\", \"error\": \"too thin\", \"body\": 3, \"reasons\": 4}}}, "
        "7]}");
    assert_ok(str_status(&b));
    write_text(json, b.s);
    str_free(&b);
    assert_ok(report_write(&o));
    page = read_page(o.path);
    holds(page, "a&lt;b&gt;");
    holds(page, "&lt;u&gt;folds<br>far");
    holds(page, "too thin");
    holds(page, "3.2</td>");
    holds(page, "0.0125</td>");
    assert_true(strstr(page, "delayed") < strstr(page, "noncontrast")); /* the worst first */
    assert_true(strstr(page, "noncontrast") < strstr(page, "arterial"));
    assert_int_equal(times(page, "src=\"data:image/png;base64,iVBORw0KGg"), 1); /* none from outside qc/ */
    mem_free(page);
    assert_survives_exhaustion(report_write(&o), (void)0);
    write_text(json, "{\"cases\": ");
    assert_ok(report_write(&o));
    page = read_page(o.path);
    holds(page, "the registration is not shown");
    mem_free(page);
    o.registered = NULL;
    assert_ok(report_write(&o));
    page = read_page(o.path);
    assert_null(strstr(page, "egistration"));
    mem_free(page);
}

static void failures_keep_the_old_page(void **state)
{
    struct scene s = make_scene();
    const char *path = test_path(s.folder, "r.html");
    struct report_set set = {.name = "a", .summary = test_path(s.folder, "none.json")};
    struct report_options o = {.path = path, .set = &set, .sets = 1};
    char *page;

    (void)state;
    write_text(path, "<!DOCTYPE html>old");
    assert_err(report_write(&o), ERR_USAGE, "none.json");
    set.summary = s.summary;
    o.plan = test_path(s.data, "dataset.json");
    write_text(test_path(s.folder, "bad.json"), "{\"d4m\": ");
    set.summary = test_path(s.folder, "bad.json");
    assert_err(report_write(&o), ERR_CORRUPT, "bad.json");
    page = read_page(path);
    holds(page, "old");
    mem_free(page);
    o = (struct report_options){.path = test_path(path, "x/y.html")};
    assert_err(report_write(&o), ERR_OUTPUT, "r.html");
}

/* A work folder with several evaluations: the test part of phantoms, and cases from elsewhere. */
static struct scene several_sets(void)
{
    struct scene s = make_scene();
    const char *other = test_path(s.folder, "other"), *json = test_path(s.data, "dataset.json");

    assert_int_equal(remove(s.summary), 0);
    write_dataset(s.data, "imagesTs", "labelsTs", &s, "\"phantom\": {\"seed\": 1}, ");
    write_dataset(other, "imagesTr", "labelsTr", &s, "");
    assert_true(file_exists(json));
    assert_ok(folder_make(test_path(s.work, "evaluation/held_out")));
    assert_ok(folder_make(test_path(s.work, "evaluation/real_patients")));
    write_evaluation(&s, s.data, "labelsTs", test_path(s.work, "evaluation/held_out/summary.json"), true);
    write_evaluation(&s, other, "labelsTr", test_path(s.work, "evaluation/real_patients/summary.json"),
                     false);
    return s;
}

static void several_sets_have_their_sections(void **state)
{
    struct scene s = several_sets();
    struct report_query q = {.work = s.work};
    struct report_sources r = {0};
    struct report_options o = {.path = test_path(s.folder, "several.html"), .pictures = 1};
    char *page;

    (void)state;
    assert_ok(report_sources_find(&r, &q));
    assert_true(r.sets == 2 && r.cases == 4);
    assert_string_equal(r.set[0].name, "Held out");
    assert_string_equal(r.set[1].name, "Real patients");
    assert_non_null(strstr(r.set[0].unseen, "(phantoms); these cases are from the test part"));
    assert_non_null(strstr(r.set[1].unseen, "knows phantoms only"));
    assert_false(r.set[0].cases[0].training || r.set[1].cases[0].training);
    use_sources(&o, &r);
    assert_ok(report_write(&o));
    page = read_page(o.path);
    assert_int_equal(times(page, PHANTOM_SENTENCE), 1);
    assert_true(strstr(page, "<h2>Held out</h2>") < strstr(page, PHANTOM_SENTENCE));
    assert_true(strstr(page, PHANTOM_SENTENCE) < strstr(page, "<h2>Real patients</h2>"));
    assert_int_equal(times(page, "95 % CI of the mean"), 6);
    assert_int_equal(times(page, "src=\"data:image/png"), 2);
    assert_int_equal(times(page, "worst of 2"), 2);
    holds(page, "1 of 2 cases are shown");
    mem_free(page);
    o.pictures = 2;
    assert_ok(report_write(&o));
    page = read_page(o.path);
    assert_int_equal(times(page, "best of 2"), 2);
    mem_free(page);
    report_sources_free(&r);
    q.dataset = s.data;
    assert_err(report_sources_find(&r, &q), ERR_USAGE, "--summary");
}

/* A case that is called like a training case is not said to be unseen. */
static void names_of_training_cases_are_no_unseen_cases(void **state)
{
    struct scene s = several_sets();
    struct report_query q = {.work = s.work};
    struct report_sources r = {0};
    struct str b = {0};

    (void)state;
    str_addf(&b, "{\"dataset\": \"%s\", \"cases\": [\"a\", \"c\"]}", s.data);
    write_text(test_path(s.work, "project.json"), b.s);
    str_free(&b);
    assert_ok(report_sources_find(&r, &q));
    assert_null(r.set[0].unseen);
    assert_null(r.set[1].unseen);
    assert_int_equal(r.warnings.count, 2 + 1); /* and what the prediction of both noted */
    report_sources_free(&r);
}

static void sources_tell_what_is_missing(void **state)
{
    struct scene s = make_scene();
    struct report_query q = {0};
    struct report_sources r = {0};

    (void)state;
    assert_err(report_sources_find(&r, &q), ERR_USAGE, "-w");
    q.work = s.data;
    assert_err(report_sources_find(&r, &q), ERR_USAGE, "make it with d4m evaluate");
    q.work = s.work;
    q.model = "no/such/model";
    assert_err(report_sources_find(&r, &q), ERR_USAGE, "no/such/model");
    q.model = NULL;
    q.dataset = s.folder;
    assert_true(report_sources_find(&r, &q) != ERR_OK);
    q.dataset = NULL;
    q.training = TRAINING_NONE;
    assert_ok(report_sources_find(&r, &q));
    assert_false(r.set[0].cases[0].training);
    report_sources_free(&r);
    /* a second model has to be named */
    assert_ok(folder_make(test_path(s.work, "models/segmenter-nnunet/fold_0")));
    write_plan(test_path(s.work, "models/segmenter-nnunet/fold_0/plan.json"));
    assert_err(report_sources_find(&r, &q), ERR_USAGE, "--model");
    /* a summary alone, without a work folder */
    q = (struct report_query){.summary = {&s.summary, 1}};
    assert_ok(report_sources_find(&r, &q));
    assert_true(r.cases == 2 && r.set[0].cases[0].phases == 1 && !r.plan && !r.set[0].cases[0].training);
    report_sources_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_work_folder_becomes_a_page),
                                       cmocka_unit_test(hostile_texts_and_lost_images),
                                       cmocka_unit_test(registrations_are_shown),
                                       cmocka_unit_test(failures_keep_the_old_page),
                                       cmocka_unit_test(sources_tell_what_is_missing),
                                       cmocka_unit_test(several_sets_have_their_sections),
                                       cmocka_unit_test(names_of_training_cases_are_no_unseen_cases)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
