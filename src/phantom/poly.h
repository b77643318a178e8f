/* Elementary functions as short polynomials, for loops over sample points: they vectorise, give the same bits
 * everywhere and err by 1e-5 at most. */
#ifndef D4M_PHANTOM_POLY_H
#define D4M_PHANTOM_POLY_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float poly_min(float a, float b)
{
    return a < b ? a : b;
}
static inline float poly_max(float a, float b)
{
    return a > b ? a : b;
}
static inline float poly_clamp(float x, float lo, float hi)
{
    return poly_min(poly_max(x, lo), hi);
}
/* x^(-1/5) for x > 0: a guess from the exponent, then Newton's steps g <- g (6 - x g^5)/5. */
static inline float poly_root5(float x)
{
    int32_t bits;
    float g;

    memcpy(&bits, &x, sizeof bits);
    bits = (int32_t)(1.2783e9f - .2f * (float)bits);
    memcpy(&g, &bits, sizeof g);
    for (int i = 0; i < 3; i++) {
        float g2 = g * g;
        g = g * (1.2f - .2f * x * g2 * g2 * g);
    }
    return g;
}
/* exp(x) for -1e6 < x <= 0; 1e-38 or less below -87. */
static inline float poly_exp(float x)
{
    float y = x * 1.44269504f, f, e;
    int32_t whole = (int32_t)(y - .5f), bits;

    f = y - (float)whole; /* within a half: 2^f as its series */
    e = 1 +
        f * (.693147181f + f * (.240226507f + f * (.0555041087f + f * (.00961812911f + f * .00133335581f))));
    whole = whole < -125 ? -125 : whole;
    memcpy(&bits, &e, sizeof bits);
    bits += whole * (1 << 23);
    memcpy(&e, &bits, sizeof e);
    return e;
}
/* exp(-((x - middle)/width)^2) */
static inline float poly_bell(float x, float middle, float width)
{
    float u = (x - middle) / width;

    return poly_exp(-u * u);
}
/* Angle of (x, y) from the y axis for x >= 0: 0..pi (Abramowitz and Stegun 4.4.49). */
static inline float poly_angle(float x, float y)
{
    float b = fabsf(y), lo = poly_min(x, b), hi = poly_max(poly_max(x, b), 1e-20f), z = lo / hi, z2 = z * z,
          r;

    r = z * (.9998660f + z2 * (-.3302995f + z2 * (.1801410f + z2 * (-.0851330f + z2 * .0208351f))));
    r = x > b ? 1.57079633f - r : r;
    return y < 0 ? 3.14159265f - r : r;
}
/* sin(x) for |x| <= 1.6 */
static inline float poly_sin(float x)
{
    float x2 = x * x;

    return x * (1 + x2 * (-1 / 6.f + x2 * (1 / 120.f + x2 * (-1 / 5040.f + x2 * (1 / 362880.f)))));
}
/* sin(x) for any x of moderate size */
static inline float poly_wave(float x)
{
    float t = x * .159154943f;

    t -= floorf(t + .5f); /* turns, -1/2..1/2 */
    return copysignf(poly_sin(6.28318531f * (.25f - fabsf(fabsf(t) - .25f))), t);
}

#endif
