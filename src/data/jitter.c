#include "data/jitter.h"
#include "base/rng.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* Channel-last values are walked in tiles of a length that every channel count divides, lcm(1..8): factor i
 * of a tile belongs to value i, so that the inner loops are flat and vectorise for any number of channels. */
enum { TILE = 840 };

struct tile {
    float v[TILE];
};

static void tile_fill(struct tile *t, const double *v, int64_t channels)
{
    for (int64_t i = 0; i < TILE; i++)
        t->v[i] = (float)v[i % channels];
}

static int64_t values(const struct patch *p)
{
    return patch_voxels(p) * p->channels;
}

/* log2 and exp2 with about 2e-7 relative error, without branches so that loops vectorise. log2f_: x > 0 and
 * normal; exp2f_: |x| < 126. Polynomials: minimax on [sqrt(1/2), sqrt(2)] and [-1/2, 1/2]. */
static inline float log2f_(float x)
{
    union {
        float f;
        int32_t i;
    } u = {x};
    int32_t e = (u.i - 0x3f3504f3) >> 23;

    u.i -= e * (1 << 23);
    float m = u.f - 1, z = m / (2 + m), w = z * z;
    /* log((1+z)/(1-z)) = 2 (z + z^3/3 + z^5/5 + ...), |z| < 0.172 */
    float s = z * (2 + w * (0.66666667f + w * (0.4f + w * (0.28571429f + w * 0.22222222f))));
    return s * 1.44269504f + (float)e;
}

static inline float exp2f_(float x)
{
    float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float r = (x + magic) - magic, f = x - r;
    union {
        int32_t i;
        float f;
    } u;
    float p =
        1 +
        f * (0.69314718f +
             f * (0.24022651f + f * (0.05550411f + f * (0.00961812f + f * (0.00133336f + f * 0.00015469f)))));

    u.i = ((int32_t)r + 127) * (1 << 23);
    return p * u.f;
}

/* sin(2 pi t) and cos(2 pi t), t in [0, 1): quarter turns removed, then Taylor on [-pi/4, pi/4]. */
static inline void turn(float t, float *sine, float *cosine)
{
    float q = (t * 4 + 12582912.0f) - 12582912.0f, a = (t - q * 0.25f) * 6.28318531f, b = a * a;
    float s = a * (1 + b * (-0.16666667f + b * (8.3333333e-3f + b * (-1.9841270e-4f + b * 2.7557319e-6f))));
    float c = 1 + b * (-0.5f +
                       b * (4.1666667e-2f + b * (-1.3888889e-3f + b * (2.4801587e-5f - b * 2.7557319e-7f))));
    int32_t k = (int32_t)q;
    float x = k & 1 ? s : c, y = k & 1 ? c : s;

    *sine = k & 2 ? -y : y;
    *cosine = (k + 1) & 2 ? -x : x;
}

enum { NOISE_BLOCK = 2048 };

/* Box and Muller's pairs from NOISE_BLOCK random words: out[i] and out[i + NOISE_BLOCK/2]. */
static void normals(const uint32_t *word, float scale, float *out)
{
    for (int i = 0; i < NOISE_BLOCK / 2; i++) {
        float u = ((float)(int32_t)(word[i] >> 8) + 0.5f) * (1 / 16777216.0f); /* (0, 1) */
        float t = (float)(int32_t)(word[i + NOISE_BLOCK / 2] >> 8) * (1 / 16777216.0f);
        float r = sqrtf(-1.38629436f * log2f_(u)) * scale, s, c; /* -2 ln u = -2 ln 2 log2 u */
        turn(t, &s, &c);
        out[i] = r * c;
        out[i + NOISE_BLOCK / 2] = r * s;
    }
}

void jitter_noise(const struct patch *p, double deviation, uint64_t seed, uint64_t stream)
{
    int64_t n = values(p);
    uint32_t word[NOISE_BLOCK];
    float noise[NOISE_BLOCK];

    for (int64_t at = 0; at < n; at += NOISE_BLOCK) {
        int64_t count = n - at < NOISE_BLOCK ? n - at : NOISE_BLOCK;
        for (int i = 0; i < NOISE_BLOCK; i += 4)
            rng_block(seed, stream, (uint64_t)(at + i) / 4, word + i);
        normals(word, (float)deviation, noise);
        for (int64_t i = 0; i < count; i++)
            p->image[at + i] += noise[i];
    }
}

void jitter_brightness(const struct patch *p, const double *factor)
{
    int64_t n = values(p);
    struct tile f;

    tile_fill(&f, factor, p->channels);
    for (int64_t at = 0; at < n; at += TILE) {
        int64_t count = n - at < TILE ? n - at : TILE;
        float *x = p->image + at;
        for (int64_t i = 0; i < count; i++)
            x[i] *= f.v[i];
    }
}

struct moments {
    double mean[JITTER_CHANNELS], deviation[JITTER_CHANNELS]; /* unbiased */
    float low[JITTER_CHANNELS], high[JITTER_CHANNELS];
};

/* Sums by place in a tile: float for a number of tiles, then double. */
struct sums {
    struct tile sum, square, low, high;
    double sums[TILE], squares[TILE];
    int tiles;
};

static void sums_flush(struct sums *s)
{
    for (int i = 0; i < TILE; i++) {
        s->sums[i] += (double)s->sum.v[i];
        s->squares[i] += (double)s->square.v[i];
    }
    memset(&s->sum, 0, sizeof s->sum);
    memset(&s->square, 0, sizeof s->square);
    s->tiles = 0;
}

static void sums_start(struct sums *s)
{
    memset(s, 0, sizeof *s);
    for (int i = 0; i < TILE; i++) {
        s->low.v[i] = FLT_MAX;
        s->high.v[i] = -FLT_MAX;
    }
}

/* Adds one tile (or the image's last values). */
static void sums_add(struct sums *s, const float *restrict x, int64_t count)
{
    float *restrict sum = s->sum.v, *restrict square = s->square.v, *restrict low = s->low.v,
                    *restrict high = s->high.v;

    for (int64_t i = 0; i < count; i++) {
        float v = x[i];
        sum[i] += v;
        square[i] += v * v;
        low[i] = v < low[i] ? v : low[i];
        high[i] = v > high[i] ? v : high[i];
    }
    if (++s->tiles == 64)
        sums_flush(s);
}

static void moments_from(struct moments *m, struct sums *s, int64_t voxels, int64_t channels)
{
    sums_flush(s);
    for (int64_t c = 0; c < channels; c++) {
        double sum = 0, square = 0, n = (double)voxels;
        m->low[c] = FLT_MAX;
        m->high[c] = -FLT_MAX;
        for (int64_t i = c; i < TILE; i += channels) {
            sum += s->sums[i];
            square += s->squares[i];
            m->low[c] = s->low.v[i] < m->low[c] ? s->low.v[i] : m->low[c];
            m->high[c] = s->high.v[i] > m->high[c] ? s->high.v[i] : m->high[c];
        }
        m->mean[c] = sum / n;
        double rest = square - sum * sum / n;
        m->deviation[c] = voxels > 1 && rest > 0 ? sqrt(rest / (n - 1)) : 0;
    }
}

static void moments_of(struct moments *m, const struct patch *p)
{
    int64_t n = values(p);
    struct sums s;

    sums_start(&s);
    for (int64_t at = 0; at < n; at += TILE)
        sums_add(&s, p->image + at, n - at < TILE ? n - at : TILE);
    moments_from(m, &s, patch_voxels(p), p->channels);
}

/* x * a + b, clamped to [low, high] */
static void affine(const struct patch *p, const double *a, const double *b, const double *low,
                   const double *high)
{
    int64_t n = values(p);
    struct tile f[4];

    tile_fill(&f[0], a, p->channels);
    tile_fill(&f[1], b, p->channels);
    tile_fill(&f[2], low, p->channels);
    tile_fill(&f[3], high, p->channels);
    for (int64_t at = 0; at < n; at += TILE) {
        int64_t count = n - at < TILE ? n - at : TILE;
        float *restrict x = p->image + at;
        for (int64_t i = 0; i < count; i++) {
            float v = x[i] * f[0].v[i] + f[1].v[i];
            v = v < f[2].v[i] ? f[2].v[i] : v;
            x[i] = v > f[3].v[i] ? f[3].v[i] : v;
        }
    }
}

void jitter_contrast(const struct patch *p, const double *factor)
{
    struct moments m;
    double shift[JITTER_CHANNELS], low[JITTER_CHANNELS], high[JITTER_CHANNELS];

    moments_of(&m, p);
    for (int64_t c = 0; c < p->channels; c++) {
        shift[c] = m.mean[c] - m.mean[c] * factor[c];
        low[c] = (double)m.low[c];
        high[c] = (double)m.high[c];
    }
    affine(p, factor, shift, low, high);
}

/* x <- t^gamma for t = (x - b) * a in [0, 1], by f = {a, b, gamma}, and the sums of the new values while they
 * are in cache. t is kept above 2^-60, whose power is as good as 0. */
static void power(const struct patch *p, const struct tile f[3], struct sums *s)
{
    int64_t n = values(p);
    const float *restrict a = f[0].v, *restrict b = f[1].v, *restrict gamma = f[2].v;

    sums_start(s);
    for (int64_t at = 0; at < n; at += TILE) {
        int64_t count = n - at < TILE ? n - at : TILE;
        float *restrict x = p->image + at;
        for (int64_t i = 0; i < count; i++) {
            float t = (x[i] - b[i]) * a[i];
            t = (t + fabsf(t)) * 0.5f + 8.67e-19f; /* a comparison would become a branch here */
            x[i] = exp2f_(gamma[i] * log2f_(t));
        }
        sums_add(s, x, count);
    }
}

/* In the inverted form the normalised value is (max - x) / range and the result falls with it. A constant
 * channel has no curve to bend and keeps its value. */
void jitter_gamma(const struct patch *p, const double *gamma, bool inverted)
{
    struct moments before, after;
    struct sums s;
    struct tile f[3];
    double a[JITTER_CHANNELS], b[JITTER_CHANNELS], low[JITTER_CHANNELS], high[JITTER_CHANNELS];

    moments_of(&before, p);
    for (int64_t c = 0; c < p->channels; c++) {
        double range = (double)before.high[c] - (double)before.low[c];
        double inverse = 1 / (range > 1e-7 ? range : 1e-7);
        a[c] = inverted ? -inverse : inverse;
        b[c] = inverted ? (double)before.high[c] : (double)before.low[c];
    }
    tile_fill(&f[0], a, p->channels);
    tile_fill(&f[1], b, p->channels);
    tile_fill(&f[2], gamma, p->channels);
    power(p, f, &s);
    moments_from(&after, &s, patch_voxels(p), p->channels);
    for (int64_t c = 0; c < p->channels; c++) {
        double range = (double)before.high[c] - (double)before.low[c];
        double least =
            1e-7 / (range > 1e-7 ? range : 1e-7); /* the reference bounds the deviation in image units */
        a[c] = before.deviation[c] / (after.deviation[c] > least ? after.deviation[c] : least);
        a[c] = inverted ? -a[c] : a[c];
        b[c] = before.mean[c] - after.mean[c] * a[c];
        low[c] = -(double)FLT_MAX;
        high[c] = (double)FLT_MAX;
    }
    affine(p, a, b, low, high);
}

static void swap_rows(float *a, float *b, int64_t voxels, int64_t channels, bool reverse)
{
    for (int64_t x = 0; x < voxels; x++) {
        int64_t other = reverse ? voxels - 1 - x : x;
        float t[JITTER_CHANNELS];
        if (channels == 4) { /* a constant size becomes two vector moves */
            memcpy(t, a + x * 4, 4 * sizeof *t);
            memcpy(a + x * 4, b + other * 4, 4 * sizeof *t);
            memcpy(b + other * 4, t, 4 * sizeof *t);
            continue;
        }
        size_t bytes = (size_t)channels * sizeof *t;
        memcpy(t, a + x * channels, bytes);
        memcpy(a + x * channels, b + other * channels, bytes);
        memcpy(b + other * channels, t, bytes);
    }
}

static void swap_labels(int8_t *a, int8_t *b, int64_t voxels, bool reverse)
{
    for (int64_t x = 0; x < voxels; x++) {
        int64_t other = reverse ? voxels - 1 - x : x;
        int8_t t = a[x];
        a[x] = b[other];
        b[other] = t;
    }
}

/* Rows change places in pairs; a row that is its own partner swaps its two halves. */
void jitter_mirror(const struct patch *p, const bool flip[3])
{
    int64_t width = p->size[2], channels = p->channels;

    for (int64_t row = 0; row < p->size[0] * p->size[1]; row++) {
        int64_t z = row / p->size[1], y = row % p->size[1];
        int64_t other = (flip[0] ? p->size[0] - 1 - z : z) * p->size[1] + (flip[1] ? p->size[1] - 1 - y : y);
        int64_t count = other == row ? (flip[2] ? width / 2 : 0) : width, end = width - count;
        if (other < row || count == 0)
            continue;
        float *b = p->image + (other * width + (other == row ? end : 0)) * channels;
        swap_rows(p->image + row * width * channels, b, count, channels, flip[2]);
        if (p->label)
            swap_labels(p->label + row * width, p->label + other * width + (other == row ? end : 0), count,
                        flip[2]);
    }
}
