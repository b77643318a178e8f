#include "eval/lesions.h"
#include "base/mem.h"
#include "image/morph.h"

/* The 26-connected components of the voxels with first <= label <= last. */
static enum err find(struct components *out, const struct volume *v, int first, int last)
{
    int64_t n = grid_count(&v->grid);
    const uint8_t *label = v->data;
    uint8_t *mask = mem_new((size_t)n, 1);
    enum err err;

    if (!mask)
        return ERR_MEMORY;
    for (int64_t i = 0; i < n; i++)
        mask[i] = label[i] >= first && label[i] <= last;
    err = components_find(out, mask, v->grid.dims, CORNERS);
    mem_free(mask);
    return err;
}

/* How many components of c share a voxel with the other labelling. */
static enum err count_touched(int64_t *touched, const struct components *c, const struct components *other,
                              int64_t n)
{
    uint8_t *hit = mem_new((size_t)c->count + 1, 1);

    if (!hit)
        return ERR_MEMORY;
    *touched = 0;
    for (int64_t i = 0; i < n; i++)
        if (c->label[i] && other->label[i] && !hit[c->label[i]]) {
            hit[c->label[i]] = 1;
            (*touched)++;
        }
    mem_free(hit);
    return ERR_OK;
}

enum err lesions_match(struct lesion_counts *out, const struct volume *reference,
                       const struct volume *prediction, int label)
{
    struct components r = {0}, p = {0};
    int64_t n = grid_count(&reference->grid), detected, confirmed;
    enum err err;

    TRY_OR(done, find(&r, reference, label, label));
    TRY_OR(done, find(&p, prediction, label, label));
    TRY_OR(done, count_touched(&detected, &r, &p, n));
    TRY_OR(done, count_touched(&confirmed, &p, &r, n));
    *out = (struct lesion_counts){r.count, p.count, detected, p.count - confirmed};
done:
    components_free(&r);
    components_free(&p);
    return err;
}

/* The component with most voxels, the first of equals; 0 if there is none. */
static int32_t largest(const struct components *c)
{
    int32_t best = 0;

    for (int32_t k = 1; k <= c->count; k++)
        if (!best || c->size[k] > c->size[best])
            best = k;
    return best;
}

/* Per axis, the slice with most voxels of the component. */
static enum err best_slices(int64_t slice[3], const struct components *c, int32_t id, const int64_t dims[3])
{
    int64_t *area = mem_new((size_t)(dims[0] + dims[1] + dims[2]), sizeof *area);
    int64_t *of[3] = {area, area + dims[0], area + dims[0] + dims[1]}, i = 0;

    if (!area)
        return ERR_MEMORY;
    for (int64_t z = 0; z < dims[2]; z++)
        for (int64_t y = 0; y < dims[1]; y++)
            for (int64_t x = 0; x < dims[0]; x++, i++)
                if (c->label[i] == id) {
                    of[0][x]++;
                    of[1][y]++;
                    of[2][z]++;
                }
    for (int a = 0; a < 3; a++) {
        slice[a] = 0;
        for (int64_t k = 1; k < dims[a]; k++)
            if (of[a][k] > of[a][slice[a]])
                slice[a] = k;
    }
    mem_free(area);
    return ERR_OK;
}

enum err lesion_largest(struct lesion_found *out, const struct volume *labels, int first, int last)
{
    struct components c = {0};
    struct lesion_found found = {0};
    int32_t id;
    enum err err;

    TRY_OR(done, find(&c, labels, first, last));
    id = largest(&c);
    if (id) {
        found.voxels = c.size[id];
        TRY_OR(done, best_slices(found.slice, &c, id, labels->grid.dims));
    }
    *out = found;
done:
    components_free(&c);
    return err;
}
