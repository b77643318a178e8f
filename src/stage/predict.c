#include "stage/predict.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "data/export.h"
#include "data/sliding.h"
#include "stage/predict_record.h"
#include "stage/register_case.h"
#include <string.h>

enum { PROGRAM_BYTES = 32 << 20 };

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The network with a look at the stop flag before every batch, and what progress needs. */
struct watch {
    const struct predict_options *o;
    const char *name;
};

static enum err forward(void *ctx, const float *patch, float *logits)
{
    const struct watch *w = ctx;

    if (w->o->stop && atomic_load(w->o->stop))
        return err_set(ERR_STOPPED, "stopped while predicting case %s; its mask was not written", w->name);
    return w->o->net->forward(w->o->net->ctx, patch, logits);
}

static void tell(void *ctx, int64_t done, int64_t total)
{
    const struct watch *w = ctx;

    progress_update(w->o->progress, w->name, done, total, "%lld patches", (long long)total);
}

static struct sliding windows(const struct predict_options *o)
{
    const struct plan *p = &o->net->plan;

    return (struct sliding){.patch = {p->patch[0], p->patch[1], p->patch[2]},
                            .classes = p->classes,
                            .batch = o->net->batch,
                            .mirror = o->mirror,
                            .forward = forward,
                            .slice = export_slice,
                            .progress = tell};
}

enum err predict_memory(struct predict_bytes *b, const struct case_files *c, const struct predict_options *o)
{
    const struct plan *p = &o->net->plan;
    struct sliding s = windows(o);
    struct predict_bytes r = {0};
    struct register_case_bytes align;

    TRY(prepare_memory(&r.grids, c, p, &o->prepare));
    const struct grid *from = &r.grids.grid, *to = &r.grids.ras;
    const int64_t size[3] = {from->dims[2], from->dims[1], from->dims[0]};
    uint64_t mask = (uint64_t)grid_count(to);
    if (o->align) {
        TRY(register_case_memory(&align, c, &o->prepare));
        r.align = align.peak + o->net->bytes;
        r.grids.peak += align.kept + (uint64_t)grid_count(&r.grids.ras); /* maps, and where a phase is seen */
    }
    r.prepare = r.grids.peak + o->net->bytes;
    r.windows = r.grids.kept + sliding_bytes(size, p->phases, &s) + export_bytes(from, to, p->classes) +
                o->net->bytes;
    r.finish = mask + larger(export_keep_liver_bytes(to), 3 * mask) + o->net->bytes;
    r.peak = larger(larger(r.align, r.prepare), larger(r.windows, r.finish)) + PROGRAM_BYTES;
    *b = r;
    return ERR_OK;
}

static void drop_phases(struct prepared *p)
{
    for (int i = 0; i < PLAN_MAX_PHASES; i++) {
        volume_free(p->phase[i]);
        p->phase[i] = NULL;
    }
    volume_free(p->label);
    p->label = NULL;
}

/* The network part: mask (uint8 on p->ras, RAS order) of a prepared case, liver rule included where there are
 * classes liver and tumour. The phases are freed as soon as they are not needed any more. */
static enum err segment(struct volume **mask, struct prepared *p, const struct predict_options *o)
{
    struct watch w = {o, p->name};
    struct sliding s = windows(o);
    struct source source;
    struct export *e = NULL;
    struct volume *m = NULL;
    enum err err;

    TRY(source_make(&source, p, &o->net->plan));
    TRY_OR(done, export_new(&e, &p->grid, &p->ras, s.classes));
    s.forward_ctx = s.progress_ctx = &w;
    s.slice_ctx = e;
    TRY_OR(done, sliding_run(&source, &s));
    TRY_OR(done, export_take(e, &m));
    export_free(e);
    e = NULL;
    drop_phases(p);
    if (s.classes > 2)
        TRY_OR(done, export_keep_liver(m));
    *mask = m;
    m = NULL;
done:
    volume_free(m);
    export_free(e);
    return err;
}

/* Says what the case will need, and refuses what is more than there is. */
static enum err check_memory(struct predict_bytes *b, const struct case_files *c,
                             const struct predict_options *o)
{
    uint64_t have = mem_available();

    TRY(predict_memory(b, c, o));
    have = have > UINT64_MAX - o->net->bytes ? have : have + o->net->bytes; /* the network is there already */
    if (o->limit && o->limit < have)
        have = o->limit;
    progress_line(o->progress, "case %s: needs at most %.2f GB of memory, %.2f GB may be used", c->name,
                  (double)b->peak / 1e9, (double)have / 1e9);
    if (b->peak > have)
        return err_set(ERR_MEMORY,
                       "case %s needs %.2f GB of memory, %.2f GB may be used: free some, raise --mem, or use "
                       "a model with "
                       "a coarser spacing",
                       c->name, (double)b->peak / 1e9, (double)have / 1e9);
    return ERR_OK;
}

/* The mask in the file's own voxel order. */
static enum err save(const struct volume *ras, const struct prepared *p, const char *path)
{
    struct volume *stored = NULL;
    enum err err;

    TRY_OR(done, volume_from_ras(&stored, ras, p->orient));
    TRY_OR(done, nifti_save(stored, p->source, path));
done:
    volume_free(stored);
    return err;
}

/* Registers and prepares: what a network may see of the case. */
static enum err prepare_phases(struct predict_record *r, struct prepared **p, struct case_files *c,
                               const struct predict_options *o, struct notes *notes)
{
    const struct case_register_job job = {&o->prepare, o->progress, o->stop, notes};
    struct prepare_options prepare = o->prepare;
    enum err err;

    if (o->align) {
        TRY(register_case(&r->alignment, c, &job));
        prepare.transform = (const struct transform *const *)r->alignment.transform;
    }
    err = prepare_case(p, c, &o->net->plan, &prepare, notes);
    register_case_drop_maps(&r->alignment);
    TRY(err);
    r->prepared = *p;
    for (int i = 0; i < (*p)->phases; i++)
        r->used[i] = (*p)->phase[i] != NULL;
    return ERR_OK;
}

enum err predict_case(json_t **record, const struct case_files *files, const struct predict_options *o,
                      const char *mask_path)
{
    struct case_files c = *files; /* loses the label and the phases that do not fit */
    struct notes notes = {0};
    struct prepared *p = NULL;
    struct volume *mask = NULL;
    struct predict_record r = {.files = files, .options = o, .notes = &notes, .mask_path = mask_path};
    double start = clock_now();
    enum err err;

    c.label = NULL; /* a data set's label has no part in its prediction */
    if (c.bad)
        return err_set(ERR_INPUT, "%s", c.bad);
    TRY(check_memory(&r.bytes, &c, o));
    TRY_OR(done, prepare_phases(&r, &p, &c, o, &notes));
    r.seconds_prepare = clock_now() - start;
    TRY_OR(done, segment(&mask, p, o));
    r.mask = mask;
    r.seconds = clock_now() - start;
    TRY_OR(done, predict_record_make(record, &r));
    err = save(mask, p, mask_path);
    if (err) {
        json_decref(*record);
        *record = NULL;
    }
done:
    register_case_free(&r.alignment);
    volume_free(mask);
    prepared_free(p);
    notes_clear(&notes);
    return err;
}
