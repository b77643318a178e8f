#include "align/feature.h"
#include "base/mem.h"
#include "base/par.h"
#include <stdbool.h>
#include <string.h>

enum { OFFSETS = 6, REACH = 2 /* d, nodes */, SHIFTS = 6, BLOCK = 64 /* nodes of a row at once */ };

/* Limits of V (section 4): V_lo = max(1e-3 mean V, 2.7 sigma^2), V_hi = 1e3 mean V. */
static const double floor_share = 1e-3, ceiling_share = 1e3, floor_noise = 2.7;

static const int offset[OFFSETS][3] = {{-REACH, 0, 0}, {REACH, 0, 0},  {0, -REACH, 0},
                                       {0, REACH, 0},  {0, 0, -REACH}, {0, 0, REACH}};

/* D_ab(x) = E_l(x + a) with E_l(x) = box[(I(x) - I(x + delta_l))^2]: pairs with one difference are shifts of
 * each other, so six images do for twelve pairs. */
struct pairs {
    int delta[SHIFTS][3];
    int image[FEATURES];
    int at[FEATURES][3]; /* where D_ab(x) is read in its image, relative to x */
};

static bool is_times(const int a[3], const int b[3], int sign)
{
    return a[0] == sign * b[0] && a[1] == sign * b[1] && a[2] == sign * b[2];
}

static struct pairs pairs_list(void)
{
    struct pairs p = {0};
    int n = 0, shifts = 0;

    for (int i = 0; i < OFFSETS; i++)
        for (int j = i + 1; j < OFFSETS; j++) {
            const int *a = offset[i], *b = offset[j];
            int d[3] = {b[0] - a[0], b[1] - a[1], b[2] - a[2]}, l = 0;

            if (i / 2 == j / 2) /* opposite */
                continue;
            while (l < shifts && !is_times(d, p.delta[l], 1) && !is_times(d, p.delta[l], -1))
                l++;
            if (l == shifts)
                memcpy(p.delta[shifts++], d, sizeof d);
            p.image[n] = l;
            memcpy(p.at[n++], is_times(d, p.delta[l], 1) ? a : b, sizeof d);
        }
    return p;
}

struct making {
    struct pairs pairs;
    int64_t size[3], count;
    const float *hu;
    const uint8_t *inside; /* or NULL: all */
    int image;             /* l of the E_l that is being made */
    float *edge;           /* E: SHIFTS images */
    float *scratch;        /* of edge_slice: two planes a slice in work */
    double *spread;        /* by slice: sum of the unclamped V */
    float lowest, highest; /* V_lo, V_hi */
    uint8_t *node;
};

/* Start of a row, of the nearest one if it lies outside. */
static int64_t row_at(const struct making *m, int64_t y, int64_t z)
{
    return lattice_index(m->size, 0, lattice_clamp(y, m->size[1]), lattice_clamp(z, m->size[2]));
}

/* sum(x) += (I(x) - I(x + delta))^2 along one row. */
static void add_squares(const struct making *m, const int delta[3], int64_t y, int64_t z, float *sum)
{
    int64_t nx = m->size[0], dx = delta[0];
    int64_t from = lattice_clamp(-dx, nx), to = lattice_clamp(nx - dx, nx + 1);
    const float *s = m->hu + row_at(m, y, z), *t = m->hu + row_at(m, y + delta[1], z + delta[2]);

    for (int64_t x = 0; x < from; x++)
        sum[x] += (s[x] - t[0]) * (s[x] - t[0]);
    for (int64_t x = from; x < to; x++)
        sum[x] += (s[x] - t[x + dx]) * (s[x] - t[x + dx]);
    for (int64_t x = to; x < nx; x++)
        sum[x] += (s[x] - t[nx - 1]) * (s[x] - t[nx - 1]);
}

/* Means of three along a row into out. */
static void mean_along(const float *in, float *out, int64_t n, float third)
{
    for (int64_t x = 1; x < n - 1; x++)
        out[x] = (in[x - 1] + in[x] + in[x + 1]) * third;
    out[0] = (in[0] + in[0] + in[n > 1]) * third;
    out[n - 1] = (in[n - 1] + in[n - 1] + in[n > 1 ? n - 2 : 0]) * third;
}

/* One slice of E_l: squares summed along z, then y, then x. */
static void edge_slice(void *ctx, int64_t z)
{
    const struct making *m = ctx;
    int64_t nx = m->size[0], ny = m->size[1], nz = m->size[2];
    float *sums = m->scratch + z * nx * (ny + 1), *row = sums + nx * ny;
    const int *delta = m->pairs.delta[m->image];

    for (int64_t y = 0; y < ny; y++) {
        for (int64_t x = 0; x < nx; x++)
            sums[y * nx + x] = 0;
        for (int64_t k = -1; k <= 1; k++)
            add_squares(m, delta, y, lattice_clamp(z + k, nz), sums + y * nx);
    }
    for (int64_t y = 0; y < ny; y++) {
        const float *a = sums + lattice_clamp(y - 1, ny) * nx, *b = sums + y * nx,
                    *c = sums + lattice_clamp(y + 1, ny) * nx;

        for (int64_t x = 0; x < nx; x++)
            row[x] = a[x] + b[x] + c[x];
        mean_along(row, m->edge + m->image * m->count + (z * ny + y) * nx, nx, 1 / 27.0f);
    }
}

/* D of the nodes x = from .. from+n-1 of a row, and their least and mean. */
struct distances {
    float d[FEATURES][BLOCK];
    float least[BLOCK], mean[BLOCK];
};

static void gather(const struct making *m, int64_t from, int64_t n, int64_t y, int64_t z, struct distances *b)
{
    int64_t nx = m->size[0];

    for (int64_t i = 0; i < BLOCK; i++) {
        b->least[i] = 1e30f;
        b->mean[i] = 0;
    }
    for (int k = 0; k < FEATURES; k++) {
        const int *at = m->pairs.at[k];
        const float *e = m->edge + m->pairs.image[k] * m->count + row_at(m, y + at[1], z + at[2]);
        bool inside = from + at[0] >= 0 && from + n + at[0] <= nx;

        for (int64_t i = 0; inside && i < n; i++)
            b->d[k][i] = e[from + i + at[0]];
        for (int64_t i = 0; !inside && i < n; i++)
            b->d[k][i] = e[lattice_clamp(from + i + at[0], nx)];
        for (int64_t i = 0; i < n; i++) {
            b->least[i] = b->d[k][i] < b->least[i] ? b->d[k][i] : b->least[i];
            b->mean[i] += b->d[k][i] * (1.0f / FEATURES);
        }
    }
}

/* The mean of V is taken over every second row and slice. */
static void spread_slice(void *ctx, int64_t job)
{
    const struct making *m = ctx;
    int64_t nx = m->size[0], z = 2 * job;
    struct distances b;
    double sum = 0;

    for (int64_t y = 0; y < m->size[1]; y += 2)
        for (int64_t from = 0; from < nx; from += BLOCK) {
            int64_t n = nx - from < BLOCK ? nx - from : BLOCK;

            gather(m, from, n, y, z, &b);
            for (int64_t i = 0; i < n; i++)
                sum += (double)(b.mean[i] - b.least[i]);
        }
    m->spread[job] = sum;
}

/* e^-u for u >= 0 to 1e-6, as 2^i 2^f with f in [-1/2, 1/2]: plain arithmetic that the compiler turns into
 * vectors, the same bits on every machine. */
static inline float decay(float u)
{
    float t = -1.44269504f * (u < 80 ? u : 80);
    int32_t i = (int32_t)(t - 0.5f), bits = (i + 127) << 23;
    float f = t - (float)i, power, two;

    memcpy(&two, &bits, sizeof two);
    power =
        1 + f * (0.69314718f + f * (0.24022651f + f * (0.05550411f + f * (0.00961813f + f * 0.00133336f))));
    return two * power;
}

static void node_slice(void *ctx, int64_t z)
{
    const struct making *m = ctx;
    int64_t nx = m->size[0];
    struct distances b;
    uint8_t value[BLOCK];

    for (int64_t y = 0; y < m->size[1]; y++)
        for (int64_t from = 0; from < nx; from += BLOCK) {
            int64_t n = nx - from < BLOCK ? nx - from : BLOCK;
            uint8_t *out = m->node + FEATURE_NODE * lattice_index(m->size, from, y, z);
            float slope[BLOCK];

            gather(m, from, n, y, z, &b);
            for (int64_t i = 0; i < n; i++) {
                float v = b.mean[i] - b.least[i];
                v = v > m->lowest ? v : m->lowest;
                slope[i] = 1 / (v < m->highest ? v : m->highest);
            }
            for (int k = 0; k < FEATURES; k++) {
                for (int64_t i = 0; i < n; i++)
                    value[i] = (uint8_t)(int32_t)(255 * decay((b.d[k][i] - b.least[i]) * slope[i]) + 0.5f);
                for (int64_t i = 0; i < n; i++)
                    out[FEATURE_NODE * i + k] = value[i];
            }
            for (int64_t i = 0; i < n; i++)
                out[FEATURE_NODE * i + FEATURE_VALID] =
                    !m->inside || m->inside[lattice_index(m->size, from + i, y, z)] ? 255 : 0;
        }
}

static void set_limits(struct making *m, double sigma)
{
    int64_t rows = (m->size[1] + 1) / 2, slices = (m->size[2] + 1) / 2;
    double sum = 0, mean, noise = floor_noise * sigma * sigma;

    for (int64_t z = 0; z < slices; z++)
        sum += m->spread[z];
    mean = sum / (double)(m->size[0] * rows * slices);
    /* a constant image without noise: any positive limit gives features of 1 */
    m->lowest = (float)(noise > floor_share * mean ? noise : floor_share * mean);
    m->lowest = m->lowest > 1e-6f ? m->lowest : 1e-6f;
    m->highest = (float)(ceiling_share * mean);
    m->highest = m->highest > m->lowest ? m->highest : m->lowest;
}

static enum err features_new(struct features *f, const struct lattice *at)
{
    *f = (struct features){.at = *at};
    f->node = mem_new((size_t)lattice_count(at), FEATURE_NODE);
    return f->node ? ERR_OK : ERR_MEMORY;
}

void features_free(struct features *f)
{
    mem_free(f->node);
    f->node = NULL;
}

enum err features_make(struct features *out, const struct lattice *at, const float *hu, const uint8_t *inside,
                       double sigma)
{
    struct making m = {.pairs = pairs_list(), .count = lattice_count(at), .hu = hu, .inside = inside};
    struct features f = {0};
    enum err err;

    memcpy(m.size, at->size, sizeof m.size);
    m.edge = mem_new((size_t)m.count, SHIFTS * sizeof(float));
    m.scratch = mem_new((size_t)(m.size[0] * (m.size[1] + 1) * m.size[2]), sizeof(float));
    m.spread = mem_new((size_t)m.size[2], sizeof(double));
    err = m.edge && m.scratch && m.spread ? features_new(&f, at) : ERR_MEMORY;
    TRY_OR(done, err);
    m.node = f.node;
    for (m.image = 0; m.image < SHIFTS; m.image++)
        par_for(m.size[2], edge_slice, &m);
    par_for((m.size[2] + 1) / 2, spread_slice, &m);
    set_limits(&m, sigma);
    par_for(m.size[2], node_slice, &m);
    *out = f;
done:
    mem_free(m.edge);
    mem_free(m.scratch);
    mem_free(m.spread);
    return err;
}
