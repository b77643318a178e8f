#include "stage/phantom.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/file.h"
#include "phantom/case.h"
#include "phantom/record.h"
#include "stage/phantom_dataset.h"
#include "stage/phantom_place.h"
#include "volume/nifti.h"
#include <math.h>
#include <stdio.h>

struct writer {
    const struct phantom_job *job;
    struct semi *semi; /* or NULL */
    struct phantom_place place;
    struct phantom_case *c;
    char name[32]; /* of the case */
    bool test;
    /* progress: portal venous slices, four phases a case */
    int64_t done, total;
    int phase;
    atomic_long slices;     /* of this phase */
    atomic_flag is_telling; /* a thread is */
};

int64_t phantom_tests(const struct phantom_job *job)
{
    return (int64_t)floor(job->params.test_share * (double)job->count + 0.5);
}

/* Path of the case's file with this end of its name; mem_free, NULL on exhaustion. */
static char *path_of(const struct writer *w, enum phantom_folder f, const char *end)
{
    char name[128];

    snprintf(name, sizeof name, "%s%s", w->name, end);
    return phantom_place_path(&w->place, f, name);
}

/* Saves a RAS volume in the axes of its scan. */
static enum err save(const struct writer *w, const struct volume *v, bool lps, enum phantom_folder f,
                     const char *end)
{
    struct orient axes = {{0, 1, 2}, {true, true, false}};
    struct volume *stored = NULL;
    char *path = path_of(w, f, end);
    enum err err = path ? ERR_OK : ERR_MEMORY;

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
    char *path = path_of(w, TRUTH, end);
    enum err err = path ? motion_write_field(m, &w->c->scan[PHANTOM_PVP].grid, path) : ERR_MEMORY;

    mem_free(path);
    return err;
}

/* The annotation needs the single lesions, which the truth's labels no longer tell. */
static enum err save_annotation(struct writer *w, const struct phantom_phase *p)
{
    struct volume *label = NULL;
    enum err err = phantom_case_annotate(&label, w->c, p);

    if (!err)
        err = save(w, label, w->c->scan[PHANTOM_PVP].lps, w->test ? LABELS_TS : LABELS_TR, ".nii.gz");
    volume_free(label);
    return err;
}

static enum err save_phase(struct writer *w, int phase, struct phantom_phase *p)
{
    bool lps = w->c->scan[phase].lps;
    char end[32];

    snprintf(end, sizeof end, "_%04d.nii.gz", phase);
    TRY(save(w, p->image.hu, lps, w->test ? IMAGES_TS : IMAGES_TR, end));
    if (phase == PHANTOM_PVP)
        TRY(save_annotation(w, p));
    phantom_case_labels(w->c, p->image.label);
    snprintf(end, sizeof end, "_labels_%04d.nii.gz", phase);
    TRY(save(w, p->image.label, lps, TRUTH, end));
    if (w->job->clean) {
        snprintf(end, sizeof end, "_clean_%04d.nii.gz", phase);
        TRY(save(w, p->image.clean, lps, TRUTH, end));
    }
    if (phase == PHANTOM_PVP)
        return ERR_OK;
    snprintf(end, sizeof end, "_field_%04d.nii.gz", phase);
    return save_field(w, &p->motion, end);
}

/* So many more slices of the phase are sampled. Threads that meet another one here leave the telling to it.
 */
static void tell(void *ctx, int64_t slices)
{
    struct writer *w = ctx;
    int64_t done;

    atomic_fetch_add(&w->slices, (long)slices);
    if (atomic_flag_test_and_set(&w->is_telling))
        return;
    done =
        w->done + w->c->frame.dims[2] * (int64_t)atomic_load(&w->slices) / w->c->scan[w->phase].grid.dims[2];
    /* the end is for write_all to tell: the last phase is yet to be written */
    progress_update(w->job->progress, "phantom", done < w->total ? done : w->total - 1, w->total, "%s %s",
                    w->name, phantom_phase_names[w->phase]);
    atomic_flag_clear(&w->is_telling);
}

static enum err write_phases(struct writer *w)
{
    struct phantom_watch watch = {.stop = w->job->stop, .tick = tell, .ctx = w};
    enum err err = ERR_OK;

    for (int p = 0; p < PHANTOM_PHASES && !err; p++) {
        struct phantom_phase made = {0};

        w->phase = p;
        atomic_store(&w->slices, 0);
        if (w->c->facts[p].present) {
            tell(w, 0);
            err = phantom_case_render(&made, w->c, p, &watch);
            if (!err)
                err = save_phase(w, p, &made);
            phantom_phase_free(&made);
        }
        w->done += w->c->frame.dims[2];
    }
    return err;
}

/* The portal venous grid of a case. */
static enum err frame_of(struct phantom_frame *out, const struct writer *w, int64_t number)
{
    const struct phantom_job *job = w->job;
    struct phantom_id id = {job->seed, number};

    return w->semi ? phantom_frame_of(out, &w->semi->grid, &job->params)
                   : phantom_frame_draw(out, &id, job->preset, &job->params);
}

/* truth/CASE.json comes last: where it is, the case is done. */
static enum err write_case(struct writer *w, int64_t number)
{
    struct phantom_id id = {w->job->seed, number};
    struct phantom_source source = {w->job->preset, &w->job->params, w->semi};
    struct phantom_frame frame;
    char *path;
    json_t *record = NULL;
    enum err err;

    TRY(frame_of(&frame, w, number));
    snprintf(w->name, sizeof w->name, "ph_%05lld", (long long)number);
    w->test = number - w->job->first >= w->job->count - phantom_tests(w->job);
    path = path_of(w, TRUTH, ".json");
    if (!path)
        return ERR_MEMORY;
    if (file_exists(path)) {
        w->done += PHANTOM_PHASES * frame.dims[2];
        mem_free(path);
        return ERR_OK;
    }
    TRY_OR(done, phantom_case_make(w->c, &id, &source));
    TRY_OR(done, write_phases(w));
    record = phantom_record(w->c);
    err = record ? json_write(record, path) : err_set(ERR_MEMORY, "out of memory for %s", path);
done:
    json_decref(record);
    phantom_case_free(w->c);
    mem_free(path);
    return err;
}

/* or: what helps beside more memory */
static enum err fits(const struct phantom_job *job, uint64_t need, const char *what, const char * or)
{
    uint64_t have = job->memory ? job->memory : mem_available();

    if (need <= have)
        return ERR_OK;
    return err_set(ERR_MEMORY, "%s needs %.2f GB of memory, %.2f GB may be used: raise --mem, or %s", what,
                   (double)need / 1e9, (double)have / 1e9, or);
}

/* What a case takes: saving an image holds it in the file's axes, as a file and packed beside the scan. */
static uint64_t bytes_of(const struct writer *w, const struct phantom_frame *f)
{
    uint64_t saving = 3 * sizeof(int16_t) * (uint64_t)(f->dims[0] * f->dims[1] * f->dims[2]);

    return phantom_case_bytes(f) + saving + (w->semi ? semi_bytes(&w->semi->grid, w->semi->organs) : 0);
}

/* Everything that can be refused before a file is made. */
static enum err check_job(struct writer *w)
{
    const struct phantom_job *job = w->job;
    struct lesion_odds odds = {0};

    TRY(phantom_kinds(&odds, job->params.kinds));
    for (int64_t i = 0; i < job->count; i++) {
        struct phantom_frame f;

        TRY(frame_of(&f, w, job->first + i));
        TRY(fits(job, bytes_of(w, &f), "a case", "use fewer --threads, a greater spacing or thickness"));
        w->total += PHANTOM_PHASES * f.dims[2];
    }
    return ERR_OK;
}

/* Whether the CT can be read at all is known from its header. */
static enum err ct_fits(const struct phantom_job *job)
{
    struct nifti_options o = {.positions_matter = true};
    struct volume *v;
    uint64_t need;

    TRY(nifti_load_grid(&v, job->from, &o, NULL));
    need = semi_bytes(&v->grid, job->organs != NULL);
    volume_free(v);
    return fits(job, need, job->from, "crop it to the abdomen");
}

static enum err open_source(struct writer *w)
{
    struct semi_options o = {
        .ct = w->job->from, .liver = w->job->liver, .organs = w->job->organs, .phase = w->job->from_phase};

    if (!w->job->from && (w->job->liver || w->job->organs || w->job->licence))
        return err_set(ERR_USAGE, "--liver, --labels and --licence belong to a CT: name it with --from");
    if (w->job->from && !w->job->liver)
        return err_set(ERR_USAGE, "--from needs a liver mask: --liver MASK.nii.gz");
    if (!w->job->from)
        return ERR_OK;
    TRY(ct_fits(w->job));
    return semi_open(&w->semi, &o);
}

static enum err write_all(struct writer *w)
{
    enum err err = ERR_OK;

    for (int64_t i = 0; i < w->job->count && !err && !w->place.complete; i++) {
        err = w->job->stop && atomic_load(w->job->stop) ? ERR_STOPPED : write_case(w, w->job->first + i);
    }
    if (err == ERR_STOPPED)
        return err_set(err, "stopped; finished cases are kept, and the same command goes on");
    if (!err)
        progress_update(w->job->progress, "phantom", w->total, w->total, "%s", "");
    return err;
}

enum err phantom_write(const struct phantom_job *job)
{
    struct writer w = {.job = job, .is_telling = ATOMIC_FLAG_INIT};
    json_t *what = NULL, *dataset = NULL;
    enum err err;

    json_setup();
    TRY_OR(done, open_source(&w));
    TRY_OR(done, check_job(&w));
    TRY_OR(done, phantom_describe(&what, job));
    dataset = phantom_dataset(job, what);
    w.c = mem_new(1, sizeof *w.c);
    err = dataset && w.c ? ERR_OK : err_set(ERR_MEMORY, "out of memory for a phantom");
    TRY_OR(done, err);
    TRY_OR(done, phantom_place_open(&w.place, job->out, what, job->force));
    err = write_all(&w);
    if (!err)
        err = phantom_place_commit(&w.place, dataset);
    phantom_place_close(&w.place, err == ERR_STOPPED);
done:
    json_decref(what);
    json_decref(dataset);
    semi_free(w.semi);
    mem_free(w.c);
    return err;
}
