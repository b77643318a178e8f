#include "align/velocity.h"
#include "base/par.h"
#include <math.h>

enum { SQUARINGS_MOST = 20 };

int64_t velocity_nodes(const struct velocity *v)
{
    return v->size[0] * v->size[1] * v->size[2];
}

int velocity_squarings(const struct velocity *v, int least)
{
    int64_t n = velocity_nodes(v);
    float most = 0;
    int s = least;

    for (int64_t i = 0; i < n; i++) {
        const float *w = v->v + 3 * i;
        float square = w[0] * w[0] + w[1] * w[1] + w[2] * w[2];

        most = square > most ? square : most;
    }
    while (s < SQUARINGS_MOST && ldexp(sqrt((double)most), -s) > 0.5)
        s++;
    return s;
}

/* The node below p along one axis of n nodes and the weight of the next; a single node has no next. */
static inline int64_t cell(float p, int64_t n, float *weight)
{
    float last = (float)(n - 1), at = p > 0 ? (p < last ? p : last) : 0;
    int64_t i = (int64_t)at;

    i = i < n - 1 || n == 1 ? i : n - 2;
    *weight = at - (float)i;
    return i;
}

void lattice_at(const float *u, const int64_t size[3], const float p[3], float out[3])
{
    float wx, wy, wz;
    int64_t x = cell(p[0], size[0], &wx), y = cell(p[1], size[1], &wy), z = cell(p[2], size[2], &wz);
    int64_t dx = size[0] > 1 ? 3 : 0, dy = size[1] > 1 ? 3 * size[0] : 0,
            dz = size[2] > 1 ? 3 * size[0] * size[1] : 0;
    const float *a = u + 3 * ((z * size[1] + y) * size[0] + x);

    for (int c = 0; c < 3; c++, a++) {
        float a00 = a[0] + wx * (a[dx] - a[0]), a10 = a[dy] + wx * (a[dy + dx] - a[dy]);
        float a01 = a[dz] + wx * (a[dz + dx] - a[dz]);
        float a11 = a[dz + dy] + wx * (a[dz + dy + dx] - a[dz + dy]);
        float low = a00 + wy * (a10 - a00), high = a01 + wy * (a11 - a01);

        out[c] = low + wz * (high - low);
    }
}

struct squaring {
    const struct velocity *v;
    const float *in;
    float *out;
    float scale;
};

static void scale_slice(void *ctx, int64_t z)
{
    const struct squaring *s = ctx;
    int64_t n = 3 * s->v->size[0] * s->v->size[1];

    for (int64_t i = z * n; i < (z + 1) * n; i++)
        s->out[i] = s->scale * s->v->v[i];
}

static void square_slice(void *ctx, int64_t z)
{
    const struct squaring *s = ctx;
    const int64_t *n = s->v->size;

    for (int64_t y = 0; y < n[1]; y++) {
        for (int64_t x = 0; x < n[0]; x++) {
            int64_t at = 3 * ((z * n[1] + y) * n[0] + x);
            const float *w = s->in + at;
            float p[3] = {(float)x + w[0], (float)y + w[1], (float)z + w[2]}, next[3];

            lattice_at(s->in, n, p, next);
            for (int c = 0; c < 3; c++)
                s->out[at + c] = w[c] + next[c];
        }
    }
}

void velocity_exp(const struct velocity *v, double sign, float *phi, float *work)
{
    struct squaring s = {.v = v, .scale = (float)ldexp(sign, -v->squarings)};
    float *to = v->squarings % 2 ? work : phi;

    s.out = to;
    par_for(v->size[2], scale_slice, &s);
    for (int j = 0; j < v->squarings; j++) {
        s.in = to;
        to = to == phi ? work : phi;
        s.out = to;
        par_for(v->size[2], square_slice, &s);
    }
}
