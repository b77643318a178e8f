/* Determinants of I + grad phi: where a field folds or nearly does (registration.md section 7). */
#ifndef D4M_ALIGN_FOLD_H
#define D4M_ALIGN_FOLD_H

#include "base/err.h"
#include <stdint.h>

enum { FOLD_REPAIRS = 3 };
/* Determinants up to this are repaired. Section 7 says 0.05; section 14 wants 0.2 on true pairs. */
#define FOLD_DET_LEAST 0.2

struct fold_report {
    double least, largest; /* determinants over the nodes of level 0 */
    int64_t folds;         /* nodes with det <= 0 */
    uint8_t *near; /* on phi's lattice: 1 within five nodes of a det <= FOLD_DET_LEAST; NULL if none */
    float *det;    /* at phi's own nodes */
};

/* phi: 3 per node of `size`, in nodes; `fine`: size of level 0, whose node 2i is phi's node i. Central
 * differences at every node of level 0 of phi interpolated. */
MUST_USE enum err fold_find(struct fold_report *out, const int64_t size[3], const int64_t fine[3],
                            const float *phi);
void fold_free(struct fold_report *f);

#endif
