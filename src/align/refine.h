/* Refinement: Adam on a stationary velocity field (registration.md section 7). Parameters q, v = B q,
 * phi = exp(v); phase A on level-1 features, phase B on level-0 features. */
#ifndef D4M_ALIGN_REFINE_H
#define D4M_ALIGN_REFINE_H

#include "align/feature.h"
#include "align/velocity.h"
#include "base/progress.h"
#include <stdatomic.h>

enum refine_preset { REFINE_DEFAULT, REFINE_FINE };
extern const char *const refine_preset_names[]; /* "default", "fine", NULL */

struct refine_input {
    const struct features *fixed[2], *moving[2]; /* levels 0 and 1; moving[1] is warped by the affine onto
                                                    fixed[1]'s lattice, moving[0] onto fixed[0]'s */
    const uint8_t *weight;                       /* on level 1: 1 where data count */
    enum refine_preset preset;
    const struct progress *progress; /* may be NULL */
    atomic_int *stop;                /* may be NULL */
};

struct refine_report {
    int iterations[2];             /* phases A and B */
    double data[2], smoothness[2]; /* terms of L at the end of each phase */
    int repairs;                   /* rounds of smoothing around small determinants */
    double det_least;              /* of I + grad phi over level-0 nodes, after the repairs */
    int64_t folds;                 /* level-0 nodes with det <= 0 */
};

/* v on fixed[1]'s lattice; v->v is freed with mem_free. ERR_STOPPED if *stop is set. */
MUST_USE enum err refine(struct velocity *v, struct refine_report *out, const struct refine_input *in);

#endif
