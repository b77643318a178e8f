/* One axis of resize.h: which samples an output is made of, with what weights. Inside of image/. Lines are
 * resized LANES at a time, so that the recursive filter runs along rows of a small block whatever axis it
 * follows. */
#ifndef D4M_IMAGE_RESIZE_AXIS_H
#define D4M_IMAGE_RESIZE_AXIS_H

#include "image/resize.h"
#include <stdbool.h>

/* Samples by which a cubic axis is padded at both ends. */
enum { RESIZE_LANES = 16, RESIZE_PAD = 12 };

/* Output k is the sum of taps weights times rows index[] of the (for cubic: padded and filtered) input. */
struct resize_axis {
    int64_t n, m;
    int taps;
    bool filter;
    int64_t *index; /* m * taps */
    double *weight;
};
/* After an error, too, resize_axis_free is due. */
MUST_USE enum err resize_axis_make(struct resize_axis *a, int64_t n, int64_t m, enum resize_order order);
void resize_axis_free(struct resize_axis *a);
/* Rows that a block of the whole axis has before the filter. */
int64_t resize_axis_rows(const struct resize_axis *a);

/* Part of an axis: outputs from .. to - 1, made of rows first .. end - 1 of the (for cubic: padded) input. */
struct resize_span {
    int64_t from, to, first, end;
};
/* before: the rows of the span, filtered in place; behind: its outputs. The filter's memory fades by 0.27 a
 * row, so outputs that read well inside the span are those of the whole axis. */
void resize_axis_apply(const struct resize_axis *a, const struct resize_span *part,
                       double (*restrict before)[RESIZE_LANES], double (*restrict behind)[RESIZE_LANES]);
/* All of the axis: real rows lie in `before` from RESIZE_PAD (or 0, unless it is filtered) on. */
void resize_axis_apply_all(const struct resize_axis *a, double (*restrict before)[RESIZE_LANES],
                           double (*restrict behind)[RESIZE_LANES]);

#endif
