#include "stage/bench_volume.h"

#include "base/par.h"
#include "base/rng.h"

struct ellipsoid {
    double centre[3], radius[3]; /* shares of the volume's sides */
};
static const struct ellipsoid body = {{0.5, 0.5, 0.5}, {0.45, 0.35, 0.6}};
static const struct ellipsoid liver = {{0.4, 0.5, 0.55}, {0.25, 0.2, 0.3}};
static const struct ellipsoid tumour = {{0.35, 0.5, 0.6}, {0.06, 0.05, 0.08}};

/* Squares of a row's y and z parts. */
static double row_part(const struct ellipsoid *e, const struct grid *g, int64_t y, int64_t z)
{
    double a = (((double)y + 0.5) / (double)g->dims[1] - e->centre[1]) / e->radius[1];
    double b = (((double)z + 0.5) / (double)g->dims[2] - e->centre[2]) / e->radius[2];

    return a * a + b * b;
}

static bool is_inside(const struct ellipsoid *e, double part, double x)
{
    double a = (x - e->centre[0]) / e->radius[0];

    return a * a + part < 1;
}

struct fill {
    struct volume *v;
    int phase;
};

static void fill_row(void *ctx, int64_t row)
{
    const struct fill *f = ctx;
    const struct grid *g = &f->v->grid;
    int64_t y = row % g->dims[1], z = row / g->dims[1], n = g->dims[0];
    double part[3] = {row_part(&body, g, y, z), row_part(&liver, g, y, z), row_part(&tumour, g, y, z)};
    int16_t *hu = f->v->type == VOXEL_I16 ? (int16_t *)f->v->data + row * n : NULL;
    uint8_t *label = f->v->type == VOXEL_U8 ? (uint8_t *)f->v->data + row * n : NULL;
    struct rng r = rng_at(rng_key(1, (uint64_t)f->phase), (uint64_t)row);

    for (int64_t i = 0; i < n; i++) {
        double x = ((double)i + 0.5) / (double)n;
        int in_liver = is_inside(&liver, part[1], x), in_tumour = in_liver && is_inside(&tumour, part[2], x);
        int value = !is_inside(&body, part[0], x) ? -1000
                    : in_tumour                   ? 60 + 10 * f->phase
                    : in_liver                    ? 100 + 15 * f->phase
                                                  : 40;
        if (hu)
            hu[i] = (int16_t)(value + (int)(rng_u32(&r) % 61) - 30);
        else
            label[i] = (uint8_t)(in_liver + in_tumour);
    }
}

static enum err make(struct volume **out, const struct grid *g, enum voxel type, int phase)
{
    struct fill f = {.phase = phase};

    TRY(volume_new(&f.v, g, type));
    par_for(g->dims[1] * g->dims[2], fill_row, &f);
    *out = f.v;
    return ERR_OK;
}

enum err bench_volume_hu(struct volume **out, const struct grid *g, int phase)
{
    return make(out, g, VOXEL_I16, phase);
}

enum err bench_volume_label(struct volume **out, const struct grid *g)
{
    return make(out, g, VOXEL_U8, 0);
}
