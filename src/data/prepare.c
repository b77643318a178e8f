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

/* Reading, placing and resampling one file: what is there at the same time, beside the files before it. */
static enum err add_file(struct prepare_memory *m, const char *path, enum voxel type,
                         const struct prepare_options *o)
{
    struct nifti_options read = {.prefer = o->prefer, .reason = o->reason};
    const uint64_t size = voxel_size(type), from = size * voxels(&m->ras), to = size * voxels(&m->grid);
    struct volume *header = NULL;
    uint64_t here, working;

    TRY(nifti_load_grid(&header, path, &read, NULL));
    here = size * voxels(&header->grid);
    working =
        most(nifti_load_bytes(header, type), here + from); /* in RAS order, or on the reference's grid */
    volume_free(header);
    working = most(working, from + to + (type == VOXEL_I16 ? resample_bytes(&m->ras, &m->grid) : 0));
    m->single = most(m->single, working);
    m->peak = most(m->peak, m->kept + working);
    m->kept += to;
    return ERR_OK;
}

enum err prepare_memory(struct prepare_memory *m, const struct case_files *c, const struct plan *p,
                        const struct prepare_options *o)
{
    struct prepared *r = NULL;
    enum err err;

    TRY(prepare_begin(&r, c, p, o, NULL));
    *m = (struct prepare_memory){.grid = r->grid, .ras = r->ras};
    for (int i = 0; i < r->phases; i++)
        if (c->phase[i])
            TRY_OR(done, add_file(m, c->phase[i], VOXEL_I16, o));
    if (c->label)
        TRY_OR(done, add_file(m, c->label, VOXEL_U8, o));
    err = ERR_OK;
done:
    prepared_free(r);
    return err;
}

enum err prepare_fits(const struct case_files *c, const struct plan *p, const struct prepare_options *o,
                      bool keep)
{
    struct prepare_memory m;
    uint64_t need, have = o->memory ? o->memory : mem_available();

    TRY(prepare_memory(&m, c, p, o));
    need = keep ? m.peak : m.single;
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
