/* Copies between two strided boxes of the same extents: what broadcasting, transposing, slicing, padding and
 * concatenating come down to. Strides count elements and may be 0 in the source. */
#ifndef D4M_BACKEND_STRIDED_H
#define D4M_BACKEND_STRIDED_H

#include "tensor/dims.h"

struct strided {
    int axes;
    int64_t extent[DIMS_MAX], from[DIMS_MAX], to[DIMS_MAX]; /* outer first */
    size_t size;                                            /* bytes of an element: 2, 4 or 8 */
};

/* Appends an inner axis, joining it with the one before where both strides allow. */
void strided_axis(struct strided *w, int64_t extent, int64_t from, int64_t to);
void strided_copy(const struct strided *w, void *to, const void *from, int threads);

#endif
