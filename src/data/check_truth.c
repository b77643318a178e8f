/* A phantom's truth/ (phantom.md section 1) must belong to its images. */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/check_steps.h"

static enum err check_grid(struct checker *c, const struct check_case *k, int channel, const char *path)
{
    struct nifti_options read = {.prefer = c->options.prefer};
    struct volume *image = NULL, *truth = NULL;
    enum err err;

    if (!file_exists(path))
        return check_add(c, "truth-missing", "%s is missing", path);
    err = nifti_load_grid(&truth, path, &read, NULL);
    if (err) {
        if (err == ERR_MEMORY)
            return err;
        return check_add(c, "truth-missing", "%s", err_text());
    }
    err = nifti_load_grid(&image, k->files->phase[channel], &read, NULL);
    if (!err && !grid_same(&image->grid, &truth->grid))
        err = check_add(c, "truth-grid", "%s does not lie on the grid of %s", path, k->files->phase[channel]);
    else if (err && err != ERR_MEMORY)
        err = ERR_OK; /* told where the image is read */
    volume_free(truth);
    volume_free(image);
    return err;
}

enum err check_truth(struct checker *c, const struct check_case *k)
{
    char *folder = c->folder ? path_join(c->folder, "truth") : NULL;
    struct str path = {0};
    enum err err = ERR_OK;

    if (c->folder && !folder)
        return ERR_MEMORY;
    for (int p = 0; folder && folder_exists(folder) && p < k->phases->count && !err; p++) {
        if (!k->files->phase[p])
            continue;
        str_free(&path);
        str_addf(&path, "%s/%s_labels_%04d.nii.gz", folder, k->files->name, p);
        err = str_status(&path);
        if (!err)
            err = check_grid(c, k, p, path.s);
    }
    str_free(&path);
    mem_free(folder);
    return err;
}
