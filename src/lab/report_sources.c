#include "lab/report_sources.h"
#include "base/file.h"
#include "base/json.h"
#include "data/cases.h"
#include "eval/score.h"
#include "lab/report_facts.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What is known while the sources are put together. */
struct search {
    const struct report_query *q;
    struct report_sources *out;
    struct evaluation *scores;
    const char *trained_on; /* data set of project.json, or NULL */
    const char *dataset;    /* where the evaluated cases come from, or NULL */
    const char *model;      /* model folder, or NULL */
    struct case_list *cases;
    json_t *project, *record; /* project.json, result.json; or NULL */
};

/* The folder of a path ("." if it names none), in the arena. */
static const char *folder_of(struct arena *a, const char *path)
{
    size_t n = (size_t)(path_base(path) - path);

    return n > 1 ? arena_printf(a, "%.*s", (int)n - 1, path) : n ? "/" : ".";
}

static bool same_folder(const char *a, const char *b)
{
    struct stat x, y;

    return a && b && !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Reads a JSON file if it is there. */
static enum err read_optional(json_t **out, const char *path)
{
    if (!path)
        return ERR_MEMORY;
    return file_exists(path) ? json_read(out, path) : ERR_OK;
}

static enum err find_summary(struct search *s)
{
    struct arena *a = s->out->arena;
    const char *path = s->q->summary;

    if (!path && !s->q->work)
        return err_set(ERR_USAGE, "name a work folder (-w) or an evaluation (--summary)");
    if (!path)
        path = arena_printf(a, "%s/evaluation/summary.json", s->q->work);
    if (!path)
        return ERR_MEMORY;
    if (!file_exists(path))
        return err_set(ERR_USAGE, "%s: no such file; make it with d4m evaluate", path);
    s->out->summary = path;
    return evaluation_read(&s->scores, path);
}

static enum err find_project(struct search *s)
{
    if (!s->q->work)
        return ERR_OK;
    TRY(read_optional(&s->project, arena_printf(s->out->arena, "%s/project.json", s->q->work)));
    s->trained_on = json_string_value(json_object_get(s->project, "dataset"));
    return ERR_OK;
}

/* Adds the folders of WORK/models/NET that hold a plan. */
static enum err find_folds(struct search *s, const char *net, size_t *found)
{
    struct arena *a = s->out->arena;
    char **names = NULL;
    size_t count = 0;
    enum err err = ERR_OK;

    TRY(folder_list(net, &names, &count));
    for (size_t i = 0; i < count && !err; i++) {
        const char *model = arena_printf(a, "%s/%s", net, names[i]);
        const char *plan = model ? arena_printf(a, "%s/plan.json", model) : NULL;

        if (!plan)
            err = ERR_MEMORY;
        else if (file_exists(plan) && ++*found == 1)
            s->model = model;
        else if (file_exists(plan))
            err = err_set(ERR_USAGE, "%s and %s are models; name one with --model", s->model, model);
    }
    names_free(names, count);
    return err;
}

static enum err find_model(struct search *s)
{
    struct arena *a = s->out->arena;
    const char *models;
    char **names = NULL;
    size_t count = 0, found = 0;
    enum err err = ERR_OK;

    s->model = s->q->model;
    if (s->model)
        return folder_exists(s->model) ? ERR_OK : err_set(ERR_USAGE, "--model %s: no such folder", s->model);
    if (!s->q->work)
        return ERR_OK;
    models = arena_printf(a, "%s/models", s->q->work);
    if (!models)
        return ERR_MEMORY;
    if (!folder_exists(models))
        return ERR_OK;
    TRY(folder_list(models, &names, &count));
    for (size_t i = 0; i < count && !err; i++) {
        const char *net = arena_printf(a, "%s/%s", models, names[i]);

        if (!net)
            err = ERR_MEMORY;
        else if (str_starts(names[i], "segmenter-") && folder_exists(net))
            err = find_folds(s, net, &found);
    }
    names_free(names, count);
    return err;
}

static enum err name_model_files(struct search *s)
{
    struct arena *a = s->out->arena;

    if (!s->model)
        return ERR_OK;
    s->out->plan = arena_printf(a, "%s/plan.json", s->model);
    s->out->log = arena_printf(a, "%s/log.jsonl", s->model);
    if (!s->out->plan || !s->out->log)
        return ERR_MEMORY;
    if (!file_exists(s->out->plan))
        s->out->plan = NULL;
    if (!file_exists(s->out->log))
        s->out->log = NULL;
    return ERR_OK;
}

/* The data set's cases, for their images. Without them the report has no pictures, but it is a report. */
static enum err find_cases(struct search *s)
{
    struct arena *a = s->out->arena;
    const char *labels = s->scores->count ? folder_of(a, s->scores->item[0].reference) : NULL;
    const char *json;
    enum err err;

    if (!labels)
        return s->scores->count ? ERR_MEMORY : ERR_OK;
    s->dataset = s->q->dataset ? s->q->dataset : folder_of(a, labels);
    json = s->dataset ? arena_printf(a, "%s/dataset.json", s->dataset) : NULL;
    if (!json)
        return ERR_MEMORY;
    if (!s->q->dataset && !file_exists(json)) {
        s->dataset = s->trained_on;
        if (!s->dataset)
            return ERR_OK;
    }
    err = case_list_read(&s->cases, s->dataset,
                         !strcmp(path_base(labels), "labelsTs") ? CASES_TEST : CASES_TRAIN, NULL);
    if (err == ERR_MEMORY || (err && s->q->dataset))
        return err;
    if (err)
        note_add(&s->out->warnings, "no-images", "no pictures: %s", err_text());
    return ERR_OK;
}

static const struct case_files *find_files(const struct case_list *l, const char *name)
{
    for (size_t i = 0; l && i < l->count; i++)
        if (!strcmp(l->item[i].name, name))
            return &l->item[i];
    return NULL;
}

/* The entry of a case in result.json, NULL if there is none. */
static json_t *find_record(const json_t *record, const char *name)
{
    json_t *cases = json_object_get(record, "cases"), *item;
    size_t i;

    json_array_foreach(cases, i, item)
    {
        const char *of = json_string_value(json_object_get(item, "case"));

        if (of && !strcmp(of, name))
            return item;
    }
    return NULL;
}

/* "Predicted from a, b on the grid of b." */
static enum err tell_phases(struct search *s, struct report_case *c, const json_t *record)
{
    json_t *used = json_object_get(record, "phases_used"), *item;
    const char *reference = json_string_value(json_object_get(record, "reference"));
    struct str text = {0};
    size_t i;
    enum err err;

    if (!json_array_size(used))
        return ERR_OK;
    str_add(&text, "Predicted from ");
    json_array_foreach(used, i, item)
    {
        str_addf(&text, "%s%s", i ? ", " : "", json_is_string(item) ? json_string_value(item) : "?");
    }
    if (reference)
        str_addf(&text, " on the grid of %s", reference);
    str_add(&text, ".");
    err = str_status(&text);
    if (!err) {
        c->used = arena_str(s->out->arena, text.s);
        err = c->used ? ERR_OK : ERR_MEMORY;
    }
    str_free(&text);
    return err;
}

static void pass_notes_on(struct search *s, const char *name, const json_t *record)
{
    json_t *notes = json_object_get(record, "notes"), *item;
    size_t i;

    json_array_foreach(notes, i, item)
    {
        const char *text = json_string_value(json_object_get(item, "text"));

        if (text)
            note_add(&s->out->warnings, "prediction", "prediction of %s: %s", name, text);
    }
}

/* A phase's name as people write it: "portal venous". */
static char *spoken(struct arena *a, const char *name)
{
    char *text = arena_str(a, name);

    for (char *c = text; c && *c; c++)
        if (*c == '_')
            *c = ' ';
    return text;
}

static enum err fill_case(struct search *s, struct report_case *c, const struct case_score *score)
{
    struct arena *a = s->out->arena;
    const struct case_files *files = find_files(s->cases, score->name);
    const json_t *record = find_record(s->record, score->name);

    c->name = arena_str(a, score->name);
    c->reference = arena_str(a, score->reference);
    c->prediction = score->prediction ? arena_str(a, score->prediction) : NULL;
    if (!c->name || !c->reference || (score->prediction && !c->prediction))
        return ERR_MEMORY;
    for (int k = 0; files && k < s->cases->phases.count; k++)
        if (files->phase[k]) {
            c->phase_path[c->phases] = arena_str(a, files->phase[k]);
            c->phase_name[c->phases] = spoken(a, s->cases->phases.name[k]);
            if (!c->phase_path[c->phases] || !c->phase_name[c->phases])
                return ERR_MEMORY;
            c->phases++;
        }
    if (s->cases && !files)
        note_add(&s->out->warnings, "no-images", "%s: %s has no images of this case; no picture", score->name,
                 s->dataset);
    pass_notes_on(s, score->name, record);
    return tell_phases(s, c, record);
}

static enum err fill_cases(struct search *s)
{
    const char *prediction = NULL;
    struct arena *a = s->out->arena;

    for (size_t i = 0; i < s->scores->count && !prediction; i++)
        prediction = s->scores->item[i].prediction;
    if (prediction)
        TRY(read_optional(&s->record, arena_printf(a, "%s/result.json", folder_of(a, prediction))));
    s->out->count = s->scores->count;
    s->out->cases = arena_alloc(a, s->out->count ? s->out->count : 1, sizeof *s->out->cases);
    if (!s->out->cases)
        return ERR_MEMORY;
    for (size_t i = 0; i < s->out->count; i++)
        TRY(fill_case(s, &s->out->cases[i], &s->scores->item[i]));
    return ERR_OK;
}

static void mark(struct search *s, const char *name)
{
    for (size_t i = 0; i < s->out->count; i++)
        if (!strcmp(s->out->cases[i].name, name))
            s->out->cases[i].training = true;
}

/* The fold is in the folder's name; the split follows from it as it did in training. */
static enum err mark_fold(struct search *s)
{
    const char *name = path_base(s->model);
    int fold = str_starts(name, "fold_") && strcmp(name, "fold_all") ? atoi(name + 5) : FOLD_ALL;
    struct split split = {0};

    TRY(split_make(&split, s->cases, s->trained_on, fold, NULL));
    for (size_t i = 0; i < split.trains; i++)
        mark(s, s->cases->item[split.train[i]].name);
    split_free(&split);
    return ERR_OK;
}

static enum err mark_training(struct search *s)
{
    enum report_training t = s->q->training;
    bool ours = s->cases && s->model && same_folder(s->trained_on, s->dataset);

    if (t == TRAINING_AUTO && ours)
        return mark_fold(s);
    if (t == TRAINING_AUTO && s->model && !s->trained_on)
        note_add(
            &s->out->warnings, "training-unknown",
            "what the model was trained on is not known; if it saw these cases, say so with --training all");
    for (size_t i = 0; i < s->out->count && t == TRAINING_ALL; i++)
        s->out->cases[i].training = true;
    return ERR_OK;
}

static enum err find_registration(struct search *s)
{
    struct arena *a = s->out->arena;
    const char *folder, *json;

    if (!s->q->work)
        return ERR_OK;
    folder = arena_printf(a, "%s/registered", s->q->work);
    json = arena_printf(a, "%s/registered/verdict.json", s->q->work);
    if (!folder || !json)
        return ERR_MEMORY;
    s->out->registered = file_exists(json) ? folder : NULL;
    return ERR_OK;
}

static enum err find_all(struct search *s)
{
    TRY(find_registration(s));
    TRY(find_summary(s));
    TRY(find_project(s));
    TRY(find_model(s));
    TRY(name_model_files(s));
    TRY(find_cases(s));
    TRY(fill_cases(s));
    TRY(mark_training(s));
    return report_facts(s->out, &(struct fact_sources){.query = s->q,
                                                       .dataset = s->dataset,
                                                       .model = s->model,
                                                       .project = s->project,
                                                       .record = s->record});
}

enum err report_sources_find(struct report_sources *out, const struct report_query *q)
{
    struct report_sources r = {.arena = arena_new()};
    struct search s = {.q = q, .out = &r};
    enum err err = r.arena ? find_all(&s) : ERR_MEMORY;

    evaluation_free(s.scores);
    case_list_free(s.cases);
    json_decref(s.project);
    json_decref(s.record);
    if (err)
        report_sources_free(&r);
    else
        *out = r;
    return err;
}

void report_sources_free(struct report_sources *s)
{
    notes_clear(&s->warnings);
    arena_free(s->arena);
    *s = (struct report_sources){0};
}
