#include "phantom/noise.h"
#include "base/mem.h"
#include "base/par.h"
#include "phantom/lane.h"
#include <math.h>
#include <string.h>

enum {
    SIDE = NOISE_SIDE,
    MASK = NOISE_SIDE - 1,
    ROW = NOISE_SIDE + 1, /* nodes of a stored row: the first one again at its end */
    PLANE = SIDE * SIDE,
    TAPS = SIDE / 2, /* most on one side of a Gaussian */
};

/* Normals by Box and Muller in single precision: the smoothing leaves nothing of finer differences, and what
 * calls no library is the same with every one. */
static inline lane8 minus_log(lane8 u) /* u in (0, 1] */
{
    const lane8i root_half = _mm256_set1_epi32(0x3f3504f3), exponent = _mm256_set1_epi32((int)0xff800000u);
    lane8i bits = _mm256_castps_si256(u);
    lane8i e = _mm256_and_si256(_mm256_sub_epi32(bits, root_half), exponent);
    lane8 m = _mm256_castsi256_ps(_mm256_sub_epi32(bits, e)); /* u = m 2^e, m in sqrt(1/2)..sqrt(2) */
    lane8 s = (m - 1) / (m + 1), q = s * s;                   /* log m = 2 artanh s */

    return -(_mm256_cvtepi32_ps(_mm256_srai_epi32(e, 23)) * 0.69314718f +
             2 * s * (1 + q * (1 / 3.f + q * (.2f + q * (1 / 7.f + q * (1 / 9.f))))));
}

/* Of a turn in 0..1: the series of a quarter around 0, exchanged and turned round as its number says. */
static inline void sine_cosine(lane8 turn, lane8 *sine, lane8 *cosine)
{
    lane8 quarter = _mm256_floor_ps(4 * turn + .5f), a = (4 * turn - quarter) * 1.57079633f, q = a * a;
    lane8 s = a * (1 - q / 6 * (1 - q / 20 * (1 - q / 42 * (1 - q / 72))));
    lane8 c = 1 - q / 2 * (1 - q / 12 * (1 - q / 30 * (1 - q / 56)));
    lane8i n = _mm256_cvttps_epi32(quarter), two = _mm256_set1_epi32(2);
    lane8 odd = _mm256_castsi256_ps(_mm256_slli_epi32(n, 31));
    lane8i down = _mm256_and_si256(n, two);
    lane8i left = _mm256_and_si256(_mm256_add_epi32(n, _mm256_set1_epi32(1)), two);

    *cosine = _mm256_xor_ps(_mm256_blendv_ps(c, s, odd), _mm256_castsi256_ps(_mm256_slli_epi32(left, 30)));
    *sine = _mm256_xor_ps(_mm256_blendv_ps(s, c, odd), _mm256_castsi256_ps(_mm256_slli_epi32(down, 30)));
}

/* The upper 24 of 32 random bits as a number of 0..1. */
static inline lane8 unit_of(const uint32_t *word)
{
    return _mm256_cvtepi32_ps(_mm256_srli_epi32(_mm256_loadu_si256((const lane8i *)word), 8)) * 0x1p-24f;
}

/* Normals of the SIDE nodes from `first` on: four to a block of random words. */
static void draw_row(const struct rng *r, int64_t first, float *out)
{
    uint32_t word[4], size[SIDE / 2], turn[SIDE / 2];

    for (int k = 0; k < SIDE / 4; k++) {
        rng_block(r->seed, r->stream, r->index + (uint64_t)(first / 4 + k), word);
        memcpy(size + 2 * (size_t)k, word, 2 * sizeof *word);
        memcpy(turn + 2 * (size_t)k, word + 2, 2 * sizeof *word);
    }
    for (int k = 0; k < SIDE / 2; k += 8) {
        lane8 radius = _mm256_sqrt_ps(2 * minus_log(unit_of(size + k) + 0x1p-24f)), s, c;

        sine_cosine(unit_of(turn + k), &s, &c);
        _mm256_storeu_ps(out + k, radius * c);
        _mm256_storeu_ps(out + SIDE / 2 + k, radius * s);
    }
}

struct fill {
    struct rng rng;
    float weight[TAPS + 1]; /* of the Gaussian */
    int taps;
    float *drawn, *smooth; /* [z][y][x] */
    double sum[SIDE], squares[SIDE];
    float scale;
    float *node; /* the result, `parts` numbers a node */
    int parts;
};

/* out = the Gaussian along an axis of 64 rows that lie `apart`, wrapping. */
static void blur_rows(const struct fill *f, const float *in, int64_t apart, int at, float *restrict out)
{
    float sum[SIDE];

    for (int x = 0; x < SIDE; x++)
        sum[x] = f->weight[0] * in[at * apart + x];
    for (int t = 1; t <= f->taps; t++) {
        const float *a = in + ((at - t) & MASK) * apart, *b = in + ((at + t) & MASK) * apart;

        for (int x = 0; x < SIDE; x++)
            sum[x] += f->weight[t] * (a[x] + b[x]);
    }
    memcpy(out, sum, sizeof sum);
}

static void blur_line(const struct fill *f, const float *in, float *out)
{
    float wrapped[3 * SIDE];

    for (int k = 0; k < 3; k++)
        memcpy(wrapped + (size_t)k * SIDE, in, SIDE * sizeof *in);
    for (int x = 0; x < SIDE; x++)
        out[x] = f->weight[0] * in[x];
    for (int t = 1; t <= f->taps; t++) {
        const float *a = wrapped + SIDE - t, *b = wrapped + SIDE + t;

        for (int x = 0; x < SIDE; x++)
            out[x] += f->weight[t] * (a[x] + b[x]);
    }
}

static void draw_slice(void *ctx, int64_t z)
{
    struct fill *f = ctx;
    float line[SIDE], plane[PLANE];

    for (int y = 0; y < SIDE; y++) {
        draw_row(&f->rng, z * PLANE + y * SIDE, line);
        blur_line(f, line, plane + (size_t)y * SIDE);
    }
    for (int y = 0; y < SIDE; y++)
        blur_rows(f, plane, SIDE, y, f->drawn + z * PLANE + y * SIDE);
}

static void smooth_slice(void *ctx, int64_t z)
{
    struct fill *f = ctx;
    double sum = 0, squares = 0;

    for (int y = 0; y < SIDE; y++) {
        float *out = f->smooth + z * PLANE + y * SIDE;

        blur_rows(f, f->drawn + (int64_t)y * SIDE, PLANE, (int)z, out);
        for (int x = 0; x < SIDE; x++) {
            sum += (double)out[x];
            squares += (double)out[x] * (double)out[x];
        }
    }
    f->sum[z] = sum;
    f->squares[z] = squares;
}

static void store_slice(void *ctx, int64_t z)
{
    const struct fill *f = ctx;

    for (int y = 0; y < SIDE; y++) {
        const float *in = f->smooth + z * PLANE + y * SIDE;
        float *out = f->node + (z * SIDE + y) * ROW * f->parts;

        for (int x = 0; x < ROW; x++)
            out[(int64_t)x * f->parts] = f->scale * in[x & MASK];
    }
}

static void fill_lattice(struct fill *f)
{
    double sum = 0, squares = 0, count = (double)SIDE * PLANE;

    par_for(SIDE, draw_slice, f);
    par_for(SIDE, smooth_slice, f);
    for (int z = 0; z < SIDE; z++) {
        sum += f->sum[z];
        squares += f->squares[z];
    }
    f->scale = (float)(1 / sqrt(squares / count - sum / count * (sum / count)));
    par_for(SIDE, store_slice, f);
}

static void set_kernel(struct fill *f, double sigma)
{
    double sum = 0;

    f->taps = (int)fmin(TAPS, 4 * sigma + .5);
    for (int t = 0; t <= f->taps; t++)
        sum += (t ? 2 : 1) * exp(-.5 * t * t / (sigma * sigma));
    for (int t = 0; t <= f->taps; t++)
        f->weight[t] = (float)(exp(-.5 * t * t / (sigma * sigma)) / sum);
}

/* A lattice of `parts` numbers a node, part c from r[c]. */
static enum err make(float **out, const struct rng *r, int parts, double sigma)
{
    struct fill f = {.parts = parts};
    float *node = mem_new((size_t)SIDE * SIDE * ROW * (size_t)parts + 2, sizeof *node);
    float *work = mem_new(2 * (size_t)SIDE * PLANE, sizeof *work);

    if (!node || !work) {
        mem_free(node);
        mem_free(work);
        return ERR_MEMORY;
    }
    f.drawn = work;
    f.smooth = work + SIDE * PLANE;
    set_kernel(&f, sigma);
    for (int c = 0; c < parts; c++) {
        f.rng = r[c];
        f.node = node + c;
        fill_lattice(&f);
    }
    mem_free(work);
    *out = node;
    return ERR_OK;
}

enum err noise_make(struct noise *out, struct rng r, double step, double sigma)
{
    float *node = NULL;

    TRY(make(&node, &r, 1, sigma));
    *out = (struct noise){.node = node, .step = (float)step};
    return ERR_OK;
}

enum err noise3_make(struct noise3 *out, const struct rng r[3], double step, double sigma)
{
    float *node = NULL;

    TRY(make(&node, r, 3, sigma));
    *out = (struct noise3){.node = node, .step = (float)step};
    return ERR_OK;
}

void noise_free(struct noise *z)
{
    mem_free(z->node);
    *z = (struct noise){0};
}

void noise3_free(struct noise3 *z)
{
    mem_free(z->node);
    *z = (struct noise3){0};
}

/* The eight cells from point i on. Points beyond the caller's are read as they are and never used. */
static inline struct cells cells_at(const struct points *p, int i, lane8 scale, lane8 offset)
{
    const lane8i mask = _mm256_set1_epi32(MASK), one = _mm256_set1_epi32(1);
    lane8 at[3] = {_mm256_loadu_ps(p->x + i), _mm256_loadu_ps(p->y + i), _mm256_loadu_ps(p->z + i)};
    lane8 f[3];
    lane8i lo[3], hi[3];
    struct cells c;

    for (int a = 0; a < 3; a++) {
        lane8 g = at[a] * scale + offset, whole = _mm256_floor_ps(g);

        f[a] = g - whole;
        lo[a] = _mm256_and_si256(_mm256_cvttps_epi32(whole), mask);
        hi[a] = _mm256_and_si256(_mm256_add_epi32(lo[a], one), mask);
    }
    for (int k = 0; k < 4; k++) {
        lane8i line = _mm256_add_epi32(_mm256_slli_epi32(k & 2 ? hi[2] : lo[2], 6), k & 1 ? hi[1] : lo[1]);

        c.row[k] =
            _mm256_add_epi32(_mm256_add_epi32(_mm256_slli_epi32(line, 6), line), lo[0]); /* ROW line + x */
    }
    c.x = f[0];
    c.y = f[1];
    c.z = f[2];
    return c;
}

void noise_read(const struct noise *z, const struct points *p, int n, float scale, float offset, float *out)
{
    lane8 k = _mm256_set1_ps(scale / z->step), o = _mm256_set1_ps(offset);
    int i = 0;

    for (; i + 8 <= n; i += 8) {
        struct cells c = cells_at(p, i, k, o);

        _mm256_storeu_ps(out + i, cells_read(&c, z->node));
    }
    if (i < n) {
        struct cells c = cells_at(p, i, k, o);
        float rest[8];

        _mm256_storeu_ps(rest, cells_read(&c, z->node));
        memcpy(out + i, rest, (size_t)(n - i) * sizeof *out);
    }
}

void noise3_read(const struct noise3 *z, const struct points *p, int n, struct points *out)
{
    lane8 k = _mm256_set1_ps(1 / z->step), o = _mm256_setzero_ps();

    for (int i = 0; i < n; i += 8) {
        struct cells c = cells_at(p, i, k, o);

        cells_read3(&c, z->node, (float *[3]){out->x + i, out->y + i, out->z + i});
    }
}
