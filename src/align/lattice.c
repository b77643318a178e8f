#include "align/lattice.h"
#include <math.h>

int64_t lattice_count(const struct lattice *l)
{
    return l->size[0] * l->size[1] * l->size[2];
}

double lattice_spacing(const struct lattice *l, int axis)
{
    double square = 0;

    for (int i = 0; i < 3; i++)
        square += l->to_world.m[i][axis] * l->to_world.m[i][axis];
    return sqrt(square);
}

struct lattice lattice_coarser(const struct lattice *l)
{
    struct lattice r = *l;

    for (int j = 0; j < 3; j++) {
        r.size[j] = (l->size[j] + 1) / 2;
        for (int i = 0; i < 3; i++)
            r.to_world.m[i][j] *= 2;
    }
    return r;
}

struct lattice lattice_crop(const struct lattice *l, const int64_t from[3], const int64_t size[3])
{
    struct lattice r = *l;
    double corner[3] = {(double)from[0], (double)from[1], (double)from[2]};

    affine_apply(&l->to_world, corner, corner);
    for (int j = 0; j < 3; j++) {
        r.size[j] = size[j];
        r.to_world.m[j][3] = corner[j];
    }
    return r;
}

/* A lattice's axes are perpendicular and evenly spaced, so its inverse is its transpose over the spacing's
 * square. */
struct affine lattice_from_world(const struct lattice *l)
{
    struct affine r = {0};

    for (int j = 0; j < 3; j++) {
        double s = lattice_spacing(l, j);

        for (int i = 0; i < 3; i++) {
            r.m[j][i] = l->to_world.m[i][j] / (s * s);
            r.m[j][3] -= r.m[j][i] * l->to_world.m[i][3];
        }
    }
    return r;
}

struct affine lattice_map(const struct lattice *from, const struct affine *t, const struct lattice *to)
{
    struct affine world = affine_then(&from->to_world, t), back = lattice_from_world(to);

    return affine_then(&world, &back);
}
