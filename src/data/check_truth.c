/* A phantom's truth/ (phantom.md section 1) must belong to its images: labels on the grid of every phase, a
 * field to every phase but the portal venous one, and a JSON file. */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/check_steps.h"

/* c->folder/truth/CASE_... */
static enum err truth_path(struct str *path, const struct checker *c, const struct check_case *k,
                           const char *what, int channel)
{
    str_free(path);
    str_addf(path, "%s/truth/%s", c->folder, k->files->name);
    if (what)
        str_addf(path, "_%s_%04d.nii.gz", what, channel);
    else
        str_add(path, ".json");
    return str_status(path);
}

static enum err check_there(struct checker *c, const struct str *path)
{
    return file_exists(path->s) ? ERR_OK : check_add(c, "truth-missing", "%s is missing", path->s);
}

static enum err check_grid(struct checker *c, const struct check_case *k, int channel, const char *path)
{
    struct nifti_options read = {.prefer = c->options.prefer};
    struct volume *image = NULL, *truth = NULL;
    enum err err;

    if (!file_exists(path))
        return ERR_OK; /* told */
    err = nifti_load_grid(&truth, path, &read, NULL);
    if (err)
        return err == ERR_MEMORY ? err : check_add(c, "truth-missing", "%s", err_text());
    err = nifti_load_grid(&image, k->files->phase[channel], &read, NULL);
    if (!err && !grid_same(&image->grid, &truth->grid))
        err = check_add(c, "truth-grid", "%s does not lie on the grid of %s", path, k->files->phase[channel]);
    else if (err && err != ERR_MEMORY)
        err = ERR_OK; /* told where the image is read */
    volume_free(truth);
    volume_free(image);
    return err;
}

static enum err check_phase(struct checker *c, const struct check_case *k, int channel, struct str *path)
{
    TRY(truth_path(path, c, k, "labels", channel));
    TRY(check_there(c, path));
    TRY(check_grid(c, k, channel, path->s));
    if (channel == k->phases->portal)
        return ERR_OK;
    TRY(truth_path(path, c, k, "field", channel));
    return check_there(c, path);
}

enum err check_truth(struct checker *c, const struct check_case *k)
{
    struct str path = {0};
    enum err err;

    if (!c->phantom)
        return ERR_OK;
    err = truth_path(&path, c, k, NULL, 0);
    if (!err)
        err = check_there(c, &path);
    for (int p = 0; p < k->phases->count && !err; p++)
        if (k->files->phase[p])
            err = check_phase(c, k, p, &path);
    str_free(&path);
    return err;
}
