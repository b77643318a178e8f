#include "stage/phantom.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/file.h"
#include "phantom/case.h"
#include "phantom/record.h"
#include "stage/phantom_place.h"
#include "volume/nifti.h"
#include <math.h>
#include <stdio.h>

/* What the data set says of itself (phantom.md section 16). */
static const char description[] = "Computer-made four-phase CT with known truth (d4m phantom). It says "
                                  "nothing about patients: a score here says "
                                  "which method copes better with this misalignment.";

struct writer {
    const struct phantom_job *job;
    struct phantom_place place;
    struct phantom_case *c;
    char name[32]; /* of the case */
    bool test;
    int64_t done; /* phases, for progress */
};

int64_t phantom_tests(const struct phantom_job *job)
{
    return (int64_t)floor(job->params.test_share * (double)job->count + 0.5);
}

/* Saves a RAS volume in the axes of its scan. */
static enum err save(const struct writer *w, const struct volume *v, bool lps, enum phantom_folder f,
                     const char *end)
{
    struct orient axes = {{0, 1, 2}, {true, true, false}};
    struct volume *stored = NULL;
    char name[128], *path;
    enum err err;

    snprintf(name, sizeof name, "%s%s.nii.gz", w->name, end);
    path = phantom_place_path(&w->place, f, name);
    err = path ? ERR_OK : ERR_MEMORY;
    if (!err && lps)
        err = volume_from_ras(&stored, v, axes);
    if (!err)
        err = nifti_save(stored ? stored : v, NULL, path);
    volume_free(stored);
    mem_free(path);
    return err;
}

static enum err save_field(const struct writer *w, const struct motion *m, const char *end)
{
    char name[128], *path;
    enum err err;

    snprintf(name, sizeof name, "%s%s.nii.gz", w->name, end);
    path = phantom_place_path(&w->place, TRUTH, name);
    err = path ? motion_write_field(m, &w->c->scan[PHANTOM_PVP].grid, path) : ERR_MEMORY;
    mem_free(path);
    return err;
}

/* The annotation needs the single lesions, which the truth's labels no longer tell. */
static enum err save_annotation(struct writer *w, const struct phantom_phase *p)
{
    struct volume *label = NULL;
    enum err err = phantom_case_annotate(&label, w->c, p);

    if (!err)
        err = save(w, label, w->c->scan[PHANTOM_PVP].lps, w->test ? LABELS_TS : LABELS_TR, "");
    volume_free(label);
    return err;
}

static enum err save_phase(struct writer *w, int phase, struct phantom_phase *p)
{
    bool lps = w->c->scan[phase].lps;
    char end[32];

    snprintf(end, sizeof end, "_%04d", phase);
    TRY(save(w, p->image.hu, lps, w->test ? IMAGES_TS : IMAGES_TR, end));
    if (phase == PHANTOM_PVP)
        TRY(save_annotation(w, p));
    phantom_case_labels(w->c, p->image.label);
    snprintf(end, sizeof end, "_labels_%04d", phase);
    TRY(save(w, p->image.label, lps, TRUTH, end));
    if (w->job->clean) {
        snprintf(end, sizeof end, "_clean_%04d", phase);
        TRY(save(w, p->image.clean, lps, TRUTH, end));
    }
    if (phase == PHANTOM_PVP)
        return ERR_OK;
    snprintf(end, sizeof end, "_field_%04d", phase);
    return save_field(w, &p->motion, end);
}

static enum err write_phases(struct writer *w)
{
    struct phantom_watch watch = {.stop = w->job->stop};
    enum err err = ERR_OK;

    for (int p = 0; p < PHANTOM_PHASES && !err; p++) {
        struct phantom_phase made = {0};

        if (w->c->facts[p].present) {
            progress_update(w->job->progress, "phantom", w->done, PHANTOM_PHASES * w->job->count, "%s %s",
                            w->name, phantom_phase_names[p]);
            err = phantom_case_render(&made, w->c, p, &watch);
            if (!err)
                err = save_phase(w, p, &made);
            phantom_phase_free(&made);
        }
        w->done++;
    }
    return err;
}

/* truth/CASE.json comes last: where it is, the case is done. */
static enum err write_case(struct writer *w, int64_t number)
{
    struct phantom_id id = {w->job->seed, number};
    char name[128], *path;
    json_t *record = NULL;
    enum err err;

    snprintf(w->name, sizeof w->name, "ph_%05lld", (long long)number);
    w->test = number - w->job->first >= w->job->count - phantom_tests(w->job);
    snprintf(name, sizeof name, "%s.json", w->name);
    path = phantom_place_path(&w->place, TRUTH, name);
    if (!path)
        return ERR_MEMORY;
    if (file_exists(path)) {
        w->done += PHANTOM_PHASES;
        mem_free(path);
        return ERR_OK;
    }
    TRY_OR(done, phantom_case_make(w->c, &id, w->job->preset, &w->job->params));
    TRY_OR(done, write_phases(w));
    record = phantom_record(w->c);
    err = record ? json_write(record, path) : err_set(ERR_MEMORY, "out of memory for %s", path);
done:
    json_decref(record);
    phantom_case_free(w->c);
    mem_free(path);
    return err;
}

/* What is being made: the record by which a stopped run is recognised, and the key `phantom` of the data
 * set. */
static json_t *describe(const struct phantom_job *job)
{
    return json_pack("{s:b, s:I, s:I, s:o, s:s, s:I, s:i}", "clean", (int)job->clean, "count",
                     (json_int_t)job->count, "first", (json_int_t)job->first, "parameters",
                     cfg_to_json(phantom_table, &job->params), "preset", phantom_presets[job->preset], "seed",
                     (json_int_t)job->seed, "version", 1);
}

static json_t *dataset_json(const struct phantom_job *job, json_t *phantom)
{
    json_t *phases = json_object();

    for (int p = 0; p < PHANTOM_PHASES; p++) {
        char number[16];

        snprintf(number, sizeof number, "%d", p);
        json_object_set_new(phases, number, json_string(phantom_phase_names[p]));
    }
    return json_pack("{s:{s:s, s:s, s:s, s:s}, s:s, s:s, s:{s:i, s:i, s:i}, s:s, s:I, s:O, s:o}",
                     "channel_names", "0", "CT", "1", "CT", "2", "CT", "3", "CT", "description", description,
                     "file_ending", ".nii.gz", "labels", "background", 0, "liver", 1, "tumour", 2, "name",
                     "phantom", "numTraining", (json_int_t)(job->count - phantom_tests(job)), "phantom",
                     phantom, "phase_names", phases);
}

static enum err check_job(const struct phantom_job *job)
{
    struct lesion_odds odds = {0};

    TRY(phantom_kinds(&odds, job->params.kinds));
    for (int64_t i = 0; i < job->count; i++) {
        struct phantom_id id = {job->seed, job->first + i};
        struct phantom_frame f;

        TRY(phantom_frame_draw(&f, &id, job->preset, &job->params));
    }
    return ERR_OK;
}

static enum err write_all(struct writer *w)
{
    enum err err = ERR_OK;

    for (int64_t i = 0; i < w->job->count && !err; i++) {
        err = w->job->stop && atomic_load(w->job->stop)
                  ? err_set(ERR_STOPPED, "stopped; the same command goes on")
                  : write_case(w, w->job->first + i);
    }
    if (!err)
        progress_update(w->job->progress, "phantom", w->done, PHANTOM_PHASES * w->job->count, "%s", "");
    return err;
}

enum err phantom_write(const struct phantom_job *job)
{
    struct writer w = {.job = job};
    json_t *what, *dataset = NULL;
    enum err err;

    TRY(check_job(job));
    json_setup();
    what = describe(job);
    dataset = what ? dataset_json(job, what) : NULL;
    w.c = mem_new(1, sizeof *w.c);
    err = dataset && w.c ? ERR_OK : err_set(ERR_MEMORY, "out of memory for a phantom");
    if (!err)
        err = phantom_place_open(&w.place, job->out, what, job->force);
    if (!err) {
        err = write_all(&w);
        if (!err)
            err = phantom_place_commit(&w.place, dataset);
        phantom_place_close(&w.place, err == ERR_STOPPED);
    }
    json_decref(what);
    json_decref(dataset);
    mem_free(w.c);
    return err;
}
