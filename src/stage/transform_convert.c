/* d4m transform convert and jacobian: what a transform is on a grid, for other programs and for the eye. */
#include "align/warp.h"
#include "base/json.h"
#include "base/str.h"
#include "stage/transform.h"
#include "stage/transform_input.h"
#include <math.h>
#include <stdio.h>

struct convert_config {
    struct cfg_list transform;
    const char *output, *reference, *moving;
    double spacing;
    int to, convention, field_convention;
    bool force, log;
};

enum target { TO_DISPLACEMENT, TO_ITK, TO_NIFTYREG, TO_AFFINE_ITK, TO_AFFINE_NIFTYREG, TO_D4M };
static const char *const target_names[] = {"displacement",    "itk", "niftyreg", "affine-itk",
                                           "affine-niftyreg", "d4m", NULL};

#define INPUT_FIELDS                                                                                         \
    FIELD(struct convert_config, T_LIST, transform, .positional = true, .required = true,                    \
          .arg = "TRANSFORM", .help = "transform (several: their composition, the first acts first)"),       \
        FIELD(struct convert_config, T_STRING, output, .brief = 'o', .required = true, .arg = "FILE",        \
              .help = "the result"),                                                                         \
        FIELD(struct convert_config, T_STRING, reference, .arg = "IMAGE",                                    \
              .help = "image whose grid the result takes (else the fixed image's, which the transform "      \
                      "knows)"),                                                                             \
        FIELD(struct convert_config, T_REAL, spacing, .min = 0, .max = 100, .arg = "MM",                     \
              .help = "on that grid's axes at this spacing instead, for smaller files; 0: the grid's own"),  \
        FIELD(struct convert_config, T_CHOICE, field_convention, .names = convention_names,                  \
              .help = "components of displacement fields that are read: auto is what the file says"),        \
        FIELD(struct convert_config, T_BOOL, force,                                                          \
              .help = "go on where grids are not those that the transform was made for")

static const struct field convert_fields[] = {
    INPUT_FIELDS,
    FIELD(struct convert_config, T_CHOICE, to, .names = target_names, .required = true,
          .help =
              "displacement: field in mm, components as --convention says; itk: the same for ITK, ANTs, "
              "greedy (LPS); niftyreg: for NiftyReg (RAS); affine-itk, affine-niftyreg: text files of the "
              "affine part; d4m: our own file"),
    FIELD(struct convert_config, T_CHOICE, convention, .names = convention_names,
          .help = "components that --to displacement writes: auto is RAS"),
    FIELD(struct convert_config, T_STRING, moving, .arg = "IMAGE",
          .help =
              "--to d4m: record this image's grid as the moving one, and that of --reference as the fixed "
              "one, so that other images are refused"),
};

static const struct field jacobian_fields[] = {
    INPUT_FIELDS,
    FIELD(struct convert_config, T_BOOL, log,
          .help = "write the natural logarithm of the determinant (NaN where it is not positive)"),
};

static enum err read_input(struct transform **t, const struct cli *cli, const struct convert_config *c)
{
    TRY(stage_output_check(c->output, &c->reference, 1));
    TRY(stage_output_check(c->output, c->transform.item, c->transform.count));
    return stage_transform_chain(t, &c->transform, (enum convention)c->field_convention, c->force,
                                 cli->notes);
}

static enum err pick(struct stage_target *target, const struct transform *t, const struct convert_config *c,
                     struct notes *notes)
{
    struct stage_target_options o = {.reference = c->reference,
                                     .spacing = c->spacing,
                                     .force = c->force,
                                     .nifti = {.positions_matter = true}};

    return stage_target_pick(target, t, &o, notes);
}

static enum err write_affine(const struct cli *cli, const struct convert_config *c, const struct transform *t)
{
    struct affine a, all;

    TRY(transform_affine(&a, t, true));
    if (transform_affine(&all, t, false))
        note_add(cli->notes, "deformation-dropped",
                 "%s holds the affine part alone: the transform also deforms (--to %s has everything)",
                 c->output, c->to == TO_AFFINE_ITK ? "itk" : "niftyreg");
    return c->to == TO_AFFINE_ITK ? affine_write_itk(&a, c->output) : affine_write_niftyreg(&a, c->output);
}

static enum err write_field(const struct cli *cli, const struct convert_config *c, const struct transform *t)
{
    static const enum field_kind kinds[] = {
        [TO_DISPLACEMENT] = FIELD_PLAIN, [TO_ITK] = FIELD_ITK, [TO_NIFTYREG] = FIELD_NIFTYREG};
    struct stage_target target = {0};
    struct field_file f = {.t = t, .kind = kinds[c->to], .how = (enum convention)c->convention};
    enum err err;

    TRY(pick(&target, t, c, cli->notes));
    f.to = &target.grid;
    err = field_write(&f, c->output);
    stage_target_free(&target);
    return err;
}

static enum err check_convention(const struct convert_config *c)
{
    bool wrong = (c->to == TO_ITK || c->to == TO_AFFINE_ITK) && c->convention == CONVENTION_RAS;

    wrong |= (c->to == TO_NIFTYREG || c->to == TO_AFFINE_NIFTYREG) && c->convention == CONVENTION_LPS;
    if (wrong)
        return err_set(ERR_USAGE,
                       "--to %s is always %s, which its readers expect; --to displacement takes --convention",
                       target_names[c->to], c->convention == CONVENTION_RAS ? "LPS" : "RAS");
    return ERR_OK;
}

/* Records the grids that were named, so that a foreign transform knows its images. */
static enum err write_own(const struct cli *cli, const struct convert_config *c, struct transform *t)
{
    const char *path[2] = {c->reference, c->moving};
    struct grid *grid[2] = {&t->fixed, &t->moving};

    for (int i = 0; i < 2; i++) {
        struct nifti_options o = {.positions_matter = true};
        struct volume *v = NULL;

        if (!path[i])
            continue;
        TRY(nifti_load_grid(&v, path[i], &o, cli->notes));
        *grid[i] = v->grid;
        volume_free(v);
    }
    return transform_write(t, c->output);
}

static enum err print_target(const struct cli *cli, const struct convert_config *c)
{
    json_t *j;
    enum err err;

    cli->show_notes(cli);
    if (!cli->common->json) {
        printf("%s: %s\n", c->output, target_names[c->to]);
        return ERR_OK;
    }
    json_setup();
    j = json_pack("{s:o, s:s}", "output", json_str(c->output), "to", target_names[c->to]);
    err = json_print(j);
    json_decref(j);
    return err;
}

static enum err convert_main(const struct cli *cli, const void *config)
{
    const struct convert_config *c = config;
    struct transform *t = NULL;
    enum err err;

    TRY(check_convention(c));
    TRY(stage_output_check(c->output, &c->moving, 1));
    TRY(read_input(&t, cli, c));
    TRY_OR(done, stage_stopped(cli));
    if (c->to == TO_D4M)
        err = write_own(cli, c, t);
    else if (c->to >= TO_AFFINE_ITK)
        err = write_affine(cli, c, t);
    else
        err = write_field(cli, c, t);
    TRY_OR(done, err);
    TRY_OR(done, print_target(cli, c));
done:
    transform_free(t);
    return err;
}

struct figures {
    double least, most, mean, sd_log; /* sd_log over the positive ones */
    int64_t folded, count;
};

static struct figures figures_of(const float *det, int64_t n)
{
    struct figures f = {.least = INFINITY, .most = -INFINITY, .count = n};
    double sum = 0, log_sum = 0, log_squares = 0;

    for (int64_t i = 0; i < n; i++) {
        double d = (double)det[i];

        f.least = fmin(f.least, d);
        f.most = fmax(f.most, d);
        sum += d;
        if (d > 0) {
            log_sum += log(d);
            log_squares += log(d) * log(d);
        } else {
            f.folded++;
        }
    }
    f.mean = sum / (double)n;
    n -= f.folded;
    f.sd_log = n ? sqrt(fmax(0, log_squares / (double)n - pow(log_sum / (double)n, 2))) : NAN;
    return f;
}

static enum err print_figures(const struct cli *cli, const struct convert_config *c, const struct figures *f)
{
    json_t *j;
    enum err err;

    cli->show_notes(cli);
    if (!cli->common->json) {
        printf("%s: %s of the Jacobian; determinant %.4f to %.4f, mean %.4f, not positive at %lld of %lld "
               "voxels, SD of its log %.4f\n",
               c->output, c->log ? "log determinant" : "determinant", f->least, f->most, f->mean,
               (long long)f->folded, (long long)f->count, f->sd_log);
        return ERR_OK;
    }
    json_setup();
    j = json_pack("{s:o, s:b, s:o, s:o, s:o, s:o, s:I, s:I}", "output", json_str(c->output), "log", c->log,
                  "det_min", json_number(f->least), "det_max", json_number(f->most), "det_mean",
                  json_number(f->mean), "sd_log_det", json_number(f->sd_log), "det_not_positive",
                  (json_int_t)f->folded, "voxels", (json_int_t)f->count);
    err = json_print(j);
    json_decref(j);
    return err;
}

static enum err jacobian_main(const struct cli *cli, const void *config)
{
    const struct convert_config *c = config;
    struct mapper_tally tally = {0};
    struct stage_target target = {0};
    struct transform *t = NULL;
    struct volume *v = NULL;
    struct figures f;
    enum err err;

    TRY(read_input(&t, cli, c));
    TRY_OR(done, pick(&target, t, c, cli->notes));
    TRY_OR(done, warp_jacobian(&v, t, &target.grid, &tally));
    stage_tally_note(cli->notes, &tally, "voxels");
    f = figures_of(v->data, grid_count(&v->grid));
    for (int64_t i = 0; c->log && i < f.count; i++)
        ((float *)v->data)[i] = ((float *)v->data)[i] > 0 ? logf(((float *)v->data)[i]) : NAN;
    TRY_OR(done, stage_stopped(cli));
    TRY_OR(done, nifti_save(v, target.like, c->output));
    TRY_OR(done, print_figures(cli, c, &f));
done:
    transform_free(t);
    volume_free(v);
    stage_target_free(&target);
    return err;
}

const struct command cmd_transform_jacobian = {
    .name = "transform jacobian",
    .summary = "how a transform changes volumes: the determinant of its Jacobian",
    .example = "transform.d4m -o det.nii.gz",
    .about = TRANSFORM_DIRECTION
    "The determinant at a fixed point is moving volume over fixed volume: above 1 the structure is larger "
    "in\n"
    "the moving image, at or below 0 the map folds. With --log the file holds the logarithm.\n",
    .table = CFG_TABLE(jacobian_fields),
    .cfg_size = sizeof(struct convert_config),
    .run = jacobian_main,
};

const struct command cmd_transform_convert = {
    .name = "transform convert",
    .summary = "a transform as another program's file, or another program's as ours",
    .example = "transform.d4m --to itk -o field.nii.gz",
    .about = TRANSFORM_DIRECTION "Every kind is read by its content. The files keep this direction, as ITK, "
                                 "ANTs, greedy and NiftyReg do.\n",
    .table = CFG_TABLE(convert_fields),
    .cfg_size = sizeof(struct convert_config),
    .run = convert_main,
};
