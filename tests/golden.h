/* The deterministic numbers of the specifications' golden vectors: G(name, n) of seg-nnunet.md section 20. */
#ifndef D4M_TEST_GOLDEN_H
#define D4M_TEST_GOLDEN_H

#include <stdint.h>

static inline uint32_t golden_hash(const char *name)
{
    uint32_t s = 2166136261u;

    for (const char *c = name; *c; c++)
        s = (s ^ (uint8_t)*c) * 16777619u;
    return s;
}

/* Value i, from 0, of the generator with hash s; in [-1/2, 1/2). */
static inline double golden_at(uint32_t s, int64_t i)
{
    uint32_t u = s + 2654435761u * (uint32_t)(i + 1);

    u ^= u >> 16;
    u *= 0x85ebca6bu;
    u ^= u >> 13;
    u *= 0xc2b2ae35u;
    u ^= u >> 16;
    return (double)u / 4294967296.0 - 0.5;
}

/* n values in [-1/2, 1/2). */
static inline void golden(double *out, const char *name, int64_t n)
{
    uint32_t s = golden_hash(name);

    for (int64_t i = 0; i < n; i++)
        out[i] = golden_at(s, i);
}

#endif
