#include "phantom/vectors.h"
#include "base/mem.h"
#include "base/par.h"
#include "phantom/lane.h"
#include <math.h>

enum err vectors_new(struct vectors **out, const double lo[3], const double hi[3], double step)
{
    struct vectors *v = mem_new(1, sizeof *v);
    size_t nodes = 1;

    if (!v)
        return ERR_MEMORY;
    v->step = step;
    for (int a = 0; a < 3; a++) {
        double first = floor(lo[a] / step), last = fmax(ceil(hi[a] / step), first + 1);

        v->lo[a] = first * step;
        v->size[a] = (int64_t)(last - first) + 1;
        nodes *= (size_t)v->size[a];
    }
    v->node = mem_new(3 * nodes + 2, sizeof *v->node);
    if (!v->node) {
        mem_free(v);
        return ERR_MEMORY;
    }
    *out = v;
    return ERR_OK;
}

void vectors_free(struct vectors *v)
{
    if (v)
        mem_free(v->node);
    mem_free(v);
}

struct fill {
    struct vectors *v;
    void (*give)(void *ctx, struct points *p, int n);
    void *ctx;
};

/* Nodes of slice z, BLOCK_MAX at a time whatever row they are of. */
static void fill_slice(void *ctx, int64_t z)
{
    const struct fill *f = ctx;
    const struct vectors *v = f->v;
    int64_t plane = v->size[0] * v->size[1], x = 0, y = 0;
    struct points p;

    for (int64_t first = 0; first < plane; first += BLOCK_MAX) {
        int n = plane - first < BLOCK_MAX ? (int)(plane - first) : BLOCK_MAX;
        float *out = v->node + 3 * (z * plane + first);

        for (int i = 0; i < n; i++) {
            p.x[i] = (float)(v->lo[0] + v->step * (double)x);
            p.y[i] = (float)(v->lo[1] + v->step * (double)y);
            p.z[i] = (float)(v->lo[2] + v->step * (double)z);
            if (++x == v->size[0]) {
                x = 0;
                y++;
            }
        }
        f->give(f->ctx, &p, n);
        for (int i = 0; i < n; i++) {
            out[3 * (size_t)i] = p.x[i];
            out[3 * (size_t)i + 1] = p.y[i];
            out[3 * (size_t)i + 2] = p.z[i];
        }
    }
}

void vectors_fill(struct vectors *v, void (*give)(void *ctx, struct points *p, int n), void *ctx)
{
    struct fill f = {v, give, ctx};

    par_for(v->size[2], fill_slice, &f);
}

bool vectors_hold(const struct vectors *v, float x, float y, float z)
{
    const double at[3] = {(double)x, (double)y, (double)z};

    for (int a = 0; a < 3; a++)
        if (!(at[a] >= v->lo[a] && at[a] <= v->lo[a] + v->step * (double)(v->size[a] - 1)))
            return false;
    return true;
}

/* Along axis a: the node before (at most the last but one), and how far behind it, 0..1. */
static inline lane8i before(const struct vectors *v, int a, lane8 at, lane8 *part)
{
    lane8 g = (at - (float)v->lo[a]) * (1 / (float)v->step);
    lane8 last = _mm256_set1_ps((float)(v->size[a] - 1)), whole;

    g = _mm256_min_ps(_mm256_max_ps(g, _mm256_setzero_ps()), last); /* NaN becomes 0 */
    whole = _mm256_min_ps(_mm256_floor_ps(g), last - 1);
    *part = g - whole;
    return _mm256_cvttps_epi32(whole);
}

void vectors_read(const struct vectors *v, const struct points *p, int n, struct points *out)
{
    const lane8i width = _mm256_set1_epi32((int)v->size[0]);
    const lane8i rows = _mm256_set1_epi32((int)v->size[1]);
    const lane8i plane = _mm256_set1_epi32((int)(v->size[0] * v->size[1]));

    for (int i = 0; i < n; i += 8) {
        struct cells c;
        lane8i x = before(v, 0, _mm256_loadu_ps(p->x + i), &c.x);
        lane8i y = before(v, 1, _mm256_loadu_ps(p->y + i), &c.y);
        lane8i z = before(v, 2, _mm256_loadu_ps(p->z + i), &c.z);
        lane8i line = _mm256_add_epi32(_mm256_mullo_epi32(z, rows), y);

        c.row[0] = _mm256_add_epi32(_mm256_mullo_epi32(line, width), x);
        c.row[1] = _mm256_add_epi32(c.row[0], width);
        c.row[2] = _mm256_add_epi32(c.row[0], plane);
        c.row[3] = _mm256_add_epi32(c.row[1], plane);
        cells_read3(&c, v->node, (float *[3]){out->x + i, out->y + i, out->z + i});
    }
}
