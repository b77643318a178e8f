#include "base/rng.h"

#include <math.h>

enum { MT_N = 624, MT_M = 397 };

/* Philox 4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011,
 * section 3.3. */
static void philox_round(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t c1 = c[1], c3 = c[3];

    c[0] = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c[1] = (uint32_t)p1;
    c[2] = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c[3] = (uint32_t)p0;
}

void rng_block(uint64_t seed, uint64_t stream, uint64_t index, uint32_t out[4])
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);

    out[0] = (uint32_t)index;
    out[1] = (uint32_t)(index >> 32);
    out[2] = (uint32_t)stream;
    out[3] = (uint32_t)(stream >> 32);
    for (int i = 0; i < 10; i++) {
        philox_round(out, k0, k1);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

uint64_t rng_key(uint64_t a, uint64_t b)
{
    uint32_t out[4];

    rng_block(a, 0x6b65790000000000u, b, out); /* a stream of its own, so keys and draws do not meet */
    return (uint64_t)out[1] << 32 | out[0];
}

struct rng rng_at(uint64_t seed, uint64_t stream)
{
    return (struct rng){.seed = seed, .stream = stream};
}

uint32_t rng_u32(struct rng *r)
{
    if (!r->left) {
        rng_block(r->seed, r->stream, r->index++, r->buf);
        r->left = 4;
    }
    return r->buf[4 - r->left--];
}

static uint64_t rng_u64(struct rng *r)
{
    uint64_t low = rng_u32(r);

    return (uint64_t)rng_u32(r) << 32 | low;
}

double rng_unit(struct rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

double rng_between(struct rng *r, double lo, double hi)
{
    return lo + (hi - lo) * rng_unit(r);
}

double rng_normal(struct rng *r)
{
    double u = 1 - rng_unit(r), v = rng_unit(r); /* u in (0,1]: Box and Muller's logarithm stays finite */

    return sqrt(-2 * log(u)) * cos(6.283185307179586476925 * v);
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    uint64_t skip = (0 - n) % n; /* the first 2^64 mod n values would be drawn once too often */
    uint64_t x;

    do
        x = rng_u64(r);
    while (x < skip);
    return x % n;
}

/* Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8(1), 1998; seeding of their 2002 reference. */
void mt_seed(struct mt19937 *m, uint32_t seed)
{
    m->key[0] = seed;
    for (int i = 1; i < MT_N; i++)
        m->key[i] = 1812433253u * (m->key[i - 1] ^ m->key[i - 1] >> 30) + (uint32_t)i;
    m->pos = MT_N;
}

static void mt_refill(struct mt19937 *m)
{
    for (int i = 0; i < MT_N; i++) {
        uint32_t y = (m->key[i] & 0x80000000u) | (m->key[(i + 1) % MT_N] & 0x7fffffffu);
        m->key[i] = m->key[(i + MT_M) % MT_N] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    m->pos = 0;
}

uint32_t mt_u32(struct mt19937 *m)
{
    uint32_t y;

    if (m->pos >= MT_N)
        mt_refill(m);
    y = m->key[m->pos++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

uint32_t mt_interval(struct mt19937 *m, uint32_t max)
{
    uint32_t mask = max, x;

    if (!max)
        return 0; /* consumes nothing, as in NumPy */
    for (int s = 1; s < 32; s *= 2)
        mask |= mask >> s;
    do
        x = mt_u32(m) & mask;
    while (x > max);
    return x;
}

void mt_shuffle(struct mt19937 *m, int64_t *v, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = mt_interval(m, (uint32_t)i), t = v[i];
        v[i] = v[j];
        v[j] = t;
    }
}
