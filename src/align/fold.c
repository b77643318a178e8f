#include "align/fold.h"
#include "align/lattice.h"
#include "base/mem.h"
#include "base/par.h"
#include <math.h>
#include <stdbool.h>

enum { REACH = 5 /* nodes smoothed around an offender */ };

struct folding {
    const int64_t *size, *fine;
    const float *phi;
    float *det;
    uint8_t *bad; /* by node of phi's lattice */
    struct slice_folds {
        float least, largest;
        int64_t folds;
        bool failed;
    } * slice; /* by slice of phi's lattice */
};

/* The plane z of phi interpolated to level 0, 3 per node. */
static void fine_plane(const struct folding *f, int64_t z, float *out)
{
    const int64_t *n = f->size;
    int64_t low = lattice_clamp(z >> 1, n[2]), high = lattice_clamp((z + 1) >> 1, n[2]);

    for (int64_t y = 0; y < f->fine[1]; y++) {
        int64_t y0 = lattice_clamp(y >> 1, n[1]), y1 = lattice_clamp((y + 1) >> 1, n[1]);
        const float *row[4] = {
            f->phi + 3 * lattice_index(n, 0, y0, low), f->phi + 3 * lattice_index(n, 0, y1, low),
            f->phi + 3 * lattice_index(n, 0, y0, high), f->phi + 3 * lattice_index(n, 0, y1, high)};

        for (int64_t x = 0; x < f->fine[0]; x++) {
            int64_t x0 = 3 * lattice_clamp(x >> 1, n[0]), x1 = 3 * lattice_clamp((x + 1) >> 1, n[0]);

            for (int a = 0; a < 3; a++) {
                float sum = 0;

                for (int r = 0; r < 4; r++)
                    sum += row[r][x0 + a] + row[r][x1 + a];
                *out++ = 0.125f * sum;
            }
        }
    }
}

/* det(I + grad phi) from the differences of phi between neighbours on both sides; `share` is one over their
 * distance in nodes of phi's lattice. */
static float determinant(const float *const low[3], const float *const high[3], const float share[3])
{
    float j[3][3];

    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++)
            j[a][b] = (float)(a == b) + (high[b][a] - low[b][a]) * share[b];
    return j[0][0] * (j[1][1] * j[2][2] - j[1][2] * j[2][1]) -
           j[0][1] * (j[1][0] * j[2][2] - j[1][2] * j[2][0]) +
           j[0][2] * (j[1][0] * j[2][1] - j[1][1] * j[2][0]);
}

/* One over the distance between the neighbours of node i of n, in nodes of twice the spacing. */
static float share_of(int64_t i, int64_t n)
{
    return n < 2 ? 0 : i == 0 || i == n - 1 ? 2 : 1;
}

/* One plane of level 0, with the planes of phi below, at and above it. */
static void fold_plane(const struct folding *f, int64_t z, const float *const plane[3])
{
    struct slice_folds *s = &f->slice[z / 2];
    int64_t nx = f->fine[0], ny = f->fine[1];

    for (int64_t y = 0; y < ny; y++)
        for (int64_t x = 0; x < nx; x++) {
            int64_t i = 3 * (y * nx + x), x0 = x ? i - 3 : i, x1 = x < nx - 1 ? i + 3 : i;
            int64_t y0 = y ? i - 3 * nx : i, y1 = y < ny - 1 ? i + 3 * nx : i;
            const float *low[3] = {plane[1] + x0, plane[1] + y0, plane[0] + i};
            const float *high[3] = {plane[1] + x1, plane[1] + y1, plane[2] + i};
            float share[3] = {share_of(x, nx), share_of(y, ny), share_of(z, f->fine[2])};
            int64_t node = lattice_index(f->size, x / 2, y / 2, z / 2);
            float d = determinant(low, high, share);

            s->least = d < s->least ? d : s->least;
            s->largest = d > s->largest ? d : s->largest;
            s->folds += d <= 0;
            if (!(x & 1) && !(y & 1) && !(z & 1))
                f->det[node] = d;
            if (d <= (float)FOLD_DET_LEAST)
                f->bad[node] = 1;
        }
}

/* The planes 2z and 2z + 1 of level 0. */
static void fold_slice(void *ctx, int64_t z)
{
    struct folding *f = ctx;
    int64_t size = 3 * f->fine[0] * f->fine[1], last = f->fine[2] - 1;
    float *work = mem_new((size_t)size, 4 * sizeof *work);
    const float *plane[4] = {work, work + size, work + 2 * size, work + 3 * size};

    f->slice[z] = (struct slice_folds){.least = INFINITY, .largest = -INFINITY, .failed = !work};
    if (!work)
        return;
    for (int64_t k = 0; k < 4; k++) {
        int64_t at = 2 * z - 1 + k;
        fine_plane(f, at < 0 ? 0 : at > last ? last : at, work + k * size);
    }
    fold_plane(f, 2 * z, plane);
    if (2 * z + 1 <= last)
        fold_plane(f, 2 * z + 1, plane + 1);
    mem_free(work);
}

/* near: what lies within REACH nodes (a cube) of what is bad. */
static enum err mark_near(struct fold_report *out, const struct folding *f)
{
    const int64_t *n = f->size;

    out->near = mem_new((size_t)(n[0] * n[1] * n[2]), 1);
    if (!out->near)
        return ERR_MEMORY;
    for (int64_t z = 0; z < n[2]; z++)
        for (int64_t y = 0; y < n[1]; y++)
            for (int64_t x = 0; x < n[0]; x++) {
                if (!f->bad[lattice_index(n, x, y, z)])
                    continue;
                for (int64_t c = lattice_clamp(z - REACH, n[2]); c <= lattice_clamp(z + REACH, n[2]); c++)
                    for (int64_t b = lattice_clamp(y - REACH, n[1]); b <= lattice_clamp(y + REACH, n[1]); b++)
                        for (int64_t a = lattice_clamp(x - REACH, n[0]); a <= lattice_clamp(x + REACH, n[0]);
                             a++)
                            out->near[lattice_index(n, a, b, c)] = 1;
            }
    return ERR_OK;
}

void fold_free(struct fold_report *f)
{
    mem_free(f->near);
    mem_free(f->det);
    f->near = NULL;
    f->det = NULL;
}

enum err fold_find(struct fold_report *out, const int64_t size[3], const int64_t fine[3], const float *phi)
{
    size_t count = (size_t)(size[0] * size[1] * size[2]);
    struct folding f = {.size = size, .fine = fine, .phi = phi, .det = mem_new(count, sizeof(float))};
    struct fold_report r = {.least = (double)INFINITY, .largest = (double)-INFINITY, .det = f.det};
    bool failed = false;
    enum err err;

    f.bad = mem_new(count, 1);
    f.slice = mem_new((size_t)size[2], sizeof *f.slice);
    err = f.det && f.bad && f.slice ? ERR_OK : ERR_MEMORY;
    TRY_OR(done, err);
    par_for(size[2], fold_slice, &f);
    for (int64_t z = 0; z < size[2]; z++) {
        failed |= f.slice[z].failed;
        r.least = fmin(r.least, (double)f.slice[z].least);
        r.largest = fmax(r.largest, (double)f.slice[z].largest);
        r.folds += f.slice[z].folds;
    }
    if (failed)
        err = err_set(ERR_MEMORY, "out of memory while looking for folds");
    else if (r.least <= FOLD_DET_LEAST)
        err = mark_near(&r, &f);
    TRY_OR(done, err);
    *out = r;
    r = (struct fold_report){0};
done:
    fold_free(&r);
    mem_free(f.bad);
    mem_free(f.slice);
    return err;
}
