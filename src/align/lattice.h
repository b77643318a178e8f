/* Lattices: regular grids of nodes in the world, on which registration works (registration.md section 2).
 * Axes are (x, y, z), x fastest. Lattices of a pyramid share their origin: node i of level L is node 2i of
 * level L-1. */
#ifndef D4M_ALIGN_LATTICE_H
#define D4M_ALIGN_LATTICE_H

#include "align/affine.h"
#include <stdint.h>

struct lattice {
    int64_t size[3];
    struct affine to_world; /* node index -> mm (RAS) */
};

int64_t lattice_count(const struct lattice *l);
/* Distance of neighbouring nodes along an axis, mm. */
double lattice_spacing(const struct lattice *l, int axis);
/* The even nodes of l. */
struct lattice lattice_coarser(const struct lattice *l);
/* The part of l of `size` nodes that begins at node `from`. */
struct lattice lattice_crop(const struct lattice *l, const int64_t from[3], const int64_t size[3]);
struct affine lattice_from_world(const struct lattice *l); /* mm -> node index */
/* Node index of `from` -> node index of `to` under the world map t (from's world -> to's world). */
struct affine lattice_map(const struct lattice *from, const struct affine *t, const struct lattice *to);

static inline int64_t lattice_index(const int64_t size[3], int64_t x, int64_t y, int64_t z)
{
    return (z * size[1] + y) * size[0] + x;
}

static inline int64_t lattice_clamp(int64_t i, int64_t n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

#endif
