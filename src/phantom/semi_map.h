/* Signed distance to a mask on a lattice, read anywhere in space (phantom.md section 12). */
#ifndef D4M_PHANTOM_SEMI_MAP_H
#define D4M_PHANTOM_SEMI_MAP_H

#include "base/err.h"
#include "phantom/phantom.h"
#include "volume/volume.h"

struct semi_map {
    float *mm;       /* < 0 inside, at the nodes of a box around the mask, [z][y][x]; NULL: an empty mask */
    int64_t from[3]; /* the box's first node */
    int64_t size[3]; /* its nodes */
    int64_t lo[3], hi[3]; /* first and last nodes of the mask itself */
    float last[3];        /* the lattice's last nodes: it goes on beyond them as it is there */
    float spacing[3];     /* mm */
    float index[3][4];    /* mm -> node */
};
/* Nodes are set where mask[i] is `value`, or not 0 if value is 0. The map reaches `margin` mm beyond them
 * exactly; farther off distances grow by that to the box. grid: the lattice's; must not be singular. */
struct semi_mask {
    const uint8_t *set;
    const struct grid *grid;
    int value;
};
MUST_USE enum err semi_map_make(struct semi_map *out, const struct semi_mask *m, double margin);
void semi_map_free(struct semi_map *m); /* accepts a zeroed struct */

/* Trilinear distance (mm) at points; 1e4 for an empty mask. */
void semi_map_read(const struct semi_map *m, const struct points *p, int n, float *d);
/* At a node of the lattice; 1e4 outside the box. */
float semi_map_node(const struct semi_map *m, int64_t x, int64_t y, int64_t z);

#endif
