#include "image/filter.h"
#include "base/par.h"

/* The median of 27 by forgetting: of the first 15 values neither the smallest nor the largest can be it, so
 * both are dropped and the next value is taken in, until all are seen. Side by side for LANES voxels of a
 * row. */
enum { LANES = 64, ALL = 27, KEPT = 15 };

struct job {
    int16_t *out;
    const int16_t *in;
    const int64_t *dims;
};

static inline void order(int16_t *restrict a, int16_t *restrict b)
{
    for (int l = 0; l < LANES; l++) {
        int16_t x = a[l], y = b[l];

        a[l] = x < y ? x : y;
        b[l] = x < y ? y : x;
    }
}

/* Brings the smallest of v[0..n-1] to v[0] and the largest to v[n-1]. */
static void extremes(int16_t v[KEPT][LANES], int n)
{
    for (int i = 0; i < n / 2; i++)
        order(v[i], v[n - 1 - i]);
    for (int i = 1; i < (n + 1) / 2; i++)
        order(v[0], v[i]);
    for (int i = n / 2; i < n - 1; i++)
        order(v[i], v[n - 1]);
}

static int64_t within(int64_t i, int64_t n)
{
    return i < 0 ? 0 : i < n ? i : n - 1;
}

/* What stands `place` in the neighbourhood of m voxels from (x, y, z) on. */
static void gather(const struct job *j, const int64_t at[3], int place, int64_t m, int16_t to[LANES])
{
    const int64_t *n = j->dims;
    int dx = place % 3 - 1, dy = place / 3 % 3 - 1, dz = place / 9 - 1;
    const int16_t *row = j->in + n[0] * (within(at[1] + dy, n[1]) + n[1] * within(at[2] + dz, n[2]));

    if (at[0] + dx >= 0 && at[0] + dx + m <= n[0]) {
        for (int64_t l = 0; l < m; l++)
            to[l] = row[at[0] + dx + l];
        return;
    }
    for (int64_t l = 0; l < m; l++)
        to[l] = row[within(at[0] + dx + l, n[0])];
}

static void median_slice(void *ctx, int64_t z)
{
    const struct job *j = ctx;
    const int64_t *n = j->dims;
    int16_t v[KEPT][LANES] = {{0}};

    for (int64_t y = 0; y < n[1]; y++)
        for (int64_t x = 0; x < n[0]; x += LANES) {
            int64_t at[3] = {x, y, z}, m = n[0] - x < LANES ? n[0] - x : LANES;
            int16_t *out = j->out + x + n[0] * (y + n[1] * z);
            int next = KEPT;

            for (int i = 0; i < KEPT; i++)
                gather(j, at, i, m, v[i]);
            for (int left = KEPT; left > 3; left--) {
                extremes(v, left);
                gather(j, at, next++, m, v[0]); /* over the smallest; the largest lies beyond the end */
            }
            extremes(v, 3);
            for (int64_t l = 0; l < m; l++)
                out[l] = v[1][l];
        }
}

void filter_median(int16_t *out, const int16_t *in, const int64_t dims[3])
{
    struct job j = {out, in, dims};

    par_for(dims[2], median_slice, &j);
}
