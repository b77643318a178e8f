#include "data/spatial.h"
#include <math.h>
#include <string.h>

enum { BLOCK = 16, NO_CORNER = 128 };

struct spatial spatial_make(const int64_t patch[3], const int64_t sample[3], const double angle[3],
                            double factor, bool flat)
{
    double c0 = cos(angle[0]), s0 = sin(angle[0]), c1 = cos(angle[1]), s1 = sin(angle[1]);
    double c2 = cos(angle[2]), s2 = sin(angle[2]);
    double r[3][3] = {{c2 * c1, c2 * s1 * s0 - s2 * c0, c2 * s1 * c0 + s2 * s0},
                      {s2 * c1, s2 * s1 * s0 + c2 * c0, s2 * s1 * c0 - c2 * s0},
                      {-s1, c1 * s0, c1 * c0}};
    struct spatial s = {.identity = false};

    for (int a = 0; a < 3; a++) {
        double n = (double)sample[a];
        s.patch[a] = patch[a];
        s.sample[a] = sample[a];
        s.limit[a] = n / 2 * (n - 1) / n;
        for (int b = 0; b < 3; b++)
            s.matrix[a][b] = r[a][b] * (flat && b == 0 ? 1 : factor);
    }
    return s;
}

struct spatial spatial_identity(const int64_t patch[3], const int64_t sample[3])
{
    struct spatial s = spatial_make(patch, sample, (const double[3]){0, 0, 0}, 1, false);

    s.identity = true;
    return s;
}

void spatial_box(const struct spatial *s, int64_t lo[3], int64_t hi[3])
{
    for (int a = 0; a < 3; a++) {
        double reach = 0, centre = ((double)s->sample[a] - 1) / 2;
        if (s->identity) {
            lo[a] = s->sample[a] / 2 - s->patch[a] / 2;
            hi[a] = lo[a] + s->patch[a];
            continue;
        }
        for (int b = 0; b < 3; b++)
            reach += fabs(s->matrix[a][b]) * ((double)s->patch[b] - 1) / 2;
        lo[a] = (int64_t)floor(centre - reach);
        hi[a] = (int64_t)floor(centre + reach) + 2;
        if (lo[a] < 0)
            lo[a] = 0;
        if (hi[a] > s->sample[a])
            hi[a] = s->sample[a];
    }
}

static void centred(const struct spatial *s, const int64_t index[3], double out[3])
{
    for (int a = 0; a < 3; a++) {
        out[a] = 0;
        for (int b = 0; b < 3; b++)
            out[a] += s->matrix[a][b] * ((double)index[b] - ((double)s->patch[b] - 1) / 2);
    }
}

void spatial_position(const struct spatial *s, const int64_t index[3], double position[3])
{
    centred(s, index, position);
    for (int a = 0; a < 3; a++)
        position[a] += ((double)s->sample[a] - 1) / 2;
}

/* The eight corners of a position; corner k is at (k >> 2, k >> 1 & 1, k & 1). */
struct cell {
    int64_t at[8]; /* voxel index in the box; -1 if the corner is outside */
    float weight[8];
};

/* The weights of the eight corners, in that order. */
static void corner_weights(const float part[3], float weight[8])
{
    for (int k = 0; k < 8; k++)
        weight[k] = (k & 4 ? part[0] : 1 - part[0]) * (k & 2 ? part[1] : 1 - part[1]) *
                    (k & 1 ? part[2] : 1 - part[2]);
}

static void cell_find(struct cell *c, const struct patch *box, const double position[3])
{
    int64_t low[3];
    float part[3];

    for (int a = 0; a < 3; a++) {
        low[a] = (int64_t)floor(position[a]);
        part[a] = (float)(position[a] - (double)low[a]);
    }
    for (int k = 0; k < 8; k++) {
        int64_t z = low[0] + (k >> 2), y = low[1] + (k >> 1 & 1), x = low[2] + (k & 1);
        bool in = z >= 0 && z < box->size[0] && y >= 0 && y < box->size[1] && x >= 0 && x < box->size[2];
        c->at[k] = in ? (z * box->size[1] + y) * box->size[2] + x : -1;
    }
    corner_weights(part, c->weight);
}

/* The eight-corner mean at a place wholly inside; p is the lowest corner. `channels` is a constant where this
 * is inlined, so that four channels become one vector. */
static inline void mix(const float part[3], const float *p, int64_t row, int64_t plane, int64_t channels,
                       float *restrict out)
{
    float z1 = part[0], z0 = 1 - z1, y1 = part[1], y0 = 1 - y1, x1 = part[2], x0 = 1 - x1;
    float w00 = z0 * y0, w01 = z0 * y1, w10 = z1 * y0, w11 = z1 * y1;
    const float *a = p, *b = p + row, *d = p + plane, *e = p + plane + row;

    for (int64_t i = 0; i < channels; i++) {
        int64_t j = i + channels;
        float u = w00 * a[i] + w01 * b[i] + w10 * d[i] + w11 * e[i];
        float v = w00 * a[j] + w01 * b[j] + w10 * d[j] + w11 * e[j];
        out[i] = x0 * u + x1 * v;
    }
}

static void mix_border(const struct cell *c, const float *image, int64_t channels, float *out)
{
    memset(out, 0, (size_t)channels * sizeof *out);
    for (int k = 0; k < 8; k++) {
        if (c->at[k] < 0)
            continue;
        for (int64_t i = 0; i < channels; i++)
            out[i] += c->weight[k] * image[c->at[k] * channels + i];
    }
}

/* The nearest half-precision number (normal range), as upstream rounds its label weights. */
static float round_half(float v)
{
    uint32_t u;

    memcpy(&u, &v, sizeof u);
    u += 0xfff + (u >> 13 & 1);
    u &= ~(uint32_t)0x1fff;
    memcpy(&v, &u, sizeof u);
    return v;
}

/* Label with the largest interpolated 1000 * [label == l] after rounding to half precision, labels in
 * ascending order; ties: the lower one. A corner with label NO_CORNER does not vote. */
static int8_t vote(const int label[8], const float weight[8])
{
    int8_t best = LABEL_OUTSIDE;
    float most = 0;
    int previous = -129;

    for (;;) {
        int next = NO_CORNER;
        float sum = 0;
        for (int k = 0; k < 8; k++) { /* written so that it becomes no branch: neighbours are unpredictable */
            int l = label[k] > previous ? label[k] : NO_CORNER;
            next = l < next ? l : next;
        }
        if (next == NO_CORNER)
            return best;
        for (int k = 0; k < 8; k++)
            sum += label[k] == next ? 1000 * weight[k] : 0;
        sum = round_half(sum);
        if (sum > most) {
            most = sum;
            best = (int8_t)next;
        }
        previous = next;
    }
}

/* True if the 2x2x2 labels from p on are one. */
static inline bool uniform(const int8_t *p, int64_t row, int64_t plane)
{
    uint16_t a, b, c, d;

    memcpy(&a, p, 2);
    memcpy(&b, p + row, 2);
    memcpy(&c, p + plane, 2);
    memcpy(&d, p + plane + row, 2);
    return a == b && a == c && a == d && (a & 0xff) == a >> 8;
}

/* All corners inside, p the lowest one. */
static int8_t vote_inside(const int8_t *p, int64_t row, int64_t plane, const float part[3])
{
    float weight[8];
    int label[8] = {p[0],     p[1],         p[row],         p[row + 1],
                    p[plane], p[plane + 1], p[plane + row], p[plane + row + 1]};

    corner_weights(part, weight);
    return vote(label, weight);
}

static void voxel_border(const struct patch *box, const double position[3], float *image, int8_t *label)
{
    struct cell c;
    int corner[8];

    cell_find(&c, box, position);
    mix_border(&c, box->image, box->channels, image);
    for (int k = 0; label && k < 8; k++)
        corner[k] = c.at[k] < 0 ? NO_CORNER : box->label[c.at[k]];
    if (label)
        *label = vote(corner, c.weight);
}

/* One voxel anywhere. */
static void voxel_any(const struct patch *box, const double position[3], float *image, int8_t *label)
{
    int64_t row = box->size[2], plane = row * box->size[1];
    double low[3] = {floor(position[0]), floor(position[1]), floor(position[2])};
    int64_t z = (int64_t)low[0], y = (int64_t)low[1], x = (int64_t)low[2], at = z * plane + y * row + x;
    float part[3] = {(float)(position[0] - low[0]), (float)(position[1] - low[1]),
                     (float)(position[2] - low[2])};

    if (z < 0 || z + 1 >= box->size[0] || y < 0 || y + 1 >= box->size[1] || x < 0 || x + 1 >= row) {
        voxel_border(box, position, image, label);
        return;
    }
    mix(part, box->image + at * box->channels, row * box->channels, plane * box->channels, box->channels,
        image);
    if (label)
        *label = vote_inside(box->label + at, row, plane, part);
}

/* Up to BLOCK voxels of a row of the result: u and position of voxel x are start + x step (+ shift). */
struct run {
    const struct patch *box;
    const double *limit;
    double start[3], step[3], shift[3];
    int64_t first, count; /* x of the first, how many */
    float *image;         /* of the first */
    int8_t *label;        /* of the first, or NULL */
};

static double run_u(const struct run *r, int axis, int64_t i)
{
    return r->start[axis] + (double)(r->first + i) * r->step[axis];
}

/* Do all corners of all voxels lie in the box, and all labels within the limit? Positions along a row are
 * monotone, so its ends tell. */
static bool run_is_inside(const struct run *r)
{
    const struct patch *box = r->box;

    for (int a = 0; a < 3; a++)
        for (int end = 0; end < 2; end++) {
            double u = run_u(r, a, end ? r->count - 1 : 0), low = floor(u + r->shift[a]);
            if (low < 0 || low + 1 >= (double)box->size[a] || fabs(u) > r->limit[a])
                return false;
        }
    return patch_voxels(box) < INT32_MAX;
}

/* Lowest corners and parts first, in a loop that vectorises; then the voxels without a question asked. */
static inline void run_inside(const struct run *r, int64_t channels)
{
    const struct patch *box = r->box;
    int64_t row = box->size[2], plane = row * box->size[1];
    float part[3][BLOCK];
    int32_t at[BLOCK];

    for (int i = 0; i < BLOCK; i++) {
        double x = (double)((int32_t)r->first + i), low[3];
        for (int a = 0; a < 3; a++) {
            double position = r->start[a] + x * r->step[a] + r->shift[a];
            low[a] = floor(position);
            part[a][i] = (float)(position - low[a]);
        }
        at[i] = (int32_t)(low[0] * (double)plane + low[1] * (double)row + low[2]);
    }
    for (int64_t i = 0; i < r->count; i++)
        mix((const float[3]){part[0][i], part[1][i], part[2][i]}, box->image + at[i] * channels,
            row * channels, plane * channels, channels, r->image + i * channels);
    for (int64_t i = 0; r->label && i < r->count; i++) {
        const int8_t *p = box->label + at[i];
        r->label[i] = *p;
        if (!uniform(p, row, plane))
            r->label[i] = vote_inside(p, row, plane, (const float[3]){part[0][i], part[1][i], part[2][i]});
    }
}

static void run_border(const struct run *r)
{
    for (int64_t i = 0; i < r->count; i++) {
        double u[3] = {run_u(r, 0, i), run_u(r, 1, i), run_u(r, 2, i)};
        double position[3] = {u[0] + r->shift[0], u[1] + r->shift[1], u[2] + r->shift[2]};
        int8_t *label = r->label ? r->label + i : NULL;
        voxel_any(r->box, position, r->image + i * r->box->channels, label);
        if (label && (fabs(u[0]) > r->limit[0] || fabs(u[1]) > r->limit[1] || fabs(u[2]) > r->limit[2]))
            *label = LABEL_OUTSIDE;
    }
}

/* Up to BLOCK voxels of a row from index on. */
static void apply_run(const struct spatial *s, const struct patch *box, const double shift[3],
                      const int64_t index[3], const struct patch *out)
{
    int64_t at = (index[0] * out->size[1] + index[1]) * out->size[2] + index[2],
            rest = out->size[2] - index[2];
    struct run r = {.box = box,
                    .limit = s->limit,
                    .first = index[2],
                    .count = rest < BLOCK ? rest : BLOCK,
                    .image = out->image + at * out->channels,
                    .label = out->label ? out->label + at : NULL};

    centred(s, (const int64_t[3]){index[0], index[1], 0}, r.start);
    for (int a = 0; a < 3; a++) {
        r.step[a] = s->matrix[a][2];
        r.shift[a] = shift[a];
    }
    if (!run_is_inside(&r))
        run_border(&r);
    else if (out->channels == 4) /* a constant makes four channels one vector */
        run_inside(&r, 4);
    else
        run_inside(&r, out->channels);
}

/* Cubes of the result, so that the part of the sample that a cube reads stays in cache. */
static void apply_cube(const struct spatial *s, const struct patch *box, const double shift[3],
                       const int64_t at[3], const struct patch *out)
{
    for (int64_t z = at[0]; z < at[0] + BLOCK && z < out->size[0]; z++)
        for (int64_t y = at[1]; y < at[1] + BLOCK && y < out->size[1]; y++)
            apply_run(s, box, shift, (const int64_t[3]){z, y, at[2]}, out);
}

void spatial_apply(const struct spatial *s, const struct patch *box, const int64_t lo[3], struct patch *out)
{
    double shift[3];

    if (s->identity) {
        memcpy(out->image, box->image, (size_t)(patch_voxels(out) * out->channels) * sizeof *out->image);
        if (out->label)
            memcpy(out->label, box->label, (size_t)patch_voxels(out));
        return;
    }
    for (int a = 0; a < 3; a++)
        shift[a] = ((double)s->sample[a] - 1) / 2 - (double)lo[a];
    for (int64_t z = 0; z < out->size[0]; z += BLOCK)
        for (int64_t y = 0; y < out->size[1]; y += BLOCK)
            for (int64_t x = 0; x < out->size[2]; x += BLOCK)
                apply_cube(s, box, shift, (const int64_t[3]){z, y, x}, out);
}
