/* Voxel sizes and headers that no scan has, and patients who lie the wrong way. */
#include "data/check_steps.h"
#include <math.h>
#include <string.h>

/* Voxels and fields of view of body CT, mm. */
static const double size_least = 0.2, plane_most = 6.5, slice_most = 16;
static const double view_most = 1000, body_most = 2500;

static enum err check_spacing(struct checker *c, const char *path, const struct grid *g)
{
    struct grid ras = grid_to_ras(g);
    const double *s = ras.spacing;
    double extent[3], coarse = fmax(s[0], fmax(s[1], s[2])), fine = fmin(s[0], fmin(s[1], s[2]));
    double middle = s[0] + s[1] + s[2] - coarse - fine;

    for (int a = 0; a < 3; a++)
        extent[a] = s[a] * (double)ras.dims[a];
    if (fine >= size_least && middle <= plane_most && coarse <= slice_most && extent[0] <= view_most &&
        extent[1] <= view_most && extent[2] <= body_most)
        return ERR_OK;
    return check_add(
        c, "spacing-implausible",
        "%s: voxels of %.4g x %.4g x %.4g mm make a volume of %.4g x %.4g x %.4g mm, which no body "
        "CT has; wrong unit?",
        path, s[0], s[1], s[2], extent[0], extent[1], extent[2]);
}

static enum err check_storage(struct checker *c, const char *path, const struct volume *header)
{
    struct nifti_storage at = nifti_storage_of(header);
    bool plain = !strcmp(at.type, "int16") || !strcmp(at.type, "int32");

    if ((plain && (at.slope == 0 || (at.slope == 1 && at.inter == 0))) || !isfinite(at.slope))
        return ERR_OK;
    return check_add(c, "image-storage", "%s: stored as %s with slope %g and intercept %g", path, at.type,
                     at.slope, at.inter);
}

enum err check_geometry(struct checker *c, struct check_case *k, int channel)
{
    const char *path = k->files->phase[channel];
    struct nifti_options read = {.prefer = c->options.prefer, .assume_scanner = c->options.assume_scanner};
    struct volume *header = NULL;
    enum err err;

    TRY(nifti_load_grid(&header, path, &read, NULL));
    err = check_spacing(c, path, &header->grid);
    if (!err && nifti_form_used(header) && grid_is_identity(&header->grid))
        err = check_add(
            c, "identity-affine",
            "%s: voxels of 1 x 1 x 1 mm from origin 0, as a program writes that lost the geometry", path);
    if (!err)
        err = check_storage(c, path, header);
    volume_free(header);
    return err;
}

/* Parts of the body's depth from its back at which a spine lies behind. */
static const double spine_most = 0.55;
/* Shares of lung in the lowest and highest slices. */
static const double lung_much = 0.12, lung_none = 0.03;
/* Millilitres in front, and how many times as much as behind. */
static const double couch_least = 50, couch_times = 4;
/* The liver's centre lies on the right of the spine by tens of mm. */
static const double liver_aside = 10;

static enum err show_spot(struct checker *c, struct check_case *k, const struct posture *p)
{
    const struct sketch *s = &k->sketch[k->files->reference];
    struct check_view *v = check_show(c, k);

    for (int a = 0; v && a < 2; a++)
        if (!isnan(p->spine[a]))
            v->at[a] = (int64_t)p->spine[a] * s->block[a];
    return ERR_OK;
}

static enum err check_back(struct checker *c, struct check_case *k, const struct posture *p)
{
    const char *path = k->files->phase[k->files->reference];
    double depth = (p->spine[1] - p->low[1]) / (p->high[1] - p->low[1]);

    if (p->outline[1] && depth > spine_most) {
        TRY(check_add(
            c, "patient-front-back",
            "%s: by its header the spine lies in the front of the body (%.0f %% of the way from the back)%s",
            path, 100 * depth,
            p->couch[1] > couch_times * p->couch[0] + couch_least ? ", and so does the couch" : ""));
        return show_spot(c, k, p);
    }
    if (p->outline[1] && p->couch[1] > couch_times * p->couch[0] + couch_least) {
        TRY(check_add(c, "couch-in-front",
                      "%s: the couch lies in front of the body (%.0f ml against %.0f ml behind it)", path,
                      p->couch[1], p->couch[0]));
        return show_spot(c, k, p);
    }
    return ERR_OK;
}

/* The middle of the labelled liver along x, in voxels of the sketch. */
static enum err check_side(struct checker *c, struct check_case *k, const struct posture *p)
{
    const struct sketch *s = &k->sketch[k->files->reference];
    double mm = s->hu->grid.spacing[0], aside;
    bool spine = !isnan(p->spine[0]);

    if (!k->label || k->liver < 0 || !k->voxels[k->liver] || !(spine || p->outline[0]))
        return ERR_OK;
    aside = k->mean[0] / (double)s->block[0] - (spine ? p->spine[0] : (p->low[0] + p->high[0]) / 2);
    aside *= mm;
    if (aside > -liver_aside)
        return ERR_OK;
    TRY(check_add(c, "liver-on-left", "%s: the labelled liver lies %.0f mm to the patient's left of the %s",
                  k->files->label, -aside, spine ? "spine" : "body's middle"));
    check_show(c, k);
    return ERR_OK;
}

enum err check_posture(struct checker *c, struct check_case *k, const struct posture *p)
{
    TRY(check_back(c, k, p));
    if (p->lung[0] > lung_much && p->lung[1] < lung_none) {
        TRY(check_add(c, "patient-head-feet",
                      "%s: by its header the lungs lie at the lower end (%.0f %% of the lowest slices, %.0f "
                      "%% of the highest)",
                      k->files->phase[k->files->reference], 100 * p->lung[0], 100 * p->lung[1]));
        TRY(show_spot(c, k, p));
    }
    return check_side(c, k, p);
}
