/* Registration of a data set: WORK/registered. A pair's record is written last, so that whatever has one is
 * complete. */
#include "align/warp.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "stage/register.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Counts up when results or records change their meaning. */
enum { REGISTERED_FORMAT = 1 };

struct run {
    struct case_list *list;
    const struct register_set *set;
    struct register_tally *tally;
    struct notes *notes;
    const char *folder; /* WORK/registered */
    json_t *cases;      /* of verdict.json */
    size_t done, total; /* phases */
};

static bool is_phase_fault(enum err err)
{
    return err == ERR_INPUT || err == ERR_CORRUPT || err == ERR_USAGE;
}

/* Where a phase's results go; the strings live in the list's arena. */
static enum err name_results(struct register_job *job, const struct run *r, const char *name, int channel)
{
    struct arena *a = r->list->arena;

    job->image = arena_printf(a, "%s/imagesTr/%s_%04d.nii.gz", r->folder, name, channel);
    job->valid = arena_printf(a, "%s/valid/%s_%04d.nii.gz", r->folder, name, channel);
    job->map = arena_printf(a, "%s/transforms/%s_%04d.d4m", r->folder, name, channel);
    job->record = arena_printf(a, "%s/transforms/%s_%04d.json", r->folder, name, channel);
    job->picture = arena_printf(a, "%s/qc/%s_%04d", r->folder, name, channel);
    return job->image && job->valid && job->map && job->record && job->picture ? ERR_OK : ERR_MEMORY;
}

/* The label as the fixed image's liver, its last class as the lesion; if it lies on that image. */
static enum err use_label(struct register_job *job, const struct run *r, const struct case_files *c)
{
    struct volume *label = NULL, *fixed = NULL;
    enum err err;

    if (!c->label || r->set->read->map)
        return ERR_OK;
    TRY_OR(done, nifti_load_grid(&fixed, job->fixed, &job->read, NULL));
    err = nifti_load_grid(&label, c->label, &job->read, NULL);
    if (!err && grid_overlap(&label->grid, &fixed->grid) > 0.99) {
        job->fixed_liver = c->label;
        if (r->list->classes > 2) {
            job->lesion = c->label;
            job->lesion_value = (int)r->list->classes - 1;
        }
    }
    if (is_phase_fault(err)) /* without geometry, say: preparing has rules for that */
        err = ERR_OK;
done:
    volume_free(label);
    volume_free(fixed);
    return err;
}

static enum err make_key(char key[17], const struct register_job *job)
{
    char text[80];
    uint64_t h;

    snprintf(text, sizeof text, "%d %d %a %d %d %d %d", REGISTERED_FORMAT, (int)job->options.preset,
             job->options.spacing, (int)job->how, (int)job->read.prefer, job->read.assume_scanner,
             job->lesion_value);
    h = bytes_hash(text, strlen(text), 0);
    TRY(nifti_hash(&h, job->fixed));
    TRY(nifti_hash(&h, job->moving));
    if (job->fixed_liver)
        TRY(nifti_hash(&h, job->fixed_liver));
    snprintf(key, 17, "%016" PRIx64, h);
    return ERR_OK;
}

/* The record of an earlier run if it is of this key and its results are there; else *record stays NULL. */
static void find_record(json_t **record, const struct register_job *job)
{
    const char *key;
    json_t *j = NULL;

    if (!file_exists(job->record) || json_read(&j, job->record))
        return;
    key = json_string_value(json_object_get(j, "key"));
    if (key && !strcmp(key, job->key) &&
        (!json_object_get(json_object_get(j, "results"), "image") ||
         (file_exists(job->image) && file_exists(job->valid) && file_exists(job->map))))
        *record = j;
    else
        json_decref(j);
}

/* What could not be registered gets a record too, so that it is not tried again. */
static enum err record_unfit(json_t **record, const struct register_job *job)
{
    json_t *j =
        json_pack("{s:s, s:o, s:s}", "verdict", "unfit", "error", json_str(err_text()), "key", job->key);

    if (!j)
        return err_set(ERR_MEMORY, "out of memory for %s", job->record);
    *record = j;
    return json_write(j, job->record);
}

static void add_reasons(struct str *s, const json_t *record)
{
    const char *error = json_string_value(json_object_get(record, "error"));
    const json_t *reason;
    size_t i;

    if (error)
        str_add(s, error);
    json_array_foreach(json_object_get(record, "reasons"), i, reason)
        str_addf(s, "%s%s", i ? "; " : "", json_string_value(reason));
}

/* Counts the verdict; with `apply`, the registered image takes the phase's place in the list. */
static enum err take(struct run *r, struct case_files *c, int channel, const struct register_job *job,
                     const json_t *record)
{
    const char *verdict = json_string_value(json_object_get(record, "verdict"));
    bool image = json_object_get(json_object_get(record, "results"), "image") != NULL;
    bool unfit = !verdict || !strcmp(verdict, "unfit");
    struct str why = {0};
    enum err err;

    add_reasons(&why, record);
    err = str_status(&why);
    for (int v = 0; !unfit && v <= VERDICT_FAIL; v++)
        r->tally->verdict[v] += !strcmp(verdict, verdict_names[v]);
    r->tally->unfit += unfit;
    if (!err && (unfit || !strcmp(verdict, verdict_names[VERDICT_FAIL])))
        str_addf(&r->tally->failures, "%s%s: %s", r->tally->failures.len ? "; " : "", c->phase[channel],
                 why.s);
    if (!err && r->set->apply && unfit)
        register_note_unfit(r->notes, c->phase[channel], why.s);
    else if (!err && r->set->apply && !image)
        register_note_dropped(r->notes, c->phase[channel], why.s);
    if (r->set->apply && !unfit)
        c->phase[channel] = image ? job->image : NULL;
    str_free(&why);
    return err ? err : str_status(&r->tally->failures);
}

/* One phase: *record is a new reference to what is known of it. */
static enum err register_phase(json_t **record, struct run *r, struct case_files *c, int channel)
{
    const struct register_set *s = r->set;
    struct register_job job = {.fixed = c->phase[c->reference],
                               .moving = c->phase[channel],
                               .read = {.prefer = s->read->prefer,
                                        .assume_scanner = s->read->assume_scanner,
                                        .positions_matter = true},
                               .options = s->options,
                               .force = s->force,
                               .how = s->how,
                               .command_line = s->command_line};
    char key[17] = "";
    enum verdict verdict;
    enum err err;

    job.options.progress = NULL;
    if (!(job.options.spacing > 0))
        job.options.spacing = ALIGN_SPACING;
    job.key = key;
    TRY(name_results(&job, r, c->name, channel));
    err = use_label(&job, r, c);
    if (!err)
        err = make_key(key, &job);
    if (!err && !s->force)
        find_record(record, &job);
    if (!err && *record)
        r->tally->kept++;
    else if (!err)
        err = register_pair(&verdict, record, &job, r->notes);
    if (is_phase_fault(err))
        err = record_unfit(record, &job);
    return err ? err : take(r, c, channel, &job, *record);
}

/* What verdict.json keeps of a record. */
static json_t *summary(const json_t *record)
{
    static const char *const keys[] = {"verdict", "reasons", "error", "identity", "body", "liver"};
    json_t *o = json_object();

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        json_object_set(o, keys[i], json_object_get(record, keys[i]));
    json_object_set(o, "picture", json_object_get(json_object_get(record, "results"), "picture"));
    return o;
}

static enum err write_verdicts(const struct run *r, bool complete)
{
    char *path = path_join(r->folder, "verdict.json");
    json_t *j = json_pack("{s:s, s:o, s:b, s:O}", "notice",
                          "organ-level alignment; tumours are not expected to align", "command",
                          json_str(r->set->command_line), "complete", complete, "cases", r->cases);
    enum err err = path && j ? json_write(j, path) : err_set(ERR_MEMORY, "out of memory for verdict.json");

    json_decref(j);
    mem_free(path);
    return err;
}

/* Copies an image byte by byte; what is no .nii.gz is written anew. */
static enum err copy_image(const char *from, const char *to, const struct nifti_options *read)
{
    struct volume *v = NULL;
    uint8_t *bytes = NULL;
    size_t size, n = strlen(from);
    enum err err;

    if (n > 7 && !strcmp(from + n - 7, ".nii.gz")) {
        TRY(file_read(from, &bytes, &size));
        err = file_write(to, bytes, size);
        mem_free(bytes);
        return err;
    }
    TRY(nifti_load_hu(&v, from, read, NULL));
    err = nifti_save(v, v, to);
    volume_free(v);
    return err;
}

/* The label on the reference phase's stored grid. */
static enum err copy_label(const struct run *r, const struct case_files *c, const char *to)
{
    struct volume *reference = NULL, *ras = NULL, *stored = NULL;
    enum err err;

    TRY_OR(done, place_reference(&reference, c, r->set->read, NULL));
    TRY_OR(done, place_label(&ras, c->label, reference, r->set->read, NULL));
    TRY_OR(done, volume_from_ras(&stored, ras, grid_orient(&reference->grid)));
    err = nifti_save(stored, reference, to);
done:
    volume_free(reference);
    volume_free(ras);
    volume_free(stored);
    return err;
}

/* Reference phase and label beside the registered phases, once. */
static enum err complete_case(const struct run *r, const struct case_files *c)
{
    const struct nifti_options read = {.prefer = r->set->read->prefer,
                                       .assume_scanner = r->set->read->assume_scanner};
    struct arena *a = r->list->arena;
    char *image = arena_printf(a, "%s/imagesTr/%s_%04d.nii.gz", r->folder, c->name, c->reference);
    char *label = arena_printf(a, "%s/labelsTr/%s.nii.gz", r->folder, c->name);

    if (!image || !label)
        return ERR_MEMORY;
    TRY(copy_image(c->phase[c->reference], image, &read));
    return c->label ? copy_label(r, c, label) : ERR_OK;
}

static enum err register_files(struct run *r, struct case_files *c)
{
    json_t *phases = json_object(), *entry;
    enum err err = ERR_OK;

    entry = json_pack("{s:o, s:s, s:o}", "case", json_str(c->name), "reference",
                      r->list->phases.name[c->reference], "phases", phases);
    if (!entry || json_array_append_new(r->cases, entry))
        return err_set(ERR_MEMORY, "out of memory for verdict.json");
    for (int i = 0; !err && i < r->list->phases.count; i++) {
        json_t *record = NULL;

        if (!c->phase[i] || i == c->reference)
            continue;
        if (r->set->options.stop && atomic_load(r->set->options.stop))
            return err_set(ERR_STOPPED, "stopped while registering; the same command goes on");
        err = register_phase(&record, r, c, i);
        if (!err)
            json_object_set_new(phases, r->list->phases.name[i], summary(record));
        if (!err)
            err = write_verdicts(r, false);
        r->done++;
        progress_update(r->set->options.progress, "registering", (int64_t)r->done, (int64_t)r->total,
                        "%s %s %s", c->name, r->list->phases.name[i],
                        record ? json_string_value(json_object_get(record, "verdict")) : "");
        json_decref(record);
    }
    if (err || !r->set->whole)
        return err;
    err = complete_case(r, c);
    if (is_phase_fault(err)) { /* a label on another grid, say: the other cases go on */
        str_addf(&r->tally->failures, "%s%s: %s", r->tally->failures.len ? "; " : "", c->name, err_text());
        err = str_status(&r->tally->failures);
    }
    return err;
}

/* nnU-Net's description: CT everywhere, our phase names beside it. */
static enum err write_dataset_json(const struct run *r)
{
    const struct case_list *l = r->list;
    json_t *channels = json_object(), *phases = json_object(), *labels = json_object(), *j;
    char *path = path_join(r->folder, "dataset.json");
    json_int_t cases = 0;
    enum err err;

    for (int i = 0; i < l->phases.count; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        json_object_set_new(channels, number, json_string("CT"));
        json_object_set_new(phases, number, json_string(l->phases.name[i]));
    }
    for (int64_t v = 0; v < l->classes; v++)
        if (l->class_name[v])
            json_object_set_new(labels, l->class_name[v], json_integer(v));
    for (size_t i = 0; i < l->count; i++)
        cases += !l->item[i].bad;
    j = json_pack("{s:o, s:o, s:o, s:I, s:s}", "channel_names", channels, "phase_names", phases, "labels",
                  labels, "numTraining", cases, "file_ending", ".nii.gz");
    err = path && j ? json_write(j, path) : err_set(ERR_MEMORY, "out of memory for dataset.json");
    json_decref(j);
    mem_free(path);
    return err;
}

static enum err make_folders(const struct run *r)
{
    static const char *const names[] = {"imagesTr", "valid", "transforms", "qc", "labelsTr"};
    enum err err = ERR_OK;

    for (size_t i = 0; !err && i < (r->set->whole ? 5 : 4); i++) {
        char *path = path_join(r->folder, names[i]);
        err = path ? folder_make(path) : ERR_MEMORY;
        mem_free(path);
    }
    return err;
}

enum err register_dataset(struct register_tally *tally, struct case_list *l, const struct register_set *s,
                          struct notes *n)
{
    struct run r = {.list = l, .set = s, .tally = tally, .notes = n};
    enum err err;

    json_setup();
    *tally = (struct register_tally){0};
    for (size_t i = 0; i < l->count; i++)
        for (int k = 0; k < l->phases.count && !l->item[i].bad; k++)
            r.total += l->item[i].phase[k] && k != l->item[i].reference;
    if (!r.total && !s->whole)
        return ERR_OK;
    r.folder = arena_printf(l->arena, "%s/registered", s->work);
    r.cases = json_array();
    if (!r.folder || !r.cases)
        return ERR_MEMORY;
    TRY_OR(done, make_folders(&r));
    for (size_t i = 0; i < l->count; i++)
        if (!l->item[i].bad)
            TRY_OR(done, register_files(&r, &l->item[i]));
    TRY_OR(done, write_verdicts(&r, true));
    if (s->whole)
        err = write_dataset_json(&r);
done:
    json_decref(r.cases);
    return err;
}
