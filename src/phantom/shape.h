/* Signed distances (mm, < 0 inside) over blocks of points, and their smooth combinations (phantom.md section
 * 4). Ellipsoids are exact on their axes and near their surface, elsewhere never too large outside. */
#ifndef D4M_PHANTOM_SHAPE_H
#define D4M_PHANTOM_SHAPE_H

#include "phantom/phantom.h"

/* q = R(p - centre): yaw turns x towards y, then pitch x towards z. A semi-axis of SHAPE_LONG makes it a
 * cylinder. */
#define SHAPE_LONG 1e4f
struct ellipsoid {
    float centre[3], axes[3], yaw, pitch;
};
/* Capsules between consecutive points; d is the least of them. Radii change linearly. */
struct bead {
    float at[3], radius;
};
/* Where a block's points lie. */
struct shape_box {
    float lo[3], hi[3];
};

void shape_ellipsoid(const struct ellipsoid *e, const struct points *p, int n, float *d);
void shape_capsule(const struct bead *a, const struct bead *b, const struct points *p, int n, float *d);
void shape_chain(const struct bead *bead, int count, const struct points *p, int n, float *d);

/* Less than every distance in the box. */
float shape_ellipsoid_least(const struct ellipsoid *e, const struct shape_box *box);
float shape_chain_least(const struct bead *bead, int count, const struct shape_box *box);

/* a <- union_k(a, b), a without b, their intersection; edges are rounded where the two differ by less than k
 * (k = 0: sharp). Written so that a stays bit for bit where b is further away than that. */
void shape_union(float *a, const float *b, float k, int n);
void shape_subtract(float *a, const float *b, float k, int n);
void shape_intersect(float *a, const float *b, float k, int n);

struct shape_range {
    float lo, hi;
};
struct shape_range shape_range(const float *d, int n); /* n > 0 */
struct shape_box shape_box(const struct points *p, int n);

#endif
