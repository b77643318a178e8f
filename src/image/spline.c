#include "image/spline.h"
#include "base/mem.h"
#include "base/par.h"
#include <math.h>

#define POLE (-0.26794919243112270647) /* sqrt(3) - 2 */
enum { REACH = 24 };                   /* POLE^24 is 2e-14 */

struct filter {
    float *c;
    int64_t n, step;          /* samples along the filtered axis, and between them */
    int64_t lanes;            /* neighbouring lines filtered together */
    int64_t job_step;         /* between the first samples of two jobs */
    int64_t slice, per_slice; /* where jobs are counted in two levels: step of the outer one, jobs in it */
};

static int64_t mirrored(int64_t i, int64_t n)
{
    i %= 2 * n - 2;
    return i < n ? i : 2 * n - 2 - i;
}

/* Unser, 1999, box 2: a causal and an anticausal recursion. The start is the sum over the mirrored signal. */
static void filter_lines(float *c, const struct filter *f)
{
    const float pole = (float)POLE, gain = 6, end = (float)(POLE / (POLE * POLE - 1));
    int64_t n = f->n, step = f->step, lanes = f->lanes;
    float *last = c + (n - 1) * step;

    for (int64_t j = 0; j < lanes; j++) {
        double sum = 0, power = 1;

        for (int64_t i = 0; i < REACH; i++, power *= POLE)
            sum += power * (double)c[mirrored(i, n) * step + j];
        c[j] = (float)sum * gain;
    }
    for (float *p = c + step; p <= last; p += step)
        for (int64_t j = 0; j < lanes; j++)
            p[j] = gain * p[j] + pole * p[j - step];
    for (int64_t j = 0; j < lanes; j++)
        last[j] = end * (last[j] + pole * last[j - step]);
    for (float *p = last - step; p >= c; p -= step)
        for (int64_t j = 0; j < lanes; j++)
            p[j] = pole * (p[j + step] - p[j]);
}

static void filter_job(void *ctx, int64_t job)
{
    const struct filter *f = ctx;

    filter_lines(f->c + job / f->per_slice * f->slice + job % f->per_slice * f->job_step, f);
}

static void filter_axis(float *c, const int64_t n[3], int axis)
{
    int64_t slice = n[0] * n[1];
    struct filter f[3] = {
        {.c = c, .n = n[0], .step = 1, .lanes = 1, .job_step = n[0], .slice = slice, .per_slice = n[1]},
        {.c = c, .n = n[1], .step = n[0], .lanes = n[0], .slice = slice, .per_slice = 1},
        {.c = c, .n = n[2], .step = slice, .lanes = n[0], .slice = n[0], .per_slice = 1}};
    int64_t jobs[3] = {n[1] * n[2], n[2], n[1]};

    if (n[axis] > 1)
        par_for(jobs[axis], filter_job, &f[axis]);
}

enum err spline_coefficients(float **out, const struct volume *v)
{
    int64_t count = grid_count(&v->grid);
    const int16_t *in = v->data;
    float *c = mem_new((size_t)count, sizeof *c);

    if (!c)
        return ERR_MEMORY;
    for (int64_t i = 0; i < count; i++)
        c[i] = in[i];
    for (int axis = 0; axis < 3; axis++)
        filter_axis(c, v->grid.dims, axis);
    *out = c;
    return ERR_OK;
}

/* Offsets of the four samples around x of an axis and their weights; an axis of one voxel is constant. */
static void taps_at(double x, int64_t n, int64_t step, int64_t at[4], float weight[4])
{
    double last = (double)(n - 1), p = x > 0 ? (x < last ? x : last) : 0;
    int64_t base = (int64_t)p;
    float f = (float)(p - (double)base), g = 1 - f;

    weight[0] = g * g * g / 6;
    weight[1] = (4 - 6 * f * f + 3 * f * f * f) / 6;
    weight[2] = (4 - 6 * g * g + 3 * g * g * g) / 6;
    weight[3] = f * f * f / 6;
    for (int t = 0; t < 4; t++) {
        int64_t i = base - 1 + t;

        at[t] = n > 1 ? mirrored(i < 0 ? -i : i, n) * step : 0;
    }
}

int16_t spline_at(const float *coefficient, const int16_t *voxel, const int64_t n[3], const double p[3])
{
    int64_t x[4], y[4], z[4];
    float wx[4], wy[4], wz[4], sum = 0;
    int16_t low = INT16_MAX, high = INT16_MIN;

    taps_at(p[0], n[0], 1, x, wx);
    taps_at(p[1], n[1], n[0], y, wy);
    taps_at(p[2], n[2], n[0] * n[1], z, wz);
    for (int k = 0; k < 4; k++) {
        for (int j = 0; j < 4; j++) {
            const float *c = coefficient + z[k] + y[j];
            const int16_t *v = voxel + z[k] + y[j];

            sum += wz[k] * wy[j] * (wx[0] * c[x[0]] + wx[1] * c[x[1]] + wx[2] * c[x[2]] + wx[3] * c[x[3]]);
            for (int i = 0; i < 4; i++) {
                low = v[x[i]] < low ? v[x[i]] : low;
                high = v[x[i]] > high ? v[x[i]] : high;
            }
        }
    }
    sum = rintf(sum);
    return sum < low ? low : sum > high ? high : (int16_t)sum;
}
