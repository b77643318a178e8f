/* What feature distance noise alone would give: the level against which a registration's is judged
 * (registration.md section 12: limits must hold over noise levels). */
#ifndef D4M_ALIGN_EXPECT_H
#define D4M_ALIGN_EXPECT_H

#include "align/lattice.h"
#include "base/err.h"

struct expect_input {
    const struct lattice *at; /* of the working image, level 0 */
    const float *hu;
    const uint8_t *body;
    double sigma;             /* HU, of both images */
    const double *half_width; /* of the working image's tent, in nodes */
};

struct expectation {
    double mean12; /* mean of c/12 at level 1 */
    double bad;    /* share of nodes with c/12 > EXPECT_BAD */
};
#define EXPECT_BAD 0.03

/* Over the body's middle, between two copies of the smoothed image with independent noise of sigma,
 * correlated as the tent makes it. The draws are fixed. */
MUST_USE enum err expect_noise(struct expectation *out, const struct expect_input *in);

#endif
