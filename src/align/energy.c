#include "align/energy.h"
#include "align/lane.h"
#include "base/par.h"
#include <math.h>
#include <stdbool.h>

struct data_job {
    const struct data_term *t;
    const float *phi;
    float *gradient;
};

/* The cell of p and the position in it; false where one of the eight corners lies outside. */
static inline bool cell_at(const int64_t n[3], const float p[3], int64_t *at, float w[3])
{
    int64_t i[3];

    for (int a = 0; a < 3; a++) {
        if (!(p[a] >= 0 && p[a] < (float)(n[a] - 1)))
            return false;
        i[a] = (int64_t)p[a];
        w[a] = p[a] - (float)i[a];
    }
    *at = lattice_index(n, i[0], i[1], i[2]);
    return true;
}

/* sum_k r_k^2 and sum_k r_k dM_k/dp with r = M(p) - F, in byte units, M trilinear, the derivative that of the
 * interpolant. False, and nothing written, where p is outside or a corner is not valid. */
static inline bool residual(const struct features *m, const float p[3], const uint8_t *restrict f,
                            float *cost, float slope[3])
{
    int64_t at, x = FEATURE_NODE, y = x * m->at.size[0], z = y * m->at.size[1];
    lane8 sum = {0}, gx = {0}, gy = {0}, gz = {0};
    lane4 total;
    float w[3];
    const uint8_t *c;

    if (!cell_at(m->at.size, p, &at, w))
        return false;
    c = m->node + FEATURE_NODE * at;
    const uint8_t *ok = c + FEATURE_VALID;
    if (!(ok[0] & ok[x] & ok[y] & ok[x + y] & ok[z] & ok[x + z] & ok[y + z] & ok[x + y + z]))
        return false;
    for (int k = 0; k < FEATURE_NODE; k += 8, c += 8) {
        lane8 c0 = lane8_bytes(c), c1 = lane8_bytes(c + y), c2 = lane8_bytes(c + z),
              c3 = lane8_bytes(c + y + z);
        lane8 d0 = lane8_bytes(c + x) - c0, d1 = lane8_bytes(c + x + y) - c1;
        lane8 d2 = lane8_bytes(c + x + z) - c2, d3 = lane8_bytes(c + x + y + z) - c3;
        lane8 x0 = c0 + w[0] * d0, x1 = c1 + w[0] * d1, x2 = c2 + w[0] * d2, x3 = c3 + w[0] * d3;
        lane8 u0 = x1 - x0, u1 = x3 - x2, y0 = x0 + w[1] * u0, y1 = x2 + w[1] * u1;
        lane8 e0 = d0 + w[1] * (d1 - d0), e1 = d2 + w[1] * (d3 - d2), v = y1 - y0;
        lane8 r = y0 + w[2] * v - lane8_bytes(f + k);

        sum += r * r;
        gx += r * (e0 + w[2] * (e1 - e0));
        gy += r * (u0 + w[2] * (u1 - u0));
        gz += r * v;
    }
    total = lane8_sums(sum, gx, gy, gz);
    *cost = total[0];
    slope[0] = total[1];
    slope[1] = total[2];
    slope[2] = total[3];
    return true;
}

/* Data and slope of one node of the lattice at its own spacing. */
static float node_data(const struct data_term *t, const float *phi, const int64_t x[3], float slope[3])
{
    int64_t i = lattice_index(t->size, x[0], x[1], x[2]);
    float p[3], cost = 0;

    for (int a = 0; a < 3; a++)
        p[a] = (float)x[a] + phi[3 * i + a];
    residual(t->moving, p, t->fixed->node + FEATURE_NODE * i, &cost, slope);
    return cost;
}

/* phi at the corner q (bits x, y, z) of the cell of node i: replicated beyond the lattice. */
static const float *corner(const struct data_term *t, const float *phi, const int64_t x[3], int q)
{
    return phi + 3 * lattice_index(t->size, lattice_clamp(x[0] + (q & 1), t->size[0]),
                                   lattice_clamp(x[1] + (q >> 1 & 1), t->size[1]),
                                   lattice_clamp(x[2] + (q >> 2), t->size[2]));
}

/* phi half-way to the next node along the axes of q is the mean over the corners that those axes span. */
static void half_way(float middle[8][3], const struct data_term *t, const float *phi, const int64_t x[3])
{
    static const float share[8] = {1, 0.5f, 0.5f, 0.25f, 0.5f, 0.25f, 0.25f, 0.125f};

    for (int q = 0; q < 8; q++)
        middle[q][0] = middle[q][1] = middle[q][2] = 0;
    for (int c = 0; c < 8; c++) {
        const float *u = corner(t, phi, x, c);

        for (int q = 0; q < 8; q++)
            if ((c & q) == c)
                for (int a = 0; a < 3; a++)
                    middle[q][a] += u[a];
    }
    for (int q = 0; q < 8; q++)
        for (int a = 0; a < 3; a++)
            middle[q][a] *= share[q];
}

/* The same over the eight sub-nodes; a step of phi is two of theirs. */
static float cell_data(const struct data_term *t, const float *phi, const int64_t x[3], float slope[3])
{
    const int64_t *n = t->fixed->at.size;
    float middle[8][3], sum = 0;

    half_way(middle, t, phi, x);
    for (int q = 0; q < 8; q++) {
        int64_t s[3] = {2 * x[0] + (q & 1), 2 * x[1] + (q >> 1 & 1), 2 * x[2] + (q >> 2)};
        float p[3], g[3], cost;

        if (s[0] >= n[0] || s[1] >= n[1] || s[2] >= n[2])
            continue;
        for (int a = 0; a < 3; a++)
            p[a] = (float)s[a] + 2 * middle[q][a];
        if (!residual(t->moving, p, t->fixed->node + FEATURE_NODE * lattice_index(n, s[0], s[1], s[2]), &cost,
                      g))
            continue;
        sum += cost * 0.125f;
        for (int a = 0; a < 3; a++)
            slope[a] += g[a] * (2 * 0.125f);
    }
    return sum;
}

static void data_slice(void *ctx, int64_t z)
{
    const struct data_job *j = ctx;
    const struct data_term *t = j->t;
    int64_t count = t->size[0] * t->size[1] * t->size[2];
    double sum = 0;

    for (int64_t y = 0; y < t->size[1]; y++)
        for (int64_t x = 0; x < t->size[0]; x++) {
            int64_t at[3] = {x, y, z}, i = lattice_index(t->size, x, y, z);
            float slope[3] = {0, 0, 0};

            if (t->weight[i])
                sum += (double)(t->fine == 2 ? cell_data(t, j->phi, at, slope)
                                             : node_data(t, j->phi, at, slope));
            for (int a = 0; a < 3; a++)
                j->gradient[a * count + i] = 2 / FEATURE_SQUARE * slope[a];
        }
    t->partial[z] = sum;
}

static double add_up(const double *partial, const int64_t size[3], double scale)
{
    double sum = 0;

    for (int64_t z = 0; z < size[2]; z++)
        sum += partial[z];
    return scale * sum / (double)(size[0] * size[1] * size[2]);
}

double energy_data(const struct data_term *t, const float *phi, float *gradient)
{
    struct data_job j = {.t = t, .phi = phi, .gradient = gradient};

    par_for(t->size[2], data_slice, &j);
    return add_up(t->partial, t->size, 1 / (double)FEATURE_SQUARE);
}

struct smooth_job {
    const struct smoothness *s;
    const int64_t *size;
    int64_t count;
    const float *v;
    float *gradient;
};

/* The differences v(high) - v(low) of n neighbours. rho's slope, 2 lambda (v(high) - v(low)) / sqrt(1 +
 * s/eps^2), goes to the gradient with the sign that the side has; returns the sum of sqrt(1 + s/eps^2) - 1.
 */
static float differences(const struct smooth_job *j, int64_t low, int64_t high, int64_t side, int64_t n)
{
    const float *l0 = j->v + low, *l1 = l0 + j->count, *l2 = l1 + j->count;
    const float *h0 = j->v + high, *h1 = h0 + j->count, *h2 = h1 + j->count;
    float *g0 = j->gradient + side, *g1 = g0 + j->count, *g2 = g1 + j->count;
    float bend = (float)(1 / (j->s->epsilon * j->s->epsilon)), sum = 0;
    float slope = (float)(side == high ? 2 * j->s->lambda : -2 * j->s->lambda);

#pragma omp simd reduction(+ : sum)
    for (int64_t x = 0; x < n; x++) {
        float d0 = h0[x] - l0[x], d1 = h1[x] - l1[x], d2 = h2[x] - l2[x];
        float root = sqrtf(1 + (d0 * d0 + d1 * d1 + d2 * d2) * bend), w = slope / root;

        g0[x] += w * d0;
        g1[x] += w * d1;
        g2[x] += w * d2;
        sum += root - 1;
    }
    return sum;
}

/* Every difference is met from both its nodes, so that slices can be done in any order; the energy counts
 * it once, from the lower one. */
static void smooth_slice(void *ctx, int64_t z)
{
    const struct smooth_job *j = ctx;
    const int64_t *n = j->size, step[3] = {1, n[0], n[0] * n[1]};
    double sum = 0;

    for (int64_t y = 0; y < n[1]; y++) {
        int64_t row = lattice_index(n, 0, y, z), at[3] = {0, y, z};

        sum += (double)differences(j, row, row + 1, row, n[0] - 1);
        (void)differences(j, row, row + 1, row + 1, n[0] - 1);
        for (int a = 1; a < 3; a++) {
            if (at[a] < n[a] - 1)
                sum += (double)differences(j, row, row + step[a], row, n[0]);
            if (at[a] > 0)
                (void)differences(j, row - step[a], row, row, n[0]);
        }
    }
    j->s->partial[z] = sum;
}

double energy_smooth(const struct smoothness *s, const int64_t size[3], const float *v, float *gradient)
{
    struct smooth_job j = {
        .s = s, .size = size, .count = size[0] * size[1] * size[2], .v = v, .gradient = gradient};

    par_for(size[2], smooth_slice, &j);
    return add_up(s->partial, size, s->lambda * 2 * s->epsilon * s->epsilon);
}
