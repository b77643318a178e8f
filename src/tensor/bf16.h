/* bfloat16: the upper half of a float, so 8 bits of precision over float's range. Stored as uint16_t. */
#ifndef D4M_TENSOR_BF16_H
#define D4M_TENSOR_BF16_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float bf16_widen(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

/* The nearest bf16, of two equally near ones the even one; subnormals stay, what is too large becomes
 * infinite, a NaN stays one and keeps its upper bits. */
static inline uint16_t bf16_of(double x)
{
    float f = (float)x; /* then to odd, so that rounding twice rounds as once */
    uint32_t bits;

    memcpy(&bits, &f, sizeof bits);
    if (isnan(x))
        return (uint16_t)(bits >> 16 | 0x40);
    if ((double)f != x) {
        bits -= fabs((double)f) > fabs(x);
        bits |= 1;
    }
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#endif
