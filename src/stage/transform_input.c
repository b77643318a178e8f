#include "stage/transform_input.h"
#include "base/file.h"
#include <math.h>
#include <string.h>

static enum err check_link(const struct transform *before, const struct transform *next, const char *first,
                           const char *second)
{
    if (!grid_known(&before->moving) || !grid_known(&next->fixed) || grid_same(&before->moving, &next->fixed))
        return ERR_OK;
    return err_set(ERR_INPUT,
                   "%s ends on another grid than %s begins on (%lld x %lld x %lld and %lld x %lld x %lld "
                   "voxels): another order, or --force if both are in the same space",
                   first, second, (long long)before->moving.dims[0], (long long)before->moving.dims[1],
                   (long long)before->moving.dims[2], (long long)next->fixed.dims[0],
                   (long long)next->fixed.dims[1], (long long)next->fixed.dims[2]);
}

enum err stage_transform_chain(struct transform **out, const struct cfg_list *files, enum convention fields,
                               bool force, struct notes *notes)
{
    struct transform *sum = NULL, *next = NULL;
    enum err err = ERR_OK;

    for (size_t i = 0; i < files->count; i++) {
        TRY_OR(done, transform_read(&next, files->item[i], fields, notes));
        if (!sum) {
            sum = next;
            next = NULL;
            continue;
        }
        if (!force)
            TRY_OR(done, check_link(sum, next, files->item[i - 1], files->item[i]));
        TRY_OR(done, transform_append(sum, next));
        transform_free(next);
        next = NULL;
    }
    *out = sum;
    sum = NULL;
done:
    transform_free(next);
    transform_free(sum);
    return err;
}

/* The finest grid known: the fixed image's, else that of the first displacement field. */
static const struct grid *own_grid(const struct transform *t, struct grid *made)
{
    if (grid_known(&t->fixed))
        return &t->fixed;
    for (size_t i = 0; i < t->count; i++) {
        const struct element *e = &t->item[i];

        if (e->kind == ELEMENT_AFFINE || e->inverse)
            continue;
        *made = (struct grid){0};
        memcpy(made->dims, e->lattice.size, sizeof made->dims);
        memcpy(made->affine, e->lattice.to_world.m, sizeof made->affine);
        for (int c = 0; c < 3; c++)
            made->spacing[c] =
                sqrt(pow(made->affine[0][c], 2) + pow(made->affine[1][c], 2) + pow(made->affine[2][c], 2));
        return made;
    }
    return NULL;
}

static enum err load_reference(struct stage_target *out, const struct transform *t,
                               const struct stage_target_options *o, struct notes *notes)
{
    const struct grid *f = &t->fixed;

    TRY(nifti_load_grid(&out->like, o->reference, &o->nifti, notes));
    out->grid = out->like->grid;
    if (o->force || !grid_known(f) || grid_same(f, &out->grid))
        return ERR_OK;
    return err_set(
        ERR_INPUT,
        "%s is not on the grid of the transform's fixed image (%lld x %lld x %lld voxels of %.4g x "
        "%.4g x %.4g mm); --force if it is in the same space",
        o->reference, (long long)f->dims[0], (long long)f->dims[1], (long long)f->dims[2], f->spacing[0],
        f->spacing[1], f->spacing[2]);
}

static void coarsen(struct grid *g, double spacing)
{
    for (int c = 0; c < 3; c++) {
        double factor = spacing / g->spacing[c];

        g->dims[c] = (int64_t)ceil((double)(g->dims[c] - 1) / factor - 1e-6) + 1;
        g->spacing[c] = spacing;
        for (int r = 0; r < 3; r++)
            g->affine[r][c] *= factor;
    }
}

enum err stage_target_pick(struct stage_target *out, const struct transform *t,
                           const struct stage_target_options *o, struct notes *notes)
{
    struct stage_target target = {0};
    const struct grid *own;
    enum err err = ERR_OK;

    if (o->reference) {
        err = load_reference(&target, t, o, notes);
    } else {
        own = own_grid(t, &target.grid);
        if (!own)
            return err_set(ERR_USAGE,
                           "the transform knows no image: say with --reference IMAGE on which grid the "
                           "result lies");
        target.grid = *own;
    }
    if (!err && o->spacing > 0) {
        coarsen(&target.grid, o->spacing);
        volume_free(target.like);
        target.like = NULL;
    }
    if (err) {
        stage_target_free(&target);
        return err;
    }
    *out = target;
    return ERR_OK;
}

void stage_target_free(struct stage_target *t)
{
    volume_free(t->like);
    t->like = NULL;
}

enum err stage_output_check(const char *output, const char *const *inputs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (inputs[i] && file_same(output, inputs[i]))
            return err_set(ERR_USAGE, "%s would replace %s, which is read: choose another -o", output,
                           inputs[i]);
    return ERR_OK;
}

void stage_tally_note(struct notes *notes, const struct mapper_tally *tally, const char *what)
{
    if (tally->outside)
        note_add(notes, "outside-support",
                 "%lld %s lie outside the support of a displacement field; the value at its border was used",
                 (long long)tally->outside, what);
    if (tally->unsolved)
        note_add(notes, "no-inverse",
                 "%lld %s: the transform folds there, so that the inverse is only the nearest guess",
                 (long long)tally->unsolved, what);
}

enum err stage_stopped(const struct cli *cli)
{
    if (!atomic_load(cli->stop))
        return ERR_OK;
    return err_set(ERR_STOPPED, "interrupted; nothing was written");
}
