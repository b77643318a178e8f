#include "phantom/normals.h"
#include <string.h>

enum { LANES = NORMALS_BATCH / 4, ROUNDS = 10 };

/* Blocks first .. first + LANES - 1 of rng_block, word by word. */
static void draw_blocks(struct rng r, uint64_t first, uint32_t word[restrict 4][LANES])
{
    for (uint32_t l = 0; l < LANES; l++) {
        uint32_t key[2] = {(uint32_t)r.seed, (uint32_t)(r.seed >> 32)};
        uint32_t c0 = (uint32_t)first + l, c1 = (uint32_t)(first >> 32);
        uint32_t c2 = (uint32_t)r.stream, c3 = (uint32_t)(r.stream >> 32);

        for (int i = 0; i < ROUNDS; i++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;

            c0 = (uint32_t)(p1 >> 32) ^ c1 ^ key[0];
            c1 = (uint32_t)p1;
            c2 = (uint32_t)(p0 >> 32) ^ c3 ^ key[1];
            c3 = (uint32_t)p0;
            key[0] += 0x9E3779B9u;
            key[1] += 0xBB67AE85u;
        }
        word[0][l] = c0;
        word[1][l] = c1;
        word[2][l] = c2;
        word[3][l] = c3;
    }
}

/* sqrt(-2 log u) of u = (top 23 bits + 1/2) / 2^23. log(m 2^e), m in [sqrt(1/2), sqrt 2): e ln 2 + f - f^2/2
 * + f^3 q(f), f = m - 1; q fitted at Chebyshev points. */
static inline float radius_of(uint32_t word)
{
    static const float ln2 = 0x1.62e430p-1f;
    float u = ((float)(int32_t)(word >> 9) + 0.5f) * 0x1p-23f, m, f, q, log;
    uint32_t bits, from, mantissa;

    memcpy(&bits, &u, sizeof bits);
    from = bits - 0x3f3504f3u; /* sqrt(1/2): the exponent counts from there */
    mantissa = (from & 0x7fffffu) + 0x3f3504f3u;
    memcpy(&m, &mantissa, sizeof m);
    f = m - 1;
    q = 0.07156566458f;
    q = q * f - 0.1158076512f;
    q = q * f + 0.1166337742f;
    q = q * f - 0.1240990062f;
    q = q * f + 0.1424965313f;
    q = q * f - 0.1666851923f;
    q = q * f + 0.2000071595f;
    q = q * f - 0.2499998871f;
    q = q * f + 0.3333333116f;
    log = (float)((int32_t)from >> 23) * ln2 + (f + f * f * (f * q - 0.5f));
    return __builtin_sqrtf(-2 * log);
}

/* word / 2^32 turns: sine and cosine. The quarter turn decides which is which; Taylor's polynomials do the
 * remaining eighth either way (error 4e-8). */
static inline void turn(uint32_t word, float *sine, float *cosine)
{
    uint32_t quarter = (word + 0x20000000u) >> 30;
    float a = (float)(int32_t)(word - (quarter << 30)) * 0x1.921fb6p-30f, b = a * a;
    float s = a + a * b * (-1.0f / 6 + b * (1.0f / 120 + b * (-1.0f / 5040 + b * (1.0f / 362880))));
    float c = 1 + b * (-0.5f + b * (1.0f / 24 + b * (-1.0f / 720 + b * (1.0f / 40320))));
    float x = quarter & 1 ? s : c, y = quarter & 1 ? c : s;

    *cosine = quarter == 1 || quarter == 2 ? -x : x;
    *sine = quarter & 2 ? -y : y;
}

static void batch(struct rng r, uint64_t first, float *restrict out)
{
    uint32_t word[4][LANES];

    draw_blocks(r, first, word);
    for (int half = 0; half < 2; half++) {
        const uint32_t *restrict u = word[2 * half], *restrict v = word[2 * half + 1];
        float *restrict x = out + 2 * half * LANES, *restrict y = x + LANES;

        for (int l = 0; l < LANES; l++) {
            float radius = radius_of(u[l]), s, c;

            turn(v[l], &s, &c);
            x[l] = radius * c;
            y[l] = radius * s;
        }
    }
}

void normals_fill(struct rng r, int64_t n, float *out)
{
    float last[NORMALS_BATCH];
    int64_t i = 0;

    for (; i + NORMALS_BATCH <= n; i += NORMALS_BATCH)
        batch(r, (uint64_t)i / 4, out + i);
    if (i < n) {
        batch(r, (uint64_t)i / 4, last);
        memcpy(out + i, last, (size_t)(n - i) * sizeof *out);
    }
}
