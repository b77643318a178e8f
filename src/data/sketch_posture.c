/* Where the spine, the couch and the lungs lie in a sketch. */
#include "base/mem.h"
#include "data/sketch.h"
#include <math.h>
#include <stdlib.h>

enum {
    BONE_LEAST = 160,
    SOLID_LEAST = -850, /* foam and shell of a couch, diluted by air */
    LUNG_LEAST = -950,
    LUNG_MOST = -650,
    REACH = 2, /* voxels around a column */
};
static const double column_least = 0.9; /* share of slices in which a spine is seen */

/* One axial slice. */
struct slice {
    const int16_t *hu;
    const uint8_t *body;
    const int64_t *n;
};

static struct slice slice_at(const struct sketch *s, int64_t z)
{
    int64_t at = z * s->hu->grid.dims[0] * s->hu->grid.dims[1];

    return (struct slice){(const int16_t *)s->hu->data + at, (const uint8_t *)s->body->data + at,
                          s->hu->grid.dims};
}

/* First and last index of the body along axis 0 or 1; false in a slice without it. */
static bool slice_box(const struct slice *s, int64_t box[2][2])
{
    bool any = false;

    for (int64_t i = 0; i < s->n[0] * s->n[1]; i++) {
        const int64_t at[2] = {i % s->n[0], i / s->n[0]};

        if (!s->body[i])
            continue;
        for (int a = 0; a < 2; a++) {
            box[a][0] = any && box[a][0] < at[a] ? box[a][0] : at[a];
            box[a][1] = any && box[a][1] > at[a] ? box[a][1] : at[a];
        }
        any = true;
    }
    return any;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *v, int64_t n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n ? v[n / 2] : NAN;
}

static enum err find_box(struct posture *p, const struct sketch *s)
{
    int64_t depth = s->hu->grid.dims[2], count = 0;
    double *v = mem_new((size_t)(4 * depth), sizeof *v);

    if (!v)
        return ERR_MEMORY;
    for (int64_t z = 0; z < depth; z++) {
        struct slice at = slice_at(s, z);
        int64_t box[2][2];

        if (!slice_box(&at, box))
            continue;
        for (int a = 0; a < 4; a++)
            v[a * depth + count] = (double)box[a / 2][a % 2];
        count++;
    }
    for (int a = 0; a < 2; a++) {
        p->low[a] = median(v + 2 * a * depth, count);
        p->high[a] = median(v + (2 * a + 1) * depth, count);
        p->outline[a] = p->low[a] > 0 && p->high[a] < (double)s->hu->grid.dims[a] - 1;
    }
    mem_free(v);
    return ERR_OK;
}

/* Bone voxels of a slice around (x, y). */
static int bone_around(const struct slice *s, int64_t x, int64_t y)
{
    int count = 0;

    for (int64_t j = y - REACH; j <= y + REACH; j++)
        for (int64_t i = x - REACH; i <= x + REACH; i++)
            count += i >= 0 && j >= 0 && i < s->n[0] && j < s->n[1] && s->body[i + s->n[0] * j] &&
                     s->hu[i + s->n[0] * j] >= BONE_LEAST;
    return count;
}

/* The spine is the column with most bone of those that have some in almost every slice; ribs, breastbone and
 * a stomach full of contrast medium come and go. */
static enum err find_spine(struct posture *p, const struct sketch *s)
{
    const int64_t *n = s->hu->grid.dims;
    int32_t(*column)[2] = mem_new((size_t)(n[0] * n[1]), sizeof *column); /* slices with bone, its voxels */
    int32_t most = 0;

    if (!column)
        return ERR_MEMORY;
    p->spine[0] = p->spine[1] = NAN;
    for (int64_t i = 0; i < n[0] * n[1] * n[2]; i++) {
        int64_t x = i % n[0], y = i / n[0] % n[1];
        struct slice at = slice_at(s, i / (n[0] * n[1]));
        int count = at.body[x + n[0] * y] ? bone_around(&at, x, y) : 0;

        column[x + n[0] * y][0] += count > 0;
        column[x + n[0] * y][1] += count;
    }
    for (int64_t i = 0; i < n[0] * n[1]; i++) {
        if (column[i][0] < column_least * (double)n[2] || column[i][1] <= most)
            continue;
        most = column[i][1];
        p->spine[0] = (double)(i % n[0]);
        p->spine[1] = (double)(i / n[0]);
    }
    mem_free(column);
    return ERR_OK;
}

/* Solid matter well off the body, along the columns that the body fills. */
static void weigh_couch(struct posture *p, const struct sketch *s)
{
    const double *h = s->hu->grid.spacing;
    double ml = h[0] * h[1] * h[2] / 1000;

    for (int64_t z = 0; z < s->hu->grid.dims[2]; z++) {
        struct slice at = slice_at(s, z);
        int64_t box[2][2];

        if (!slice_box(&at, box))
            continue;
        for (int64_t i = 0; i < at.n[0] * at.n[1]; i++) {
            int64_t x = i % at.n[0], y = i / at.n[0];
            bool solid = at.hu[i] > SOLID_LEAST && x >= box[0][0] && x <= box[0][1];

            p->couch[0] += solid && y < box[1][0] - REACH ? ml : 0;
            p->couch[1] += solid && y > box[1][1] + REACH ? ml : 0;
        }
    }
}

static double lung_share(const struct sketch *s, int64_t from, int64_t to)
{
    int64_t lung = 0, body = 0;

    for (int64_t z = from; z < to; z++) {
        struct slice at = slice_at(s, z);

        for (int64_t i = 0; i < at.n[0] * at.n[1]; i++) {
            body += at.body[i];
            lung += at.body[i] && at.hu[i] >= LUNG_LEAST && at.hu[i] <= LUNG_MOST;
        }
    }
    return body ? (double)lung / (double)body : 0;
}

enum err sketch_posture(struct posture *out, const struct sketch *s)
{
    int64_t depth = s->hu->grid.dims[2], part = (depth + 9) / 10;

    *out = (struct posture){0};
    TRY(find_box(out, s));
    TRY(find_spine(out, s));
    weigh_couch(out, s);
    out->lung[0] = lung_share(s, 0, part);
    out->lung[1] = lung_share(s, depth - part, depth);
    return ERR_OK;
}
