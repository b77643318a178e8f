#include "lab/report_sources.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "lab/report_facts.h"
#include "lab/report_set.h"
#include <string.h>

/* What is known while the sources are put together. */
struct search {
    const struct report_query *q;
    struct report_sources *out;
    struct report_model model;
    json_t *project;
    const char **summary; /* files, in the arena */
    size_t summaries, room;
};

static enum err add_summary(struct search *s, const char *path)
{
    const char **grown;

    if (!path)
        return ERR_MEMORY;
    if (s->summaries == s->room) {
        grown = arena_alloc(s->out->arena, 2 * s->room + 8, sizeof *grown);
        if (!grown)
            return ERR_MEMORY;
        if (s->summaries)
            memcpy(grown, s->summary, s->summaries * sizeof *grown);
        s->summary = grown;
        s->room = 2 * s->room + 8;
    }
    s->summary[s->summaries++] = path;
    return ERR_OK;
}

/* folder/summary.json and folder/NAME/summary.json. */
static enum err list_summaries(struct search *s, const char *folder)
{
    struct arena *a = s->out->arena;
    const char *own = arena_printf(a, "%s/summary.json", folder);
    char **names = NULL;
    size_t count = 0;
    enum err err = own ? ERR_OK : ERR_MEMORY;

    if (!err && file_exists(own))
        err = add_summary(s, own);
    if (!err && folder_exists(folder))
        err = folder_list(folder, &names, &count);
    for (size_t i = 0; i < count && !err; i++) {
        const char *path = arena_printf(a, "%s/%s/summary.json", folder, names[i]);

        if (!path || file_exists(path))
            err = add_summary(s, path);
    }
    names_free(names, count);
    if (!err && !s->summaries)
        err = err_set(ERR_USAGE, "%s: no such file; make it with d4m evaluate", own);
    return err;
}

static enum err find_summaries(struct search *s)
{
    const struct report_query *q = s->q;
    const char *folder;

    if (!q->summary.count && !q->work)
        return err_set(ERR_USAGE, "name a work folder (-w) or an evaluation (--summary)");
    for (size_t i = 0; i < q->summary.count; i++) {
        if (!file_exists(q->summary.item[i]))
            return err_set(ERR_USAGE, "%s: no such file; make it with d4m evaluate", q->summary.item[i]);
        TRY(add_summary(s, q->summary.item[i]));
    }
    if (!q->summary.count) {
        folder = arena_printf(s->out->arena, "%s/evaluation", q->work);
        if (!folder)
            return ERR_MEMORY;
        TRY(list_summaries(s, folder));
    }
    if (q->dataset && s->summaries > 1)
        return err_set(ERR_USAGE,
                       "--dataset belongs to one evaluation, but there are %zu: name one with --summary",
                       s->summaries);
    return ERR_OK;
}

static enum err find_project(struct search *s)
{
    struct arena *a = s->out->arena;
    json_t *dataset = NULL;

    if (!s->q->work)
        return ERR_OK;
    TRY(report_read_optional(&s->project, arena_printf(a, "%s/project.json", s->q->work)));
    s->model.project = s->project;
    s->model.trained_on = json_string_value(json_object_get(s->project, "dataset"));
    if (!s->model.trained_on)
        return ERR_OK;
    TRY(report_read_optional(&dataset, arena_printf(a, "%s/dataset.json", s->model.trained_on)));
    s->model.on_phantoms = json_object_get(dataset, "phantom") != NULL;
    json_decref(dataset);
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
            s->model.folder = model;
        else if (file_exists(plan))
            err = err_set(ERR_USAGE, "%s and %s are models; name one with --model", s->model.folder, model);
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

    s->model.folder = s->q->model;
    if (s->q->model)
        return folder_exists(s->q->model) ? ERR_OK
                                          : err_set(ERR_USAGE, "--model %s: no such folder", s->q->model);
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

    if (!s->model.folder)
        return ERR_OK;
    s->out->plan = arena_printf(a, "%s/plan.json", s->model.folder);
    s->out->log = arena_printf(a, "%s/log.jsonl", s->model.folder);
    if (!s->out->plan || !s->out->log)
        return ERR_MEMORY;
    if (!file_exists(s->out->plan))
        s->out->plan = NULL;
    if (!file_exists(s->out->log))
        s->out->log = NULL;
    return ERR_OK;
}

static enum err find_sets(struct search *s)
{
    struct report_sources *out = s->out;

    out->set = arena_alloc(out->arena, s->summaries, sizeof *out->set);
    if (!out->set)
        return ERR_MEMORY;
    for (; out->sets < s->summaries; out->sets++) {
        const char *dataset;

        TRY(report_set_find(&out->set[out->sets], &dataset, s->summary[out->sets], s->q, &s->model, out));
        out->cases += out->set[out->sets].count;
        if (!out->sets)
            TRY(report_title(out, dataset));
    }
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
    TRY(find_summaries(s));
    TRY(find_project(s));
    TRY(find_model(s));
    TRY(name_model_files(s));
    TRY(find_sets(s));
    return report_model_facts(s->out, s->q, &s->model);
}

enum err report_sources_find(struct report_sources *out, const struct report_query *q)
{
    struct report_sources r = {.arena = arena_new()};
    struct search s = {.q = q, .out = &r};
    enum err err = r.arena ? find_all(&s) : ERR_MEMORY;

    json_decref(s.project);
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
