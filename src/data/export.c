#include "data/export.h"
#include "base/mem.h"
#include "base/par.h"
#include "image/morph.h"
#include "image/resample.h"
#include <string.h>

/* Output i lies between inputs low[i] and high[i], weight[i] of the way; high is low or low + 1. */
struct taps {
    int64_t n, m; /* inputs, outputs */
    int64_t *low, *high;
    float *weight;
};

/* Slices run along z; x is axis 0 of grids and 2 of arrays. Planes are resampled within (y, then x) when they
 * arrive, if an output slice needs them, and outputs are written as soon as the upper of their two planes is
 * there. */
struct export
{
    struct grid to;
    int64_t classes;
    struct taps tap[3]; /* x, y, z */
    int64_t got, made;  /* slices that came, slices that were written */
    float *half;        /* (H', W, K): resampled along y */
    float *plane[2];    /* (H', W', K) of the last two slices, by parity */
    const float *in;
    struct volume *mask;
};

static enum err taps_make(struct taps *t, int64_t n, int64_t m, bool nearest)
{
    t->n = n;
    t->m = m;
    t->low = mem_new((size_t)m, sizeof *t->low);
    t->high = mem_new((size_t)m, sizeof *t->high);
    t->weight = mem_new((size_t)m, sizeof *t->weight);
    if (!t->low || !t->high || !t->weight)
        return ERR_MEMORY;
    for (int64_t i = 0; i < m; i++) {
        double weight = 0;
        if (nearest)
            t->low[i] = t->high[i] = resize_nearest_tap(n, m, i);
        else
            resize_linear_tap(n, m, i, &t->low[i], &t->high[i], &weight);
        t->weight[i] = (float)weight;
        if (weight == 0) /* the upper one is not needed, so it need not be waited for */
            t->high[i] = t->low[i];
    }
    return ERR_OK;
}

static uint64_t plane_floats(const int64_t from[3], const int64_t to[3], int64_t classes)
{
    return (uint64_t)(to[1] * (from[0] + 2 * to[0]) * classes);
}

uint64_t export_bytes(const struct grid *from, const struct grid *to, int64_t classes)
{
    return plane_floats(from->dims, to->dims, classes) * sizeof(float) + (uint64_t)grid_count(to);
}

enum err export_new(struct export **out, const struct grid *from, const struct grid *to, int64_t classes)
{
    struct export *e;
    enum resize_order order[3];
    enum err err;

    if (classes < 1 || classes > 255)
        return err_set(ERR_INTERNAL, "a mask cannot hold %lld classes", (long long)classes);
    e = mem_new(1, sizeof *e);
    if (!e)
        return ERR_MEMORY;
    e->to = *to;
    e->classes = classes;
    resize_orders(from->spacing, to->spacing, order);
    for (int a = 0; a < 3; a++)
        TRY_OR(done, taps_make(&e->tap[a], from->dims[a], to->dims[a], order[a] != RESIZE_CUBIC));
    TRY_OR(done, volume_new(&e->mask, to, VOXEL_U8));
    e->half = mem_new((size_t)(to->dims[1] * from->dims[0] * classes), sizeof *e->half);
    for (int i = 0; i < 2; i++)
        e->plane[i] = mem_new((size_t)(to->dims[1] * to->dims[0] * classes), sizeof *e->plane[i]);
    if (!e->half || !e->plane[0] || !e->plane[1])
        TRY_OR(done, ERR_MEMORY);
    *out = e;
    e = NULL;
done:
    export_free(e);
    return err;
}

void export_free(struct export *e)
{
    if (!e)
        return;
    for (int a = 0; a < 3; a++) {
        mem_free(e->tap[a].low);
        mem_free(e->tap[a].high);
        mem_free(e->tap[a].weight);
    }
    mem_free(e->half);
    mem_free(e->plane[0]);
    mem_free(e->plane[1]);
    volume_free(e->mask);
    mem_free(e);
}

struct slice_task {
    struct export *e;
    int64_t z; /* input slice, or output slice */
};

/* Row y of the output plane: along y into half, then along x. */
static void resample_row(void *ctx, int64_t y)
{
    struct slice_task *t = ctx;
    struct export *e = t->e;
    int64_t k = e->classes, width = e->tap[0].n * k;
    const struct taps *ty = &e->tap[1], *tx = &e->tap[0];
    const float *restrict a = e->in + ty->low[y] * width, *restrict b = e->in + ty->high[y] * width;
    float *restrict line = e->half + y * width, *restrict out = e->plane[t->z % 2] + y * tx->m * k,
                    w = ty->weight[y];

    for (int64_t i = 0; i < width; i++)
        line[i] = a[i] + w * (b[i] - a[i]);
    for (int64_t x = 0; x < tx->m; x++) {
        const float *low = line + tx->low[x] * k, *high = line + tx->high[x] * k;
        for (int64_t i = 0; i < k; i++)
            out[x * k + i] = low[i] + tx->weight[x] * (high[i] - low[i]);
    }
}

/* Row y of output slice t->z: between the two planes, then the largest class, the lowest of equals. */
static void write_row(void *ctx, int64_t y)
{
    struct slice_task *t = ctx;
    struct export *e = t->e;
    int64_t k = e->classes, width = e->tap[0].m;
    const float *a = e->plane[e->tap[2].low[t->z] % 2] + y * width * k;
    const float *b = e->plane[e->tap[2].high[t->z] % 2] + y * width * k;
    uint8_t *out = (uint8_t *)e->mask->data + (t->z * e->tap[1].m + y) * width;
    float w = e->tap[2].weight[t->z];

    for (int64_t x = 0; x < width; x++) {
        float most = a[x * k] + w * (b[x * k] - a[x * k]);
        uint8_t best = 0;
        for (int64_t i = 1; i < k; i++) {
            float v = a[x * k + i] + w * (b[x * k + i] - a[x * k + i]);
            if (v > most) {
                most = v;
                best = (uint8_t)i;
            }
        }
        out[x] = best;
    }
}

/* Does an output slice that is not written yet read input slice z? Outputs' inputs ascend. */
static bool is_needed(const struct export *e, int64_t z)
{
    const struct taps *t = &e->tap[2];

    for (int64_t i = e->made; i < t->m && t->low[i] <= z; i++)
        if (t->low[i] == z || t->high[i] == z)
            return true;
    return false;
}

enum err export_slice(void *ctx, int64_t z, const float *logits)
{
    struct export *e = ctx;
    struct slice_task t = {e, z};

    if (z != e->got || z >= e->tap[2].n)
        return err_set(ERR_INTERNAL, "slice %lld of logits came when %lld of %lld was due", (long long)z,
                       (long long)e->got, (long long)e->tap[2].n);
    e->got++;
    if (!is_needed(e, z))
        return ERR_OK;
    e->in = logits;
    par_for(e->tap[1].m, resample_row, &t);
    e->in = NULL;
    for (; e->made < e->tap[2].m && e->tap[2].high[e->made] <= z; e->made++) {
        t.z = e->made;
        par_for(e->tap[1].m, write_row, &t);
    }
    return ERR_OK;
}

enum err export_take(struct export *e, struct volume **mask)
{
    if (!e->mask || e->made != e->tap[2].m)
        return err_set(ERR_INTERNAL, "a mask of %lld slices was asked for when %lld were made",
                       (long long)e->tap[2].m, (long long)e->made);
    *mask = e->mask;
    e->mask = NULL;
    return ERR_OK;
}

/* The box [lo, hi) of what is not background; false if nothing is. */
static bool bounding_box(const struct volume *v, int64_t lo[3], int64_t hi[3])
{
    const int64_t *n = v->grid.dims;
    const uint8_t *p = v->data;

    for (int a = 0; a < 3; a++) {
        lo[a] = n[a];
        hi[a] = 0;
    }
    for (int64_t row = 0; row < n[1] * n[2]; row++, p += n[0]) {
        int64_t x = 0, last = n[0];
        while (x < last && !p[x])
            x++;
        while (last > x && !p[last - 1])
            last--;
        if (x == last)
            continue;
        const int64_t first[3] = {x, row % n[1], row / n[1]}, end[3] = {last, row % n[1] + 1, row / n[1] + 1};
        for (int a = 0; a < 3; a++) {
            lo[a] = first[a] < lo[a] ? first[a] : lo[a];
            hi[a] = end[a] > hi[a] ? end[a] : hi[a];
        }
    }
    return hi[0] > 0;
}

uint64_t export_keep_liver_bytes(const struct grid *g)
{
    return (uint64_t)grid_count(g) * 6; /* the cropped mask, its copy in filling, and int32 labels */
}

/* Where row `row` of the box that starts at lo lies in the mask. */
static uint8_t *mask_row(const struct volume *mask, const int64_t lo[3], const int64_t size[3], int64_t row)
{
    const int64_t *n = mask->grid.dims;
    int64_t y = lo[1] + row % size[1], z = lo[2] + row / size[1];

    return (uint8_t *)mask->data + (z * n[1] + y) * n[0] + lo[0];
}

/* box = 1 where the mask has this class (0: any but the background) */
static void copy_class(const struct volume *mask, const int64_t lo[3], const int64_t size[3], int class,
                       uint8_t *box)
{
    for (int64_t row = 0; row < size[1] * size[2]; row++, box += size[0]) {
        const uint8_t *m = mask_row(mask, lo, size, row);
        for (int64_t x = 0; x < size[0]; x++)
            box[x] = class ? m[x] == class : m[x] > 0;
    }
}

/* Clears what lies outside the organ; its filled holes become liver. */
static void keep_inside(struct volume *mask, const int64_t lo[3], const int64_t size[3], const uint8_t *organ)
{
    for (int64_t row = 0; row < size[1] * size[2]; row++, organ += size[0]) {
        uint8_t *m = mask_row(mask, lo, size, row);
        for (int64_t x = 0; x < size[0]; x++)
            m[x] = !organ[x] ? 0 : m[x] ? m[x] : 1;
    }
}

enum err export_keep_liver(struct volume *mask)
{
    int64_t lo[3], hi[3], size[3];
    uint8_t *box;
    enum err err;

    if (!bounding_box(mask, lo, hi))
        return ERR_OK;
    for (int a = 0; a < 3; a++)
        size[a] = hi[a] - lo[a];
    box = mem_new((size_t)(size[0] * size[1] * size[2]), 1);
    if (!box)
        return ERR_MEMORY;
    copy_class(mask, lo, size, 0, box);
    TRY_OR(done, morph_keep_largest(box, size, CORNERS));
    TRY_OR(done, morph_fill_holes(box, size));
    keep_inside(mask, lo, size, box);
done:
    mem_free(box);
    return err;
}

enum err export_count(struct export_count *out, const struct volume *mask, int class, bool components)
{
    int64_t lo[3], hi[3], size[3], voxels = 0;
    struct export_count n = {0};
    struct components found = {0};
    uint8_t *box;
    enum err err = ERR_OK;

    *out = n;
    if (!bounding_box(mask, lo, hi))
        return ERR_OK;
    for (int a = 0; a < 3; a++)
        size[a] = hi[a] - lo[a];
    box = mem_new((size_t)(size[0] * size[1] * size[2]), 1);
    if (!box)
        return ERR_MEMORY;
    copy_class(mask, lo, size, class, box);
    for (int64_t i = 0; i < size[0] * size[1] * size[2]; i++)
        voxels += box[i];
    n.voxels = voxels;
    if (components && voxels) {
        TRY_OR(done, components_find(&found, box, size, CORNERS));
        n.components = found.count;
    }
    *out = n;
done:
    components_free(&found);
    mem_free(box);
    return err;
}
