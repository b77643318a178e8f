/* The determinant of a transform's Jacobian on a grid. */
#include "align/warp.h"
#include "base/mem.h"
#include "base/par.h"
#include <stdatomic.h>

struct job {
    const struct grid *to;
    const struct mapper *map; /* voxel -> mm */
    double scale;             /* 1 / determinant of voxel -> mm */
    float *out;
    atomic_llong outside, unsolved;
};

/* Positions of voxels (x, y, z), y and z as given (they may lie beyond the grid where it has one voxel). */
static void row_at(const struct job *j, const int64_t x[3], int n, double out[3][MAPPER_ROW],
                   struct mapper_tally *tally)
{
    double start[3] = {(double)x[0], (double)x[1], (double)x[2]};

    mapper_row(j->map, start, (double[3]){1, 0, 0}, n, out, tally);
}

/* The two indices to difference around i. */
static void around(int64_t i, int64_t n, int64_t *low, int64_t *high)
{
    *low = i > 0 || n == 1 ? i - 1 : i;
    *high = i + 1 < n || n == 1 ? i + 1 : i;
}

/* Determinants of voxels x .. x+n-1 of a row; n <= MAPPER_ROW - 2. */
static void determinants(const struct job *j, const int64_t x[3], int n, float *out,
                         struct mapper_tally *tally)
{
    double along[3][MAPPER_ROW], side[4][3][MAPPER_ROW], width[2];
    struct mapper_tally unused = {0};

    row_at(j, (int64_t[3]){x[0] - 1, x[1], x[2]}, n + 2, along, tally);
    for (int a = 1; a < 3; a++) {
        int64_t low[3] = {x[0], x[1], x[2]}, high[3] = {x[0], x[1], x[2]};

        around(x[a], j->to->dims[a], &low[a], &high[a]);
        row_at(j, low, n, side[2 * a - 2], &unused);
        row_at(j, high, n, side[2 * a - 1], &unused);
        width[a - 1] = (double)(high[a] - low[a]);
    }
    for (int i = 0; i < n; i++) {
        struct affine d = {0};
        int64_t low, high;

        around(x[0] + i, j->to->dims[0], &low, &high);
        for (int c = 0; c < 3; c++) {
            d.m[c][0] = (along[c][high - x[0] + 1] - along[c][low - x[0] + 1]) / (double)(high - low);
            for (int a = 0; a < 2; a++)
                d.m[c][a + 1] = (side[2 * a + 1][c][i] - side[2 * a][c][i]) / width[a];
        }
        out[i] = (float)(j->scale * affine_det(&d));
    }
}

static void jacobian_row(void *ctx, int64_t row)
{
    struct job *j = ctx;
    const int64_t *n = j->to->dims;
    struct mapper_tally tally = {0};

    for (int64_t x = 0; x < n[0]; x += MAPPER_ROW - 2) {
        int count = n[0] - x < MAPPER_ROW - 2 ? (int)(n[0] - x) : MAPPER_ROW - 2;

        determinants(j, (int64_t[3]){x, row % n[1], row / n[1]}, count, j->out + row * n[0] + x, &tally);
    }
    atomic_fetch_add(&j->outside, tally.outside);
    atomic_fetch_add(&j->unsolved, tally.unsolved);
}

enum err warp_jacobian(struct volume **out, const struct transform *t, const struct grid *to,
                       struct mapper_tally *tally)
{
    struct affine pre = affine_of_grid(to), inverse;
    struct job j = {.to = to};
    struct mapper *map = NULL;
    struct volume *v = NULL;
    enum err err;

    TRY(affine_invert(&inverse, &pre));
    TRY(volume_new(&v, to, VOXEL_F32));
    err = mapper_new(&map, t, &pre, NULL);
    if (err) {
        volume_free(v);
        return err;
    }
    j.map = map;
    j.scale = affine_det(&inverse);
    j.out = v->data;
    par_for(to->dims[1] * to->dims[2], jacobian_row, &j);
    tally->outside += atomic_load(&j.outside);
    tally->unsolved += atomic_load(&j.unsolved);
    mapper_free(map);
    *out = v;
    return ERR_OK;
}
