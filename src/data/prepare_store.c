/* WORK/prepared: the prepared cases as files. CASE.json is written last and removed first, so that whenever
 * it is there, the volumes beside it are complete and belong to it. */
#include "data/prepare_steps.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/alike.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Counts up when prepared voxels or CASE.json change their meaning. */
enum { PREPARED_FORMAT = 1 };

struct store {
    const char *folder;
    const struct plan *plan;
    struct prepare_job job;
    char key[17]; /* hash of everything that decides the result */
};

/* folder/NAME_000k.nii, folder/NAME_seg.nii (channel -1) or folder/NAME.json (-2). */
static enum err store_path(struct str *path, const char *folder, const char *name, int channel)
{
    *path = (struct str){0};
    str_addf(path, "%s/%s", folder, name);
    if (channel >= 0)
        str_addf(path, "_%04d.nii", channel);
    else
        str_add(path, channel == -1 ? "_seg.nii" : ".json");
    return str_status(path);
}

/* Mixes the phases' contents into *key and notes copies. */
static enum err hash_phases(uint64_t *key, const struct case_files *c, struct notes *n)
{
    uint64_t hash[PLAN_MAX_PHASES] = {0};

    for (int i = 0; i < PLAN_MAX_PHASES; i++) {
        if (!c->phase[i])
            continue;
        TRY(nifti_hash(&hash[i], c->phase[i]));
        *key = bytes_hash(&hash[i], sizeof hash[i], *key);
        for (int j = 0; j < i; j++)
            if (c->phase[j] && hash[i] == hash[j])
                note_add(n, "phase-copy", "case %s: %s is a byte copy of %s", c->name, c->phase[i],
                         c->phase[j]);
    }
    return ERR_OK;
}

/* Inputs by content, and the parts of plan and options that decide the result. */
static enum err make_key(struct store *s, const struct case_files *c)
{
    const struct prepare_options *o = s->job.options;
    struct str text = {0};
    uint64_t key = 0;
    enum err err;

    str_addf(&text, "%d %a %a %a %a %a %" PRId64 " %" PRId64 " %d %d %d %d %d %s ", PREPARED_FORMAT,
             s->plan->spacing[0], s->plan->spacing[1], s->plan->spacing[2], s->plan->window[0],
             s->plan->window[1], s->plan->phases, s->plan->classes, c->reference, (int)o->prefer,
             o->assume_scanner, o->resample_labels, o->training, o->map ? o->map : "");
    for (int i = 0; i < s->plan->phases; i++)
        str_add(&text, c->phase[i] ? "1" : "0");
    str_add(&text, c->label ? "L" : "-");
    err = str_status(&text);
    if (!err)
        key = bytes_hash(text.s, text.len, 0);
    str_free(&text);
    if (!err)
        err = hash_phases(&key, c, s->job.notes);
    if (!err && c->label)
        err = nifti_hash(&key, c->label);
    snprintf(s->key, sizeof s->key, "%016" PRIx64, key);
    return err;
}

/* Is what lies there of this key, and complete? */
static enum err up_to_date(const struct store *s, const char *name, bool *yes)
{
    struct prepared *old = NULL;
    struct str path;
    json_t *j = NULL;
    const char *key;
    enum err err = store_path(&path, s->folder, name, -2);

    *yes = false;
    if (!err && file_exists(path.s)) {
        if (json_read(&j, path.s) == ERR_OK && (key = json_string_value(json_object_get(j, "key"))) != NULL &&
            !strcmp(key, s->key))
            *yes = prepared_open(&old, s->folder, name) == ERR_OK;
    }
    prepared_free(old);
    json_decref(j);
    str_free(&path);
    return err;
}

static json_t *grid_json(const struct grid *g)
{
    json_t *rows = json_array();

    for (int i = 0; i < 3; i++) {
        json_t *row = json_array();

        for (int j = 0; j < 4; j++)
            json_array_append_new(row, json_real(g->affine[i][j]));
        json_array_append_new(rows, row);
    }
    return json_pack("{s:[III], s:o}", "dims", (json_int_t)g->dims[0], (json_int_t)g->dims[1],
                     (json_int_t)g->dims[2], "affine", rows);
}

static bool grid_from_json(struct grid *g, const json_t *j)
{
    const json_t *dims = json_object_get(j, "dims"), *rows = json_object_get(j, "affine");

    for (int i = 0; i < 3; i++) {
        g->dims[i] = json_integer_value(json_array_get(dims, (size_t)i));
        if (g->dims[i] < 1 || g->dims[i] > 32767)
            return false;
        for (int k = 0; k < 4; k++)
            g->affine[i][k] = json_number_value(json_array_get(json_array_get(rows, (size_t)i), (size_t)k));
    }
    for (int k = 0; k < 3; k++) {
        g->spacing[k] = sqrt(g->affine[0][k] * g->affine[0][k] + g->affine[1][k] * g->affine[1][k] +
                             g->affine[2][k] * g->affine[2][k]);
        if (!(g->spacing[k] > 0))
            return false;
    }
    return true;
}

static json_t *phases_json(const struct prepared *r, const bool *present, const struct case_files *c)
{
    json_t *all = json_array();

    for (int i = 0; i < r->phases; i++)
        if (present[i])
            json_array_append_new(all, json_pack("{s:i, s:s, s:f, s:f, s:f}", "channel", i, "file",
                                                 path_base(c->phase[i]), "mean", r->stats[i].mean, "sd",
                                                 r->stats[i].sd, "inside", r->stats[i].inside));
    return all;
}

static enum err write_json(const struct store *s, const struct prepared *r, const bool *present,
                           const struct case_files *c)
{
    json_t *classes = json_array(), *j;
    struct str path = {0};
    enum err err;

    for (int v = 0; v < (s->plan->classes ? (int)s->plan->classes : 256); v++)
        json_array_append_new(classes, json_integer(r->class_voxels[v]));
    j = json_pack("{s:i, s:o, s:s, s:i, s:i, s:o, s:o, s:b, s:o, s:o}", "format", PREPARED_FORMAT, "name",
                  json_str(r->name), "key", s->key, "channels", r->phases, "reference", r->reference,
                  "source", grid_json(&r->source->grid), "phases", phases_json(r, present, c), "label",
                  c->label != NULL, "class_voxels", classes, "grid", grid_json(&r->grid));
    if (!j)
        return err_set(ERR_MEMORY, "out of memory while describing case %s", r->name);
    err = store_path(&path, s->folder, r->name, -2);
    if (!err)
        err = json_write(j, path.s);
    json_decref(j);
    str_free(&path);
    return err;
}

/* Saves v, or removes what an earlier run left where there is nothing now. */
static enum err save_or_remove(const struct store *s, const char *name, int channel, struct volume **v)
{
    struct str path;
    enum err err = store_path(&path, s->folder, name, channel);

    if (!err && *v)
        err = nifti_save(*v, NULL, path.s);
    else if (!err)
        (void)remove(path.s);
    str_free(&path);
    volume_free(*v);
    *v = NULL;
    return err;
}

static void remove_case(const struct store *s, const char *name, int phases)
{
    for (int channel = -2; channel < phases; channel++) {
        struct str path;

        if (!store_path(&path, s->folder, name, channel))
            (void)remove(path.s);
        str_free(&path);
    }
}

/* Takes the sample of phase k and notes earlier ones that are the same scan. */
static enum err note_alike(const struct store *s, const struct case_files *c, struct alike_sample *sample,
                           int k, const struct volume *hu)
{
    TRY(alike_take(&sample[k], hu));
    for (int j = 0; j < k; j++) {
        double r = alike_correlation(&sample[j], &sample[k]);

        if (r > ALIKE_CORRELATION)
            note_add(s->job.notes, "phase-alike",
                     "case %s: %s and %s correlate by %.6f: the same phase twice?", c->name, c->phase[j],
                     c->phase[k], r);
    }
    return ERR_OK;
}

static enum err store_case(const struct store *s, const struct case_files *c)
{
    struct prepared *r = NULL;
    struct volume *none = NULL;
    struct alike_sample sample[PLAN_MAX_PHASES] = {{0}};
    bool present[PLAN_MAX_PHASES] = {false};
    enum err err;

    TRY_OR(done, save_or_remove(s, c->name, -2, &none));
    TRY_OR(done, prepare_fits(c, s->plan, s->job.options, false));
    TRY_OR(done, prepare_begin(&r, c, s->plan, s->job.options, NULL));
    for (int i = 0; i < r->phases; i++) {
        if (c->phase[i])
            TRY_OR(done, prepare_phase(r, i, c, s->plan, &s->job));
        present[i] = r->phase[i] != NULL;
        if (present[i])
            TRY_OR(done, note_alike(s, c, sample, i, r->phase[i]));
        TRY_OR(done, save_or_remove(s, r->name, i, &r->phase[i]));
    }
    if (c->label)
        TRY_OR(done, prepare_label(r, c, s->plan, &s->job));
    TRY_OR(done, save_or_remove(s, r->name, -1, &r->label));
    TRY_OR(done, write_json(s, r, present, c));
done:
    if (err) /* no part of a case */
        remove_case(s, c->name, r ? r->phases : 0);
    for (int i = 0; i < PLAN_MAX_PHASES; i++)
        alike_free(&sample[i]);
    prepared_free(r);
    return err;
}

/* The case's own fault, so that the others may go on. */
static bool is_case_fault(enum err err)
{
    return err == ERR_INPUT || err == ERR_CORRUPT || err == ERR_USAGE;
}

enum err prepare_dataset(struct case_list *l, const struct plan *p, const char *folder,
                         const struct prepare_options *o, const struct prepare_watch *w, struct notes *n)
{
    struct store s = {.folder = folder, .plan = p, .job = {.options = o, .notes = n}};

    json_setup();
    TRY(folder_make(folder));
    for (size_t i = 0; i < l->count; i++) {
        struct case_files *c = &l->item[i];
        bool current = false;
        enum err err;

        if (w && w->stop && atomic_load(w->stop))
            return err_set(ERR_STOPPED, "stopped while preparing; the same command goes on");
        if (c->bad)
            continue;
        err = make_key(&s, c);
        if (!err && !o->force)
            err = up_to_date(&s, c->name, &current);
        if (!err && !current)
            err = store_case(&s, c);
        if (err && !is_case_fault(err))
            return err;
        if (err && !(c->bad = arena_str(l->arena, err_text())))
            return ERR_MEMORY;
        if (w && w->done)
            w->done(w->ctx, i, l->count, c->name, !current);
    }
    return ERR_OK;
}

/* Maps one file, which must be of this type and on the case's grid. */
static enum err open_volume(struct volume **out, const struct prepared *r, const char *folder, int channel)
{
    struct str path;
    enum err err = store_path(&path, folder, r->name, channel);

    if (!err)
        err = nifti_map(out, path.s);
    if (!err && ((*out)->type != (channel < 0 ? VOXEL_U8 : VOXEL_I16) ||
                 memcmp((*out)->grid.dims, r->grid.dims, sizeof r->grid.dims)))
        err = err_set(ERR_INPUT, "%s does not belong to its case; prepare again with --force", path.s);
    if (!err)
        (*out)->grid = r->grid; /* the file's header is float32 */
    str_free(&path);
    return err;
}

static enum err open_phases(struct prepared *r, const json_t *phases, const char *folder, const char *what)
{
    for (size_t i = 0; i < json_array_size(phases); i++) {
        const json_t *p = json_array_get(phases, i);
        int64_t channel;

        TRY(json_get_int(p, what, "channel", &channel));
        if (channel < 0 || channel >= r->phases || r->phase[channel])
            return err_set(ERR_INPUT, "%s: phases[%zu]: channel %lld; prepare again with --force", what, i,
                           (long long)channel);
        TRY(json_get_real(p, what, "mean", &r->stats[channel].mean));
        TRY(json_get_real(p, what, "sd", &r->stats[channel].sd));
        TRY(json_get_real(p, what, "inside", &r->stats[channel].inside));
        TRY(open_volume(&r->phase[channel], r, folder, (int)channel));
    }
    return ERR_OK;
}

static enum err open_case(struct prepared *r, const json_t *j, const char *folder, const char *what)
{
    const json_t *classes = json_object_get(j, "class_voxels");
    int64_t format, channels, reference;
    struct grid source;

    TRY(json_get_int(j, what, "format", &format));
    TRY(json_get_int(j, what, "channels", &channels));
    TRY(json_get_int(j, what, "reference", &reference));
    if (format != PREPARED_FORMAT || channels < 1 || channels > PLAN_MAX_PHASES || reference < 0 ||
        reference >= channels || !grid_from_json(&source, json_object_get(j, "source")) ||
        !grid_from_json(&r->grid, json_object_get(j, "grid")))
        return err_set(ERR_INPUT, "%s is not of this version; prepare again with --force", what);
    r->phases = (int)channels;
    r->reference = (int)reference;
    r->orient = grid_orient(&source);
    r->ras = grid_to_ras(&source);
    for (size_t v = 0; v < 256; v++)
        r->class_voxels[v] = json_integer_value(json_array_get(classes, v));
    TRY(open_phases(r, json_object_get(j, "phases"), folder, what));
    if (!r->phase[r->reference])
        return err_set(ERR_INPUT, "%s: the reference phase is missing; prepare again with --force", what);
    return json_is_true(json_object_get(j, "label")) ? open_volume(&r->label, r, folder, -1) : ERR_OK;
}

enum err prepared_open(struct prepared **out, const char *folder, const char *name)
{
    struct prepared *r = mem_new(1, sizeof *r);
    struct str path = {0};
    json_t *j = NULL;
    enum err err = ERR_MEMORY;

    if (!r || !(r->name = mem_str(name)))
        goto done;
    TRY_OR(done, store_path(&path, folder, name, -2));
    if (!file_exists(path.s)) {
        err = err_set(ERR_INPUT, "%s is missing; prepare the data set first", path.s);
        goto done;
    }
    TRY_OR(done, json_read(&j, path.s));
    TRY_OR(done, open_case(r, j, folder, path.s));
    *out = r;
    r = NULL;
done:
    prepared_free(r);
    json_decref(j);
    str_free(&path);
    return err;
}
