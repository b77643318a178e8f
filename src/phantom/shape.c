#include "phantom/shape.h"
#include "phantom/poly.h"

void shape_ellipsoid(const struct ellipsoid *e, const struct points *p, int n, float *d)
{
    float cx = e->centre[0], cy = e->centre[1], cz = e->centre[2];
    float ix = 1 / e->axes[0], iy = 1 / e->axes[1], iz = 1 / e->axes[2];
    float c1 = cosf(e->yaw), s1 = sinf(e->yaw), c2 = cosf(e->pitch), s2 = sinf(e->pitch);

    for (int i = 0; i < n; i++) {
        float x = p->x[i] - cx, y = p->y[i] - cy, z = p->z[i] - cz, u, v, w, k0, k1;

        u = c1 * x + s1 * y;
        v = (c1 * y - s1 * x) * iy;
        w = (c2 * z - s2 * u) * iz;
        u = (c2 * u + s2 * z) * ix;
        k0 = sqrtf(u * u + v * v + w * w);
        u *= ix, v *= iy, w *= iz;
        k1 = sqrtf(u * u + v * v + w * w);
        d[i] = k0 * (k0 - 1) / poly_max(k1, 1e-6f);
    }
}

/* d <- min(d, capsule) */
static void capsule_min(const struct bead *a, const struct bead *b, const struct points *p, int n, float *d)
{
    float ax = a->at[0], ay = a->at[1], az = a->at[2];
    float x = b->at[0] - ax, y = b->at[1] - ay, z = b->at[2] - az, scale = 1 / (x * x + y * y + z * z);
    float radius = a->radius, slope = b->radius - radius;

    for (int i = 0; i < n; i++) {
        float u = p->x[i] - ax, v = p->y[i] - ay, w = p->z[i] - az;
        float t = poly_clamp((u * x + v * y + w * z) * scale, 0, 1), own;

        u -= t * x, v -= t * y, w -= t * z;
        own = sqrtf(u * u + v * v + w * w) - (radius + t * slope);
        d[i] = poly_min(own, d[i]);
    }
}

static void fill(float *d, int n, float value)
{
    for (int i = 0; i < n; i++)
        d[i] = value;
}

void shape_capsule(const struct bead *a, const struct bead *b, const struct points *p, int n, float *d)
{
    fill(d, n, 1e9f);
    capsule_min(a, b, p, n, d);
}

void shape_chain(const struct bead *bead, int count, const struct points *p, int n, float *d)
{
    fill(d, n, 1e9f);
    for (int i = 0; i + 1 < count; i++)
        capsule_min(bead + i, bead + i + 1, p, n, d);
}

/* k0 is a norm with slopes up to 1/r of the shortest axis, so d >= (k0 - 1) r; and k0 in a box is at least
 * that of the nearest point of the box around it along the turned axes. */
float shape_ellipsoid_least(const struct ellipsoid *e, const struct shape_box *box)
{
    float c1 = cosf(e->yaw), s1 = sinf(e->yaw), c2 = cosf(e->pitch), s2 = sinf(e->pitch);
    float turn[3][3] = {{c2 * c1, c2 * s1, s2}, {-s1, c1, 0}, {-s2 * c1, -s2 * s1, c2}};
    float sum = 0, least = poly_min(poly_min(e->axes[0], e->axes[1]), e->axes[2]);

    for (int k = 0; k < 3; k++) {
        float middle = 0, half = 0, u;
        for (int j = 0; j < 3; j++) {
            middle += turn[k][j] * (.5f * (box->lo[j] + box->hi[j]) - e->centre[j]);
            half += fabsf(turn[k][j]) * .5f * (box->hi[j] - box->lo[j]);
        }
        u = poly_max(fabsf(middle) - half, 0) / e->axes[k];
        sum += u * u;
    }
    return sum > 1 ? (sqrtf(sum) - 1) * least - 1e-3f : -SHAPE_LONG;
}

/* The distance between the two boxes: around a capsule's axis, and of the block. */
static float capsule_least(const struct bead *a, const struct bead *b, const struct shape_box *box)
{
    float sum = 0;

    for (int k = 0; k < 3; k++) {
        float lo = poly_min(a->at[k], b->at[k]), hi = poly_max(a->at[k], b->at[k]);
        float gap = poly_max(poly_max(lo - box->hi[k], box->lo[k] - hi), 0);
        sum += gap * gap;
    }
    return sqrtf(sum) - poly_max(a->radius, b->radius) - 1e-3f;
}

float shape_chain_least(const struct bead *bead, int count, const struct shape_box *box)
{
    float least = SHAPE_LONG;

    for (int i = 0; i + 1 < count; i++)
        least = poly_min(least, capsule_least(bead + i, bead + i + 1, box));
    return least;
}

/* b + (a - b) h - k h (1 - h) of the specification is min(a, b) - (k - |a - b|)^2 / 4k where |a - b| < k. */
static inline float smooth_min(float a, float b, float k, float scale)
{
    float near = k - fabsf(a - b);

    near += fabsf(near); /* twice its positive part, without a branch */
    return poly_min(a, b) - near * near * scale;
}

static float scale_of(float k)
{
    return k > 0 ? 1 / (16 * k) : 0;
}

void shape_union(float *a, const float *b, float k, int n)
{
    float scale = scale_of(k);

    for (int i = 0; i < n; i++)
        a[i] = smooth_min(a[i], b[i], k, scale);
}

void shape_subtract(float *a, const float *b, float k, int n)
{
    float scale = scale_of(k);

    for (int i = 0; i < n; i++)
        a[i] = -smooth_min(-a[i], b[i], k, scale);
}

void shape_intersect(float *a, const float *b, float k, int n)
{
    float scale = scale_of(k);

    for (int i = 0; i < n; i++)
        a[i] = -smooth_min(-a[i], -b[i], k, scale);
}

struct shape_range shape_range(const float *d, int n)
{
    float lo = d[0], hi = d[0];

#pragma omp simd reduction(min : lo) reduction(max : hi)
    for (int i = 0; i < n; i++) {
        lo = d[i] < lo ? d[i] : lo;
        hi = d[i] > hi ? d[i] : hi;
    }
    return (struct shape_range){lo, hi};
}

struct shape_box shape_box(const struct points *p, int n)
{
    struct shape_range x = shape_range(p->x, n), y = shape_range(p->y, n), z = shape_range(p->z, n);

    return (struct shape_box){{x.lo, y.lo, z.lo}, {x.hi, y.hi, z.hi}};
}
