/* Features at coarser levels, smoothed, and on another lattice. */
#include "align/feature.h"
#include "base/mem.h"
#include "base/par.h"

struct tent3 {
    const struct features *in;
    struct features *out;
    int64_t step;    /* node i of out is centred on node step * i of in */
    bool keep_valid; /* the validity byte is the centre's */
};

/* Weights 1 2 1 along each axis, sum 64, rounded to nearest. */
static void smooth_slice(void *ctx, int64_t z)
{
    const struct tent3 *t = ctx;
    const int64_t *from = t->in->at.size, *size = t->out->at.size;
    const int64_t node = FEATURE_NODE;

    for (int64_t y = 0; y < size[1]; y++) {
        const uint8_t *row[3][3];

        for (int64_t c = -1; c <= 1; c++)
            for (int64_t b = -1; b <= 1; b++)
                row[c + 1][b + 1] =
                    t->in->node + node * lattice_index(from, 0, lattice_clamp(y * t->step + b, from[1]),
                                                       lattice_clamp(z * t->step + c, from[2]));
        for (int64_t x = 0; x < size[0]; x++) {
            uint8_t *out = t->out->node + node * lattice_index(size, x, y, z);
            uint16_t sum[FEATURE_NODE] = {0};

            for (int64_t a = -1; a <= 1; a++) {
                int64_t at = node * lattice_clamp(x * t->step + a, from[0]);

                for (int k = 0; k < FEATURE_NODE; k++) {
                    int s = row[0][0][at + k] + 2 * row[0][1][at + k] + row[0][2][at + k] +
                            2 * (row[1][0][at + k] + 2 * row[1][1][at + k] + row[1][2][at + k]) +
                            row[2][0][at + k] + 2 * row[2][1][at + k] + row[2][2][at + k];
                    sum[k] = (uint16_t)(sum[k] + (a ? s : 2 * s));
                }
            }
            for (int k = 0; k < FEATURE_NODE; k++)
                out[k] = (uint8_t)((sum[k] + 32) >> 6);
            out[FEATURE_VALID] = t->keep_valid                    ? row[1][1][node * x + FEATURE_VALID]
                                 : sum[FEATURE_VALID] == 255 * 64 ? 255
                                                                  : 0;
        }
    }
}

static enum err features_tent(struct features *out, const struct features *in, struct lattice at,
                              struct tent3 t)
{
    struct features f = {.at = at};

    f.node = mem_new((size_t)lattice_count(&at), FEATURE_NODE);
    if (!f.node)
        return ERR_MEMORY;
    t.in = in;
    t.out = &f;
    par_for(at.size[2], smooth_slice, &t);
    *out = f;
    return ERR_OK;
}

enum err features_coarser(struct features *out, const struct features *in)
{
    return features_tent(out, in, lattice_coarser(&in->at), (struct tent3){.step = 2});
}

enum err features_smooth(struct features *out, const struct features *in)
{
    return features_tent(out, in, in->at, (struct tent3){.step = 1, .keep_valid = true});
}

struct warping {
    const struct features *in;
    struct features *out;
    const struct affine *map;
};

bool features_at(const struct features *f, const double p[3], float value[FEATURE_NODE])
{
    const int64_t *n = f->at.size;
    int64_t i[3], dy = FEATURE_NODE * n[0], dz = dy * n[1], dx = FEATURE_NODE;
    const uint8_t *c;
    float w[3], u[3];

    for (int a = 0; a < 3; a++) {
        if (!(p[a] >= 0 && p[a] <= (double)(n[a] - 1)) || n[a] < 2)
            return false;
        i[a] = (int64_t)p[a];
        i[a] = i[a] < n[a] - 1 ? i[a] : n[a] - 2; /* on the last node */
        w[a] = (float)(p[a] - (double)i[a]);
        u[a] = 1 - w[a];
    }
    c = f->node + i[2] * dz + i[1] * dy + i[0] * dx;
    for (int k = 0; k < FEATURE_NODE; k++) {
        float low =
            u[1] * (u[0] * c[k] + w[0] * c[dx + k]) + w[1] * (u[0] * c[dy + k] + w[0] * c[dy + dx + k]);
        float high = u[1] * (u[0] * c[dz + k] + w[0] * c[dz + dx + k]) +
                     w[1] * (u[0] * c[dz + dy + k] + w[0] * c[dz + dy + dx + k]);
        value[k] = u[2] * low + w[2] * high;
    }
    return value[FEATURE_VALID] > 254.5f;
}

static void warp_slice(void *ctx, int64_t z)
{
    const struct warping *w = ctx;
    const int64_t *n = w->out->at.size;

    for (int64_t y = 0; y < n[1]; y++)
        for (int64_t x = 0; x < n[0]; x++) {
            double p[3] = {(double)x, (double)y, (double)z};
            uint8_t *out = w->out->node + FEATURE_NODE * lattice_index(n, x, y, z);
            float value[FEATURE_NODE];

            affine_apply(w->map, p, p);
            if (!features_at(w->in, p, value))
                continue;
            for (int k = 0; k < FEATURE_NODE; k++)
                out[k] = (uint8_t)(int32_t)(value[k] + 0.5f);
        }
}

enum err features_warp(struct features *out, const struct features *in, const struct lattice *at,
                       const struct affine *map)
{
    struct features f = {.at = *at};
    struct warping w = {.in = in, .out = &f, .map = map};

    f.node = mem_new((size_t)lattice_count(at), FEATURE_NODE);
    if (!f.node)
        return ERR_MEMORY;
    par_for(at->size[2], warp_slice, &w);
    *out = f;
    return ERR_OK;
}
