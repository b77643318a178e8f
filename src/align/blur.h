/* B of registration.md section 7: three passes of the 3x3x3 box mean with replicated borders. */
#ifndef D4M_ALIGN_BLUR_H
#define D4M_ALIGN_BLUR_H

#include "base/err.h"
#include <stdint.h>

struct blur {
    int64_t size[3];
    float *weight[3]; /* by axis: seven a node, for nodes -3 .. +3 */
    float *work;      /* three components */
    float *row;       /* a row a slice and component */
};

MUST_USE enum err blur_make(struct blur *b, const int64_t size[3]);
void blur_free(struct blur *b); /* accepts a zeroed struct */
/* out = B in, three components, planar; out may be in. */
void blur_run(const struct blur *b, const float *in, float *out);

#endif
