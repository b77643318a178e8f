#include "align/blur.h"
#include "align/lattice.h"
#include "base/mem.h"
#include "base/par.h"

enum { REACH = 3, TAPS = 2 * REACH + 1, PASSES = 3 };

/* The rows of the matrix (box mean along an axis of n nodes)^3, from unit vectors. */
static void weights_make(float *weight, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        /* seen from node i, node i + k is at REACH + k */
        double row[TAPS] = {0}, next[TAPS];

        row[REACH] = 1;
        for (int pass = 0; pass < PASSES; pass++) {
            for (int k = 0; k < TAPS; k++)
                next[k] = 0;
            for (int k = 0; k < TAPS; k++)
                for (int64_t d = -1; row[k] > 0 && d <= 1; d++)
                    next[lattice_clamp(i + k - REACH + d, n) - i + REACH] += row[k] / 3;
            for (int k = 0; k < TAPS; k++)
                row[k] = next[k];
        }
        for (int k = 0; k < TAPS; k++)
            weight[i * TAPS + k] = (float)row[k];
    }
}

enum err blur_make(struct blur *b, const int64_t size[3])
{
    *b = (struct blur){0};
    b->work = mem_new((size_t)(size[0] * size[1] * size[2]), 3 * sizeof(float));
    b->row = mem_new((size_t)(size[0] * size[2]), 3 * sizeof(float));
    for (int a = 0; a < 3; a++) {
        b->size[a] = size[a];
        b->weight[a] = mem_new((size_t)size[a], TAPS * sizeof(float));
        if (b->weight[a])
            weights_make(b->weight[a], size[a]);
    }
    if (b->work && b->row && b->weight[0] && b->weight[1] && b->weight[2])
        return ERR_OK;
    blur_free(b);
    return ERR_MEMORY;
}

void blur_free(struct blur *b)
{
    for (int a = 0; a < 3; a++)
        mem_free(b->weight[a]);
    mem_free(b->work);
    mem_free(b->row);
    *b = (struct blur){0};
}

struct blur_job {
    const struct blur *b;
    const float *in;
    float *out;
};

/* out row = sum of the seven rows around `in`, `step` apart, those with weight 0 left out. */
static void mix_rows(float *restrict out, const float *in, int64_t step, const float *weight, int64_t n)
{
    for (int64_t x = 0; x < n; x++)
        out[x] = 0;
    for (int64_t k = 0; k < TAPS; k++)
        for (int64_t x = 0; weight[k] > 0 && x < n; x++)
            out[x] += weight[k] * in[(k - REACH) * step + x];
}

/* Along x within a row; away from its ends all nodes have the same weights. */
static void mix_along(float *restrict out, const float *restrict in, const float *weight, int64_t n)
{
    int64_t from = n > TAPS ? REACH : n, to = n > TAPS ? n - REACH : n;
    const float *w = weight + from * TAPS;

    for (int64_t x = from; x < to; x++)
        out[x] = w[0] * (in[x - 3] + in[x + 3]) + w[1] * (in[x - 2] + in[x + 2]) +
                 w[2] * (in[x - 1] + in[x + 1]) + w[3] * in[x];
    for (int64_t x = 0; x < n; x = x + 1 == from ? to : x + 1) {
        out[x] = 0;
        for (int64_t k = 0; k < TAPS; k++)
            if (weight[x * TAPS + k] > 0)
                out[x] += weight[x * TAPS + k] * in[x + k - REACH];
    }
}

/* One slice of one component: z into work. */
static void slice_down(void *ctx, int64_t job)
{
    const struct blur_job *j = ctx;
    const int64_t *n = j->b->size;
    int64_t plane = n[0] * n[1], at = job * plane, z = job % n[2];

    mix_rows(j->b->work + at, j->in + at, plane, j->b->weight[2] + z * TAPS, plane);
}

/* Then y and x. */
static void slice_across(void *ctx, int64_t job)
{
    const struct blur_job *j = ctx;
    const int64_t *n = j->b->size;
    float *row = j->b->row + job * n[0];

    for (int64_t y = 0; y < n[1]; y++) {
        int64_t at = (job * n[1] + y) * n[0];

        mix_rows(row, j->b->work + at, n[0], j->b->weight[1] + y * TAPS, n[0]);
        mix_along(j->out + at, row, j->b->weight[0], n[0]);
    }
}

void blur_run(const struct blur *b, const float *in, float *out)
{
    struct blur_job j = {.b = b, .in = in, .out = out};

    par_for(3 * b->size[2], slice_down, &j);
    par_for(3 * b->size[2], slice_across, &j);
}
