#include "base/mem.h"
#include "image/morph.h"
#include "lab/gallery_parts.h"
#include "volume/nifti.h"
#include <string.h>

static enum role truth_role(int label)
{
    switch (label) {
    case PHANTOM_LIVER:
        return ROLE_LIVER;
    case PHANTOM_TUMOUR:
        return ROLE_MALIGNANT;
    case PHANTOM_BENIGN:
        return ROLE_BENIGN;
    case PHANTOM_PORTAL:
    case PHANTOM_HEPATIC:
        return ROLE_VESSEL;
    default:
        return ROLE_NONE;
    }
}

static enum role drawn_role(int label)
{
    return label == 0 ? ROLE_NONE : label == 1 ? ROLE_LIVER : ROLE_MALIGNANT;
}

/* The box of voxels that are not 0, last index included. false: there are none. */
static bool find_box(const struct volume *v, int64_t lo[3], int64_t hi[3])
{
    const int64_t *n = v->grid.dims;
    const uint8_t *voxel = v->data;

    for (int a = 0; a < 3; a++) {
        lo[a] = n[a];
        hi[a] = -1;
    }
    for (int64_t z = 0; z < n[2]; z++)
        for (int64_t y = 0; y < n[1]; y++, voxel += n[0])
            for (int64_t x = 0; x < n[0]; x++)
                if (voxel[x]) {
                    const int64_t at[3] = {x, y, z};

                    for (int a = 0; a < 3; a++) {
                        lo[a] = at[a] < lo[a] ? at[a] : lo[a];
                        hi[a] = at[a] > hi[a] ? at[a] : hi[a];
                    }
                }
    return hi[0] >= 0;
}

static enum err crop(struct volume **out, const struct volume *v, const int64_t lo[3], const int64_t hi[3])
{
    const int64_t *n = v->grid.dims;
    const double from[3] = {(double)lo[0], (double)lo[1], (double)lo[2]};
    struct grid g = v->grid;
    struct volume *part = NULL;
    double mm[3];
    uint8_t *to;

    grid_world(&v->grid, from, mm);
    for (int a = 0; a < 3; a++) {
        g.dims[a] = hi[a] - lo[a] + 1;
        g.affine[a][3] = mm[a];
    }
    TRY(volume_new(&part, &g, VOXEL_U8));
    to = part->data;
    for (int64_t z = lo[2]; z <= hi[2]; z++)
        for (int64_t y = lo[1]; y <= hi[1]; y++, to += g.dims[0])
            memcpy(to, (const uint8_t *)v->data + lo[0] + n[0] * (y + n[1] * z), (size_t)g.dims[0]);
    *out = part;
    return ERR_OK;
}

/* As data/place.h has it: masks without a geometry (LiTS) lie on the image's grid. */
static bool lies_nowhere(const struct volume *labels, const struct grid *image)
{
    return !memcmp(labels->grid.dims, image->dims, sizeof image->dims) &&
           (!nifti_form_used(labels) || grid_is_identity(&labels->grid));
}

enum err gallery_roles_load(struct volume **out, const char *path, bool truth, const struct grid *image)
{
    const struct nifti_options o = {.positions_matter = false};
    struct volume *labels = NULL;
    int64_t lo[3], hi[3];
    enum err err;

    TRY(nifti_load_labels(&labels, path, &o, NULL));
    if (lies_nowhere(labels, image))
        labels->grid = *image;
    for (int64_t i = 0; i < grid_count(&labels->grid); i++) {
        uint8_t *label = (uint8_t *)labels->data + i;

        *label = (uint8_t)(truth ? truth_role(*label) : drawn_role(*label));
    }
    *out = NULL;
    err = find_box(labels, lo, hi) ? crop(out, labels, lo, hi) : ERR_OK;
    volume_free(labels);
    return err;
}

enum err gallery_roles_count(struct gallery_facts *f, const struct volume *roles)
{
    const struct grid *g = &roles->grid;
    double ml = g->spacing[0] * g->spacing[1] * g->spacing[2] / 1000;
    int64_t n = grid_count(g), liver = 0, lesion = 0, largest = 0;
    uint8_t *mask = mem_new((size_t)n, 1);
    struct components c = {0};
    enum err err = ERR_MEMORY;

    if (!mask)
        return ERR_MEMORY;
    for (int64_t i = 0; i < n; i++) {
        int role = ((const uint8_t *)roles->data)[i];

        mask[i] = role == ROLE_MALIGNANT || role == ROLE_BENIGN;
        liver += role != ROLE_NONE && role != ROLE_VESSEL;
        lesion += mask[i];
    }
    err = components_find(&c, mask, g->dims, CORNERS);
    mem_free(mask);
    if (err)
        return err;
    for (int32_t k = 1; k <= c.count; k++)
        largest = c.size[k] > largest ? c.size[k] : largest;
    f->labelled = true;
    f->liver_ml = (double)liver * ml;
    f->lesion_ml = (double)lesion * ml;
    f->largest_ml = (double)largest * ml;
    f->lesions = (int)c.count;
    components_free(&c);
    return ERR_OK;
}
