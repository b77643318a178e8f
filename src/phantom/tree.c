#include "phantom/tree.h"
#include "base/mem.h"
#include "base/par.h"
#include "phantom/lane.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Section 6. Coordinates in unit mm. */
enum { ROOTS_MOST = 7, NEAREST = 4 };
static const float step = 1.5f; /* of the lattice */
static const float far = 9;     /* mm: distances are capped here */
static const float target_depth = 5, ray_depth = 3, target_apart = 12;
static const float parameter_least = 0.15f, parameter_end = 0.97f; /* beyond: grow on from the end */
static const float pull = 0.12f;                                   /* of a fork towards its target */
static const float wobble = 0.06f; /* SD of a new branch's middle, of its length */
static const double murray = 2.7;

static const struct row {
    const char *stream;
    int leaves;
    double leaf, most; /* radii, mm */
    int roots;
    struct {
        int parent;
        float a[3], b[3];
    } root[ROOTS_MOST];
} rows[] = {
    [TREE_PORTAL] = {"tree/portal",
                     120,
                     1.35,
                     6.3,
                     7,
                     {{-1, {26, 12, 4}, {34, 18, 14}},  /* trunk */
                      {0, {34, 18, 14}, {62, 12, 14}},  /* right */
                      {0, {34, 18, 14}, {12, 32, 26}},  /* left */
                      {2, {12, 32, 26}, {-14, 50, 30}}, /* its umbilical part */
                      {1, {62, 12, 14}, {88, 24, -2}},  /* right anterior */
                      {1, {62, 12, 14}, {86, -24, 12}}, /* right posterior */
                      {3, {-14, 50, 30}, {-40, 62, 32}}}},
    [TREE_HEPATIC] = {"tree/hepvein",
                      84,
                      1.5,
                      5.2,
                      6,
                      {{-1, {27, -2, 60}, {58, -12, 50}}, /* right */
                       {-1, {27, -2, 60}, {40, 24, 46}},  /* middle */
                       {-1, {27, -2, 60}, {4, 26, 46}},   /* left */
                       {0, {58, -12, 50}, {96, -34, 14}},
                       {1, {40, 24, 46}, {56, 44, 6}},
                       {2, {4, 26, 46}, {-34, 56, 38}}}},
};

static float square_apart(const float a[3], const float b[3])
{
    float x = a[0] - b[0], y = a[1] - b[1], z = a[2] - b[2];

    return x * x + y * y + z * z;
}

static bool far_from_all(const float p[3], float (*kept)[3], int n)
{
    for (int i = 0; i < n; i++)
        if (square_apart(p, kept[i]) < target_apart * target_apart)
            return false;
    return true;
}

/* Up to `most` points deep inside the liver and apart from each other; of six times as many deep points,
 * drawn uniformly. Returns how many. */
static int draw_targets(float (*kept)[3], int most, struct rng r, const struct liver *liver)
{
    struct points p;
    float d[BLOCK_MAX];
    int n = 0, deep = 0;

    for (int block = 0; block < 64; block++) {
        for (int i = 0; i < BLOCK_MAX; i++) {
            p.x[i] = (float)rng_between(&r, liver->lo[0], liver->hi[0]);
            p.y[i] = (float)rng_between(&r, liver->lo[1], liver->hi[1]);
            p.z[i] = (float)rng_between(&r, liver->lo[2], liver->hi[2]);
        }
        liver->distance(liver->ctx, &p, BLOCK_MAX, d);
        for (int i = 0; i < BLOCK_MAX; i++) {
            const float at[3] = {p.x[i], p.y[i], p.z[i]};

            if (d[i] >= -target_depth)
                continue;
            if (far_from_all(at, kept, n))
                memcpy(kept[n++], at, sizeof at);
            if (n == most || ++deep == 6 * most)
                return n;
        }
    }
    return n;
}

/* Where a target could join the tree. */
struct joint {
    int branch;
    float parameter, point[3], square; /* squared distance to the target */
};

static struct joint joint_on(const struct branch *b, int index, const float target[3])
{
    float along = 0, length = 0;
    struct joint j = {.branch = index};

    for (int c = 0; c < 3; c++) {
        along += (target[c] - b->a[c]) * (b->b[c] - b->a[c]);
        length += (b->b[c] - b->a[c]) * (b->b[c] - b->a[c]);
    }
    j.parameter = fminf(fmaxf(along / fmaxf(length, 1e-6f), parameter_least), 1);
    for (int c = 0; c < 3; c++)
        j.point[c] = b->a[c] + j.parameter * (b->b[c] - b->a[c]);
    j.square = square_apart(j.point, target);
    return j;
}

/* The nearest joints, nearest first; of equals the older branch. Returns how many. */
static int nearest_joints(struct joint best[NEAREST], const struct tree *t, const float target[3])
{
    int n = 0;

    for (int i = 0; i < t->branches; i++) {
        struct joint j = joint_on(&t->branch[i], i, target);
        int at;

        if (n == NEAREST && best[NEAREST - 1].square <= j.square)
            continue;
        for (at = n < NEAREST ? n++ : NEAREST - 1; at > 0 && best[at - 1].square > j.square; at--)
            best[at] = best[at - 1];
        best[at] = j;
    }
    return n;
}

/* The first joint whose line to the target stays inside the liver; NULL if none does. */
static const struct joint *free_joint(const struct joint *j, int n, const float target[3],
                                      const struct liver *liver)
{
    static const float tested[2] = {0.35f, 0.7f};
    struct points p;
    float d[2 * NEAREST];

    for (int i = 0; i < 2 * n; i++) {
        const float *c = j[i / 2].point, f = tested[i % 2];

        p.x[i] = c[0] + (target[0] - c[0]) * f;
        p.y[i] = c[1] + (target[1] - c[1]) * f;
        p.z[i] = c[2] + (target[2] - c[2]) * f;
    }
    liver->distance(liver->ctx, &p, 2 * n, d);
    for (int i = 0; i < n; i++)
        if (fmaxf(d[2 * i], d[2 * i + 1]) < -ray_depth)
            return &j[i];
    return NULL;
}

static int add_branch(struct tree *t, int parent, const float a[3], const float b[3])
{
    struct branch *n = &t->branch[t->branches];

    memcpy(n->a, a, sizeof n->a);
    memcpy(n->b, b, sizeof n->b);
    n->parent = parent;
    return t->branches++;
}

/* Cuts branch i at q, which may lie beside it: what was behind q goes to a new branch. */
static void split_branch(struct tree *t, int i, const float q[3])
{
    int rest = add_branch(t, i, q, t->branch[i].b);

    for (int j = 0; j < rest; j++)
        if (t->branch[j].parent == i)
            t->branch[j].parent = rest;
    memcpy(t->branch[i].b, q, sizeof t->branch[i].b);
}

/* Joins a target to the tree by two branches over a middle that `normal` moves. */
static void grow_to(struct tree *t, const float target[3], const double normal[3], const struct liver *liver)
{
    struct joint nearest[NEAREST];
    const struct joint *j = free_joint(nearest, nearest_joints(nearest, t, target), target, liver);
    float q[3], middle[3];
    int half;

    if (!j)
        return;
    for (int c = 0; c < 3; c++)
        q[c] = j->point[c] + pull * (target[c] - j->point[c]);
    if (j->parameter < parameter_end)
        split_branch(t, j->branch, q);
    else
        memcpy(q, t->branch[j->branch].b, sizeof q);
    for (int c = 0; c < 3; c++)
        middle[c] = 0.5f * (q[c] + target[c]) + wobble * sqrtf(j->square) * (float)normal[c];
    half = add_branch(t, j->branch, q, middle);
    add_branch(t, half, middle, target);
}

/* Murray's law with equal leaves: r^2.7 adds at every fork, so a radius follows from the leaves behind it. */
static enum err set_radii(struct tree *t, const struct row *row)
{
    int *leaves = mem_new((size_t)t->branches, sizeof *leaves), *children;

    if (!leaves)
        return ERR_MEMORY;
    children = mem_new((size_t)t->branches, sizeof *children);
    if (!children) {
        mem_free(leaves);
        return ERR_MEMORY;
    }
    for (int i = 0; i < t->branches; i++)
        if (t->branch[i].parent >= 0)
            children[t->branch[i].parent]++;
    for (int i = 0; i < t->branches; i++)
        for (int j = i; !children[i] && j >= 0; j = t->branch[j].parent)
            leaves[j]++;
    for (int i = 0; i < t->branches; i++)
        t->branch[i].radius = (float)fmin(row->leaf * pow(leaves[i], 1 / murray), row->most);
    mem_free(leaves);
    mem_free(children);
    return ERR_OK;
}

/* First and last node of an axis within `reach` of the interval between a and b. */
static void span(int64_t out[2], float a, float b, float reach, const double lo_dims[2])
{
    double lo = (fmin(a, b) - reach - lo_dims[0]) / step, hi = (fmax(a, b) + reach - lo_dims[0]) / step;

    out[0] = (int64_t)fmax(ceil(lo), 0);
    out[1] = (int64_t)fmin(floor(hi), lo_dims[1] - 1);
}

/* Lowers a row of nodes, from the point p on, to the distance of a branch. */
static void lower_row(float *row, int64_t n, const float p[3], const struct branch *b, float scale)
{
    float e[3], u[3], length = 0, along = 0, rate;

    for (int c = 0; c < 3; c++) {
        e[c] = b->b[c] - b->a[c];
        u[c] = p[c] - b->a[c];
        length += e[c] * e[c];
        along += e[c] * u[c];
    }
    length = fmaxf(length, 1e-12f);
    along /= length;
    rate = e[0] * step / length;
    for (int i = 0; i < (int)n; i++) {
        float t = along + (float)i * rate, x, y, z, d;

        t = t < 0 ? 0 : t;
        t = t > 1 ? 1 : t;
        x = u[0] + (float)i * step - t * e[0];
        y = u[1] - t * e[1];
        z = u[2] - t * e[2];
        d = scale * sqrtf(x * x + y * y + z * z) - b->radius;
        row[i] = row[i] < d ? row[i] : d;
    }
}

struct filling {
    struct tree *tree;
    float scale;
};

/* Slice z of the lattice. */
static void fill_slice(void *ctx, int64_t z)
{
    const struct filling *f = ctx;
    struct tree *t = f->tree;
    float *slice = t->distance + z * t->dims[0] * t->dims[1];

    for (int64_t i = 0; i < t->dims[0] * t->dims[1]; i++)
        slice[i] = far;
    for (int i = 0; i < t->branches; i++) {
        const struct branch *b = &t->branch[i];
        float reach = (far + b->radius) / f->scale;
        int64_t x[2], y[2], zz[2];

        span(zz, b->a[2], b->b[2], reach, (const double[2]){t->lo[2], (double)t->dims[2]});
        if (z < zz[0] || z > zz[1])
            continue;
        span(x, b->a[0], b->b[0], reach, (const double[2]){t->lo[0], (double)t->dims[0]});
        span(y, b->a[1], b->b[1], reach, (const double[2]){t->lo[1], (double)t->dims[1]});
        for (int64_t k = y[0]; k <= y[1] && x[0] <= x[1]; k++) {
            float p[3] = {(float)t->lo[0] + step * (float)x[0], (float)t->lo[1] + step * (float)k,
                          (float)t->lo[2] + step * (float)z};

            lower_row(slice + k * t->dims[0] + x[0], x[1] - x[0] + 1, p, b, f->scale);
        }
    }
}

static enum err make_lattice(struct tree *t, const struct liver *liver, double scale)
{
    struct filling f = {.tree = t, .scale = (float)scale};
    size_t count = 1;

    for (int c = 0; c < 3; c++) {
        t->lo[c] = liver->lo[c];
        t->dims[c] = (int64_t)ceil((liver->hi[c] - liver->lo[c]) / step) + 1;
        count *= (size_t)t->dims[c];
    }
    t->distance = mem_new(count, sizeof *t->distance);
    if (!t->distance)
        return ERR_MEMORY;
    par_for(t->dims[2], fill_slice, &f);
    return ERR_OK;
}

static enum err grow_branches(struct tree *t, const struct row *row, const struct phantom_id *id,
                              const struct liver *liver)
{
    struct rng r = phantom_rng(id, row->stream, 1);
    float(*target)[3] = mem_new((size_t)row->leaves, sizeof *target);
    int n;

    if (!target)
        return ERR_MEMORY;
    for (int i = 0; i < row->roots; i++)
        add_branch(t, row->root[i].parent, row->root[i].a, row->root[i].b);
    n = draw_targets(target, row->leaves, phantom_rng(id, row->stream, 0), liver);
    for (int i = 0; i < n; i++) {
        double normal[3];

        for (int c = 0; c < 3; c++)
            normal[c] = rng_normal(&r);
        grow_to(t, target[i], normal, liver);
    }
    mem_free(target);
    return set_radii(t, row);
}

enum err tree_grow(struct tree *out, enum tree_kind kind, const struct phantom_id *id,
                   const struct liver *unit, double scale)
{
    const struct row *row = &rows[kind];
    struct tree t = {0};
    enum err err = ERR_MEMORY;

    t.branch = mem_new((size_t)(row->roots + 3 * row->leaves), sizeof *t.branch);
    if (!t.branch)
        return ERR_MEMORY;
    TRY_OR(failed, grow_branches(&t, row, id, unit));
    TRY_OR(failed, make_lattice(&t, unit, scale));
    *out = t;
    return ERR_OK;
failed:
    tree_free(&t);
    return err;
}

void tree_free(struct tree *t)
{
    mem_free(t->branch);
    mem_free(t->distance);
    *t = (struct tree){0};
}

/* The eight cells from point i on, and which of the points the lattice holds. */
static inline struct cells cells_at(const struct tree *t, const struct points *a, int i, lane8 *held)
{
    const float *at[3] = {a->x + i, a->y + i, a->z + i};
    const lane8 zero = _mm256_setzero_ps();
    const int stride[3] = {1, (int)t->dims[0], (int)(t->dims[0] * t->dims[1])};
    struct cells c = {.row = {_mm256_setzero_si256()}};
    lane8 f[3];

    *held = _mm256_cmp_ps(zero, zero, _CMP_EQ_OQ);
    for (int k = 0; k < 3; k++) {
        lane8 last = _mm256_set1_ps((float)(t->dims[k] - 1));
        lane8 g = (_mm256_loadu_ps(at[k]) - (float)t->lo[k]) * (1 / step), whole;

        *held = _mm256_and_ps(*held, _mm256_cmp_ps(g, zero, _CMP_GE_OQ));
        *held = _mm256_and_ps(*held, _mm256_cmp_ps(g, last, _CMP_LT_OQ));
        whole = _mm256_floor_ps(_mm256_max_ps(_mm256_min_ps(g, last - 1), zero));
        f[k] = g - whole;
        c.row[0] = _mm256_add_epi32(
            c.row[0], _mm256_mullo_epi32(_mm256_cvttps_epi32(whole), _mm256_set1_epi32(stride[k])));
    }
    c.row[1] = _mm256_add_epi32(c.row[0], _mm256_set1_epi32(stride[1]));
    c.row[2] = _mm256_add_epi32(c.row[0], _mm256_set1_epi32(stride[2]));
    c.row[3] = _mm256_add_epi32(c.row[1], _mm256_set1_epi32(stride[2]));
    c.x = f[0];
    c.y = f[1];
    c.z = f[2];
    return c;
}

void tree_read(const struct tree *t, const struct points *a, int n, float *d)
{
    for (int i = 0; i < n; i += 8) {
        lane8 held;
        struct cells c = cells_at(t, a, i, &held);
        float eight[8];

        _mm256_storeu_ps(eight, _mm256_blendv_ps(_mm256_set1_ps(far), cells_read(&c, t->distance), held));
        memcpy(d + i, eight, (size_t)(n - i < 8 ? n - i : 8) * sizeof *d);
    }
}
