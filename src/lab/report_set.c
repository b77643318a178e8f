#include "lab/report_set.h"
#include "base/file.h"
#include "base/json.h"
#include "data/cases.h"
#include "eval/score.h"
#include "lab/report_facts.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What is known while a set is put together. */
struct search {
    const struct report_query *q;
    const struct report_model *model;
    struct report_sources *out;
    struct evaluation *scores;
    const char *dataset; /* where the evaluated cases come from, or NULL */
    bool test;           /* they are its test part */
    struct case_list *cases;
    struct report_case *item; /* of the set */
    size_t count;
    json_t *record; /* result.json of the prediction, or NULL */
};

const char *report_folder_of(struct arena *a, const char *path)
{
    size_t n = (size_t)(path_base(path) - path);

    return n > 1 ? arena_printf(a, "%.*s", (int)n - 1, path) : n ? "/" : ".";
}

static bool same_folder(const char *a, const char *b)
{
    struct stat x, y;

    return a && b && !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

enum err report_read_optional(json_t **out, const char *path)
{
    if (!path)
        return ERR_MEMORY;
    return file_exists(path) ? json_read(out, path) : ERR_OK;
}

/* The data set's cases, for their images. Without them the report has no pictures, but it is a report. */
static enum err find_cases(struct search *s)
{
    struct arena *a = s->out->arena;
    const char *labels = s->scores->count ? report_folder_of(a, s->scores->item[0].reference) : NULL;
    const char *json;
    enum err err;

    if (!labels)
        return s->scores->count ? ERR_MEMORY : ERR_OK;
    s->dataset = s->q->dataset ? s->q->dataset : report_folder_of(a, labels);
    json = s->dataset ? arena_printf(a, "%s/dataset.json", s->dataset) : NULL;
    if (!json)
        return ERR_MEMORY;
    if (!s->q->dataset && !file_exists(json)) {
        s->dataset = s->model->trained_on;
        if (!s->dataset)
            return ERR_OK;
    }
    s->test = !strcmp(path_base(labels), "labelsTs");
    err = case_list_read(&s->cases, s->dataset, s->test ? CASES_TEST : CASES_TRAIN, NULL);
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
        TRY(report_read_optional(&s->record,
                                 arena_printf(a, "%s/result.json", report_folder_of(a, prediction))));
    s->count = s->scores->count;
    s->item = arena_alloc(a, s->count ? s->count : 1, sizeof *s->item);
    if (!s->item)
        return ERR_MEMORY;
    for (size_t i = 0; i < s->count; i++)
        TRY(fill_case(s, &s->item[i], &s->scores->item[i]));
    return ERR_OK;
}

static void mark(struct search *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (!strcmp(s->item[i].name, name))
            s->item[i].training = true;
}

/* The fold is in the folder's name; the split follows from it as it did in training. */
static enum err mark_fold(struct search *s)
{
    const char *name = path_base(s->model->folder);
    int fold = str_starts(name, "fold_") && strcmp(name, "fold_all") ? atoi(name + 5) : FOLD_ALL;
    struct split split = {0};

    TRY(split_make(&split, s->cases, s->model->trained_on, fold, NULL));
    for (size_t i = 0; i < split.trains; i++)
        mark(s, s->cases->item[split.train[i]].name);
    split_free(&split);
    return ERR_OK;
}

/* A case with the name of a training case may be one, wherever it lies. */
static bool known_by_name(const struct search *s)
{
    json_t *names = json_object_get(s->model->project, "cases"), *item;
    size_t i;

    json_array_foreach(names, i, item)
    {
        const char *name = json_string_value(item);

        for (size_t k = 0; name && k < s->count; k++)
            if (!strcmp(s->item[k].name, name)) {
                note_add(
                    &s->out->warnings, "training-name",
                    "%s: case %s has the name of a training case; if it is the same, the model was trained "
                    "on it (say so with --training all)",
                    s->dataset, name);
                return true;
            }
    }
    return false;
}

/* Why the model does not know the cases. */
static enum err tell_unseen(struct search *s, const char **unseen)
{
    const struct report_model *m = s->model;
    size_t n = json_array_size(json_object_get(m->project, "cases"));
    const char *where =
        same_folder(m->trained_on, s->dataset) ? "the test part of that data set" : s->dataset;
    bool patients = m->on_phantoms && !s->scores->phantom;

    *unseen = arena_printf(
        s->out->arena,
        "Unseen in training: the model was trained on the %zu case%s of %s%s; "
        "%s from %s.%s",
        n, n == 1 ? "" : "s", m->trained_on, m->on_phantoms ? " (phantoms)" : "",
        s->count == 1 ? "this case is" : "these cases are", where,
        patients ? " A model that knows phantoms only: what it does on patients is an example to "
                   "look at, not a result."
                 : "");
    return *unseen ? ERR_OK : ERR_MEMORY;
}

static enum err mark_training(struct search *s, const char **unseen)
{
    const struct report_model *m = s->model;
    enum report_training t = s->q->training;
    bool known = m->folder && m->trained_on && s->dataset && s->count;

    if (t == TRAINING_AUTO && known && s->cases && !s->test && same_folder(m->trained_on, s->dataset))
        return mark_fold(s);
    if (t == TRAINING_AUTO && m->folder && !m->trained_on)
        note_add(
            &s->out->warnings, "training-unknown",
            "what the model was trained on is not known; if it saw these cases, say so with --training all");
    if (t == TRAINING_AUTO && known && !known_by_name(s))
        return tell_unseen(s, unseen);
    for (size_t i = 0; i < s->count && t == TRAINING_ALL; i++)
        s->item[i].training = true;
    return ERR_OK;
}

/* The folder's name as people write it: "Held out phantoms". */
static const char *heading(struct arena *a, const char *path)
{
    const char *folder = report_folder_of(a, path);
    char *text = folder ? spoken(a, path_base(folder)) : NULL;

    if (!text)
        return NULL;
    if (!strcmp(text, ".") || !*text)
        return "Evaluation";
    text[0] = (char)toupper((unsigned char)text[0]);
    return text;
}

static enum err fill_set(struct report_set *set, struct search *s, const char *path)
{
    TRY(evaluation_read(&s->scores, path));
    set->summary = path;
    set->name = heading(s->out->arena, path);
    if (!set->name)
        return ERR_MEMORY;
    TRY(find_cases(s));
    TRY(fill_cases(s));
    TRY(mark_training(s, &set->unseen));
    set->cases = s->item;
    set->count = s->count;
    return report_set_facts(set, s->out->arena, s->dataset, s->record);
}

enum err report_set_find(struct report_set *set, const char **dataset, const char *path,
                         const struct report_query *q, const struct report_model *m,
                         struct report_sources *out)
{
    struct search s = {.q = q, .model = m, .out = out};
    enum err err = fill_set(set, &s, path);

    *dataset = s.dataset;
    evaluation_free(s.scores);
    case_list_free(s.cases);
    json_decref(s.record);
    return err;
}
