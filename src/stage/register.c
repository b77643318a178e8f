#include "stage/register.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "image/surface.h"
#include <math.h>
#include <string.h>
#include <unistd.h>

/* A map that moves the body by less than this on average, or lowers the cost by less than that, is no better
 * than the position that scanner or author gave two images on one grid. */
static const double moved_least = 1.0 /* mm */, gain_least = 0.1;

static const char *keep_identity(const struct registration *r, const struct register_images *in)
{
    const struct region_figures *b = &r->figures.body;

    if (!grid_same(&in->fixed->grid, &in->moving->grid))
        return NULL;
    if (b->moved_mean < moved_least)
        return "same grid, and the map found moves the body by less than 1 mm on average";
    if (b->fit[MEASURE_FINAL].mean12 > (1 - gain_least) * b->fit[MEASURE_HEADER].mean12)
        return "same grid, and the map found lowers the cost by less than 10 %";
    return NULL;
}

/* Without the field the figures are those of the header's position. */
static void drop_field(struct registration *r)
{
    struct alignment *a = &r->alignment;

    a->affine = affine_identity();
    memset(a->velocity.v, 0, (size_t)velocity_nodes(&a->velocity) * 3 * sizeof(float));
    a->refine.folds = 0;
    a->refine.det_least = 1;
    a->match.rigid = a->match.outside = false;
}

static enum err make_transform(struct registration *r, const struct register_images *in)
{
    TRY(transform_new(&r->transform, &in->fixed->grid, &in->moving->grid));
    if (r->identity)
        return ERR_OK;
    TRY(transform_add_lattice(r->transform, ELEMENT_VELOCITY, &r->alignment.velocity, false));
    return transform_add_affine(r->transform, &r->alignment.affine);
}

enum err register_images(struct registration *out, const struct register_images *in,
                         const struct register_options *o)
{
    struct align_options align = {.spacing = o->spacing,
                                  .preset = o->preset,
                                  .lesion = in->lesion,
                                  .progress = o->progress,
                                  .stop = o->stop};
    struct registration r = {0};
    struct verdict_input judged = {.a = &r.alignment, .f = &r.figures, .liver = &r.liver};
    enum err err;

    TRY(align_run(&r.alignment, in->fixed, in->moving, &align));
    TRY_OR(failed, measure(&r.figures, &r.alignment, in->fixed_liver));
    r.identity = keep_identity(&r, in);
    if (r.identity) {
        drop_field(&r);
        TRY_OR(failed, measure(&r.figures, &r.alignment, in->fixed_liver));
    }
    TRY_OR(failed, make_transform(&r, in));
    TRY_OR(failed, register_liver(&r, in));
    r.judgement = judge(&judged);
    *out = r;
    return ERR_OK;
failed:
    registration_free(&r);
    return err;
}

void registration_free(struct registration *r)
{
    transform_free(r->transform);
    alignment_free(&r->alignment);
    *r = (struct registration){0};
}

/* Moving over fixed volume of what both images show of the liver: that the field of view of one cuts it is no
 * difference. The moving mask under t, each voxel as large as t makes it. */
static enum err volume_ratio(double *ratio, const struct transform *t, const struct volume *fixed,
                             const struct volume *moved, const struct volume *seen)
{
    const uint8_t *f = fixed->data, *m = moved->data, *inside = seen->data;
    struct mapper_tally tally = {0};
    double moving = 0, here = 0;
    struct volume *det = NULL;
    const float *d;

    TRY(warp_jacobian(&det, t, &fixed->grid, &tally));
    d = det->data;
    for (int64_t i = 0, n = grid_count(&fixed->grid); i < n; i++) {
        moving += m[i] ? (double)d[i] : 0;
        here += f[i] && inside[i];
    }
    *ratio = here > 0 ? moving / here : 0;
    volume_free(det);
    return ERR_OK;
}

/* How far the fixed mask's surface lies from the moving one's under t; `when`: 0 before, 1 after. */
static enum err compare_under(struct liver_overlap *out, int when, const struct transform *t,
                              const struct register_images *in)
{
    const struct grid *g = &in->fixed_liver->grid;
    struct warp w = {.t = t, .in = in->moving_liver, .to = g, .how = WARP_LABELS};
    struct mapper_tally tally = {0};
    struct surface_distance d;
    struct volume *moved = NULL, *seen = NULL;
    enum err err;

    TRY(warp_volume(&moved, &seen, &w, &tally));
    err = surface_compare(&d, in->fixed_liver->data, moved->data, g->dims, g->spacing);
    if (!err && when == 1)
        err = volume_ratio(&out->volume_ratio, t, in->fixed_liver, moved, seen);
    volume_free(moved);
    volume_free(seen);
    TRY(err);
    out->dice[when] = d.dice;
    out->hd95[when] = d.p95;
    out->distance[when] = d.mean;
    return ERR_OK;
}

enum err register_liver(struct registration *r, const struct register_images *in)
{
    struct transform *identity = NULL;
    enum err err;

    if (!in->fixed_liver || !in->moving_liver)
        return ERR_OK;
    TRY(transform_new(&identity, &in->fixed->grid, &in->moving->grid));
    TRY_OR(done, compare_under(&r->liver, 0, identity, in));
    TRY_OR(done, compare_under(&r->liver, 1, r->transform, in));
    r->liver.known = true;
done:
    transform_free(identity);
    return err;
}

uint64_t register_bytes(const struct volume *fixed, const struct volume *moving, double spacing)
{
    uint64_t f = (uint64_t)grid_count(&fixed->grid), m = 2 * (uint64_t)grid_count(&moving->grid);
    uint64_t load = nifti_load_bytes(moving, VOXEL_I16),
             run = align_memory(&fixed->grid, &moving->grid, spacing).peak;
    uint64_t write = 3 * f; /* the registered image and where it is valid */

    run = m + (run > write ? run : write);
    return 2 * f + (load > run ? load : run);
}

void register_note_dropped(struct notes *n, const char *path, const char *why)
{
    note_add(n, "phase-not-registered",
             "%s does not fit the reference phase (%s); the phase counts as missing (--no-register places it "
             "by its "
             "header)",
             path, why);
}

void register_note_unfit(struct notes *n, const char *path, const char *why)
{
    note_add(n, "phase-by-header", "%s: not registered: %s", path, why);
}

void registration_line(struct str *out, const struct registration *r)
{
    const struct judgement *j = &r->judgement;
    const char *gap = ": ";

    str_add(out, verdict_names[j->verdict]);
    for (int i = 0; i < j->rows; i++)
        if (j->row[i].verdict != VERDICT_PASS) {
            str_add(out, gap);
            judge_reason(out, &j->row[i]);
            gap = "; ";
        }
}
