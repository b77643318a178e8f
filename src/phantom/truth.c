#include "base/mem.h"
#include "base/par.h"
#include "phantom/motion.h"
#include "volume/nifti.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* nifti1.h's vector intent, and what NiftyReg says of a displacement field in millimetres. */
enum { INTENT_VECTOR = 1007, NIFTYREG_DISPLACEMENT = 1 };
static const char niftyreg_name[] = "NREG_TRANS";
static const double field_mm = 4;

static const float exact_mm = 2e-4f, exact_share = 5e-7f; /* |p(T(x)) - x|: what float allows far from 0 */
static const float probe_mm = .05f;                       /* half the way over which a slope is measured */
enum { PLAIN_ROUNDS = 20, NEWTON_ROUNDS = 60 };

/* r = x - p(y). */
static void residual(const struct motion *m, const struct points *x, const struct points *y, int n,
                     struct points *r)
{
    motion_visceral(m, y, n, r);
    for (int i = 0; i < n; i++) {
        r->x[i] = x->x[i] - r->x[i];
        r->y[i] = x->y[i] - r->y[i];
        r->z[i] = x->z[i] - r->z[i];
    }
}

static float length(const struct points *r, int i)
{
    return sqrtf(r->x[i] * r->x[i] + r->y[i] * r->y[i] + r->z[i] * r->z[i]);
}

static float exact_for(const struct points *x, int n)
{
    float most = 0;

    for (int i = 0; i < n; i++)
        most = fmaxf(most, fmaxf(fabsf(x->x[i]), fmaxf(fabsf(x->y[i]), fabsf(x->z[i]))));
    return fmaxf(exact_mm, exact_share * most);
}

static void step_by(struct points *y, const struct points *d, int i, float share)
{
    y->x[i] += share * d->x[i];
    y->y[i] += share * d->y[i];
    y->z[i] += share * d->z[i];
}

static void copy_point(struct points *to, int k, const struct points *from, int i)
{
    to->x[k] = from->x[i];
    to->y[k] = from->y[i];
    to->z[k] = from->z[i];
}

static float triple(const float a[3], const float b[3], const float c[3])
{
    return a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) +
           a[2] * (b[0] * c[1] - b[1] * c[0]);
}

/* d: the solution of J d = r at every point, J being p's slope at y. */
static void newton_step(const struct motion *m, const struct points *y, int n, const struct points *r,
                        struct points *d)
{
    struct points side[3][2];

    for (int a = 0; a < 3; a++)
        for (int s = 0; s < 2; s++) {
            float move[3] = {0};

            move[a] = s ? probe_mm : -probe_mm;
            for (int i = 0; i < n; i++) {
                side[a][s].x[i] = y->x[i] + move[0];
                side[a][s].y[i] = y->y[i] + move[1];
                side[a][s].z[i] = y->z[i] + move[2];
            }
            motion_visceral(m, &side[a][s], n, &side[a][s]);
        }
    for (int i = 0; i < n; i++) {
        const float want[3] = {2 * probe_mm * r->x[i], 2 * probe_mm * r->y[i], 2 * probe_mm * r->z[i]};
        float c[3][3], det; /* columns of J, times the way */

        for (int a = 0; a < 3; a++) {
            c[a][0] = side[a][1].x[i] - side[a][0].x[i];
            c[a][1] = side[a][1].y[i] - side[a][0].y[i];
            c[a][2] = side[a][1].z[i] - side[a][0].z[i];
        }
        det = triple(c[0], c[1], c[2]);
        d->x[i] = triple(want, c[1], c[2]) / det;
        d->y[i] = triple(c[0], want, c[2]) / det;
        d->z[i] = triple(c[0], c[1], want) / det;
    }
}

/* Newton's method; a step that makes matters worse is halved. */
static void solve_newton(const struct motion *m, const struct points *x, int n, struct points *y)
{
    struct points r, d, next, left;
    float share[BLOCK_MAX], worst = INFINITY, exact = exact_for(x, n);

    residual(m, x, y, n, &r);
    for (int i = 0; i < n; i++)
        share[i] = 1;
    for (int round = 0; round < NEWTON_ROUNDS && worst > exact; round++) {
        newton_step(m, y, n, &r, &d);
        next = *y;
        for (int i = 0; i < n; i++)
            step_by(&next, &d, i, share[i]);
        residual(m, x, &next, n, &left);
        worst = 0;
        for (int i = 0; i < n; i++) {
            bool better = length(&left, i) < length(&r, i);

            share[i] = better ? 1 : .5f * share[i];
            if (better) {
                copy_point(y, i, &next, i);
                copy_point(&r, i, &left, i);
            }
            worst = fmaxf(worst, length(&r, i));
        }
    }
}

/* Breathing alone is a contraction, and so is most of a dialled flow: y <- y + x - p(y). What is left goes to
 * Newton. */
void motion_truth(const struct motion *m, const struct points *x, int n, struct points *y)
{
    struct points to = *x, r, hard_x, hard_y;
    float exact = exact_for(x, n);
    int hard[BLOCK_MAX], count = 0;

    if (y != x)
        *y = *x;
    if (m->still)
        return;
    for (int round = 0; round < PLAIN_ROUNDS; round++) {
        count = 0;
        residual(m, &to, y, n, &r);
        for (int i = 0; i < n; i++)
            if (!(length(&r, i) <= exact)) {
                hard[count++] = i;
                step_by(y, &r, i, 1);
            }
        if (!count)
            return;
    }
    for (int k = 0; k < count; k++) {
        copy_point(&hard_x, k, &to, hard[k]);
        copy_point(&hard_y, k, y, hard[k]);
    }
    solve_newton(m, &hard_x, count, &hard_y);
    for (int k = 0; k < count; k++)
        copy_point(y, hard[k], &hard_y, k);
}

struct field {
    const struct motion *motion;
    struct grid grid;
    float *vector[3]; /* a component each, [z][y][x] */
};

static struct grid field_grid(const struct grid *fixed)
{
    struct grid g = *fixed;

    for (int a = 0; a < 3; a++) {
        double length_mm = (double)(fixed->dims[a] - 1) * fixed->spacing[a];

        g.dims[a] = (int64_t)ceil(length_mm / field_mm - 1e-6) + 1;
        g.spacing[a] = field_mm;
        for (int r = 0; r < 3; r++)
            g.affine[r][a] *= field_mm / fixed->spacing[a];
    }
    return g;
}

static void field_slice(void *ctx, int64_t z)
{
    const struct field *f = ctx;
    const int64_t *size = f->grid.dims, plane = size[0] * size[1];
    struct points x, y;

    for (int64_t first = 0; first < plane; first += BLOCK_MAX) {
        int n = plane - first < BLOCK_MAX ? (int)(plane - first) : BLOCK_MAX;

        for (int i = 0; i < n; i++) {
            double at[3] = {(double)((first + i) % size[0]), (double)((first + i) / size[0]), (double)z};

            grid_world(&f->grid, at, at);
            x.x[i] = (float)at[0];
            x.y[i] = (float)at[1];
            x.z[i] = (float)at[2];
        }
        motion_truth(f->motion, &x, n, &y);
        for (int i = 0; i < n; i++) {
            f->vector[0][z * plane + first + i] = y.x[i] - x.x[i];
            f->vector[1][z * plane + first + i] = y.y[i] - x.y[i];
            f->vector[2][z * plane + first + i] = y.z[i] - x.z[i];
        }
    }
}

static enum err give_component(void *ctx, int c, int64_t z, int64_t count, float *out)
{
    const struct field *f = ctx;
    int64_t plane = f->grid.dims[0] * f->grid.dims[1];

    memcpy(out, f->vector[c] + z * plane, (size_t)(count * plane) * sizeof *out);
    return ERR_OK;
}

enum err motion_write_field(const struct motion *m, const struct grid *fixed, const char *path)
{
    struct field f = {.motion = m, .grid = field_grid(fixed)};
    struct nifti_vectors v = {.grid = &f.grid,
                              .intent = {.code = INTENT_VECTOR, .p1 = NIFTYREG_DISPLACEMENT},
                              .fill = give_component,
                              .ctx = &f};
    int64_t nodes = grid_count(&f.grid);
    float *all = mem_new(3 * (size_t)nodes, sizeof *all);
    enum err err;

    if (!all)
        return ERR_MEMORY;
    for (int c = 0; c < 3; c++)
        f.vector[c] = all + c * nodes;
    memcpy(v.intent.name, niftyreg_name, sizeof niftyreg_name);
    par_for(f.grid.dims[2], field_slice, &f);
    err = nifti_save_vectors(&v, path);
    mem_free(all);
    return err;
}

struct ways {
    const struct motion *motion;
    double *length; /* a point each */
};

static void ways_block(void *ctx, int64_t block)
{
    const struct ways *w = ctx;
    const struct points *x = w->motion->inside.block + block;
    int n = liver_points_in(&w->motion->inside, block);
    struct points y;

    motion_truth(w->motion, x, n, &y);
    for (int i = 0; i < n; i++) {
        step_by(&y, x, i, -1);
        w->length[block * BLOCK_MAX + i] = (double)length(&y, i);
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

enum err motion_in_liver(const struct motion *m, double *mean, double *p95)
{
    struct ways w = {.motion = m};
    int64_t count = m->inside.count;
    double sum = 0;

    *mean = *p95 = 0;
    if (m->still)
        return ERR_OK;
    w.length = mem_new((size_t)count, sizeof *w.length);
    if (!w.length)
        return ERR_MEMORY;
    par_for(liver_points_blocks(&m->inside), ways_block, &w);
    for (int64_t i = 0; i < count; i++)
        sum += w.length[i];
    qsort(w.length, (size_t)count, sizeof *w.length, by_size);
    *mean = sum / (double)count;
    *p95 = w.length[(count - 1) * 95 / 100];
    mem_free(w.length);
    return ERR_OK;
}
