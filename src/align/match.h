/* The affine part by block matching (registration.md section 5.2; Ourselin et al.). */
#ifndef D4M_ALIGN_MATCH_H
#define D4M_ALIGN_MATCH_H

#include "align/feature.h"
#include <stdbool.h>

enum {
    MATCH_ROUNDS = 4,
    MATCH_OUTSIDE = 39015 /* cost of a node outside the moving image: 0.6 in byte units */
};

struct match_input {
    const struct features *fixed;     /* level 2 */
    const struct lattice *fine;       /* the fixed lattice at level 1 */
    const struct features *moving[2]; /* levels 1 and 2 */
    const uint8_t *body;              /* of the fixed image at level 2 */
};

struct match_report {
    int64_t points[MATCH_ROUNDS]; /* pairs that were fitted; under 500: the round was left out */
    double rms[MATCH_ROUNDS];     /* mm */
    bool rigid;                   /* the affine left its bounds and a rigid map was fitted instead */
    bool outside;                 /* and that left them too */
};

/* Improves *a (fixed world -> moving world), whose linear part is the identity. */
MUST_USE enum err match_affine(struct affine *a, struct match_report *out, const struct match_input *in);

#endif
