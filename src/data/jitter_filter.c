/* The two augmentations that look at neighbours: blur and simulated low resolution (data/jitter.h). */
#include "data/jitter.h"
#include <assert.h>
#include <math.h>
#include <string.h>

enum { REACH = 3, RING = 2 * REACH + 1 };

/* Half kernels of one axis spread over a row: weight k of float i of a row is w[k][i]; w[0] is the centre. */
struct taps {
    float *w[REACH + 1];
    int reach;
};

/* Normalised Gaussian of the length that upstream takes: nearest odd number to 6 sigma + 0.5. Returns the
 * reach. */
static int kernel(double sigma, double w[REACH + 1])
{
    double sum = 0;
    int reach = sigma < 3.5 / 6 ? 1 : sigma < 5.5 / 6 ? 2 : 3;

    memset(w, 0, (REACH + 1) * sizeof *w);
    w[0] = 1;
    if (sigma <= 0)
        return 0;
    for (int k = 0; k <= reach; k++) {
        w[k] = exp(-k * k / (2 * sigma * sigma));
        sum += k ? 2 * w[k] : w[k];
    }
    for (int k = 0; k <= reach; k++)
        w[k] /= sum;
    return reach;
}

/* Fills taps for `axis`; returns the first free float behind them. */
static float *taps_make(struct taps *t, const struct patch *p, double sigma[JITTER_CHANNELS][3], int axis,
                        float *room)
{
    int64_t row = p->size[2] * p->channels;

    t->reach = 0;
    for (int k = 0; k <= REACH; k++)
        t->w[k] = room + k * row;
    for (int64_t c = 0; c < p->channels; c++) {
        double w[REACH + 1];
        int reach = kernel(sigma[c][axis], w);
        t->reach = reach > t->reach ? reach : t->reach;
        for (int k = 0; k <= REACH; k++)
            for (int64_t x = 0; x < p->size[2]; x++)
                t->w[k][x * p->channels + c] = (float)w[k];
    }
    return room + (REACH + 1) * row;
}

/* out = w0 * in0 + sum over k of w[k] * (in[-k] + in[+k]); in[REACH + k] is the row at distance k. */
static void taps_apply(const struct taps *t, const float *const in[RING], float *restrict out, int64_t n)
{
    const float *w0 = t->w[0], *w1 = t->w[1], *w2 = t->w[2], *w3 = t->w[3];

    switch (t->reach) {
    case 0:
        memcpy(out, in[3], (size_t)n * sizeof *out);
        break;
    case 1:
        for (int64_t i = 0; i < n; i++)
            out[i] = w0[i] * in[3][i] + w1[i] * (in[2][i] + in[4][i]);
        break;
    case 2:
        for (int64_t i = 0; i < n; i++)
            out[i] = w0[i] * in[3][i] + w1[i] * (in[2][i] + in[4][i]) + w2[i] * (in[1][i] + in[5][i]);
        break;
    default:
        for (int64_t i = 0; i < n; i++)
            out[i] = w0[i] * in[3][i] + w1[i] * (in[2][i] + in[4][i]) + w2[i] * (in[1][i] + in[5][i]) +
                     w3[i] * (in[0][i] + in[6][i]);
    }
}

/* Reflection without the edge: -1 -> 1, n -> n - 2; folded again for axes shorter than the kernel. */
static int64_t reflect(int64_t i, int64_t n)
{
    while (n > 1 && (i < 0 || i >= n))
        i = i < 0 ? -i : 2 * n - 2 - i;
    return n > 1 ? i : 0;
}

/* One slice: along x into `wide`, then along y into out. `padded` holds a row and REACH voxels on both sides.
 */
static void blur_slice(const struct patch *p, const struct taps t[3], const float *in, float *wide,
                       float *out)
{
    int64_t c = p->channels, row = p->size[2] * c;
    float *padded = wide + p->size[1] * row;
    const float *from[RING];

    for (int64_t y = 0; y < p->size[1]; y++) {
        const float *x = in + y * row;
        memcpy(padded + REACH * c, x, (size_t)row * sizeof *x);
        for (int64_t k = 1; k <= REACH; k++)
            for (int64_t i = 0; i < c; i++) {
                padded[(REACH - k) * c + i] = x[reflect(-k, p->size[2]) * c + i];
                padded[(REACH + p->size[2] - 1 + k) * c + i] =
                    x[reflect(p->size[2] - 1 + k, p->size[2]) * c + i];
            }
        for (int k = 0; k < RING; k++)
            from[k] = padded + k * c;
        taps_apply(&t[2], from, wide + y * row, row);
    }
    for (int64_t y = 0; y < p->size[1]; y++) {
        for (int k = 0; k < RING; k++)
            from[k] = wide + reflect(y + k - REACH, p->size[1]) * row;
        taps_apply(&t[1], from, out + y * row, row);
    }
}

/* Blurred slices wait in a ring until the slices REACH further on are there too; by then the image's own
 * slice has been read and can be overwritten. */
void jitter_blur(const struct patch *p, double sigma[JITTER_CHANNELS][3], float *scratch)
{
    int64_t depth = p->size[0], row = p->size[2] * p->channels, slice = p->size[1] * row;
    float *ring = scratch, *room = scratch + RING * slice;
    struct taps t[3];

    for (int a = 0; a < 3; a++)
        room = taps_make(&t[a], p, sigma, a, room);
    for (int64_t z = 0; z < depth + REACH; z++) {
        const float *from[RING];
        int64_t done = z - REACH;
        if (z < depth)
            blur_slice(p, t, p->image + z * slice, room, ring + z % RING * slice);
        if (done < 0)
            continue;
        for (int64_t y = 0; y < p->size[1]; y++) {
            for (int k = 0; k < RING; k++)
                from[k] = ring + reflect(done + k - REACH, depth) % RING * slice + y * row;
            taps_apply(&t[0], from, p->image + done * slice + y * row, row);
        }
    }
}

/* One axis of the way down and up: out i of n reads down[i] of the original when shrinking to m, and lies
 * between low[i] and low[i] + 1 (clamped: high[i]) of the small one with weight[i] on the upper when growing
 * back. */
struct steps {
    int64_t small;
    int32_t down[1024], low[1024], high[1024];
    float weight[1024];
};

static void steps_make(struct steps *s, int64_t n, double scale)
{
    int64_t m = (int64_t)rint((double)n * scale);

    assert(n <= 1024);
    s->small = m < 1 ? 1 : m;
    for (int64_t i = 0; i < s->small; i++)
        s->down[i] = (int32_t)floor(((double)i + 0.5) * (double)n / (double)s->small);
    for (int64_t i = 0; i < n; i++) {
        double at = ((double)i + 0.5) * (double)s->small / (double)n - 0.5;
        at = at < 0 ? 0 : at;
        int64_t low = (int64_t)at;
        s->low[i] = (int32_t)low;
        s->high[i] = (int32_t)(low + 1 < s->small ? low + 1 : low);
        s->weight[i] = (float)(at - (double)low);
    }
}

static void shrink(const struct patch *p, int64_t channel, const struct steps s[3], float *small)
{
    for (int64_t z = 0; z < s[0].small; z++)
        for (int64_t y = 0; y < s[1].small; y++) {
            const float *row =
                p->image + ((s[0].down[z] * p->size[1] + s[1].down[y]) * p->size[2]) * p->channels + channel;
            for (int64_t x = 0; x < s[2].small; x++)
                *small++ = row[s[2].down[x] * p->channels];
        }
}

static void blend(const float *a, const float *b, float weight, int64_t n, float *restrict out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = a[i] + weight * (b[i] - a[i]);
}

static void grow(const struct patch *p, int64_t channel, const struct steps s[3], float *small)
{
    int64_t width = s[2].small, plane = s[1].small * width, channels = p->channels;
    float *between = small + s[0].small * plane, *line = between + plane;

    for (int64_t z = 0; z < p->size[0]; z++) {
        blend(small + s[0].low[z] * plane, small + s[0].high[z] * plane, s[0].weight[z], plane, between);
        for (int64_t y = 0; y < p->size[1]; y++) {
            float *out = p->image + (z * p->size[1] + y) * p->size[2] * channels + channel;
            blend(between + s[1].low[y] * width, between + s[1].high[y] * width, s[1].weight[y], width, line);
            for (int64_t x = 0; x < p->size[2]; x++) {
                float a = line[s[2].low[x]], b = line[s[2].high[x]];
                out[x * channels] = a + s[2].weight[x] * (b - a);
            }
        }
    }
}

void jitter_low_resolution(const struct patch *p, const double *scale, bool flat, float *scratch)
{
    for (int64_t c = 0; c < p->channels; c++) {
        struct steps s[3];
        if (scale[c] >= 1)
            continue;
        for (int a = 0; a < 3; a++)
            steps_make(&s[a], p->size[a], flat && a == 0 ? 1 : scale[c]);
        shrink(p, c, s, scratch);
        grow(p, c, s, scratch);
    }
}

int64_t jitter_scratch(const int64_t size[3], int64_t channels)
{
    int64_t row = size[2] * channels, plane = size[1] * size[2];
    int64_t blur = (RING + 1) * size[1] * row + 3 * (REACH + 1) * row + row + 2 * REACH * channels;
    int64_t low = size[0] * plane + plane + size[2];

    return blur > low ? blur : low;
}
