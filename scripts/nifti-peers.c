/* Driver of check-nifti-peers.py: reads an image as HU, prints its affine, and writes three files beside
 * `out`: the HU on the image's header, a mask on it, and the HU with a header made from the grid alone. */
#include "base/mem.h"
#include "volume/nifti.h"
#include <stdio.h>

static enum err save(const struct volume *v, const struct volume *like, const char *out, const char *end)
{
    char path[1024];

    snprintf(path, sizeof path, "%s%s", out, end);
    return nifti_save(v, like, path);
}

static enum err work(const char *in, const char *out)
{
    struct nifti_options o = {.positions_matter = true};
    struct volume *v = NULL, *mask = NULL;
    enum err err;

    TRY_OR(done, nifti_load_hu(&v, in, &o, NULL));
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++)
            printf("%.17g ", v->grid.affine[i][j]);
    TRY_OR(done, volume_new(&mask, &v->grid, VOXEL_U8));
    for (int64_t i = 0; i < grid_count(&v->grid); i++)
        ((uint8_t *)mask->data)[i] = ((int16_t *)v->data)[i] > 0;
    TRY_OR(done, save(v, v, out, "-hu.nii.gz"));
    TRY_OR(done, save(mask, v, out, "-mask.nii.gz"));
    TRY_OR(done, save(v, NULL, out, "-made.nii"));
done:
    volume_free(v);
    volume_free(mask);
    return err;
}

int main(int argc, char **argv)
{
    if (argc != 3 || work(argv[1], argv[2])) {
        fprintf(stderr, "%s\n", err_text());
        return 1;
    }
    return 0;
}
