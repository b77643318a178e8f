/* Portal and hepatic venous trees of the liver (phantom.md section 6), as a distance on a 1.5 mm lattice in
 * anatomical coordinates of the unit patient. */
#ifndef D4M_PHANTOM_TREE_H
#define D4M_PHANTOM_TREE_H

#include "base/err.h"
#include "phantom/phantom.h"

enum tree_kind { TREE_PORTAL, TREE_HEPATIC };

struct branch {
    float a[3], b[3]; /* unit mm */
    float radius;     /* mm */
    int parent;       /* -1: a root */
};
struct tree {
    struct branch *branch;
    int branches;
    float *distance; /* mm (not unit mm), capped at 9; [z][y][x] */
    int64_t dims[3];
    double lo[3]; /* unit mm of node 0 */
};
/* Grows the tree inside the unit liver; scale is the body's k: the tree is scaled with the organ, radii stay
 * millimetres. Streams `tree/portal`, `tree/hepvein`. */
MUST_USE enum err tree_grow(struct tree *out, enum tree_kind kind, const struct phantom_id *id,
                            const struct liver *unit, double scale);
void tree_free(struct tree *t);
/* Distance (mm) at anatomical points of the unit patient; 9 outside the lattice. */
void tree_read(const struct tree *t, const struct points *a, int n, float *d);

#endif
