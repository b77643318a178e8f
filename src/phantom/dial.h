/* The dial: a random smooth displacement whose mean length in the liver is given, as the flow of a velocity
 * field, which cannot fold (phantom.md section 9). */
#ifndef D4M_PHANTOM_DIAL_H
#define D4M_PHANTOM_DIAL_H

#include "phantom/liver.h"
#include "phantom/vectors.h"

struct dial {
    double mm; /* mean displacement over the liver, > 0 */
    const struct liver *liver;
    const struct liver_points *inside; /* of it */
    double lo[3], hi[3];               /* mm: where the field is needed; beyond it goes on as at the border */
};
/* *flow: kappa u on a 6 mm lattice; *steps: K. Patterns that would squeeze the liver to less than half
 * (determinant .5 at 5 mm, .12 at 15) are drawn again, whatever the dial is: every other dial has the same
 * pattern. kappa makes d->mm the mean of |Phi^-1(x) - x|, which is what a truth field shows in registered
 * phases; that of |Phi(y) - y| is a few per cent off, most in a small liver.
 * Streams `dial`/3p .. 3p+2, then for further draws 12 more each. */
MUST_USE enum err dial_make(struct vectors **flow, int *steps, const struct phantom_id *id, int phase,
                            const struct dial *d);
/* Where the points are after `time` (1: Phi; -1: its inverse) in `steps` midpoint steps. p and out may be the
 * same. */
void dial_flow(const struct vectors *flow, double time, int steps, const struct points *p, int n,
               struct points *out);

#endif
