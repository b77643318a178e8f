#include "volume/volume.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/par.h"
#include <string.h>

enum { TILE = 64 };

size_t voxel_size(enum voxel type)
{
    switch (type) {
    case VOXEL_U8:
        return 1;
    case VOXEL_I16:
        return 2;
    case VOXEL_F32:
        return 4;
    }
    return 0;
}

static bool dims_fit(const int64_t dims[3])
{
    int64_t room = INT64_MAX / 8;

    for (int i = 0; i < 3; i++) {
        if (dims[i] < 1 || dims[i] > room)
            return false;
        room /= dims[i];
    }
    return true;
}

enum err volume_new(struct volume **out, const struct grid *g, enum voxel type)
{
    struct volume *v;

    if (!dims_fit(g->dims))
        return err_set(ERR_INPUT,
                       "a volume of %lld x %lld x %lld voxels cannot be made: each must be at least 1",
                       (long long)g->dims[0], (long long)g->dims[1], (long long)g->dims[2]);
    v = mem_new(1, sizeof *v);
    if (!v)
        return ERR_MEMORY;
    v->grid = *g;
    v->type = type;
    v->data = mem_new((size_t)grid_count(g), voxel_size(type));
    if (!v->data) {
        mem_free(v);
        return ERR_MEMORY;
    }
    *out = v;
    return ERR_OK;
}

void volume_free(struct volume *v)
{
    if (!v)
        return;
    if (v->map) {
        struct file_map m = {.data = v->map, .size = v->map_size};
        file_unmap(&m);
    } else {
        mem_free(v->data);
    }
    mem_free(v->header);
    mem_free(v);
}

/* Output axis k runs along input axis[k], backwards if flip[k]. Strides and the start are in input voxels. */
struct reorder {
    const char *in;
    char *out;
    size_t size;
    int64_t dims[3], stride[3], start;
};

/* n voxels one behind the other from every stride-th voxel. */
static void gather(char *to, const char *from, int64_t n, int64_t stride, size_t size)
{
    if (size == 1)
        for (int64_t i = 0; i < n; i++)
            to[i] = from[i * stride];
    else if (size == 2)
        for (int64_t i = 0; i < n; i++)
            memcpy(to + 2 * i, from + 2 * i * stride, 2);
    else
        for (int64_t i = 0; i < n; i++)
            memcpy(to + 4 * i, from + 4 * i * stride, 4);
}

/* One output slice in tiles, so that a transposition stays in cache. */
static void reorder_slice(void *ctx, int64_t z)
{
    const struct reorder *r = ctx;
    const char *in = r->in + (r->start + z * r->stride[2]) * (int64_t)r->size;
    char *out = r->out + z * r->dims[0] * r->dims[1] * (int64_t)r->size;

    for (int64_t y0 = 0; y0 < r->dims[1]; y0 += TILE) {
        for (int64_t x0 = 0; x0 < r->dims[0]; x0 += TILE) {
            int64_t y1 = y0 + TILE < r->dims[1] ? y0 + TILE : r->dims[1];
            int64_t n = x0 + TILE < r->dims[0] ? TILE : r->dims[0] - x0;

            for (int64_t y = y0; y < y1; y++)
                gather(out + (y * r->dims[0] + x0) * (int64_t)r->size,
                       in + (y * r->stride[1] + x0 * r->stride[0]) * (int64_t)r->size, n, r->stride[0],
                       r->size);
        }
    }
}

static struct grid grid_reorder(const struct grid *g, const struct orient *o)
{
    struct grid n = {0};

    for (int i = 0; i < 3; i++)
        n.affine[i][3] = g->affine[i][3];
    for (int k = 0; k < 3; k++) {
        int a = o->axis[k];

        n.dims[k] = g->dims[a];
        n.spacing[k] = g->spacing[a];
        for (int i = 0; i < 3; i++) {
            n.affine[i][k] = o->flip[k] ? -g->affine[i][a] : g->affine[i][a];
            if (o->flip[k])
                n.affine[i][3] += g->affine[i][a] * (double)(g->dims[a] - 1);
        }
    }
    return n;
}

struct grid grid_to_ras(const struct grid *g)
{
    struct orient o = grid_orient(g);

    return grid_reorder(g, &o);
}

static enum err reorder(struct volume **out, const struct volume *v, const struct orient *o)
{
    struct grid g = grid_reorder(&v->grid, o);
    int64_t stride[3] = {1, v->grid.dims[0], v->grid.dims[0] * v->grid.dims[1]};
    struct reorder r = {.in = v->data, .size = voxel_size(v->type)};
    struct volume *w = NULL;

    TRY(volume_new(&w, &g, v->type));
    r.out = w->data;
    for (int k = 0; k < 3; k++) {
        int64_t s = stride[o->axis[k]];

        r.dims[k] = g.dims[k];
        r.stride[k] = o->flip[k] ? -s : s;
        r.start += o->flip[k] ? s * (g.dims[k] - 1) : 0;
    }
    par_for(g.dims[2], reorder_slice, &r);
    *out = w;
    return ERR_OK;
}

enum err volume_to_ras(struct volume **out, const struct volume *v)
{
    struct orient o = grid_orient(&v->grid);

    return reorder(out, v, &o);
}

enum err volume_from_ras(struct volume **out, const struct volume *ras, struct orient o)
{
    struct orient back = {0};

    for (int r = 0; r < 3; r++) {
        back.axis[o.axis[r]] = r;
        back.flip[o.axis[r]] = o.flip[r];
    }
    return reorder(out, ras, &back);
}
