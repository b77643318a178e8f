#include "align/velocity.h"
#include "align/lane.h"
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

/* Three floats, the fourth lane 0. */
static inline lane4 load3(const float *p)
{
    return _mm_maskload_ps(p, _mm_setr_epi32(-1, -1, -1, 0));
}

static inline void store3(float *p, lane4 v)
{
    _mm_storel_pi((__m64 *)p, v);
    _mm_store_ss(p + 2, _mm_movehl_ps(v, v));
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

static inline lane4 value_at(const float *u, const int64_t size[3], const float p[3])
{
    float wx, wy, wz;
    int64_t x = cell(p[0], size[0], &wx), y = cell(p[1], size[1], &wy), z = cell(p[2], size[2], &wz);
    int64_t dx = size[0] > 1 ? 3 : 0, dy = size[1] > 1 ? 3 * size[0] : 0,
            dz = size[2] > 1 ? 3 * size[0] * size[1] : 0;
    const float *a = u + 3 * ((z * size[1] + y) * size[0] + x);
    lane4 c000 = load3(a), c010 = load3(a + dy), c001 = load3(a + dz), c011 = load3(a + dz + dy);
    lane4 c00 = c000 + wx * (load3(a + dx) - c000), c10 = c010 + wx * (load3(a + dy + dx) - c010);
    lane4 c01 = c001 + wx * (load3(a + dz + dx) - c001), c11 = c011 + wx * (load3(a + dz + dy + dx) - c011);
    lane4 low = c00 + wy * (c10 - c00), high = c01 + wy * (c11 - c01);

    return low + wz * (high - low);
}

void lattice_at(const float *u, const int64_t size[3], const float p[3], float out[3])
{
    store3(out, value_at(u, size, p));
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
            float p[3] = {(float)x + w[0], (float)y + w[1], (float)z + w[2]};

            store3(s->out + at, load3(w) + value_at(s->in, n, p));
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
