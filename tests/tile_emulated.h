/* AMX's tile instructions as plain C, under the names of their intrinsics: what the manual's pseudo-code says
 * (Intel SDM, volume 2), one tile file per thread. A use that would fault ends the test. */
#ifndef D4M_TESTS_TILE_EMULATED_H
#define D4M_TESTS_TILE_EMULATED_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TILE_COUNT = 8, TILE_ROWS_MAX = 16, TILE_BYTES_MAX = 64 };

struct tile_emulated {
    int rows, bytes; /* of a row */
    unsigned char at[TILE_ROWS_MAX][TILE_BYTES_MAX];
};

static _Thread_local struct tile_emulated tile_file[TILE_COUNT];
static _Thread_local int tile_on;

static inline void tile_fault_if(int wrong)
{
    if (wrong)
        abort();
}

static inline void _tile_loadconfig(const void *config)
{
    const unsigned char *c = config;
    uint16_t bytes;

    tile_fault_if(c[0] != 1 || c[1] != 0);
    memset(tile_file, 0, sizeof tile_file);
    for (int i = 0; i < TILE_COUNT; i++) {
        memcpy(&bytes, c + 16 + 2 * i, sizeof bytes);
        tile_fault_if(c[48 + i] > TILE_ROWS_MAX || bytes > TILE_BYTES_MAX);
        tile_file[i].rows = c[48 + i];
        tile_file[i].bytes = bytes;
    }
    for (int i = 2; i < 64; i++) /* reserved, or tiles that there are not */
        tile_fault_if((i < 16 || (i >= 32 && i < 48) || i >= 56) && c[i]);
    tile_on = 1;
}

static inline void _tile_release(void)
{
    tile_on = 0;
}

static inline struct tile_emulated *tile_at(int i)
{
    tile_fault_if(!tile_on || i < 0 || i >= TILE_COUNT || !tile_file[i].rows);
    return &tile_file[i];
}

static inline void _tile_zero(int i)
{
    memset(tile_at(i)->at, 0, sizeof tile_at(i)->at);
}

static inline void _tile_loadd(int i, const void *from, int64_t stride)
{
    struct tile_emulated *t = tile_at(i);

    memset(t->at, 0, sizeof t->at);
    for (int r = 0; r < t->rows; r++)
        memcpy(t->at[r], (const char *)from + r * stride, (size_t)t->bytes);
}

static inline void _tile_stored(int i, void *to, int64_t stride)
{
    struct tile_emulated *t = tile_at(i);

    for (int r = 0; r < t->rows; r++)
        memcpy((char *)to + r * stride, t->at[r], (size_t)t->bytes);
}

static inline float tile_float(const struct tile_emulated *t, int row, int n)
{
    float f;

    memcpy(&f, t->at[row] + 4 * n, sizeof f);
    return f;
}

/* bf16 number n of a row as float */
static inline float tile_half(const struct tile_emulated *t, int row, int n)
{
    uint32_t bits = (uint32_t)t->at[row][2 * n] << 16 | (uint32_t)t->at[row][2 * n + 1] << 24;
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Subnormal numbers, read or made, are zeros of their sign. */
static inline float tile_flushed(float x)
{
    return fabsf(x) < FLT_MIN ? copysignf(0, x) : x;
}

static inline float tile_fma(float a, float b, float c)
{
    return tile_flushed(fmaf(tile_flushed(a), tile_flushed(b), tile_flushed(c)));
}

static inline float tile_sum(float a, float b)
{
    return tile_flushed(tile_flushed(a) + tile_flushed(b));
}

/* c (m, n) += a (m, pairs of k) b (pairs of k, n) */
static inline void _tile_dpbf16ps(int to, int left, int right)
{
    struct tile_emulated *c = tile_at(to);
    const struct tile_emulated *a = tile_at(left), *b = tile_at(right);

    tile_fault_if(to == left || to == right || left == right || a->rows != c->rows || b->bytes != c->bytes ||
                  a->bytes != 4 * b->rows || a->bytes % 4 || b->bytes % 4);
    for (int m = 0; m < c->rows; m++)
        for (int n = 0; n < c->bytes / 4; n++) {
            float even = 0, odd = 0, sum;
            for (int k = 0; k < a->bytes / 4; k++) {
                even = tile_fma(tile_half(a, m, 2 * k), tile_half(b, k, 2 * n), even);
                odd = tile_fma(tile_half(a, m, 2 * k + 1), tile_half(b, k, 2 * n + 1), odd);
            }
            sum = tile_sum(tile_float(c, m, n), tile_sum(even, odd));
            memcpy(c->at[m] + 4 * n, &sum, sizeof sum);
        }
}

#endif
