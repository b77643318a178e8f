#include "data/place.h"
#include "align/warp.h"
#include "base/str.h"
#include "image/resample.h"
#include <math.h>
#include <string.h>

/* A phase with less of the reference in its field of view counts as missing. */
static const double overlap_least = 0.2;

static struct nifti_options reading(const struct prepare_options *o, bool positions_matter)
{
    return (struct nifti_options){.prefer = o->prefer,
                                  .assume_scanner = o->assume_scanner,
                                  .positions_matter = positions_matter,
                                  .map = o->map,
                                  .reason = o->reason};
}

static void give_reason(const struct prepare_options *o, const char *name)
{
    if (o->reason)
        *o->reason = name;
}

enum err place_reference(struct volume **out, const struct case_files *c, const struct prepare_options *o,
                         struct notes *n)
{
    struct nifti_options read = reading(o, false);

    return nifti_load_grid(out, c->phase[c->reference], &read, n);
}

static bool same_dims(const struct grid *a, const struct grid *b)
{
    return a->dims[0] == b->dims[0] && a->dims[1] == b->dims[1] && a->dims[2] == b->dims[2];
}

static bool same_spacing(const struct grid *a, const struct grid *b)
{
    for (int i = 0; i < 3; i++)
        if (!(fabs(a->spacing[i] / b->spacing[i] - 1) < 1e-3))
            return false;
    return true;
}

/* v, which holds the reference's voxels in its order (or, in another storage order, its grid), becomes RAS
 * and gets exactly the reference's grid. Consumes v. */
static enum err to_reference(struct volume **out, struct volume *v, const struct volume *reference)
{
    struct grid ras = grid_to_ras(&reference->grid);
    struct volume *r = NULL;
    enum err err;

    if (grid_same(&v->grid, &reference->grid))
        v->grid = reference->grid; /* so that rounding cannot turn an axis another way */
    err = volume_to_ras(&r, v);
    volume_free(v);
    if (err)
        return err;
    r->grid = ras;
    *out = r;
    return ERR_OK;
}

/* The same box of voxels, perhaps stored in another order. */
static bool same_place(const struct grid *a, const struct grid *b)
{
    struct grid x, y;

    if (grid_same(a, b))
        return true;
    x = grid_to_ras(a);
    y = grid_to_ras(b);
    return grid_same(&x, &y);
}

/* Largest distance between equal corners of the two voxel boxes, in mm. */
static double corner_offset(const struct grid *a, const struct grid *b)
{
    struct grid x = grid_to_ras(a), y = grid_to_ras(b);
    double most = 0;

    for (int corner = 0; corner < 8; corner++) {
        double i[3], j[3], p[3], q[3];

        for (int k = 0; k < 3; k++) {
            i[k] = corner >> k & 1 ? (double)x.dims[k] - 0.5 : -0.5;
            j[k] = corner >> k & 1 ? (double)y.dims[k] - 0.5 : -0.5;
        }
        grid_world(&x, i, p);
        grid_world(&y, j, q);
        most = fmax(most, sqrt((p[0] - q[0]) * (p[0] - q[0]) + (p[1] - q[1]) * (p[1] - q[1]) +
                               (p[2] - q[2]) * (p[2] - q[2])));
    }
    return most;
}

/* The phase lies elsewhere: both headers must tell positions, and the voxels are carried over. */
static enum err carry_phase(struct placed *out, const struct case_files *c, int channel,
                            const struct volume *reference, const struct prepare_options *o, struct notes *n)
{
    struct nifti_options read = reading(o, true);
    struct grid ras = grid_to_ras(&reference->grid);
    struct volume *check = NULL, *v = NULL;
    enum err err;

    TRY_OR(done, nifti_load_grid(&check, c->phase[c->reference], &read, NULL));
    volume_free(check);
    check = NULL;
    TRY_OR(done, nifti_load_grid(&check, c->phase[channel], &read, NULL));
    out->inside = grid_overlap(&check->grid, &ras);
    if (out->inside < overlap_least && o->training) {
        give_reason(o, "phase-overlap");
        err = err_set(ERR_INPUT,
                      "%s: only %.1f %% of the reference phase %s lies in its field of view; correct the "
                      "headers or remove it",
                      c->phase[channel], 100 * out->inside, c->phase[c->reference]);
    } else if (out->inside < overlap_least) {
        note_add(
            n, "phase-overlap",
            "%s: only %.1f %% of the reference phase lies in its field of view; the phase counts as missing",
            c->phase[channel], 100 * out->inside);
    } else {
        TRY_OR(done, nifti_load_hu(&v, c->phase[channel], &read, n));
        err = resample_hu(&out->hu, v, &ras);
    }
done:
    volume_free(check);
    volume_free(v);
    return err;
}

/* The phase through its transform, interpolated once. */
static enum err move_phase(struct placed *out, const char *path, const struct transform *t,
                           const struct volume *reference, const struct prepare_options *o, struct notes *n)
{
    struct nifti_options read = reading(o, true);
    struct grid ras = grid_to_ras(&reference->grid);
    struct mapper_tally tally = {0};
    struct volume *v = NULL, *valid = NULL;
    struct warp w = {.t = t, .to = &ras, .how = WARP_LINEAR};
    int64_t inside = 0, count = grid_count(&ras);
    enum err err;

    TRY(nifti_load_hu(&v, path, &read, n));
    w.in = v;
    err = warp_volume(&out->hu, &valid, &w, &tally);
    volume_free(v);
    TRY(err);
    for (int64_t i = 0; i < count; i++)
        inside += ((const uint8_t *)valid->data)[i];
    out->inside = (double)inside / (double)count;
    volume_free(valid);
    return ERR_OK;
}

enum err place_phase(struct placed *out, const struct case_files *c, int channel,
                     const struct volume *reference, const struct prepare_options *o, struct notes *n)
{
    struct nifti_options read = reading(o, false);
    const struct transform *t = o->transform ? o->transform[channel] : NULL;
    struct volume *header = NULL, *v = NULL;
    bool here, lost;

    *out = (struct placed){.inside = 1};
    if (t && t->count)
        return move_phase(out, c->phase[channel], t, reference, o, n);
    TRY(nifti_load_grid(&header, c->phase[channel], &read, NULL));
    here = channel == c->reference || same_place(&header->grid, &reference->grid);
    lost = !o->assume_scanner && (!nifti_form_used(header) || !nifti_form_used(reference)) &&
           same_dims(&header->grid, &reference->grid) && same_spacing(&header->grid, &reference->grid);
    volume_free(header);
    if (!here && !lost)
        return carry_phase(out, c, channel, reference, o, n);
    TRY(nifti_load_hu(&v, c->phase[channel], &read, n));
    if (!here) {
        note_add(n, "phase-no-geometry",
                 "%s: it or the reference phase has no orientation; with equal dims and voxel size they are "
                 "taken as lying together",
                 c->phase[channel]);
        v->grid = reference->grid;
    }
    return to_reference(&out->hu, v, reference);
}

/* How a label's grid differs from the image's: what a header may have suffered. */
static const char *difference(const struct grid *a, const struct grid *b)
{
    struct grid x = grid_to_ras(a), y = grid_to_ras(b);
    struct orient p = grid_orient(a), q = grid_orient(b);

    if (!same_dims(&x, &y) || !same_spacing(&x, &y))
        return "other voxels";
    if (memcmp(p.axis, q.axis, sizeof p.axis) != 0)
        return "the axes in another order";
    if (memcmp(p.flip, q.flip, sizeof p.flip) != 0)
        return "an axis reversed";
    for (int row = 0; row < 3; row++)
        for (int k = 0; k < 3; k++)
            if (fabs(x.affine[row][k] - y.affine[row][k]) > 1e-3 * x.spacing[k])
                return "a rotation";
    return "a shift";
}

static enum err refuse_label(const char *path, const struct grid *g, const struct volume *reference,
                             const struct prepare_options *o)
{
    const int64_t *a = g->dims, *b = reference->grid.dims;

    give_reason(o, "label-grid");
    return err_set(ERR_INPUT,
                   "%s: the label's grid (%lld x %lld x %lld) is not the reference phase's (%lld x %lld x "
                   "%lld): corners are up to %.4g mm "
                   "apart (%s); save it on that grid, or go on with --resample-labels",
                   path, (long long)a[0], (long long)a[1], (long long)a[2], (long long)b[0], (long long)b[1],
                   (long long)b[2], corner_offset(g, &reference->grid), difference(g, &reference->grid));
}

/* --resample-labels; consumes v. */
static enum err carry_label(struct volume **out, struct volume *v, const char *path,
                            const struct volume *reference, const struct prepare_options *o)
{
    struct nifti_options read = reading(o, true);
    struct grid ras = grid_to_ras(&reference->grid);
    struct volume *check = NULL;
    enum err err = nifti_load_grid(&check, path, &read, NULL); /* refuses shear and missing forms */

    volume_free(check);
    if (!err)
        err = resample_labels(out, v, &ras);
    volume_free(v);
    return err;
}

enum err place_label(struct volume **out, const char *path, const struct volume *reference,
                     const struct prepare_options *o, struct notes *n)
{
    struct nifti_options read = reading(o, false);
    struct volume *v = NULL;
    enum err err;

    TRY(nifti_load_labels(&v, path, &read, n));
    if (same_place(&v->grid, &reference->grid))
        return to_reference(out, v, reference);
    if (same_dims(&v->grid, &reference->grid) && (!nifti_form_used(v) || grid_is_identity(&v->grid))) {
        note_add(
            n, "label-no-geometry",
            "%s: no real orientation (as in LiTS); with equal dims it is taken as lying on the image's grid",
            path);
        v->grid = reference->grid;
        return to_reference(out, v, reference);
    }
    if (o->resample_labels) {
        note_add(n, "label-resampled", "%s: brought onto the reference phase's grid (nearest voxel)", path);
        return carry_label(out, v, path, reference, o);
    }
    err = refuse_label(path, &v->grid, reference, o);
    volume_free(v);
    return err;
}

enum err place_label_values(const struct volume *label, int64_t classes, const char *path,
                            const struct prepare_options *o, int64_t voxels[256])
{
    const uint8_t *p = label->data;
    struct str found = {0};
    bool bad = false;
    enum err err;

    memset(voxels, 0, 256 * sizeof *voxels);
    for (int64_t i = 0, n = grid_count(&label->grid); i < n; i++)
        voxels[p[i]]++;
    for (int v = 0; v < 256; v++) {
        if (voxels[v])
            str_addf(&found, "%s%d", found.len ? ", " : "", v);
        bad = bad || (voxels[v] && v >= classes);
    }
    err = str_status(&found);
    if (!err && bad) {
        give_reason(o, "label-values");
        err = err_set(ERR_INPUT,
                      "%s: label values %s, but the data set names 0 to %lld; map the others, for example "
                      "--map 255=2,3=2",
                      path, found.s, (long long)classes - 1);
    }
    str_free(&found);
    return err;
}
