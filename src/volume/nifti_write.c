#include "volume/nifti_header.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

static bool header_for(struct nifti_header *h, const struct volume *v, const struct volume *like)
{
    if (like && like->header) {
        *h = *like->header;
        for (int i = 0; i < 3; i++)
            if (v->grid.dims[i] != like->grid.dims[i])
                return false;
        return true;
    }
    *h = (struct nifti_header){.version = 1};
    for (int i = 0; i < 3; i++)
        if (v->grid.dims[i] > INT16_MAX)
            h->version = 2;
    nifti_describe_grid(h, &v->grid);
    return true;
}

/* Each part is a gzip file of its own; members one behind the other are a gzip file too, and nothing has to
 * be joined. A failed fwrite is latched in the stream and reported by file_out_commit. */
static enum err write_part(struct file_out *o, const void *p, size_t n, bool gzip)
{
    uint8_t *packed;
    size_t size;

    if (!gzip) {
        fwrite(p, 1, n, o->f);
        return ERR_OK;
    }
    TRY(gzip_encode(p, n, &packed, &size));
    fwrite(packed, 1, size, o->f);
    mem_free(packed);
    return ERR_OK;
}

enum err nifti_save(const struct volume *v, const struct volume *like, const char *path)
{
    bool gzip = str_ends(path, ".gz");
    uint8_t head[NIFTI2_DATA];
    struct nifti_header h;
    struct file_out o = {0};
    size_t start;
    enum err err;

    if (!str_ends(path, ".nii") && !str_ends(path, ".nii.gz"))
        return err_set(ERR_USAGE, "%s: only .nii and .nii.gz can be written; change the name", path);
    if (!header_for(&h, v, like))
        return err_set(ERR_INTERNAL, "%s: the volume and the one whose geometry it takes differ in size",
                       path);
    start = nifti_header_write(&h, v->type, head);
    TRY(file_out_open(&o, path));
    TRY_OR(failed, write_part(&o, head, start, gzip));
    TRY_OR(failed, write_part(&o, v->data, (size_t)grid_count(&v->grid) * voxel_size(v->type), gzip));
    TRY_OR(failed, file_out_commit(&o));
    return ERR_OK;
failed:
    file_out_abandon(&o);
    return err;
}
