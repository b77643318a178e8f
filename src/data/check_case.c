/* One case: its phases one after the other, each reduced to a sketch before the next is loaded, and its label
 * on the reference phase. */
#include "base/mem.h"
#include "data/check_steps.h"
#include "image/intensity.h"
#include <ctype.h>
#include <string.h>

/* The class whose name has one of the words; -1 if none has. */
static int class_like(const struct case_list *l, const char *const *words)
{
    for (int64_t v = 1; v < l->classes; v++)
        for (const char *const *w = words; *w; w++)
            for (const char *at = l->class_name[v]; *at; at++) {
                size_t n = 0;

                while ((*w)[n] && tolower((unsigned char)at[n]) == (*w)[n])
                    n++;
                if (!(*w)[n])
                    return (int)v;
            }
    return -1;
}

static void find_classes(struct check_case *k, const struct case_list *l)
{
    static const char *const liver[] = {"liver", NULL};
    static const char *const tumour[] = {"tumo", "lesion", "cancer", "hcc", "metasta", NULL};

    k->tumour = class_like(l, tumour);
    k->liver = class_like(l, liver);
    if (k->liver == k->tumour) /* "liver tumour" alone */
        k->liver = -1;
}

/* A file alone that holds bytes or small counts only may be a label, of which nothing is asked. */
static enum err like_label(bool *yes, const struct volume *reference, const struct volume *v)
{
    struct histogram *h = NULL;

    *yes = !strcmp(nifti_storage_of(reference).type, "uint8");
    if (*yes)
        return ERR_OK;
    TRY(histogram_make(&h, v, NULL));
    *yes = histogram_quantile(h, 0) >= 0 && histogram_quantile(h, 1) < 32;
    mem_free(h);
    return ERR_OK;
}

/* What is asked of a phase that was loaded. */
static enum err look_at_phase(struct checker *c, struct check_case *k, int channel, const struct volume *hu)
{
    bool label = false;

    if (!k->list)
        TRY(like_label(&label, k->reference, hu));
    if (label)
        return ERR_OK;
    TRY(check_geometry(c, k, channel));
    if (k->list)
        TRY(check_copies(c, k->files, channel, hu));
    TRY(check_values(c, k, channel, hu));
    if (k->label && channel != k->files->reference)
        TRY(check_field_of_view(c, k, channel, hu));
    TRY(alike_take(&k->sample[channel], hu));
    return sketch_make(&k->sketch[channel], hu);
}

static enum err check_phase(struct checker *c, struct check_case *k, int channel)
{
    struct notes n = {0};
    struct placed at = {0};
    enum err err;

    c->reason = NULL;
    err = place_phase(&at, k->files, channel, k->reference, &c->options, &n);
    if (err) {
        size_t before = c->report->found.count;
        struct check_view *v;

        err = check_failure(c, err, "image");
        v = !err && !strcmp(c->report->found.item[before].rule->name, "phase-overlap") ? check_show(c, k)
                                                                                       : NULL;
        if (v)
            v->all_phases = true;
    }
    if (!err)
        err = check_notes(c, &n);
    if (!err && at.hu)
        err = look_at_phase(c, k, channel, at.hu);
    notes_clear(&n);
    if (channel == k->files->reference && !err) {
        k->hu = at.hu;
        at.hu = NULL;
    }
    volume_free(at.hu);
    return err;
}

/* The darkest of all phases, where they were scanned, with the body of the reference phase. */
static enum err least_of(struct volume **out, const struct check_case *k, const struct sketch *base)
{
    struct volume *v = NULL;
    int16_t *least;

    TRY(volume_new(&v, &base->hu->grid, VOXEL_I16));
    least = v->data;
    memcpy(least, base->hu->data, (size_t)grid_count(&v->grid) * sizeof *least);
    for (int p = 0; p < PLAN_MAX_PHASES; p++) {
        const int16_t *hu = k->sketch[p].hu ? k->sketch[p].hu->data : NULL;

        for (int64_t i = 0; hu && i < grid_count(&v->grid); i++)
            if (hu[i] > -1024 && hu[i] < least[i])
                least[i] = hu[i];
    }
    *out = v;
    return ERR_OK;
}

/* What the sketches say together. */
static enum err look_at_sketches(struct checker *c, struct check_case *k)
{
    const struct sketch *base = &k->sketch[k->files->reference];
    struct sketch least;
    struct posture p;
    enum err err;

    if (!base->hu)
        return ERR_OK;
    least = *base;
    TRY(least_of(&least.hu, k, base));
    err = sketch_posture(&p, &least);
    if (!err)
        err = check_posture(c, k, &p);
    for (int i = 0; i < PLAN_MAX_PHASES && !err && p.outline[0] && p.outline[1]; i++)
        if (k->sketch[i].hu)
            err = check_air(c, k, i);
    if (!err)
        err = check_contrast(c, k, &least, &p);
    volume_free(least.hu);
    return err;
}

static enum err look_at_case(struct checker *c, struct check_case *k)
{
    const struct case_files *f = k->files;
    struct grid ras;
    enum err err;

    c->reason = NULL;
    err = place_reference(&k->reference, f, &c->options, NULL);
    if (err)
        return check_failure(c, err, "image");
    ras = grid_to_ras(&k->reference->grid);
    for (int a = 0; a < 3; a++)
        k->middle[a] = ras.dims[a] / 2;
    if (k->list && f->label)
        TRY(check_label_read(c, k));
    TRY(check_phase(c, k, f->reference));
    if (k->label && k->hu) {
        TRY(check_label(c, k));
        TRY(check_lesions(c, k));
    }
    volume_free(k->hu);
    k->hu = NULL;
    for (int p = 0; p < k->phases->count; p++)
        if (f->phase[p] && p != f->reference)
            TRY(check_phase(c, k, p));
    if (k->list)
        TRY(check_alike(c, k));
    TRY(look_at_sketches(c, k));
    return k->list ? check_truth(c, k) : ERR_OK;
}

static enum err draw_views(struct checker *c, const struct check_case *k)
{
    for (int i = 0; i < k->views && k->reference; i++) {
        const struct check_view *v = &k->view[i];
        struct check_scene s = {.files = k->files,
                                .phases = k->phases,
                                .options = &c->options,
                                .reference = k->reference,
                                .all_phases = v->all_phases,
                                .channel = v->channel,
                                .tumour = k->tumour,
                                .at = {v->at[0], v->at[1], v->at[2]},
                                .marks = &v->marks};

        TRY(c->asked.draw(c->asked.ctx, &c->report->found.item[v->finding], &s));
    }
    return ERR_OK;
}

static void case_free(struct check_case *k)
{
    for (int i = 0; i < k->views; i++)
        mem_free(k->view[i].marks.run);
    for (int p = 0; p < PLAN_MAX_PHASES; p++) {
        alike_free(&k->sample[p]);
        sketch_free(&k->sketch[p]);
    }
    volume_free(k->reference);
    volume_free(k->label);
    volume_free(k->hu);
}

static enum err finish_case(struct checker *c, struct check_case *k)
{
    size_t errors = c->report->found.of[FINDING_ERROR];
    enum err err = ERR_OK;

    c->report->cases++;
    if (k->list)
        err = check_missing(c, k);
    if (!err && k->files->reference >= 0)
        err = look_at_case(c, k);
    if (!err) {
        volume_free(k->label); /* a picture loads it again, when the rest is gone */
        k->label = NULL;
        err = draw_views(c, k);
    }
    c->report->bad_cases += c->report->found.of[FINDING_ERROR] > errors;
    case_free(k);
    return err;
}

enum err check_case(struct checker *c, const struct case_list *l, const struct case_files *f)
{
    struct check_case k = {.list = l, .files = f, .phases = &l->phases};

    find_classes(&k, l);
    c->where = f->name;
    return finish_case(c, &k);
}

enum err check_file(struct checker *c, const char *path)
{
    struct phase_map phases = {.count = 1, .kind = {PHASE_UNKNOWN}, .name = {""}};
    struct case_files f = {.name = path, .folder = "", .phase = {path}};
    struct check_case k = {.files = &f, .phases = &phases, .liver = -1, .tumour = -1};

    c->where = path;
    return finish_case(c, &k);
}
