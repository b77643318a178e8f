/* d4m transform apply: an image, a label map or a list of points through a chain of transforms. */
#include "align/points.h"
#include "align/warp.h"
#include "base/json.h"
#include "base/str.h"
#include "stage/transform.h"
#include "stage/transform_input.h"
#include <math.h>
#include <stdio.h>

/* AUTO: labels if no voxel is negative and none above 254, which no CT is; else linear. */
enum { HOW_AUTO, HOW_GIVEN };
static const char *const how_names[] = {"auto", "linear", "cubic", "nearest", "labels", NULL};

struct apply_config {
    const char *input, *output, *reference, *mask;
    struct cfg_list transform;
    bool inverse, force, assume_scanner;
    int interpolation, convention, field_convention, prefer;
};

static const struct field fields[] = {
    FIELD(struct apply_config, T_STRING, input, .positional = true, .required = true, .arg = "INPUT",
          .help = "image or label map (NIfTI), or points (.csv, .fcsv, .mrk.json)"),
    FIELD(struct apply_config, T_LIST, transform, .brief = 't', .required = true, .arg = "FILE",
          .help = "transform; given several times, the first acts on fixed points first"),
    FIELD(struct apply_config, T_STRING, output, .brief = 'o', .required = true, .arg = "FILE",
          .help = "the result"),
    FIELD(struct apply_config, T_BOOL, inverse,
          .help = "the other way: images from fixed to moving, points from moving to fixed"),
    FIELD(struct apply_config, T_CHOICE, interpolation, .names = how_names,
          .help = "images: linear or cubic; label maps: nearest, or labels (per label linear, the largest "
                  "wins; smoother); auto: labels where all voxels are 0 to 254, else linear"),
    FIELD(struct apply_config, T_STRING, reference, .arg = "IMAGE",
          .help = "image whose grid the result takes (else the one that the transform knows)"),
    FIELD(struct apply_config, T_STRING, mask, .arg = "FILE",
          .help = "also write where the result is inside the input's field of view (1) or filled (0)"),
    FIELD(struct apply_config, T_CHOICE, convention, .names = convention_names,
          .help = "coordinates of points: auto is RAS in .csv, what the file says in Slicer's files"),
    FIELD(struct apply_config, T_CHOICE, field_convention, .names = convention_names,
          .help = "components of displacement fields: auto is what the file says"),
    FIELD(struct apply_config, T_BOOL, force,
          .help = "go on where images are not on the grids that the transform was made for"),
    FIELD(struct apply_config, T_CHOICE, prefer, .names = nifti_form_names,
          .help = "which orientation counts if sform and qform disagree"),
    FIELD(struct apply_config, T_BOOL, assume_scanner,
          .help = "images without orientation lie along the scanner axes"),
};

struct apply {
    const struct cli *cli;
    const struct apply_config *c;
    struct transform *t;
    enum warp_how how;
    struct mapper_tally tally;
};

static enum err check_input(const struct apply *a, const struct volume *in)
{
    const struct grid *m = &a->t->moving;

    if (a->c->force || !grid_known(m) || grid_same(m, &in->grid))
        return ERR_OK;
    if (grid_known(&a->t->fixed) && grid_same(&a->t->fixed, &in->grid))
        return err_set(
            ERR_INPUT, "%s lies on the grid of the %s image, which this direction makes; turn round with %s",
            a->c->input, a->c->inverse ? "moving" : "fixed", a->c->inverse ? "--no-inverse" : "--inverse");
    return err_set(ERR_INPUT,
                   "%s is not on the grid of the transform's %s image (%lld x %lld x %lld voxels of %.4g x "
                   "%.4g x %.4g mm): this transform belongs to another pair; --force to go on",
                   a->c->input, a->c->inverse ? "fixed" : "moving", (long long)m->dims[0],
                   (long long)m->dims[1], (long long)m->dims[2], m->spacing[0], m->spacing[1], m->spacing[2]);
}

static bool holds_labels(const struct volume *v)
{
    const int16_t *x = v->data;
    int64_t n = grid_count(&v->grid);

    for (int64_t i = 0; i < n; i++)
        if (x[i] < 0 || x[i] > 254)
            return false;
    return true;
}

static enum err load(struct volume **in, struct apply *a, const struct nifti_options *o)
{
    a->how = (enum warp_how)(a->c->interpolation - HOW_GIVEN);
    if (a->c->interpolation == HOW_AUTO) {
        TRY(nifti_load_hu(in, a->c->input, o, NULL));
        a->how = holds_labels(*in) ? WARP_LABELS : WARP_LINEAR;
        volume_free(*in);
        *in = NULL;
    }
    if (a->how < WARP_NEAREST)
        return nifti_load_hu(in, a->c->input, o, a->cli->notes);
    return nifti_load_labels(in, a->c->input, o, a->cli->notes);
}

static double share_inside(const struct volume *valid)
{
    const uint8_t *v = valid->data;
    int64_t n = grid_count(&valid->grid), inside = 0;

    for (int64_t i = 0; i < n; i++)
        inside += v[i];
    return (double)inside / (double)n;
}

static enum err print_image(const struct apply *a, const struct volume *out, double inside)
{
    const int64_t *n = out->grid.dims;
    json_t *j;
    enum err err;

    a->cli->show_notes(a->cli);
    if (!a->cli->common->json) {
        printf("%s: %lld x %lld x %lld voxels (%s), %.1f %% inside the input's field of view\n", a->c->output,
               (long long)n[0], (long long)n[1], (long long)n[2], warp_how_names[a->how], 100 * inside);
        return ERR_OK;
    }
    json_setup();
    j = json_pack("{s:o, s:s, s:b, s:[I, I, I], s:f, s:I, s:I}", "output", json_str(a->c->output),
                  "interpolation", warp_how_names[a->how], "inverse", a->c->inverse, "dims", (json_int_t)n[0],
                  (json_int_t)n[1], (json_int_t)n[2], "inside", inside, "outside_support",
                  (json_int_t)a->tally.outside, "no_inverse", (json_int_t)a->tally.unsolved);
    err = json_print(j);
    json_decref(j);
    return err;
}

static enum err apply_image(struct apply *a)
{
    const struct apply_config *c = a->c;
    struct stage_target_options o = {
        .reference = c->reference,
        .force = c->force,
        .nifti = {.prefer = (enum nifti_form)c->prefer, .assume_scanner = c->assume_scanner}};
    struct volume *in = NULL, *out = NULL, *valid = NULL;
    struct stage_target target = {0};
    struct warp w;
    enum err err;

    o.nifti.positions_matter = true;
    TRY_OR(done, load(&in, a, &o.nifti));
    TRY_OR(done, check_input(a, in));
    TRY_OR(done, stage_target_pick(&target, a->t, &o, a->cli->notes));
    w = (struct warp){a->t, in, &target.grid, a->how};
    TRY_OR(done, warp_volume(&out, &valid, &w, &a->tally));
    stage_tally_note(a->cli->notes, &a->tally, "voxels");
    TRY_OR(done, stage_stopped(a->cli));
    TRY_OR(done, nifti_save(out, target.like, c->output));
    if (c->mask)
        TRY_OR(done, nifti_save(valid, target.like, c->mask));
    TRY_OR(done, print_image(a, out, share_inside(valid)));
done:
    volume_free(in);
    volume_free(out);
    volume_free(valid);
    stage_target_free(&target);
    return err;
}

/* In the box of the grid's voxels, half a voxel beyond their centres. */
static bool in_grid(const struct grid *g, const double mm[3])
{
    struct grid inverse;
    double p[3];

    if (!grid_known(g) || grid_invert(g, inverse.affine))
        return true;
    grid_world(&inverse, mm, p);
    for (int c = 0; c < 3; c++)
        if (!(p[c] >= -0.5 && p[c] <= (double)g->dims[c] - 0.5))
            return false;
    return true;
}

static enum err print_points(const struct apply *a, size_t count, size_t beyond)
{
    json_t *j;
    enum err err;

    a->cli->show_notes(a->cli);
    if (!a->cli->common->json) {
        printf("%s: %zu point%s\n", a->c->output, count, count == 1 ? "" : "s");
        return ERR_OK;
    }
    json_setup();
    j = json_pack("{s:o, s:b, s:I, s:I, s:I, s:I}", "output", json_str(a->c->output), "inverse",
                  a->c->inverse, "points", (json_int_t)count, "outside_image", (json_int_t)beyond,
                  "outside_support", (json_int_t)a->tally.outside, "no_inverse",
                  (json_int_t)a->tally.unsolved);
    err = json_print(j);
    json_decref(j);
    return err;
}

static enum err apply_points(struct apply *a)
{
    struct mapper *map = NULL;
    struct points *p = NULL;
    size_t beyond = 0, count;
    enum err err;

    TRY_OR(done, points_read(&p, a->c->input, (enum convention)a->c->convention));
    TRY_OR(done, mapper_new(&map, a->t, NULL, NULL));
    count = points_count(p);
    for (size_t i = 0; i < count; i++) {
        double *mm = points_at(p, i);

        beyond += !in_grid(&a->t->fixed, mm);
        mapper_point(map, mm, mm, &a->tally);
    }
    if (beyond)
        note_add(a->cli->notes, "points-outside",
                 "%zu of %zu points lie outside the %s image, where the transform is not determined; check "
                 "--convention and --inverse",
                 beyond, count, a->c->inverse ? "moving" : "fixed");
    stage_tally_note(a->cli->notes, &a->tally, "points");
    TRY_OR(done, stage_stopped(a->cli));
    TRY_OR(done, points_write(p, a->c->output));
    TRY_OR(done, print_points(a, count, beyond));
done:
    mapper_free(map);
    points_free(p);
    return err;
}

static enum err check_paths(const struct apply_config *c)
{
    const char *inputs[2] = {c->input, c->reference};

    TRY(stage_output_check(c->output, inputs, 2));
    TRY(stage_output_check(c->output, c->transform.item, c->transform.count));
    if (c->mask) {
        TRY(stage_output_check(c->mask, inputs, 2));
        TRY(stage_output_check(c->mask, c->transform.item, c->transform.count));
    }
    if (points_named(c->input) && (c->reference || c->mask))
        return err_set(ERR_USAGE, "%s holds points, so that --reference and --mask have no meaning",
                       c->input);
    return ERR_OK;
}

static enum err apply_main(const struct cli *cli, const void *config)
{
    struct apply a = {.cli = cli, .c = config};
    const struct apply_config *c = config;
    struct transform *back = NULL;
    enum err err;

    TRY(check_paths(c));
    TRY(stage_transform_chain(&a.t, &c->transform, (enum convention)c->field_convention, c->force,
                              cli->notes));
    if (c->inverse) {
        err = transform_inverse(&back, a.t);
        transform_free(a.t);
        TRY(err);
        a.t = back;
    }
    err = points_named(c->input) ? apply_points(&a) : apply_image(&a);
    transform_free(a.t);
    return err;
}

const struct command cmd_transform_apply = {
    .name = "transform apply",
    .summary = "bring an image, a label map or points through a transform",
    .example = "arterial.nii.gz -t transform.d4m -o arterial_on_portal.nii.gz",
    .about = TRANSFORM_DIRECTION
    "With --inverse both turn round: an image goes from fixed to moving, a point from moving to fixed.\n"
    "Voxels outside the input's field of view become -1024 HU, or label 0.\n",
    .table = CFG_TABLE(fields),
    .cfg_size = sizeof(struct apply_config),
    .run = apply_main,
};
