#include "phantom/liver.h"
#include "base/mem.h"
#include "base/par.h"
#include <math.h>

struct survey {
    const struct liver *liver;
    double step;
    int64_t lo[3], size[3]; /* in steps */
    float *d;               /* [z][y][x] */
};

static void place(const struct survey *s, int64_t i, struct points *p, int k)
{
    int64_t x = i % s->size[0], y = i / s->size[0] % s->size[1], z = i / (s->size[0] * s->size[1]);

    p->x[k] = (float)((double)(s->lo[0] + x) * s->step);
    p->y[k] = (float)((double)(s->lo[1] + y) * s->step);
    p->z[k] = (float)((double)(s->lo[2] + z) * s->step);
}

static void survey_slice(void *ctx, int64_t z)
{
    const struct survey *s = ctx;
    int64_t plane = s->size[0] * s->size[1];
    struct points p;

    for (int64_t first = 0; first < plane; first += BLOCK_MAX) {
        int n = plane - first < BLOCK_MAX ? (int)(plane - first) : BLOCK_MAX;

        for (int i = 0; i < n; i++)
            place(s, z * plane + first + i, &p, i);
        s->liver->distance(s->liver->ctx, &p, n, s->d + z * plane + first);
    }
}

static enum err survey_make(struct survey *s)
{
    size_t count = 1;

    for (int a = 0; a < 3; a++) {
        s->lo[a] = (int64_t)ceil(s->liver->lo[a] / s->step);
        s->size[a] = (int64_t)floor(s->liver->hi[a] / s->step) - s->lo[a] + 1;
        if (s->size[a] < 1)
            return err_set(ERR_INPUT, "the liver is thinner than %g mm along axis %d; give another mask",
                           s->step, a);
        count *= (size_t)s->size[a];
    }
    s->d = mem_new(count, sizeof *s->d);
    if (!s->d)
        return ERR_MEMORY;
    par_for(s->size[2], survey_slice, s);
    return ERR_OK;
}

enum err liver_points_make(struct liver_points *out, const struct liver *l, double step)
{
    struct survey s = {.liver = l, .step = step};
    struct liver_points r = {0};
    int64_t all, at = 0;

    TRY(survey_make(&s));
    all = s.size[0] * s.size[1] * s.size[2];
    for (int64_t i = 0; i < all; i++)
        r.count += s.d[i] < 0;
    if (!r.count) {
        mem_free(s.d);
        return err_set(ERR_INPUT, "no point of the %g mm lattice lies in the liver; give another mask", step);
    }
    r.block = mem_new((size_t)liver_points_blocks(&r), sizeof *r.block);
    for (int64_t i = 0; r.block && i < all; i++)
        if (s.d[i] < 0) {
            place(&s, i, r.block + at / BLOCK_MAX, (int)(at % BLOCK_MAX));
            at++;
        }
    mem_free(s.d);
    if (!r.block)
        return ERR_MEMORY;
    *out = r;
    return ERR_OK;
}

void liver_points_free(struct liver_points *p)
{
    mem_free(p->block);
    *p = (struct liver_points){0};
}

int64_t liver_points_blocks(const struct liver_points *p)
{
    return (p->count + BLOCK_MAX - 1) / BLOCK_MAX;
}

int liver_points_in(const struct liver_points *p, int64_t block)
{
    int64_t left = p->count - block * BLOCK_MAX;

    return left < BLOCK_MAX ? (int)left : BLOCK_MAX;
}
