#include "image/resample.h"
#include "base/mem.h"
#include "base/par.h"
#include <math.h>
#include <string.h>

/* A source index within this distance of the outermost voxel borders still counts as inside. */
#define BORDER_SLACK 1e-6
/* Grids whose axes run in parallel to within this many source voxels over the whole target are treated as
 * parallel. */
#define PARALLEL_SLACK 1e-4

enum { EXTENT_MAX_MM = 5000, SAMPLES_MAX = 32767 };

/* What one target index contributes along the one source axis that it drives: two element offsets and a
 * weight. */
struct tap {
    int64_t low, high, near;
    double weight; /* of high */
    bool inside;
};

struct carry {
    const struct grid *from, *to;
    const void *in; /* NULL for masks */
    void *out;
    double map[3][4];   /* target index -> source index */
    int64_t step[3];    /* source elements */
    struct tap *tap[3]; /* parallel axes only: by source axis, for each index of target axis drive[] */
    int drive[3];
    void (*row)(const struct carry *c, int64_t j, int64_t k);
};

void resize_orders(const double spacing[3], const double spacing_new[3], enum resize_order order[3])
{
    const double *use[2] = {spacing, spacing_new};

    order[0] = order[1] = order[2] = RESIZE_CUBIC;
    for (int u = 0; u < 2; u++) {
        double low = fmin(fmin(use[u][0], use[u][1]), use[u][2]),
               high = fmax(fmax(use[u][0], use[u][1]), use[u][2]);
        int coarse = 0, ties = 0;

        if (!(high / low > 3))
            continue;
        for (int i = 0; i < 3; i++)
            if (use[u][i] == high) {
                coarse = i;
                ties++;
            }
        if (ties == 1)
            order[coarse] = RESIZE_LINEAR;
        return;
    }
}

enum err resize_grid(struct grid *out, const struct grid *g, const double spacing[3])
{
    struct grid r = *g;

    for (int i = 0; i < 3; i++) {
        double extent = g->spacing[i] * (double)g->dims[i],
               count = rint(g->spacing[i] / spacing[i] * (double)g->dims[i]);
        double factor;

        if (!(extent > 0 && extent <= EXTENT_MAX_MM))
            return err_set(
                ERR_INPUT,
                "axis %c is %g mm long (%lld voxels of %g mm), which no CT is: correct the voxel size",
                'x' + i, extent, (long long)g->dims[i], g->spacing[i]);
        if (count > SAMPLES_MAX)
            return err_set(ERR_INPUT, "axis %c would have %.0f samples at %g mm: choose a coarser spacing",
                           'x' + i, count, spacing[i]);
        r.dims[i] = count < 1 ? 1 : (int64_t)count;
        factor = (double)g->dims[i] / (double)r.dims[i];
        r.spacing[i] = g->spacing[i] * factor;
        for (int row = 0; row < 3; row++) {
            r.affine[row][i] = g->affine[row][i] * factor;
            r.affine[row][3] += g->affine[row][i] * (factor / 2 - 0.5);
        }
    }
    *out = r;
    return ERR_OK;
}

uint64_t resample_bytes(const struct grid *from, const struct grid *to)
{
    struct resize z;

    memcpy(z.from, from->dims, sizeof z.from);
    memcpy(z.to, to->dims, sizeof z.to);
    resize_orders(from->spacing, to->spacing, z.order);
    return memcmp(z.from, z.to, sizeof z.from) ? resize_bytes(&z) : 0;
}

enum err resample_to_spacing(struct volume **out, const struct volume *v, const double spacing[3])
{
    struct volume *r = NULL;
    struct grid g;
    struct resize z;
    enum err err;

    TRY(resize_grid(&g, &v->grid, spacing));
    TRY(volume_new(&r, &g, v->type));
    memcpy(z.from, v->grid.dims, sizeof z.from);
    memcpy(z.to, g.dims, sizeof z.to);
    resize_orders(v->grid.spacing, spacing, z.order);
    if (memcmp(z.from, z.to, sizeof z.from) == 0) {
        memcpy(r->data, v->data, (size_t)grid_count(&g) * voxel_size(v->type));
        err = ERR_OK;
    } else if (v->type == VOXEL_I16) {
        err = resize_i16(&z, v->data, r->data);
    } else if (v->type == VOXEL_U8) {
        err = resize_labels(&z, v->data, r->data);
    } else {
        err = err_set(ERR_INTERNAL, "resample_to_spacing takes HU or labels");
    }
    if (err) {
        volume_free(r);
        return err;
    }
    *out = r;
    return ERR_OK;
}

/* The two samples around source index x of an axis of n voxels. */
static struct tap tap_at(double x, int64_t n, int64_t step)
{
    struct tap t = {.inside = x >= -0.5 - BORDER_SLACK && x <= (double)n - 0.5 + BORDER_SLACK};
    double last = (double)(n - 1), at = x > 0 ? (x < last ? x : last) : 0, base = floor(at);
    int64_t i = (int64_t)base;

    t.low = i * step;
    t.high = (i + 1 < n ? i + 1 : i) * step;
    t.weight = at - base;
    t.near = t.weight > 0.5 ? t.high : t.low;
    return t;
}

static double mix(double low, double high, double weight)
{
    return (1 - weight) * low + weight * high;
}

static double value_at(const int16_t *in, const struct tap *x, const struct tap *y, const struct tap *z)
{
    const int16_t *p = in + z->low, *q = in + z->high;
    double a = mix(mix(p[y->low + x->low], p[y->low + x->high], x->weight),
                   mix(p[y->high + x->low], p[y->high + x->high], x->weight), y->weight);

    if (z->weight == 0)
        return a;
    return mix(a,
               mix(mix(q[y->low + x->low], q[y->low + x->high], x->weight),
                   mix(q[y->high + x->low], q[y->high + x->high], x->weight), y->weight),
               z->weight);
}

/* The taps of target voxel (i, j, k), in t or in the tables; false outside the field of view. */
static bool taps_at(const struct carry *c, const int64_t index[3], struct tap t[3], const struct tap *at[3])
{
    for (int a = 0; a < 3; a++) {
        if (c->tap[a]) {
            at[a] = &c->tap[a][index[c->drive[a]]];
        } else {
            const double *m = c->map[a];
            double x = m[3] + m[0] * (double)index[0] + m[1] * (double)index[1] + m[2] * (double)index[2];

            t[a] = tap_at(x, c->from->dims[a], c->step[a]);
            at[a] = &t[a];
        }
        if (!at[a]->inside)
            return false;
    }
    return true;
}

static void row_hu(const struct carry *c, int64_t j, int64_t k)
{
    int16_t *out = (int16_t *)c->out + (k * c->to->dims[1] + j) * c->to->dims[0];
    const struct tap *at[3];
    struct tap t[3];

    for (int64_t i = 0; i < c->to->dims[0]; i++)
        out[i] = taps_at(c, (int64_t[3]){i, j, k}, t, at)
                     ? (int16_t)rint(value_at(c->in, at[0], at[1], at[2]))
                     : (int16_t)RESAMPLE_FILL_HU;
}

static void row_labels(const struct carry *c, int64_t j, int64_t k)
{
    uint8_t *out = (uint8_t *)c->out + (k * c->to->dims[1] + j) * c->to->dims[0];
    const uint8_t *in = c->in;
    const struct tap *at[3];
    struct tap t[3];

    for (int64_t i = 0; i < c->to->dims[0]; i++)
        out[i] = taps_at(c, (int64_t[3]){i, j, k}, t, at) ? in[at[0]->near + at[1]->near + at[2]->near] : 0;
}

static void carry_row(void *ctx, int64_t row)
{
    const struct carry *c = ctx;

    c->row(c, row % c->to->dims[1], row / c->to->dims[1]);
}

/* map = inverse(from) * to */
static enum err map_make(double map[3][4], const struct grid *from, const struct grid *to)
{
    double inverse[3][4];

    TRY(grid_invert(from, inverse));
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) {
            map[i][j] = j == 3 ? inverse[i][3] : 0;
            for (int k = 0; k < 3; k++)
                map[i][j] += inverse[i][k] * to->affine[k][j];
        }
    return ERR_OK;
}

/* Where every source axis follows one target axis, samples are looked up in tables instead of computed at
 * each voxel. */
static enum err tables_make(struct carry *c)
{
    double side = 0;

    for (int a = 0; a < 3; a++) {
        double reach[3], most = 0, sum = 0;

        for (int i = 0; i < 3; i++) {
            reach[i] = fabs(c->map[a][i]) * (double)(c->to->dims[i] - 1);
            sum += reach[i];
            if (reach[i] > most) {
                most = reach[i];
                c->drive[a] = i;
            }
        }
        side = fmax(side, sum - most);
    }
    if (!(side < PARALLEL_SLACK))
        return ERR_OK;
    for (int a = 0; a < 3; a++) {
        int64_t count = c->to->dims[c->drive[a]];

        c->tap[a] = mem_new((size_t)count, sizeof *c->tap[a]);
        if (!c->tap[a])
            return ERR_MEMORY;
        for (int64_t i = 0; i < count; i++)
            c->tap[a][i] =
                tap_at(c->map[a][3] + c->map[a][c->drive[a]] * (double)i, c->from->dims[a], c->step[a]);
    }
    return ERR_OK;
}

/* Fills *out, a new volume of `type` on c->to, row by row; a plain copy of `in` if the grids are the same. */
static enum err carry_run(struct carry *c, struct volume **out, enum voxel type)
{
    struct volume *v = NULL;
    enum err err;

    TRY_OR(done, volume_new(&v, c->to, type));
    c->out = v->data;
    if (c->in && grid_same(c->to, c->from)) {
        memcpy(v->data, c->in, (size_t)grid_count(c->to) * voxel_size(type));
    } else {
        c->step[0] = 1;
        c->step[1] = c->from->dims[0];
        c->step[2] = c->from->dims[0] * c->from->dims[1];
        TRY_OR(done, map_make(c->map, c->from, c->to));
        TRY_OR(done, tables_make(c));
        par_for(c->to->dims[1] * c->to->dims[2], carry_row, c);
    }
    *out = v;
    v = NULL;
done:
    volume_free(v);
    for (int a = 0; a < 3; a++)
        mem_free(c->tap[a]);
    return err;
}

enum err resample_hu(struct volume **out, const struct volume *v, const struct grid *to)
{
    struct carry c = {.from = &v->grid, .to = to, .in = v->data, .row = row_hu};

    return carry_run(&c, out, VOXEL_I16);
}

enum err resample_labels(struct volume **out, const struct volume *v, const struct grid *to)
{
    struct carry c = {.from = &v->grid, .to = to, .in = v->data, .row = row_labels};

    return carry_run(&c, out, VOXEL_U8);
}

double resample_at(const struct volume *v, const double at[3])
{
    const int16_t *voxel = v->data;
    const int64_t *n = v->grid.dims, step[3] = {1, n[0], n[0] * n[1]};
    double weight[3], sum = 0;
    int64_t base = 0;

    for (int a = 0; a < 3; a++) {
        double last = (double)n[a] - 1, inside, floored;

        if (!(at[a] >= -0.5 && at[a] <= last + 0.5))
            return NAN;
        inside = fmin(fmax(at[a], 0), last);
        floored = floor(fmin(inside, fmax(0, last - 1)));
        weight[a] = inside - floored;
        base += step[a] * (int64_t)floored;
    }
    for (int corner = 0; corner < 8; corner++) {
        double w = 1;
        int64_t i = base;

        for (int a = 0; a < 3; a++) {
            bool up = corner >> a & 1;
            w *= up ? weight[a] : 1 - weight[a];
            i += up ? step[a] : 0;
        }
        if (w > 0)
            sum += w * voxel[i];
    }
    return sum;
}
