/* Coarse translation: recovers a wrong table position (registration.md section 5.1). */
#ifndef D4M_ALIGN_SEARCH_H
#define D4M_ALIGN_SEARCH_H

#include "align/feature.h"
#include <stdbool.h>

/* One image at level 3 (8h): features and body mask on the same lattice. */
struct search_side {
    const struct features *f;
    const uint8_t *body;
};

struct search_result {
    double header,
        best;        /* cost at the header's position and of the best shift; header < 0: no overlap there */
    double shift[3]; /* mm in the world that bring fixed points onto the moving image; 0 if kept */
    bool kept;       /* the header's position stays: the best shift is not 10 % cheaper */
};

/* Every integer shift within +-6 nodes in x and y and every shift in z under which 40 % of the smaller body
 * overlap. Cost: mean of c over the nodes where either body is set, plus 2 where one is. */
MUST_USE enum err search_translation(struct search_result *out, const struct search_side *fixed,
                                     const struct search_side *moving);

#endif
