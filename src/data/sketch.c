#include "data/sketch.h"
#include "base/mem.h"
#include "image/morph.h"
#include <math.h>
#include <string.h>

static const double edge = 4; /* mm, of a block */
enum { UNSCANNED = -1024, BODY_LEAST = -350 };

static struct grid sketch_grid(const struct grid *g, const int64_t block[3])
{
    struct grid s = *g;

    for (int a = 0; a < 3; a++) {
        s.dims[a] = (g->dims[a] + block[a] - 1) / block[a];
        s.spacing[a] = g->spacing[a] * (double)block[a];
        for (int row = 0; row < 3; row++) {
            s.affine[row][a] = g->affine[row][a] * (double)block[a];
            s.affine[row][3] += g->affine[row][a] * ((double)block[a] - 1) / 2;
        }
    }
    return s;
}

/* Sums of the scanned voxels of one plane of blocks. */
struct plane {
    int32_t *sum, *count;
};

static void add_slice(struct plane *p, const int16_t *slice, const struct grid *g, const struct sketch *s)
{
    for (int64_t y = 0; y < g->dims[1]; y++)
        for (int64_t x = 0; x < g->dims[0]; x++) {
            int64_t to = x / s->block[0] + s->hu->grid.dims[0] * (y / s->block[1]);
            int16_t v = slice[x + g->dims[0] * y];

            p->sum[to] += v > UNSCANNED ? v : 0;
            p->count[to] += v > UNSCANNED;
        }
}

static enum err take_means(struct sketch *s, const struct volume *hu)
{
    const struct grid *g = &hu->grid;
    int64_t area = s->hu->grid.dims[0] * s->hu->grid.dims[1], most = s->block[0] * s->block[1] * s->block[2];
    struct plane p = {mem_new((size_t)area, sizeof *p.sum), mem_new((size_t)area, sizeof *p.count)};
    int16_t *out = s->hu->data;
    enum err err = p.sum && p.count ? ERR_OK : ERR_MEMORY;

    for (int64_t k = 0; k < s->hu->grid.dims[2] && !err; k++, out += area) {
        memset(p.sum, 0, (size_t)area * sizeof *p.sum);
        memset(p.count, 0, (size_t)area * sizeof *p.count);
        for (int64_t z = k * s->block[2]; z < (k + 1) * s->block[2] && z < g->dims[2]; z++)
            add_slice(&p, (const int16_t *)hu->data + z * g->dims[0] * g->dims[1], g, s);
        for (int64_t i = 0; i < area; i++)
            out[i] = (int16_t)(4 * p.count[i] < most ? UNSCANNED : lround((double)p.sum[i] / p.count[i]));
    }
    mem_free(p.sum);
    mem_free(p.count);
    return err;
}

/* Clears what has an in-plane neighbour that is not set (beyond the borders all is set), or with `grow` sets
 * what has one that is. */
static void shift_border(uint8_t *mask, const uint8_t *old, const int64_t n[3], bool grow)
{
    for (int64_t i = 0, count = n[0] * n[1] * n[2]; i < count; i++) {
        int64_t x = i % n[0], y = i / n[0] % n[1];
        const int64_t near[4] = {x > 0 ? i - 1 : i, x + 1 < n[0] ? i + 1 : i, y > 0 ? i - n[0] : i,
                                 y + 1 < n[1] ? i + n[0] : i};

        for (int k = 0; k < 4; k++)
            if ((old[near[k]] != 0) == grow)
                mask[i] = grow;
    }
}

/* What is not air, its holes (lungs, gut) filled slice by slice, of that the largest piece that is thicker
 * than a couch. */
static enum err find_body(struct sketch *s)
{
    const int64_t *n = s->hu->grid.dims;
    int64_t count = grid_count(&s->hu->grid), area = n[0] * n[1], slice[3] = {n[0], n[1], 1};
    uint8_t *mask = s->body->data, *old = mem_new((size_t)count, 1);
    enum err err = old ? ERR_OK : ERR_MEMORY;

    if (err)
        return err;
    for (int64_t i = 0; i < count; i++)
        mask[i] = ((const int16_t *)s->hu->data)[i] > BODY_LEAST;
    for (int64_t z = 0; z < n[2] && !err; z++)
        err = morph_fill_holes(mask + z * area, slice);
    memcpy(old, mask, (size_t)count);
    shift_border(mask, old, n, false);
    if (!err)
        err = morph_keep_largest(mask, n, FACES);
    memcpy(old, mask, (size_t)count);
    shift_border(mask, old, n, true);
    mem_free(old);
    return err;
}

enum err sketch_make(struct sketch *out, const struct volume *hu)
{
    struct sketch s = {0};
    struct grid g;
    enum err err;

    for (int a = 0; a < 3; a++)
        s.block[a] = (int64_t)fmax(1, fmin(64, rint(edge / hu->grid.spacing[a])));
    g = sketch_grid(&hu->grid, s.block);
    TRY_OR(done, volume_new(&s.hu, &g, VOXEL_I16));
    TRY_OR(done, volume_new(&s.body, &g, VOXEL_U8));
    TRY_OR(done, take_means(&s, hu));
    TRY_OR(done, find_body(&s));
    *out = s;
    s = (struct sketch){0};
done:
    sketch_free(&s);
    return err;
}

void sketch_free(struct sketch *s)
{
    volume_free(s->hu);
    volume_free(s->body);
    *s = (struct sketch){0};
}
