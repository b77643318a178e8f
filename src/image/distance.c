#include "image/distance.h"
#include "base/mem.h"
#include "base/par.h"
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>

struct job {
    float *square;
    const int64_t *dims;
    const double *spacing;
    int axis;
    atomic_bool failed;
};

/* One line: out[q] = min over p of f[p] + (h (q - p))^2, by the lower envelope of parabolas with vertices
 * at[0..k] that rule from[0..k] on. f is INFINITY where there is none. */
struct line {
    double *f, *from;
    int64_t *at;
};

static void envelope(struct line *l, int64_t n, double h, float *out, int64_t step)
{
    int64_t k = -1;

    for (int64_t q = 0; q < n; q++) {
        double s = -INFINITY;

        if (isinf(l->f[q]))
            continue;
        while (k >= 0) {
            double p = (double)l->at[k], d = (double)q;

            s = ((l->f[q] - l->f[l->at[k]]) / (h * h) + d * d - p * p) / (2 * (d - p));
            if (s > l->from[k])
                break;
            k--;
        }
        k++;
        l->from[k] = k ? s : -INFINITY;
        l->at[k] = q;
    }
    if (k < 0)
        return;
    for (int64_t q = 0, i = 0; q < n; q++) {
        double d;

        while (i < k && l->from[i + 1] < (double)q)
            i++;
        d = h * (double)(q - l->at[i]);
        out[q * step] = (float)(l->f[l->at[i]] + d * d);
    }
}

/* All lines of one axis in a slab: along x and y a z slice, along z a y slice. */
static void distance_slab(void *ctx, int64_t slab)
{
    struct job *j = ctx;
    const int64_t *n = j->dims;
    int64_t step[3] = {1, n[0], n[0] * n[1]}, length = n[j->axis];
    int64_t lines = j->axis == 0 ? n[1] : n[0], across = j->axis == 0 ? step[1] : 1;
    int64_t base = slab * (j->axis == 2 ? step[1] : step[2]);
    struct line l = {mem_new((size_t)length, sizeof(double)), mem_new((size_t)length, sizeof(double)),
                     mem_new((size_t)length, sizeof(int64_t))};

    if (!l.f || !l.from || !l.at)
        atomic_store(&j->failed, true);
    for (int64_t i = 0; i < lines && l.f && l.from && l.at; i++) {
        float *line = j->square + base + i * across;

        for (int64_t q = 0; q < length; q++)
            l.f[q] = (double)line[q * step[j->axis]];
        envelope(&l, length, j->spacing[j->axis], line, step[j->axis]);
    }
    mem_free(l.f);
    mem_free(l.from);
    mem_free(l.at);
}

enum err distance_squared(float *square, const int64_t dims[3], const double spacing[3])
{
    struct job j = {.square = square, .dims = dims, .spacing = spacing};

    for (j.axis = 0; j.axis < 3; j.axis++)
        par_for(dims[j.axis == 2 ? 1 : 2], distance_slab, &j);
    if (atomic_load(&j.failed))
        return err_set(ERR_MEMORY, "out of memory for distances");
    return ERR_OK;
}

enum err distance_signed(float *out, const uint8_t *mask, const int64_t dims[3], const double spacing[3])
{
    int64_t n = dims[0] * dims[1] * dims[2];
    float half = (float)(0.5 * fmin(spacing[0], fmin(spacing[1], spacing[2])));
    float *inside = mem_new((size_t)n, sizeof *inside); /* squared distances from set voxels to the others */
    enum err err;

    if (!inside)
        return ERR_MEMORY;
    for (int64_t i = 0; i < n; i++) {
        out[i] = mask[i] ? 0 : INFINITY;
        inside[i] = mask[i] ? INFINITY : 0;
    }
    TRY_OR(done, distance_squared(out, dims, spacing));
    TRY_OR(done, distance_squared(inside, dims, spacing));
    for (int64_t i = 0; i < n; i++)
        out[i] = mask[i] ? half - sqrtf(inside[i]) : sqrtf(out[i]) - half;
done:
    mem_free(inside);
    return err;
}
