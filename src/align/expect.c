#include "align/expect.h"
#include "align/body.h"
#include "align/feature.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include <math.h>
#include <string.h>

enum { MIDDLE = 96, MIDDLE_SLICES = 40 /* nodes along x and y, and z, at most */, REACH = 8, SEED = 12 };

/* The middle of the body's box, cut out of the working image. */
struct middle {
    struct lattice at;
    int64_t from[3];
    float *smooth, *noise, *sum;
    double sigma;
    const double *half_width;
    uint64_t copy;
};

/* Mean over the 27 nodes around, replicated borders of the whole image. */
static float mean27(const struct expect_input *in, const int64_t x[3])
{
    const int64_t *n = in->at->size;
    float sum = 0;

    for (int64_t c = -1; c <= 1; c++)
        for (int64_t b = -1; b <= 1; b++)
            for (int64_t a = -1; a <= 1; a++)
                sum += in->hu[lattice_index(n, lattice_clamp(x[0] + a, n[0]), lattice_clamp(x[1] + b, n[1]),
                                            lattice_clamp(x[2] + c, n[2]))];
    return sum / 27;
}

static void draw_slice(void *ctx, int64_t z)
{
    struct middle *m = ctx;
    int64_t n = m->at.size[0] * m->at.size[1];
    struct rng r = rng_at(SEED + m->copy, (uint64_t)z);

    for (int64_t i = z * n; i < (z + 1) * n; i++)
        m->noise[i] = (float)rng_normal(&r);
}

/* Gives the noise the correlation that a tent of half width w makes, along one axis: a Gaussian of the tent's
 * variance w^2/6 and that of the nodes' own width, 1/12 (neighbours: 0.26 for w = 1, where the tent has 1/4).
 * The variance stays 1. */
static void correlate(struct middle *m, int axis)
{
    const int64_t *n = m->at.size, count = lattice_count(&m->at);
    int64_t step = axis == 0 ? 1 : axis == 1 ? n[0] : n[0] * n[1];
    double variance = m->half_width[axis] * m->half_width[axis] / 6 + 1 / 12.0, square = 0;
    float weight[REACH + 1];

    for (int k = 0; k <= REACH; k++) {
        weight[k] = (float)exp(-0.5 * k * k / variance);
        square += (k ? 2 : 1) * (double)(weight[k] * weight[k]);
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t here = i / step % n[axis];
        float sum = weight[0] * m->noise[i];

        for (int64_t k = 1; k <= REACH; k++)
            sum += weight[k] * (m->noise[i + step * (lattice_clamp(here - k, n[axis]) - here)] +
                                m->noise[i + step * (lattice_clamp(here + k, n[axis]) - here)]);
        m->sum[i] = sum / (float)sqrt(square);
    }
    memcpy(m->noise, m->sum, (size_t)count * sizeof(float));
}

/* The middle of the body's box, smoothed. */
static enum err cut_middle(struct middle *m, const struct expect_input *in)
{
    static const int64_t most[3] = {MIDDLE, MIDDLE, MIDDLE_SLICES};
    int64_t from[3], to[3], size[3];
    size_t count = 1;

    body_box(in->body, in->at->size, from, to);
    for (int a = 0; a < 3; a++) {
        int64_t whole = to[a] - from[a] + 1;

        size[a] = whole < most[a] ? whole : most[a];
        m->from[a] = from[a] + (whole - size[a]) / 2;
        count *= (size_t)size[a];
    }
    m->at = lattice_crop(in->at, m->from, size);
    m->smooth = mem_new(count, sizeof(float));
    m->noise = mem_new(count, sizeof(float));
    m->sum = mem_new(count, sizeof(float));
    if (!m->smooth || !m->noise || !m->sum)
        return ERR_MEMORY;
    for (int64_t z = 0; z < size[2]; z++)
        for (int64_t y = 0; y < size[1]; y++)
            for (int64_t x = 0; x < size[0]; x++) {
                int64_t at[3] = {x + m->from[0], y + m->from[1], z + m->from[2]};
                m->smooth[lattice_index(size, x, y, z)] = mean27(in, at);
            }
    return ERR_OK;
}

/* Features at level 1 of one noisy copy. */
static enum err noisy_copy(struct features *out, struct middle *m, uint64_t copy)
{
    int64_t count = lattice_count(&m->at);
    struct features f;
    enum err err;

    m->copy = copy;
    par_for(m->at.size[2], draw_slice, m);
    for (int a = 0; a < 3; a++)
        correlate(m, a);
    for (int64_t i = 0; i < count; i++)
        m->sum[i] = m->smooth[i] + (float)m->sigma * m->noise[i];
    TRY(features_make(&f, &m->at, m->sum, NULL, m->sigma));
    err = features_coarser(out, &f);
    features_free(&f);
    return err;
}

enum err expect_noise(struct expectation *out, const struct expect_input *in)
{
    struct middle m = {.sigma = in->sigma, .half_width = in->half_width};
    struct features f[2] = {0};
    int64_t n = 0, bad = 0, sum = 0;
    enum err err;

    TRY_OR(done, cut_middle(&m, in));
    for (uint64_t copy = 0; copy < 2; copy++)
        TRY_OR(done, noisy_copy(&f[copy], &m, copy));
    for (int64_t i = 0, count = lattice_count(&f[0].at); i < count; i++) {
        const int64_t *size = f[0].at.size;
        int64_t x = 2 * (i % size[0]) + m.from[0], y = 2 * (i / size[0] % size[1]) + m.from[1];
        int64_t z = 2 * (i / (size[0] * size[1])) + m.from[2];

        if (!in->body[lattice_index(in->at->size, x, y, z)])
            continue;
        int32_t c = feature_distance(f[0].node + FEATURE_NODE * i, f[1].node + FEATURE_NODE * i);
        sum += c;
        bad += c > (int32_t)(EXPECT_BAD * FEATURES * (double)FEATURE_SQUARE);
        n++;
    }
    *out = (struct expectation){0};
    if (n) {
        out->mean12 = (double)sum / (FEATURES * (double)FEATURE_SQUARE * (double)n);
        out->bad = (double)bad / (double)n;
    }
done:
    features_free(&f[0]);
    features_free(&f[1]);
    mem_free(m.smooth);
    mem_free(m.noise);
    mem_free(m.sum);
    return err;
}
