/* MIND-SSC with a noise floor (registration.md section 4; Heinrich et al., MICCAI 2013): how similar the
 * neighbourhoods of a node are to each other, which does not depend on contrast.
 *
 *     D_ab(x) = mean over the 27 nodes y around 0 of (I(x+a+y) - I(x+b+y))^2
 *     m(x)    = min over pairs of D_ab(x)
 *     V(x)    = clamp(mean over pairs of D_ab(x) - m(x), V_lo, V_hi)
 *     F_ab(x) = exp(-(D_ab(x) - m(x)) / V(x))
 *
 * over the 12 pairs a, b of the six offsets +-2 e that are not opposite. A node is 16 bytes, so that one load
 * gets it: F rounded to 0..255, three zeros, and 255 where it is valid (0: outside the image). */
#ifndef D4M_ALIGN_FEATURE_H
#define D4M_ALIGN_FEATURE_H

#include "align/lattice.h"
#include "base/err.h"
#include <stdbool.h>

enum { FEATURES = 12, FEATURE_NODE = 16, FEATURE_VALID = 15 /* the validity byte */ };
/* Squared differences of bytes are 255^2 times those of features. */
#define FEATURE_SQUARE (255.0f * 255.0f)

struct features {
    struct lattice at;
    uint8_t *node; /* FEATURE_NODE bytes each; mem_free */
};

/* sigma: noise of both images (body.h), HU. inside: 0 at nodes that are not valid, or NULL. */
MUST_USE enum err features_make(struct features *out, const struct lattice *at, const float *hu,
                                const uint8_t *inside, double sigma);
/* The next level: 1-2-1 tent centred on the even nodes; valid where all 27 nodes are. */
MUST_USE enum err features_coarser(struct features *out, const struct features *in);
/* 1-2-1 tent at every node; a node stays valid or not as it is. */
MUST_USE enum err features_smooth(struct features *out, const struct features *in);
/* Trilinear at map(node) for every node of `at`, map: its node index -> in's. Outside: zeros. */
MUST_USE enum err features_warp(struct features *out, const struct features *in, const struct lattice *at,
                                const struct affine *map);
/* Trilinear at node position p, in byte units; false outside, or where a corner is not valid. */
bool features_at(const struct features *f, const double p[3], float value[FEATURE_NODE]);
void features_free(struct features *f);

/* Sum over k of (a_k - b_k)^2 in byte units, for nodes of equal validity. */
static inline int32_t feature_distance(const uint8_t *restrict a, const uint8_t *restrict b)
{
    int32_t sum = 0;

    for (int k = 0; k < FEATURE_NODE; k++) {
        int16_t d = (int16_t)(a[k] - b[k]);
        sum += d * d;
    }
    return sum;
}

#endif
