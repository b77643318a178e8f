/* Order statistics in linear time. */
#ifndef D4M_ALIGN_SELECT_H
#define D4M_ALIGN_SELECT_H

#include <stdint.h>

/* The value that would stand at `rank` (0 <= rank < n) if v were sorted; v is reordered. No NaN. */
float select_float(float *v, int64_t n, int64_t rank);

#endif
