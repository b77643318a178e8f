/* A case is sampled at all planes of its pictures, one phase after the other, so that one image is in memory
 * at a time. */
#include "base/file.h"
#include "base/mem.h"
#include "lab/gallery_parts.h"
#include "volume/nifti.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* What a case is read from. */
struct source {
    const struct case_files *files;
    char *truth[PLAN_MAX_PHASES]; /* paths of phantom truth, NULL where there is none */
    struct volume *roles;         /* of the reference phase; NULL: no labels */
    struct nifti_options options; /* one phase needs no position in the scanner, several do */
    const struct gallery_look *look;
    struct notes *notes;
};

static void source_close(struct source *in)
{
    for (int k = 0; k < PLAN_MAX_PHASES; k++)
        mem_free(in->truth[k]);
    volume_free(in->roles);
}

/* A file of truth/ beside the folder of images. */
static char *truth_path(const struct case_files *c, const char *end)
{
    struct str path = {0};

    str_addf(&path, "%s/../truth/%s%s", c->folder, c->name, end);
    if (!str_status(&path))
        return path.s;
    str_free(&path);
    return NULL;
}

static enum err find_truth(struct source *in, struct gallery_facts *f)
{
    char *record = truth_path(in->files, ".json");
    enum err err = record ? ERR_OK : ERR_MEMORY;

    if (record && file_exists(record))
        err = gallery_truth_read(f, record, in->notes);
    mem_free(record);
    for (int k = 0; k < f->phases && !err; k++) {
        char end[32];

        if (!f->present[k])
            continue;
        snprintf(end, sizeof end, "_labels_%04d.nii.gz", k);
        in->truth[k] = truth_path(in->files, end);
        if (!in->truth[k])
            return ERR_MEMORY;
        if (file_exists(in->truth[k])) {
            f->truth = true;
        } else {
            mem_free(in->truth[k]);
            in->truth[k] = NULL;
        }
    }
    return err;
}

/* "portal_venous" -> "portal venous" */
static void name_to_read(char out[32], const char *name)
{
    snprintf(out, 32, "%s", name);
    for (char *c = out; *c; c++)
        *c = *c == '_' ? ' ' : *c;
}

static enum err find_facts(struct gallery_facts *f, const struct case_list *l, struct source *in)
{
    const struct case_files *c = in->files;
    int phases = 0;

    f->name = mem_str(c->name);
    f->phases = l->phases.count;
    if (!f->name)
        return ERR_MEMORY;
    for (int k = 0; k < f->phases; k++)
        phases += c->phase[k] != NULL;
    in->options.positions_matter = phases > 1;
    for (int k = 0; k < f->phases; k++) {
        struct volume *v = NULL;

        name_to_read(f->phase[k], l->phases.name[k]);
        if (!c->phase[k])
            continue;
        TRY(nifti_load_grid(&v, c->phase[k], &in->options, NULL));
        f->present[k] = true;
        f->grid[k] = v->grid;
        volume_free(v);
    }
    return ERR_OK;
}

/* Truth of the reference phase shows where to look, for it has benign lesions too; else the case's label. The
 * label's volumes are told, if there is one. */
static enum err load_roles(struct source *in, struct gallery_scene *s)
{
    const char *path[2] = {in->files->label, in->truth[s->reference]};

    for (int truth = 0; truth < 2; truth++) {
        if (!path[truth])
            continue;
        volume_free(in->roles);
        in->roles = NULL;
        TRY(gallery_roles_load(&in->roles, path[truth], truth, &s->facts.grid[s->reference]));
        if (in->roles && !s->facts.labelled)
            TRY(gallery_roles_count(&s->facts, in->roles));
    }
    return ERR_OK;
}

/* The views of a row: axial levels, then the coronal plane. */
static void place_views(struct gallery_scene *s, int panel)
{
    const struct gallery_plan *p = &s->plan;
    double scale = panel / (p->hi[0] - p->lo[0]);

    for (int i = 0; i < p->levels; i++)
        s->view[i] = view_make(PLANE_AXIAL, p->level[i], p->lo, p->hi, scale);
    s->view[p->levels] = view_make(PLANE_CORONAL, p->coronal, p->lo, p->hi, scale);
    for (int k = 0; k < PLANES; k++) {
        int across, down, through;

        view_axes((enum plane)k, &across, &down, &through);
        s->motion[k] = view_make((enum plane)k, p->middle[through], p->lo, p->hi, scale * 1.2);
    }
    scale = fmin(THUMB_WIDTH / (p->hi[0] - p->lo[0]), THUMB_HEIGHT / (p->hi[1] - p->lo[1]));
    s->small = view_make(PLANE_AXIAL, p->thumb, p->lo, p->hi, scale);
}

static enum err sample_fixed(struct gallery_scene *s, const struct volume *roles)
{
    for (int k = 0; k < PLANES; k++) {
        const struct view *v = &s->motion[k];

        s->fixed[k] = mem_new((size_t)v->width * (size_t)v->height, sizeof(float));
        if (!s->fixed[k])
            return ERR_MEMORY;
        TRY(gallery_liver_share(s->fixed[k], v, roles));
    }
    return ERR_OK;
}

static enum err sample_row(struct gallery_scene *s, int k, const struct volume *image,
                           const struct volume *roles)
{
    struct gallery_row *row = &s->row[k];

    for (int i = 0; i <= s->plan.levels; i++)
        TRY(gallery_panel_sample(&row->level[i], &s->view[i], image, roles));
    for (int i = 0; i < PLANES; i++)
        TRY(gallery_panel_sample(&row->motion[i], &s->motion[i], image, NULL));
    return gallery_panel_sample(&row->small, &s->small, image, roles);
}

/* `image` is taken. With outlines the phase's own truth counts, if there is one. */
static enum err take_phase(struct gallery_scene *s, const struct source *in, int k, struct volume *image)
{
    struct volume *own = NULL;
    const struct volume *roles = in->look->lesions ? in->roles : NULL;
    enum err err = ERR_OK;

    if (in->look->lesions && in->truth[k]) {
        err = gallery_roles_load(&own, in->truth[k], true, &s->facts.grid[k]);
        roles = own;
    }
    if (!err)
        err = sample_row(s, k, image, roles);
    volume_free(own);
    volume_free(image);
    return err;
}

static enum err sample_phases(struct gallery_scene *s, struct source *in)
{
    struct volume *image = NULL;
    const struct gallery_look *look = in->look;
    enum err err;

    TRY(nifti_load_hu(&image, in->files->phase[s->reference], &in->options, NULL));
    err = gallery_plan_make(&s->plan, image, in->roles, &s->facts, look->levels ? look->levels : 6);
    if (err) {
        volume_free(image);
        return err;
    }
    place_views(s, look->panel ? look->panel : GALLERY_PANEL);
    TRY(take_phase(s, in, s->reference, image));
    for (int k = 0; k < s->facts.phases; k++) {
        if (!s->facts.present[k] || k == s->reference)
            continue;
        TRY(nifti_load_hu(&image, in->files->phase[k], &in->options, NULL));
        TRY(take_phase(s, in, k, image));
    }
    return in->roles && !look->plain_motion ? sample_fixed(s, in->roles) : ERR_OK;
}

static enum err open_from(struct gallery_scene *s, const struct case_list *l, struct source *in)
{
    const double *w = in->look->window;

    s->window[0] = w[0] < w[1] ? w[0] : -140;
    s->window[1] = w[0] < w[1] ? w[1] : 220;
    s->reference = in->files->reference;
    if (s->reference < 0)
        return err_set(ERR_INPUT, "case %s has no image", in->files->name);
    TRY(find_facts(&s->facts, l, in));
    TRY(find_truth(in, &s->facts));
    TRY(load_roles(in, s));
    s->outlined = in->look->lesions && (in->roles || s->facts.truth);
    return sample_phases(s, in);
}

enum err gallery_scene_open(struct gallery_scene *s, const struct case_list *l, size_t item,
                            const struct gallery_look *look, struct notes *n)
{
    struct source in = {.files = &l->item[item], .look = look, .notes = n};
    enum err err;

    *s = (struct gallery_scene){0};
    err = open_from(s, l, &in);
    source_close(&in);
    if (err)
        gallery_scene_close(s);
    return err;
}

static void row_free(struct gallery_row *row)
{
    for (int i = 0; i <= GALLERY_LEVELS; i++)
        gallery_panel_free(&row->level[i]);
    for (int i = 0; i < PLANES; i++)
        gallery_panel_free(&row->motion[i]);
    gallery_panel_free(&row->small);
}

void gallery_facts_free(struct gallery_facts *f)
{
    mem_free(f->name);
    str_free(&f->kinds);
    str_free(&f->moved);
    *f = (struct gallery_facts){0};
}

void gallery_scene_close(struct gallery_scene *s)
{
    for (int k = 0; k < PLAN_MAX_PHASES; k++)
        row_free(&s->row[k]);
    for (int i = 0; i < PLANES; i++)
        mem_free(s->fixed[i]);
    gallery_facts_free(&s->facts);
    *s = (struct gallery_scene){0};
}

/* Moves the small panels out of the scene. */
static enum err take_thumb(struct gallery_thumb **out, struct gallery_scene *s)
{
    struct gallery_thumb *t = mem_new(1, sizeof *t);

    if (!t)
        return ERR_MEMORY;
    t->name = mem_str(s->facts.name);
    t->phases = s->facts.phases;
    for (int k = 0; k < t->phases; k++) {
        memcpy(t->phase[k], s->facts.phase[k], sizeof t->phase[k]);
        t->panel[k] = s->row[k].small;
        s->row[k].small = (struct gallery_panel){0};
    }
    *out = t;
    return t->name ? ERR_OK : ERR_MEMORY;
}

void gallery_thumb_free(struct gallery_thumb *t)
{
    if (!t)
        return;
    for (int k = 0; k < PLAN_MAX_PHASES; k++)
        gallery_panel_free(&t->panel[k]);
    mem_free(t->name);
    mem_free(t);
}

void gallery_pictures_free(struct gallery_pictures *p)
{
    str_free(&p->montage);
    str_free(&p->motion);
    gallery_thumb_free(p->thumb);
    gallery_facts_free(&p->facts);
    *p = (struct gallery_pictures){0};
}

enum err gallery_case(struct gallery_pictures *out, const struct case_list *l, size_t item,
                      const struct gallery_look *look, struct notes *n)
{
    struct gallery_scene *s = mem_new(1, sizeof *s);
    struct gallery_pictures made = {0};
    enum err err = ERR_MEMORY;

    if (!s)
        return err;
    TRY_OR(done, gallery_scene_open(s, l, item, look, n));
    TRY_OR(done, gallery_montage(&made.montage, s));
    TRY_OR(done, gallery_motion(&made.motion, s));
    TRY_OR(done, take_thumb(&made.thumb, s));
    made.facts = s->facts;
    s->facts = (struct gallery_facts){0};
    *out = made;
    made = (struct gallery_pictures){0};
done:
    gallery_pictures_free(&made);
    gallery_scene_close(s);
    mem_free(s);
    return err;
}
