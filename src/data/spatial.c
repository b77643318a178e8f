#include "data/spatial.h"
#include <math.h>
#include <string.h>

enum { BLOCK = 16 };

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
        c->weight[k] = (k & 4 ? part[0] : 1 - part[0]) * (k & 2 ? part[1] : 1 - part[1]) *
                       (k & 1 ? part[2] : 1 - part[2]);
    }
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

/* Label with the largest interpolated 1000 * [label == l] after rounding to half precision; ties: the lower
 * label. */
static int8_t vote(const struct cell *c, const int8_t *label)
{
    int8_t best = LABEL_OUTSIDE;
    float most = 0;
    int previous = -129; /* labels are visited in ascending order */

    for (;;) {
        int next = 128;
        float sum = 0;
        for (int k = 0; k < 8; k++) {
            int l = c->at[k] < 0 ? 128 : label[c->at[k]];
            if (l > previous && l < next)
                next = l;
        }
        if (next == 128)
            return best;
        for (int k = 0; k < 8; k++)
            if (c->at[k] >= 0 && label[c->at[k]] == next)
                sum += 1000 * c->weight[k];
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

static void voxel_border(const struct patch *box, const double position[3], float *image, int8_t *label)
{
    struct cell c;

    cell_find(&c, box, position);
    mix_border(&c, box->image, box->channels, image);
    if (label)
        *label = vote(&c, box->label);
}

static int8_t voxel_vote(const struct patch *box, const double position[3])
{
    struct cell c;

    cell_find(&c, box, position);
    return vote(&c, box->label);
}

/* One voxel. `channels` is a constant where this is inlined. The rare cases are calls, so that this stays in
 * registers. */
static inline void voxel(const struct patch *box, const double position[3], int64_t channels, float *image,
                         int8_t *label)
{
    int64_t row = box->size[2], plane = row * box->size[1];
    double low[3] = {floor(position[0]), floor(position[1]), floor(position[2])};
    int64_t z = (int64_t)low[0], y = (int64_t)low[1], x = (int64_t)low[2];

    if (z < 0 || z + 1 >= box->size[0] || y < 0 || y + 1 >= box->size[1] || x < 0 || x + 1 >= row) {
        voxel_border(box, (const double[3]){position[0], position[1], position[2]}, image, label);
        return;
    }
    int64_t at = z * plane + y * row + x;
    float part[3] = {(float)(position[0] - low[0]), (float)(position[1] - low[1]),
                     (float)(position[2] - low[2])};
    mix(part, box->image + at * channels, row * channels, plane * channels, channels, image);
    if (!label)
        return;
    if (uniform(box->label + at, row, plane))
        *label = box->label[at];
    else
        *label = voxel_vote(box, (const double[3]){position[0], position[1], position[2]});
}

/* Up to BLOCK voxels of a row from index on. */
static void apply_run(const struct spatial *s, const struct patch *box, const double shift[3],
                      const int64_t index[3], const struct patch *out)
{
    int64_t at = (index[0] * out->size[1] + index[1]) * out->size[2], first = index[2];
    int64_t last = first + BLOCK < out->size[2] ? first + BLOCK : out->size[2];
    double start[3], step[3] = {s->matrix[0][2], s->matrix[1][2], s->matrix[2][2]};

    centred(s, (const int64_t[3]){index[0], index[1], 0}, start);
    for (int64_t x = first; x < last; x++) {
        double u[3] = {start[0] + (double)x * step[0], start[1] + (double)x * step[1],
                       start[2] + (double)x * step[2]};
        double position[3] = {u[0] + shift[0], u[1] + shift[1], u[2] + shift[2]};
        int8_t *label = out->label ? out->label + at + x : NULL;
        if (out->channels == 4)
            voxel(box, position, 4, out->image + (at + x) * 4, label);
        else
            voxel(box, position, out->channels, out->image + (at + x) * out->channels, label);
        if (label && (fabs(u[0]) > s->limit[0] || fabs(u[1]) > s->limit[1] || fabs(u[2]) > s->limit[2]))
            *label = LABEL_OUTSIDE;
    }
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
