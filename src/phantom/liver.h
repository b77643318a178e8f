/* The lattice points that lie in a liver. */
#ifndef D4M_PHANTOM_LIVER_H
#define D4M_PHANTOM_LIVER_H

#include "base/err.h"
#include "phantom/phantom.h"

struct liver_points {
    struct points *block; /* BLOCK_MAX points each but the last, in the order of the lattice */
    int64_t count;
};
/* Of the lattice of whole multiples of step (mm). ERR_INPUT if none lies in the liver. */
MUST_USE enum err liver_points_make(struct liver_points *out, const struct liver *l, double step);
void liver_points_free(struct liver_points *p);
int64_t liver_points_blocks(const struct liver_points *p);
int liver_points_in(const struct liver_points *p, int64_t block); /* how many points the block has */

#endif
