/* d4m predict: the verb. Which cases, where their masks go, and what happens when some of them fail. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "stage/backend.h"
#include "stage/predict.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct predict_cfg {
    const char *model, *output, *phase;
    struct cfg_list input;
    bool mirror, assume_scanner, align;
    int prefer; /* enum nifti_form */
    int precision;
};

static const struct field fields[] = {
    FIELD(struct predict_cfg, T_STRING, model, .required = true, .arg = "FOLDER_OR_FILE", .brief = 'm',
          .help = "the trained model: its folder, or its model.safetensors"),
    FIELD(struct predict_cfg, T_LIST, input, .required = true, .positional = true,
          .arg = "FILE_OR_CASE_OR_FOLDER", .brief = 'i',
          .help = "images (CASE_000k.nii.gz), a case (FOLDER/CASE) or folders of cases"),
    FIELD(struct predict_cfg, T_STRING, output, .required = true, .arg = "FOLDER_OR_FILE", .brief = 'o',
          .help =
              "folder for masks and result.json, or one mask (.nii, .nii.gz; its record beside it as .json)"),
    FIELD(struct predict_cfg, T_STRING, phase, .arg = "NAME",
          .help = "phase of images whose names do not end in _000k, for example portal_venous"),
    FIELD(struct predict_cfg, T_BOOL, mirror, .def = 1,
          .help = "average over the eight mirror images (8 times the work)"),
    {.name = "register",
     .type = T_BOOL,
     .offset = offsetof(struct predict_cfg, align),
     .def = 1,
     .help = "register the phases onto the reference phase; one that fails counts as missing"},
    STAGE_PRECISION(struct predict_cfg),
    FIELD(struct predict_cfg, T_CHOICE, prefer, .names = nifti_form_names,
          .help = "which form is right where a file's two disagree"),
    FIELD(struct predict_cfg, T_BOOL, assume_scanner,
          .help = "files without orientation lie along right, anterior, superior"),
};

/* A run: cases and where their masks go. */
struct outputs {
    const struct cli *cli;
    const struct case_list *list;
    const char **mask;  /* by case */
    const char *record; /* result.json */
    json_t *result;
    bool keep; /* what is at -o FILE is no result of an earlier run */
    size_t failed;
    enum err first; /* what the first failing case failed with */
    struct str failures;
};

static bool ends_in(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n >= m && !strcasecmp(s + n - m, end);
}

static bool is_mask_name(const char *path)
{
    return ends_in(path, ".nii") || ends_in(path, ".nii.gz");
}

/* Endings of images that we do not write, so that a slip does not become a folder of that name. */
static const char *foreign_ending(const char *path)
{
    static const char *const ending[] = {".mha",    ".mhd", ".nrrd", ".nhdr", ".img",  ".img.gz", ".hdr",
                                         ".hdr.gz", ".mgz", ".mnc",  ".dcm",  ".gipl", ".vtk",    ".tif",
                                         ".tiff",   ".png", ".npz",  ".npy",  ".h5",   ".nia"};

    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        if (ends_in(path, ending[i]))
            return ending[i];
    return NULL;
}

static enum err name_outputs(struct outputs *o, const char *output)
{
    struct arena *a = o->cli->arena;
    const char *bad = foreign_ending(output);

    if (!*output)
        return err_set(ERR_USAGE, "-o is empty; name a folder or a .nii.gz file");
    if (is_mask_name(output) && !str_ends(output, ".nii") && !str_ends(output, ".nii.gz"))
        return err_set(ERR_USAGE, "-o %s: other programs need the ending in small letters: .nii.gz or .nii",
                       output);
    if (bad)
        return err_set(ERR_USAGE, "-o %s: %s files are not written here; use .nii.gz, .nii or a folder",
                       output, bad);
    o->mask = arena_alloc(a, o->list->count, sizeof *o->mask);
    if (!o->mask)
        return ERR_MEMORY;
    if (is_mask_name(output) && !folder_exists(output)) {
        size_t stem = strlen(output) - (ends_in(output, ".gz") ? 7 : 4);
        if (o->list->count > 1)
            return err_set(ERR_USAGE, "-o %s is one file, but there are %zu cases: name a folder", output,
                           o->list->count);
        o->mask[0] = output;
        o->record = arena_printf(a, "%.*s.json", (int)stem, output);
        return o->record ? ERR_OK : ERR_MEMORY;
    }
    for (size_t i = 0; i < o->list->count; i++)
        if (!(o->mask[i] = arena_printf(a, "%s/%s.nii.gz", output, o->list->item[i].name)))
            return ERR_MEMORY;
    o->record = arena_printf(a, "%s/result.json", output);
    return o->record ? folder_make(output) : ERR_MEMORY;
}

/* Masks among a data set's images or labels would replace the reference. */
static enum err check_folder(const struct outputs *o)
{
    const char *mask = o->mask[0];
    struct arena *a = o->cli->arena;
    char *folder = arena_printf(a, "%.*s.", (int)(path_base(mask) - mask), mask), *json, *real;
    bool part;

    json = folder ? arena_printf(a, "%s/../dataset.json", folder) : NULL;
    if (!json)
        return ERR_MEMORY;
    real = file_exists(json) ? realpath(folder, NULL) : NULL;
    part = real && (str_starts(path_base(real), "labelsT") || str_starts(path_base(real), "imagesT"));
    free(real);
    return part ? err_set(ERR_USAGE, "-o %s: lies in a data set's images or labels: choose another folder",
                          mask)
                : ERR_OK;
}

/* No mask may replace an image of this run, by whatever name. */
static enum err check_inputs(const struct outputs *o)
{
    for (size_t i = 0; i < o->list->count; i++) {
        for (size_t c = 0; c < o->list->count; c++)
            for (int k = 0; k < PLAN_MAX_PHASES; k++) {
                const char *path = o->list->item[c].phase[k];
                if (path && file_same(path, o->mask[i]))
                    return err_set(ERR_USAGE, "the mask %s would replace the image %s: choose another -o",
                                   o->mask[i], path);
            }
    }
    return ERR_OK;
}

/* A record may replace only a record. One that lists the mask at -o FILE makes that mask ours. */
static enum err check_record(struct outputs *o, const char *output)
{
    json_t *old = NULL, *cases;
    const char *mask = NULL;
    enum err err;

    o->keep = o->mask[0] == output;
    if (!file_exists(o->record))
        return ERR_OK;
    err = json_read(&old, o->record);
    if (err == ERR_MEMORY)
        return err;
    cases = json_object_get(old, "cases");
    if (err || !json_is_array(cases) || !json_is_array(json_object_get(old, "failed")))
        err = err_set(ERR_USAGE,
                      "%s is there, is no record of d4m predict and would be replaced: move it, or choose "
                      "another -o",
                      o->record);
    else
        mask = json_string_value(json_object_get(json_array_get(cases, 0), "mask"));
    if (mask && !strcmp(mask, path_base(o->mask[0])))
        o->keep = false;
    json_decref(old);
    return err;
}

static enum err write_record(struct outputs *o, bool complete)
{
    json_object_set_new(o->result, "complete", json_boolean(complete));
    return json_write(o->result, o->record);
}

static enum err start_record(struct outputs *o, const struct predict_cfg *cfg, const struct segmenter *net)
{
    json_setup();
    o->result = json_pack("{s:s, s:o, s:o, s:s, s:b, s:[], s:[]}", "notice",
                          "Research use only. Not a medical device.", "command",
                          json_str(o->cli->command_line), "model", json_str(cfg->model), "precision",
                          net->bf16 ? "bf16" : "f32", "complete", 0, "cases", "failed");
    if (!o->result)
        return err_set(ERR_MEMORY, "out of memory (while starting %s)", o->record);
    return write_record(o, false); /* shows at once whether the folder can be written */
}

/* What a case's warnings are worth outside its record. */
static void pass_notes(const struct outputs *o, const json_t *record)
{
    size_t i;
    json_t *note;

    json_array_foreach(json_object_get(record, "notes"), i, note)
        note_add(o->cli->notes, json_string_value(json_object_get(note, "name")), "%s",
                 json_string_value(json_object_get(note, "text")));
    if (o->cli->show_notes)
        o->cli->show_notes(o->cli);
}

static void print_case(const struct outputs *o, size_t i, const json_t *record)
{
    const char *key;
    json_t *ml;

    if (o->cli->common->json)
        return;
    printf("%s:", o->list->item[i].name);
    json_object_foreach(json_object_get(record, "volumes_ml"), key, ml)
        printf(" %s %.1f ml,", key, json_number_value(ml));
    printf(" %lld lesions -> %s\n", (long long)json_integer_value(json_object_get(record, "lesions")),
           o->mask[i]);
    fflush(stdout);
}

/* The case is listed; a mask of an earlier run must not pass for its result. */
static void note_failure(struct outputs *o, size_t i, enum err err)
{
    const char *name = o->list->item[i].name;

    o->first = o->failed++ ? o->first : err;
    str_addf(&o->failures, "%s%s: %s", o->failed > 1 ? "; " : "", name, err_text());
    json_array_append_new(json_object_get(o->result, "failed"),
                          json_pack("{s:o, s:o}", "case", json_str(name), "error", json_str(err_text())));
    if (o->list->count > 1) /* alone, it is the error of the run */
        progress_line(o->cli->progress, "case %s failed: %s", name, err_text());
    if (!o->keep)
        (void)unlink(o->mask[i]);
}

/* Failures that the next case would meet too end the run. */
static bool is_final(enum err err)
{
    return err == ERR_OUTPUT || err == ERR_MODEL || err == ERR_INTERNAL;
}

static enum err run_cases(struct outputs *o, const struct predict_options *options)
{
    for (size_t i = 0; i < o->list->count; i++) {
        json_t *record = NULL;
        enum err err = predict_case(&record, &o->list->item[i], options, o->mask[i]);
        if (err == ERR_STOPPED)
            return err;
        if (err) {
            note_failure(o, i, err);
        } else {
            pass_notes(o, record);
            print_case(o, i, record);
            json_array_append_new(json_object_get(o->result, "cases"), record);
        }
        if (err && o->list->count == 1)
            return err;
        if (err && is_final(err)) {
            enum err written = write_record(o, false);
            return written ? written : err;
        }
        TRY(write_record(o, i + 1 == o->list->count));
    }
    return ERR_OK;
}

static enum err print_result(const struct outputs *o)
{
    return o->cli->common->json ? json_print(o->result) : ERR_OK;
}

static enum err predict_list(struct outputs *o, const struct predict_cfg *cfg, const struct segmenter *net)
{
    struct predict_options options = {
        .net = net,
        .prepare = {.prefer = (enum nifti_form)cfg->prefer, .assume_scanner = cfg->assume_scanner},
        .align = cfg->align,
        .mirror = cfg->mirror,
        .limit = (uint64_t)o->cli->common->mem,
        .progress = o->cli->progress,
        .stop = o->cli->stop};
    enum err err;

    TRY(name_outputs(o, cfg->output));
    TRY(check_inputs(o));
    TRY(check_folder(o));
    TRY(check_record(o, cfg->output));
    TRY(start_record(o, cfg, net));
    err = run_cases(o, &options);
    if (err && o->list->count == 1) /* nothing was made, so nothing is left */
        (void)unlink(o->record);
    TRY(err);
    TRY(print_result(o));
    TRY(str_status(&o->failures));
    if (o->failed)
        return err_set(ERR_CASES, "%zu of %zu cases failed: %s", o->failed, o->list->count, o->failures.s);
    return ERR_OK;
}

static enum err run(const struct cli *cli, const void *config)
{
    const struct predict_cfg *cfg = config;
    struct outputs o = {.cli = cli};
    struct segmenter *net = NULL;
    struct case_list *list = NULL;
    struct phase_map phases;
    struct case_query query = {.path = cfg->input.item, .count = cfg->input.count, .phase = cfg->phase};
    enum err err;

    TRY_OR(done, segmenter_open(&net, cfg->model, cfg->precision, cli));
    TRY_OR(done, phase_map_parse(&phases, cli->arena, net->plan.phase_names));
    TRY_OR(done, case_list_find(&list, &phases, &query, cli->notes));
    o.list = list;
    err = predict_list(&o, cfg, net);
done:
    json_decref(o.result);
    str_free(&o.failures);
    case_list_free(list);
    segmenter_close(net);
    return err;
}

const struct command cmd_predict = {
    .name = "predict",
    .summary = "outline liver and tumours in new cases",
    .example = "--model work/models/segmenter-nnunet/fold_0 -i patient/ -o masks/",
    .table = CFG_TABLE(fields),
    .cfg_size = sizeof(struct predict_cfg),
    .run = run,
};
