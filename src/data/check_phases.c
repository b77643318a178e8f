/* The phases of a case against one another. */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/check_steps.h"
#include "image/resample.h"
#include <math.h>
#include <string.h>

enum err check_missing(struct checker *c, const struct check_case *k)
{
    const struct case_files *f = k->files;
    bool training = c->part == CASES_TRAIN, portal = f->phase[k->phases->portal];
    struct str names = {0};
    enum err err;

    for (int p = 0; p < k->phases->count; p++)
        if (!f->phase[p])
            str_addf(&names, "%s%s", names.len ? ", " : "", phase_text(k->phases->kind[p]));
    err = str_status(&names);
    if (!err && names.len && !(training && !portal))
        err = check_add(c, "phase-missing", "no %s phase; present ones take its place", names.s);
    str_free(&names);
    if (!err && training && !portal)
        err = check_add(c, "no-portal-venous", "no portal venous phase, which carries the label");
    if (!err && training && !f->label)
        err = check_add(c, "no-label", "no label in labelsTr");
    return err;
}

/* What a copy is called: within a case, within a part of the data set, or across its two parts. */
static const char *copy_name(const struct checker *c, const struct check_seen *s)
{
    if (s->part != c->part)
        return "case-in-both-parts";
    return !strcmp(s->where, c->where) ? "phase-copy" : "case-copy";
}

static enum err remember(struct checker *c, struct check_seen s)
{
    if (c->count == c->room) {
        size_t room = c->room ? 2 * c->room : 16;
        struct check_seen *grown = mem_resize(c->seen, room, sizeof *grown);

        if (!grown)
            return ERR_MEMORY;
        c->seen = grown;
        c->room = room;
    }
    s.where = arena_str(c->names, c->where);
    s.path = arena_str(c->names, s.path);
    if (!s.where || !s.path)
        return ERR_MEMORY;
    c->seen[c->count++] = s;
    return ERR_OK;
}

/* Bytes, or voxels in RAS order whatever file holds them: an image that was there before under another
 * name. */
enum err check_copies(struct checker *c, const struct case_files *f, int channel, const struct volume *hu)
{
    struct check_seen s = {.path = f->phase[channel], .part = c->part};

    s.voxels = bytes_hash(hu->data, (size_t)grid_count(&hu->grid) * sizeof(int16_t), 0);
    if (file_hash(s.path, &s.file) != ERR_OK)
        s.file = s.voxels;
    for (size_t i = 0; i < c->count; i++) {
        const struct check_seen *old = &c->seen[i];

        if (old->file == s.file)
            return check_add(c, copy_name(c, old), "%s is a byte copy of %s", s.path, old->path);
        if (old->voxels == s.voxels)
            return check_add(c, copy_name(c, old), "%s has the voxels of %s", s.path, old->path);
    }
    return remember(c, s);
}

enum err check_alike(struct checker *c, struct check_case *k)
{
    for (int i = 0; i < PLAN_MAX_PHASES; i++)
        for (int j = 0; j < i; j++) {
            double r = alike_correlation(&k->sample[i], &k->sample[j]);
            struct check_view *v;

            if (!(r > ALIKE_CORRELATION))
                continue;
            TRY(check_add(c, "phase-alike", "%s and %s correlate by %.6f: the same phase twice?",
                          k->files->phase[j], k->files->phase[i], r));
            v = check_show(c, k);
            if (v)
                v->all_phases = true;
        }
    return ERR_OK;
}

/* Share of the liver that a phase may miss: it breathes. */
static const double missed_most = 0.05;

enum err check_field_of_view(struct checker *c, struct check_case *k, int channel, const struct volume *hu)
{
    const uint8_t *label = k->label->data;
    const int16_t *v = hu->data;
    struct check_marks m = {0};
    int64_t missed = 0, all = 0;
    struct check_view *view = NULL;
    enum err err = ERR_OK;

    for (int64_t i = 0; i < grid_count(&hu->grid) && !err; i++) {
        bool outside = label[i] && v[i] <= RESAMPLE_FILL_HU;

        all += label[i] != 0;
        missed += outside;
        if (outside && c->asked.draw)
            err = check_mark(&m, i);
    }
    if (!err && (double)missed > missed_most * (double)all) {
        err =
            check_add(c, "phase-cuts-liver", "%s: %.0f %% of what is labelled lies outside its field of view",
                      k->files->phase[channel], 100 * (double)missed / (double)all);
        view = err ? NULL : check_show(c, k);
    }
    if (view) {
        view->all_phases = true;
        view->marks = m;
        check_look_at_marks(view, &hu->grid);
    } else {
        mem_free(m.run);
    }
    return err;
}

enum err check_contrast(struct checker *c, struct check_case *k, const struct sketch *least,
                        const struct posture *p)
{
    struct contrast_input in = {.phase = k->sketch, .least = least, .posture = p};
    struct contrast found;
    struct contrast_swap s;
    const enum phase *kind = k->phases->kind;
    struct str text = {0};
    struct volume *liver = NULL;
    struct check_view *v;
    enum err err = ERR_OK;

    if (k->label)
        TRY(check_liver_blocks(&liver, k, least));
    in.liver = liver;
    err = contrast_measure(&found, &in);
    volume_free(liver);
    TRY(err);
    s = contrast_judge(&found, k->phases);
    if (s.bright < 0)
        return ERR_OK;
    str_addf(&text, "%s brighter in the %s phase (%.0f HU) than in the %s one (%.0f HU)", s.organ,
             phase_text(kind[s.bright]), s.hu[0], phase_text(kind[s.dark]), s.hu[1]);
    if (s.exchange[0] >= 0)
        str_addf(&text, "; %s and %s exchanged, all would agree", phase_text(kind[s.exchange[0]]),
                 phase_text(kind[s.exchange[1]]));
    err = str_status(&text);
    if (!err)
        err = check_add(c, "phase-order", "%s", text.s);
    str_free(&text);
    TRY(err);
    v = check_show(c, k);
    for (int a = 0; v && a < 3; a++) {
        v->all_phases = true;
        v->at[a] = found.at[a] * least->block[a];
    }
    return ERR_OK;
}
