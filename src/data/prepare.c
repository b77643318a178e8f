#include "data/prepare_steps.h"
#include "base/mem.h"
#include "image/intensity.h"
#include "image/resample.h"
#include <string.h>

/* The plan counts (z, y, x), volumes (x, y, z). */
static void spacing_xyz(const struct plan *p, double spacing[3])
{
    for (int i = 0; i < 3; i++)
        spacing[i] = p->spacing[2 - i];
}

void prepared_free(struct prepared *c)
{
    if (!c)
        return;
    for (int i = 0; i < PLAN_MAX_PHASES; i++)
        volume_free(c->phase[i]);
    volume_free(c->label);
    volume_free(c->source);
    mem_free(c->name);
    mem_free(c);
}

/* The case without voxels: its reference's header and all grids. */
enum err prepare_begin(struct prepared **out, const struct case_files *c, const struct plan *p,
                       const struct prepare_options *o, struct notes *n)
{
    struct prepared *r = mem_new(1, sizeof *r);
    double spacing[3];
    enum err err;

    if (!r)
        return ERR_MEMORY;
    spacing_xyz(p, spacing);
    r->name = mem_str(c->name);
    r->phases = (int)p->phases;
    r->reference = c->reference;
    err = r->name ? ERR_OK : ERR_MEMORY;
    if (!err && c->reference < 0)
        err = err_set(ERR_INPUT, "case %s has no images", c->name);
    if (err)
        goto done;
    TRY_OR(done, place_reference(&r->source, c, o, n));
    r->orient = grid_orient(&r->source->grid);
    r->ras = grid_to_ras(&r->source->grid);
    err = resize_grid(&r->grid, &r->ras, spacing);
    if (err) {
        err = err_while(err, "preparing %s", c->phase[c->reference]);
        goto done;
    }
    *out = r;
    r = NULL;
done:
    prepared_free(r);
    return err;
}

enum err prepare_phase(struct prepared *r, int channel, const struct case_files *c, const struct plan *p,
                       const struct prepare_job *job)
{
    struct placed at;
    struct histogram *h = NULL;
    double spacing[3];
    enum err err;

    spacing_xyz(p, spacing);
    TRY(place_phase(&at, c, channel, r->source, job->options, job->notes));
    r->stats[channel].inside = at.inside;
    if (!at.hu)
        return ERR_OK;
    TRY_OR(done, resample_to_spacing(&r->phase[channel], at.hu, spacing));
    TRY_OR(done, histogram_make(&h, r->phase[channel], NULL));
    histogram_clip_stats(h, p->window, &r->stats[channel].mean, &r->stats[channel].sd);
done:
    mem_free(h);
    volume_free(at.hu);
    return err;
}

enum err prepare_label(struct prepared *r, const struct case_files *c, const struct plan *p,
                       const struct prepare_job *job)
{
    struct volume *label = NULL;
    int64_t classes = p->classes ? p->classes : 256;
    double spacing[3];
    enum err err;

    spacing_xyz(p, spacing);
    TRY(place_label(&label, c->label, r->source, job->options, job->notes));
    TRY_OR(done, place_label_values(label, classes, c->label, job->options, r->class_voxels));
    TRY_OR(done, resample_to_spacing(&r->label, label, spacing));
    TRY_OR(done, place_label_values(r->label, 256, c->label, job->options, r->class_voxels));
done:
    volume_free(label);
    return err;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t voxels(const struct grid *g)
{
    return (uint64_t)grid_count(g);
}

enum err prepare_memory(struct prepare_memory *m, const struct case_files *c, const struct plan *p,
                        const struct prepare_options *o)
{
    struct prepared *r = NULL;
    struct nifti_options read = {.prefer = o->prefer, .reason = o->reason};
    uint64_t from, to, working = 0;

    TRY(prepare_begin(&r, c, p, o, NULL));
    from = voxels(&r->ras);
    to = voxels(&r->grid);
    /* cubic across: every slice of the reference as a resized plane of doubles */
    working = 2 * from + 8 * (to / (uint64_t)r->grid.dims[2]) * (uint64_t)r->ras.dims[2];
    *m = (struct prepare_memory){.kept = c->label ? to : 0, .grid = r->grid, .ras = r->ras};
    for (int i = 0; i < r->phases; i++) {
        struct volume *header = NULL;
        enum err err;

        if (!c->phase[i])
            continue;
        err = nifti_load_grid(&header, c->phase[i], &read, NULL);
        if (err) {
            prepared_free(r);
            return err;
        }
        m->kept += 2 * to;
        /* as read (up to 4 bytes a voxel) beside its int16 copy in RAS order or on the reference's grid */
        working = most(working, 4 * voxels(&header->grid) + 2 * from);
        volume_free(header);
    }
    m->peak = m->kept + working;
    prepared_free(r);
    return ERR_OK;
}

enum err prepare_fits(const struct case_files *c, const struct plan *p, const struct prepare_options *o,
                      bool keep)
{
    struct prepare_memory m;
    uint64_t need, have = o->memory ? o->memory : mem_available();

    TRY(prepare_memory(&m, c, p, o));
    need = keep ? m.peak : m.peak - m.kept + m.kept / (uint64_t)(p->phases + 1);
    if (need > have)
        return err_set(ERR_MEMORY,
                       "preparing case %s needs %.2f GB, but %.2f GB may be used; allow more with --mem, or "
                       "use a coarser spacing",
                       c->name, (double)need / 1e9, (double)have / 1e9);
    return ERR_OK;
}

enum err prepare_case(struct prepared **out, const struct case_files *c, const struct plan *p,
                      const struct prepare_options *o, struct notes *n)
{
    struct prepare_job job = {.options = o, .notes = n};
    struct prepared *r = NULL;
    enum err err;

    TRY_OR(done, prepare_fits(c, p, o, true));
    TRY_OR(done, prepare_begin(&r, c, p, o, NULL));
    for (int i = 0; i < r->phases; i++)
        if (c->phase[i])
            TRY_OR(done, prepare_phase(r, i, c, p, &job));
    if (c->label)
        TRY_OR(done, prepare_label(r, c, p, &job));
    *out = r;
    r = NULL;
done:
    prepared_free(r);
    return err;
}
