#include "stage/phantom_dataset.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "phantom/record.h"
#include <string.h>

/* What the data set says of itself (phantom.md section 16). */
static const char painted[] = "Computer-made four-phase CT with known truth (d4m phantom). It says nothing "
                              "about patients: a score here says "
                              "which method copes better with this misalignment.";
static const char semi_real[] =
    "One real CT as the background of phases and lesions that a computer made (d4m phantom). It says nothing "
    "about "
    "patients, and all phases share one scan's texture: never quote registration errors on it.";

/* Name and content of a file that the cases are made from; null for NULL. */
static enum err describe_file(json_t **out, const char *path)
{
    char hash[20];
    uint64_t bytes;

    *out = path ? NULL : json_null();
    if (!path)
        return ERR_OK;
    TRY(file_hash(path, &bytes));
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)bytes);
    *out = json_pack("{s:o, s:s}", "name", json_str(path_base(path)), "xxh3", hash);
    return *out ? ERR_OK : err_set(ERR_MEMORY, "out of memory for a phantom");
}

static enum err describe_source(json_t **out, const struct phantom_job *job)
{
    json_t *ct = NULL, *liver = NULL, *organs = NULL;
    enum err err;

    *out = job->from ? NULL : json_null();
    if (!job->from)
        return ERR_OK;
    err = describe_file(&ct, job->from);
    if (!err)
        err = describe_file(&liver, job->liver);
    if (!err)
        err = describe_file(&organs, job->organs);
    *out = json_pack("{s:o?, s:o?, s:o?, s:s}", "ct", ct, "labels", organs, "liver", liver, "phase",
                     phantom_phase_names[job->from_phase]);
    return err || *out ? err : err_set(ERR_MEMORY, "out of memory for a phantom");
}

/* The same object with its keys in alphabetical order; takes o. */
static json_t *sorted(json_t *o)
{
    json_t *out = o ? json_object() : NULL;
    const char *last = "", *next;

    for (size_t i = 0; out && i < json_object_size(o); i++, last = next) {
        const char *key;
        json_t *value;

        next = NULL;
        json_object_foreach(o, key, value) if (strcmp(key, last) > 0 && (!next || strcmp(key, next) < 0))
            next = key;
        if (json_object_set(out, next, json_object_get(o, next))) {
            json_decref(out);
            out = NULL;
        }
    }
    json_decref(o);
    return out;
}

enum err phantom_describe(json_t **out, const struct phantom_job *job)
{
    json_t *from = NULL;
    enum err err = describe_source(&from, job);

    *out = json_pack("{s:b, s:I, s:I, s:o?, s:o, s:o, s:I, s:i}", "clean", (int)job->clean, "count",
                     (json_int_t)job->count, "first", (json_int_t)job->first, "from", from, "parameters",
                     sorted(cfg_to_json(phantom_table, &job->params)), "preset",
                     job->from ? json_null() : json_str(phantom_presets[job->preset]), "seed",
                     (json_int_t)job->seed, "version", 1);
    return err || *out ? err : err_set(ERR_MEMORY, "out of memory for a phantom");
}

/* The licence that the data set of `path` (DATASET/imagesTr/FILE) states; NULL: none. */
static char *find_licence(const char *path)
{
    static const char *const keys[] = {"licence", "license"};
    const char *base = path_base(path);
    struct str at = {0};
    json_t *j = NULL;
    char *found = NULL;

    str_addf(&at, "%.*s../dataset.json", (int)(base - path), path);
    if (str_status(&at) == ERR_OK && file_exists(at.s) && json_read(&j, at.s) == ERR_OK)
        for (int i = 0; i < 2 && !found; i++) {
            const char *text = json_string_value(json_object_get(j, keys[i]));
            found = text ? mem_str(text) : NULL;
        }
    json_decref(j);
    str_free(&at);
    return found;
}

static bool add_source(json_t *dataset, const struct phantom_job *job)
{
    char *found = job->licence ? NULL : find_licence(job->from);
    const char *licence = job->licence ? job->licence : found ? found : "that of the CT it was made from";
    bool good = !json_object_set_new(dataset, "licence", json_str(licence)) &&
                !json_object_set_new(dataset, "reference", json_str(path_base(job->from)));

    mem_free(found);
    return good;
}

json_t *phantom_dataset(const struct phantom_job *job, json_t *phantom)
{
    const char *const *phase = phantom_phase_names;
    json_t *j;

    j = json_pack(
        "{s:{s:s, s:s, s:s, s:s}, s:s, s:s, s:{s:i, s:i, s:i}, s:s, s:I, s:O, s:{s:s, s:s, s:s, s:s}}",
        "channel_names", "0", "CT", "1", "CT", "2", "CT", "3", "CT", "description",
        job->from ? semi_real : painted, "file_ending", ".nii.gz", "labels", "background", 0, "liver", 1,
        "tumour", 2, "name", "phantom", "numTraining", (json_int_t)(job->count - phantom_tests(job)),
        "phantom", phantom, "phase_names", "0", phase[0], "1", phase[1], "2", phase[2], "3", phase[3]);
    if (j && job->from && !add_source(j, job)) {
        json_decref(j);
        return NULL;
    }
    return sorted(j);
}
