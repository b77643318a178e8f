/* d4m register: the verb. */
#include "base/file.h"
#include "base/json.h"
#include "stage/register.h"
#include <stdio.h>

struct register_cfg {
    const char *fixed, *moving, *output, *fixed_liver, *moving_liver, *lesion_mask, *dataset, *work;
    int preset, prefer, interpolation;
    double spacing;
    bool force, assume_scanner, skip_bad_cases;
};

static const char *const interpolation_names[] = {"linear", "cubic", NULL};

static const struct field fields[] = {
    FIELD(struct register_cfg, T_STRING, fixed, .arg = "FILE",
          .help = "the portal venous image; its grid is the result's"),
    FIELD(struct register_cfg, T_STRING, moving, .arg = "FILE", .help = "the phase that is brought onto it"),
    FIELD(struct register_cfg, T_STRING, output, .arg = "FOLDER", .brief = 'o',
          .help = "folder for registered.nii.gz, valid.nii.gz, transform.d4m, verdict.json and pictures "
                  "(qc.png, ...)"),
    FIELD(struct register_cfg, T_STRING, dataset, .brief = 'd', .arg = "DATASET",
          .help = "instead of one pair: every phase of every case of a data set, with -w"),
    FIELD(struct register_cfg, T_STRING, work, .brief = 'w', .arg = "WORK",
          .help = "work folder; results go to WORK/registered, and what is there and up to date is kept"),
    FIELD(struct register_cfg, T_STRING, fixed_liver, .arg = "FILE",
          .help = "liver mask of the fixed image, for the verdict"),
    FIELD(struct register_cfg, T_STRING, moving_liver, .arg = "FILE",
          .help = "liver mask of the moving image, for the verdict"),
    FIELD(struct register_cfg, T_STRING, lesion_mask, .arg = "FILE",
          .help = "mask on the fixed image: what is set moves with its surroundings"),
    FIELD(struct register_cfg, T_BOOL, force,
          .help = "write the registered image even if the verdict is fail; with -d, redo everything"),
    FIELD(struct register_cfg, T_CHOICE, preset, .names = refine_preset_names,
          .help = "fine: more iterations"),
    FIELD(struct register_cfg, T_REAL, spacing, .def = 2, .min = 1, .max = 6,
          .help = "mm between nodes of the working grid"),
    FIELD(struct register_cfg, T_CHOICE, interpolation, .names = interpolation_names,
          .help = "how the moving image is read between its voxels"),
    FIELD(struct register_cfg, T_CHOICE, prefer, .names = nifti_form_names,
          .help = "which form is right where a file's two disagree"),
    FIELD(struct register_cfg, T_BOOL, assume_scanner,
          .help = "files without orientation lie along right, anterior, superior"),
    FIELD(struct register_cfg, T_BOOL, skip_bad_cases,
          .help = "with -d: go on without cases that cannot be used"),
};

static enum err name_results(struct register_job *job, const char *folder, struct arena *a)
{
    job->image = arena_printf(a, "%s/registered.nii.gz", folder);
    job->valid = arena_printf(a, "%s/valid.nii.gz", folder);
    job->map = arena_printf(a, "%s/transform.d4m", folder);
    job->record = arena_printf(a, "%s/verdict.json", folder);
    job->picture = arena_printf(a, "%s/qc", folder);
    return job->image && job->valid && job->map && job->record && job->picture ? folder_make(folder)
                                                                               : ERR_MEMORY;
}

static void print_pair(const json_t *record, const struct register_job *job)
{
    const json_t *body = json_object_get(record, "body"), *reason;
    double header = json_number_value(json_object_get(json_object_get(body, "header"), "mean12"));
    double final = json_number_value(json_object_get(json_object_get(body, "final"), "mean12"));
    double noise = json_number_value(json_object_get(json_object_get(record, "noise"), "mean12_of_noise"));
    const char *identity = json_string_value(json_object_get(record, "identity"));
    size_t i;

    printf("%s: %s\n", job->moving, json_string_value(json_object_get(record, "verdict")));
    json_array_foreach(json_object_get(record, "reasons"), i, reason)
        printf("  %s\n", json_string_value(reason));
    printf("  feature distance %.4f -> %.4f (noise alone %.4f), moved %.1f mm on average\n", header, final,
           noise, json_number_value(json_object_get(body, "moved_mean_mm")));
    if (identity)
        printf("  position kept as in the files: %s\n", identity);
    printf("  %s\n", json_string_value(json_object_get(record, "notice")));
    printf("  -> %s\n",
           json_object_get(json_object_get(record, "results"), "image") ? job->image : job->record);
}

static enum err run_pair(const struct cli *cli, const struct register_cfg *c)
{
    struct register_job job = {
        .fixed = c->fixed,
        .moving = c->moving,
        .fixed_liver = c->fixed_liver,
        .moving_liver = c->moving_liver,
        .lesion = c->lesion_mask,
        .read = {.prefer = (enum nifti_form)c->prefer,
                 .assume_scanner = c->assume_scanner,
                 .positions_matter = true},
        .options = {.preset = (enum refine_preset)c->preset,
                    .spacing = c->spacing,
                    .memory = (uint64_t)cli->common->mem,
                    .progress = cli->progress,
                    .stop = cli->stop},
        .force = c->force,
        .how = c->interpolation ? WARP_CUBIC : WARP_LINEAR,
        .command_line = cli->command_line,
    };
    enum verdict verdict;
    json_t *record = NULL;
    enum err err;

    TRY(name_results(&job, c->output, cli->arena));
    TRY(register_pair(&verdict, &record, &job, cli->notes));
    if (cli->common->json)
        err = json_print(record);
    else {
        print_pair(record, &job);
        err = ERR_OK;
    }
    json_decref(record);
    if (!err && verdict == VERDICT_FAIL)
        err = err_set(ERR_CASES, "%s does not fit %s; the reasons are in %s%s", c->moving, c->fixed,
                      job.record, c->force ? "" : " (no image was written; --force writes it)");
    return err;
}

static enum err print_tally(const struct cli *cli, const struct register_tally *t, const char *work)
{
    json_t *j;
    enum err err;

    if (!cli->common->json) {
        printf("pass %zu, warn %zu, fail %zu, not registered %zu (%zu of them kept from earlier) -> "
               "%s/registered/verdict.json\n",
               t->verdict[VERDICT_PASS], t->verdict[VERDICT_WARN], t->verdict[VERDICT_FAIL], t->unfit,
               t->kept, work);
        return ERR_OK;
    }
    j = json_pack("{s:I, s:I, s:I, s:I, s:I}", "pass", (json_int_t)t->verdict[VERDICT_PASS], "warn",
                  (json_int_t)t->verdict[VERDICT_WARN], "fail", (json_int_t)t->verdict[VERDICT_FAIL],
                  "not_registered", (json_int_t)t->unfit, "kept", (json_int_t)t->kept);
    err = json_print(j);
    json_decref(j);
    return err;
}

static enum err run_dataset(const struct cli *cli, const struct register_cfg *c)
{
    const struct prepare_options read = {.prefer = (enum nifti_form)c->prefer,
                                         .assume_scanner = c->assume_scanner};
    const struct register_set set = {.work = c->work,
                                     .read = &read,
                                     .options = {.preset = (enum refine_preset)c->preset,
                                                 .spacing = c->spacing,
                                                 .memory = (uint64_t)cli->common->mem,
                                                 .progress = cli->progress,
                                                 .stop = cli->stop},
                                     .how = c->interpolation ? WARP_CUBIC : WARP_LINEAR,
                                     .force = c->force,
                                     .whole = true,
                                     .command_line = cli->command_line};
    struct register_tally tally = {0};
    struct case_list *list = NULL;
    enum err err;

    TRY_OR(done, case_list_read(&list, c->dataset, CASES_TRAIN, cli->notes));
    TRY_OR(done, case_list_require(list, c->skip_bad_cases, cli->notes));
    TRY_OR(done, register_dataset(&tally, list, &set, cli->notes));
    TRY_OR(done, print_tally(cli, &tally, c->work));
    if (tally.failures.len)
        err = err_set(ERR_CASES, "these were not registered or not completed: %s", tally.failures.s);
done:
    str_free(&tally.failures);
    case_list_free(list);
    return err;
}

static enum err run(const struct cli *cli, const void *config)
{
    const struct register_cfg *c = config;

    if (c->dataset && c->work && !c->fixed && !c->moving && !c->output)
        return run_dataset(cli, c);
    if (!c->dataset && !c->work && c->fixed && c->moving && c->output)
        return run_pair(cli, c);
    return err_set(ERR_USAGE, "give --fixed, --moving and -o for one pair, or -d and -w for a data set");
}

const struct command cmd_register = {
    .name = "register",
    .summary = "bring a phase onto the portal venous image, with a verdict",
    .example = "--fixed case_0002.nii.gz --moving case_0001.nii.gz -o registered/",
    .table = CFG_TABLE(fields),
    .cfg_size = sizeof(struct register_cfg),
    .run = run,
};
