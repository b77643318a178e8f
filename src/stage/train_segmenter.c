#include "stage/train_segmenter.h"

#include "stage/backend.h"
#include "stage/register.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "data/normalise.h"
#include "data/prepare.h"
#include "train/trainer.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct train_cfg {
    const char *dataset, *work, *fold;
    int preset, precision;
    int64_t epochs, iterations;
    struct cfg_list set;
    const char *map;
    int prefer;
    bool align, assume_scanner, resample_labels, skip_bad_cases, force;
};

static const struct field train_fields[] = {
    FIELD(struct train_cfg, T_STRING, dataset, .brief = 'd', .arg = "DATASET", .required = true,
          .help = "folder in nnU-Net raw layout; phases may be missing and need not be aligned"),
    FIELD(struct train_cfg, T_STRING, work, .brief = 'w', .arg = "WORK", .required = true,
          .help = "work folder; made if it is not there, resumed if it is"),
    FIELD(struct train_cfg, T_CHOICE, preset, .names = plan_presets,
          .help = "paper: 96^3, 1000 epochs; demo: minutes on a laptop"),
    FIELD(struct train_cfg, T_STRING, fold, .arg = "K",
          .help = "0 to 4, or all; default 0, below five cases all"),
    FIELD(struct train_cfg, T_INT, epochs, .def = 0, .min = 0, .max = 1e6, .help = "0: the preset's"),
    FIELD(struct train_cfg, T_INT, iterations, .def = 0, .min = 0, .max = 1e6,
          .help = "steps per epoch; 0: the preset's"),
    {.name = "register",
     .type = T_BOOL,
     .offset = offsetof(struct train_cfg, align),
     .def = 1,
     .help = "register the phases first, into WORK/registered; one that fails counts as missing"},
    STAGE_PRECISION(struct train_cfg),
    FIELD(struct train_cfg, T_LIST, set, .arg = "KEY=VALUE",
          .help = "a field of the plan (below, with the paper values), for example --set lr=3e-3"),
    FIELD(struct train_cfg, T_BOOL, skip_bad_cases, .help = "go on without cases that cannot be used"),
    FIELD(struct train_cfg, T_STRING, map, .arg = "FROM=TO,...",
          .help = "change label values first, for example 255=2,3=2"),
    FIELD(struct train_cfg, T_CHOICE, prefer, .names = nifti_form_names,
          .help = "which form is right where a file's two disagree"),
    FIELD(struct train_cfg, T_BOOL, assume_scanner,
          .help = "files without orientation lie along right, anterior, superior"),
    FIELD(struct train_cfg, T_BOOL, resample_labels,
          .help = "bring labels on another grid onto their image's"),
    FIELD(struct train_cfg, T_BOOL, force, .help = "start over instead of going on"),
};

/* Everything that one training run holds. */
struct session {
    const struct cli *cli;
    const struct train_cfg *cfg;
    struct plan plan;
    struct case_list *cases;
    struct split split;
    struct prepared **item; /* all cases of the list; opened when the split uses them */
    struct prepared **train, **val;
    char *prepared, *folder;
};

static enum err fold_of(const struct session *s, int *fold)
{
    const char *text = s->cfg->fold;

    *fold = s->cases->count < 5 ? FOLD_ALL : 0;
    if (!text)
        return ERR_OK;
    if (!strcmp(text, "all"))
        *fold = FOLD_ALL;
    else if (strlen(text) == 1 && text[0] >= '0' && text[0] <= '4')
        *fold = s->cases->count < 5 ? FOLD_ALL : text[0] - '0';
    else
        return err_set(ERR_USAGE, "--fold %s: give 0, 1, 2, 3, 4 or all", text);
    if (*fold == FOLD_ALL && strcmp(text, "all") != 0)
        note_add(s->cli->notes, "fold-all",
                 "--fold %s: %zu cases are too few for five folds; all are trained on", text,
                 s->cases->count);
    return ERR_OK;
}

/* What the data set says is not the user's to set. */
static enum err check_set(const char *set)
{
    static const char *const fixed[] = {"phases=", "classes=", "phase_names=", "intensities="};

    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (str_starts(set, fixed[i]))
            return err_set(
                ERR_USAGE,
                "--set %s: phases, classes and intensities are those of the data set; change its files", set);
    return ERR_OK;
}

static enum err make_plan(struct session *s)
{
    const struct train_cfg *c = s->cfg;

    TRY(plan_preset(&s->plan, s->cli->arena, plan_presets[c->preset]));
    TRY(case_list_plan(s->cases, &s->plan, s->cli->arena));
    s->plan.seed = (uint64_t)s->cli->common->seed;
    if (c->epochs)
        s->plan.epochs = c->epochs;
    if (c->iterations)
        s->plan.iterations = c->iterations;
    for (size_t i = 0; i < c->set.count; i++) {
        TRY(check_set(c->set.item[i]));
        TRY(cfg_override(plan_table, &s->plan, s->cli->arena, c->set.item[i]));
    }
    if (c->precision != CPU_AUTO)
        s->plan.precision = c->precision;
    s->plan.precision = stage_bf16(s->cli->common, s->plan.precision) ? CPU_BF16 : CPU_F32;
    if (s->plan.warmup >= s->plan.epochs)
        s->plan.warmup = s->plan.epochs / 10;
    return plan_check(&s->plan);
}

static enum err make_folders(struct session *s, int fold)
{
    char name[64];

    snprintf(name, sizeof name, fold == FOLD_ALL ? "fold_all" : "fold_%d", fold);
    s->prepared = arena_printf(s->cli->arena, "%s/prepared", s->cfg->work);
    s->folder = arena_printf(s->cli->arena, "%s/models/segmenter-nnunet/%s", s->cfg->work, name);
    if (!s->prepared || !s->folder)
        return ERR_MEMORY;
    TRY(folder_make(s->prepared));
    return folder_make(s->folder);
}

/* WORK/project.json: what this work folder was made from. */
static enum err write_project(const struct session *s)
{
    char *path = path_join(s->cfg->work, "project.json");
    json_t *plan = cfg_to_json(plan_table, &s->plan), *cases = json_array(), *j = NULL;
    enum err err = ERR_MEMORY;

    for (size_t i = 0; cases && i < s->cases->count; i++)
        json_array_append_new(cases, json_str(s->cases->item[i].name));
    if (path && plan && cases)
        j = json_pack("{s:o, s:o, s:O, s:O}", "dataset", json_str(s->cfg->dataset), "command",
                      json_str(s->cli->command_line), "cases", cases, "plan", plan);
    if (j)
        err = json_write(j, path);
    json_decref(j);
    json_decref(plan);
    json_decref(cases);
    mem_free(path);
    return err;
}

static void report_prepared(void *ctx, size_t i, size_t n, const char *name, bool fresh)
{
    const struct session *s = ctx;

    progress_update(s->cli->progress, "preparing", (int64_t)i + 1, (int64_t)n, "%s%s", name,
                    fresh ? "" : " (kept)");
}

/* The list's phases become the registered ones. */
static enum err register_all(struct session *s, const struct prepare_options *read)
{
    const struct register_set set = {.work = s->cfg->work,
                                     .read = read,
                                     .options = {.memory = (uint64_t)s->cli->common->mem,
                                                 .progress = s->cli->progress,
                                                 .stop = s->cli->stop},
                                     .apply = true,
                                     .command_line = s->cli->command_line};
    struct register_tally tally;
    enum err err = register_dataset(&tally, s->cases, &set, s->cli->notes);

    str_free(&tally.failures);
    return err;
}

static enum err prepare_all(struct session *s)
{
    const struct train_cfg *c = s->cfg;
    struct prepare_options o = {.map = c->map,
                                .prefer = (enum nifti_form)c->prefer,
                                .assume_scanner = c->assume_scanner,
                                .resample_labels = c->resample_labels,
                                .training = true,
                                .force = c->force,
                                .memory = (uint64_t)s->cli->common->mem};
    struct prepare_watch watch = {report_prepared, s, s->cli->stop};

    if (c->align)
        TRY(register_all(s, &o));
    TRY(prepare_dataset(s->cases, &s->plan, s->prepared, &o, &watch, s->cli->notes));
    return case_list_require(s->cases, c->skip_bad_cases, s->cli->notes);
}

static enum err open_one(struct session *s, size_t i)
{
    return s->item[i] ? ERR_OK : prepared_open(&s->item[i], s->prepared, s->cases->item[i].name);
}

static enum err open_cases(struct session *s)
{
    s->item = mem_new(s->cases->count, sizeof *s->item);
    s->train = mem_new(s->split.trains + s->split.vals + 1, sizeof *s->train);
    if (!s->item || !s->train)
        return ERR_MEMORY;
    s->val = s->train + s->split.trains;
    for (size_t i = 0; i < s->split.trains; i++) {
        TRY(open_one(s, s->split.train[i]));
        s->train[i] = s->item[s->split.train[i]];
    }
    for (size_t i = 0; i < s->split.vals; i++) {
        TRY(open_one(s, s->split.val[i]));
        s->val[i] = s->item[s->split.val[i]];
    }
    return ERR_OK;
}

static enum err train(struct session *s)
{
    const struct cli_common *common = s->cli->common;
    struct backend backend;
    struct trainer_options o = {.plan = &s->plan,
                                .train = s->train,
                                .val = s->val,
                                .trains = s->split.trains,
                                .vals = s->split.vals,
                                .class_name = s->cases->class_name,
                                .folder = s->folder,
                                .backend = &backend,
                                .memory_max = (uint64_t)common->mem,
                                .force = s->cfg->force,
                                .progress = s->cli->progress,
                                .stop = s->cli->stop};

    TRY(stage_backend(&backend, common, (int)common->threads));
    progress_line(s->cli->progress, "training on %zu case%s, validating on %zu, into %s", s->split.trains,
                  s->split.trains == 1 ? "" : "s", s->split.vals, s->folder);
    return trainer_run(&o);
}

static enum err run_session(struct session *s)
{
    int fold;

    TRY(case_list_read(&s->cases, s->cfg->dataset, CASES_TRAIN, s->cli->notes));
    TRY(case_list_require(s->cases, s->cfg->skip_bad_cases, s->cli->notes));
    TRY(fold_of(s, &fold));
    TRY(make_plan(s));
    TRY(make_folders(s, fold));
    TRY(prepare_all(s));
    s->cli->show_notes(s->cli);
    TRY(split_make(&s->split, s->cases, s->cfg->dataset, fold, s->cli->notes));
    TRY(open_cases(s));
    if (s->plan.normalisation == NORM_CT)
        TRY(plan_measure_intensities(&s->plan, s->cli->arena, s->train, s->split.trains));
    TRY(write_project(s));
    return train(s);
}

static enum err print_result(const struct session *s)
{
    json_t *j;
    enum err err;

    if (!s->cli->common->json) {
        puts(s->folder);
        return ERR_OK;
    }
    j = json_pack("{s:o}", "model", json_str(s->folder));
    err = json_print(j);
    json_decref(j);
    return err;
}

static enum err run(const struct cli *cli, const void *cfg)
{
    struct session s = {.cli = cli, .cfg = cfg};
    enum err err = run_session(&s);

    for (size_t i = 0; s.item && i < s.cases->count; i++)
        prepared_free(s.item[i]);
    mem_free(s.item);
    mem_free(s.train);
    split_free(&s.split);
    case_list_free(s.cases);
    return err ? err : print_result(&s);
}

const struct command cmd_train_segmenter = {
    .name = "train segmenter",
    .summary = "train the tumour segmenter on a data set",
    .example = "-d Dataset001_Liver -w work --preset demo",
    .table = CFG_TABLE(train_fields),
    .cfg_size = sizeof(struct train_cfg),
    .set = &plan_table,
    .run = run,
};
