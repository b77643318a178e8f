/* Least trimmed squares of point pairs, and what an affine does to lengths (registration.md section 5.2). */
#ifndef D4M_ALIGN_FIT_H
#define D4M_ALIGN_FIT_H

#include "align/affine.h"

struct match {
    double from[3], to[3]; /* mm */
};

enum fit_model { FIT_TRANSLATION, FIT_RIGID, FIT_AFFINE };

/* The map from -> to over the best 60 % of n pairs (ties by index), 25 rounds or until they stay the same.
 * *rms: root mean square distance (mm) of those. ERR_INPUT if they lie in a plane. */
MUST_USE enum err fit_trimmed(struct affine *out, double *rms, const struct match *pair, int64_t n,
                              enum fit_model model);

struct fit_shape {
    double least, largest; /* singular values of the linear part */
    double degrees;        /* of its rotation */
    double det;
};
struct fit_shape fit_shape(const struct affine *a);
/* The bounds of section 5.2: singular values in [0.85, 1.18], rotation <= 15 degrees, det > 0. */
bool fit_inside(const struct fit_shape *s);

#endif
