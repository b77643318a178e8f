#include "image/surface.h"
#include "base/mem.h"
#include "base/par.h"
#include "image/distance.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The box around both masks; only there is anything to measure. */
struct box {
    int64_t from[3], size[3];
};

struct job {
    const uint8_t *mask[2];
    const int64_t *dims;
    const double *spacing;
    struct box box;
    uint8_t *edge[2]; /* surface voxels, on the box */
    float *square;    /* squared distance to the other's surface, mm^2, on the box */
};

static int64_t box_count(const struct box *b)
{
    return b->size[0] * b->size[1] * b->size[2];
}

static bool find_box(struct job *j, int64_t voxels[2], int64_t *both)
{
    const int64_t *n = j->dims;
    int64_t low[3] = {n[0], n[1], n[2]}, high[3] = {-1, -1, -1}, i = 0;

    for (int64_t z = 0; z < n[2]; z++)
        for (int64_t y = 0; y < n[1]; y++)
            for (int64_t x = 0; x < n[0]; x++, i++) {
                bool a = j->mask[0][i], b = j->mask[1][i];
                int64_t p[3] = {x, y, z};

                if (!a && !b)
                    continue;
                voxels[0] += a;
                voxels[1] += b;
                *both += a && b;
                for (int c = 0; c < 3; c++) {
                    low[c] = p[c] < low[c] ? p[c] : low[c];
                    high[c] = p[c] > high[c] ? p[c] : high[c];
                }
            }
    for (int c = 0; c < 3; c++) {
        j->box.from[c] = low[c];
        j->box.size[c] = high[c] - low[c] + 1;
    }
    return high[0] >= 0;
}

static bool on_surface(const struct job *j, int which, const int64_t p[3])
{
    const uint8_t *m = j->mask[which];
    int64_t step[3] = {1, j->dims[0], j->dims[0] * j->dims[1]};
    int64_t at = p[0] + p[1] * step[1] + p[2] * step[2];

    if (!m[at])
        return false;
    for (int c = 0; c < 3; c++)
        if (p[c] == 0 || p[c] == j->dims[c] - 1 || !m[at - step[c]] || !m[at + step[c]])
            return true;
    return false;
}

static void edge_slice(void *ctx, int64_t z)
{
    struct job *j = ctx;
    const struct box *b = &j->box;
    int64_t at = z * b->size[0] * b->size[1];

    for (int64_t y = 0; y < b->size[1]; y++)
        for (int64_t x = 0; x < b->size[0]; x++, at++)
            for (int which = 0; which < 2; which++)
                j->edge[which][at] =
                    on_surface(j, which, (int64_t[3]){b->from[0] + x, b->from[1] + y, b->from[2] + z});
}

/* square: squared distances to edge[which]. */
static enum err find_distances(struct job *j, int which)
{
    int64_t n = box_count(&j->box);

    for (int64_t i = 0; i < n; i++)
        j->square[i] = j->edge[which][i] ? 0 : INFINITY;
    return distance_squared(j->square, j->box.size, j->spacing);
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* Distances from the surface `from` to the one that square belongs to. */
static enum err gather(const struct job *j, int from, double *sum, int64_t *count,
                       struct surface_distance *out)
{
    int64_t n = box_count(&j->box), k = 0, at;
    double rank, low, high;
    float *list;

    for (int64_t i = 0; i < n; i++)
        k += j->edge[from][i];
    list = mem_new((size_t)k, sizeof *list);
    if (!list)
        return ERR_MEMORY;
    *count += k;
    k = 0;
    for (int64_t i = 0; i < n; i++)
        if (j->edge[from][i])
            list[k++] = sqrtf(j->square[i]);
    qsort(list, (size_t)k, sizeof *list, by_value);
    for (int64_t i = 0; i < k; i++)
        *sum += (double)list[i];
    rank = 0.95 * (double)(k - 1);
    at = (int64_t)rank;
    low = (double)list[at];
    high = (double)list[at + 1 < k ? at + 1 : at];
    out->p95 = fmax(out->p95, low + (rank - (double)at) * (high - low));
    out->most = fmax(out->most, (double)list[k - 1]);
    mem_free(list);
    return ERR_OK;
}

static enum err measure(struct job *j, struct surface_distance *out)
{
    size_t n = (size_t)box_count(&j->box);
    int64_t count = 0;
    double sum = 0;

    for (int i = 0; i < 2; i++) {
        j->edge[i] = mem_new(n, 1);
        if (!j->edge[i])
            return ERR_MEMORY;
    }
    j->square = mem_new(n, sizeof *j->square);
    if (!j->square)
        return ERR_MEMORY;
    par_for(j->box.size[2], edge_slice, j);
    out->p95 = out->most = 0;
    for (int i = 0; i < 2; i++) {
        TRY(find_distances(j, i));
        TRY(gather(j, 1 - i, &sum, &count, out));
    }
    out->mean = sum / (double)count;
    return ERR_OK;
}

enum err surface_compare(struct surface_distance *out, const uint8_t *a, const uint8_t *b,
                         const int64_t dims[3], const double spacing[3])
{
    struct job j = {.mask = {a, b}, .dims = dims, .spacing = spacing};
    struct surface_distance s = {.dice = NAN, .mean = NAN, .p95 = NAN, .most = NAN};
    int64_t both = 0;
    enum err err = ERR_OK;

    if (find_box(&j, s.voxels, &both)) {
        s.dice = 2 * (double)both / (double)(s.voxels[0] + s.voxels[1]);
        if (s.voxels[0] && s.voxels[1])
            err = measure(&j, &s);
    }
    mem_free(j.edge[0]);
    mem_free(j.edge[1]);
    mem_free(j.square);
    if (!err)
        *out = s;
    return err;
}
