#include "volume/nifti_header.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include <string.h>

enum { SLICES_PER_PART = 16 }; /* of a vector image */

static void header_of_grid(struct nifti_header *h, const struct grid *g)
{
    *h = (struct nifti_header){.version = 1};
    for (int i = 0; i < 3; i++)
        if (g->dims[i] > INT16_MAX)
            h->version = 2;
    nifti_describe_grid(h, g);
}

static bool header_for(struct nifti_header *h, const struct volume *v, const struct volume *like)
{
    if (like && like->header) {
        *h = *like->header;
        for (int i = 0; i < 3; i++)
            if (v->grid.dims[i] != like->grid.dims[i])
                return false;
        return true;
    }
    header_of_grid(h, &v->grid);
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

static enum err check_name(const char *path)
{
    if (str_ends(path, ".nii") || str_ends(path, ".nii.gz"))
        return ERR_OK;
    return err_set(ERR_USAGE, "%s: only .nii and .nii.gz can be written; change the name", path);
}

enum err nifti_save(const struct volume *v, const struct volume *like, const char *path)
{
    bool gzip = str_ends(path, ".gz");
    uint8_t head[NIFTI2_DATA];
    struct nifti_header h;
    struct file_out o = {0};
    size_t start;
    enum err err;

    TRY(check_name(path));
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

static size_t vector_header(const struct nifti_vectors *v, uint8_t head[NIFTI2_DATA])
{
    struct nifti_header h;
    size_t start;

    header_of_grid(&h, v->grid);
    nifti_set_int(&h, NH_DIM, 0, 5);
    nifti_set_int(&h, NH_DIM, 5, 3);
    for (int i = 4; i < 6; i++)
        nifti_set_real(&h, NH_PIXDIM, i, 1);
    start = nifti_header_write(&h, VOXEL_F32, head);
    memcpy(h.bytes, head, h.version == 1 ? NIFTI1_BYTES : NIFTI2_BYTES);
    nifti_set_int(&h, NH_INTENT, 0, v->intent.code);
    nifti_set_real(&h, NH_INTENT_P1, 0, v->intent.p1);
    for (int i = 0; i < 16; i++)
        nifti_set_int(&h, NH_INTENT_NAME, i, v->intent.name[i]);
    memcpy(head, h.bytes, h.version == 1 ? NIFTI1_BYTES : NIFTI2_BYTES);
    return start;
}

static enum err write_vectors(struct file_out *o, const struct nifti_vectors *v, float *part, bool gzip)
{
    const int64_t *n = v->grid->dims;

    for (int c = 0; c < 3; c++) {
        for (int64_t z = 0; z < n[2]; z += SLICES_PER_PART) {
            int64_t count = n[2] - z < SLICES_PER_PART ? n[2] - z : SLICES_PER_PART;

            TRY(v->fill(v->ctx, c, z, count, part));
            TRY(write_part(o, part, (size_t)(n[0] * n[1] * count) * sizeof *part, gzip));
        }
    }
    return ERR_OK;
}

enum err nifti_save_vectors(const struct nifti_vectors *v, const char *path)
{
    bool gzip = str_ends(path, ".gz");
    uint8_t head[NIFTI2_DATA];
    struct file_out o = {0};
    float *part = NULL;
    enum err err;

    TRY(check_name(path));
    part = mem_new((size_t)(v->grid->dims[0] * v->grid->dims[1]) * SLICES_PER_PART, sizeof *part);
    if (!part)
        return ERR_MEMORY;
    TRY_OR(done, file_out_open(&o, path));
    TRY_OR(done, write_part(&o, head, vector_header(v, head), gzip));
    TRY_OR(done, write_vectors(&o, v, part, gzip));
    err = file_out_commit(&o);
done:
    if (err)
        file_out_abandon(&o);
    mem_free(part);
    return err;
}
