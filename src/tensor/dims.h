/* Element types and shapes. Activations are channels-last: (N, D, H, W, C), last axis fastest; a 2-D image
 * has D = 1. */
#ifndef D4M_TENSOR_DIMS_H
#define D4M_TENSOR_DIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIMS_MAX = 8 };

enum dtype {
    DT_F32,
    DT_F64,
    DT_I64,  /* random keys and counters */
    DT_BF16, /* operands of convolutions, tensor/bf16.h */
    DT_COUNT
};

struct dims {
    int64_t rank; /* 0: a scalar; 64 bits so that the struct has no padding and can be hashed */
    int64_t n[DIMS_MAX];
};

/* Axes are named by bits, so that several can be given at once. */
#define AXIS(i) (1u << (i))
enum {
    AXIS_N = 1,
    AXIS_D = 2,
    AXIS_H = 4,
    AXIS_W = 8,
    AXIS_C = 16,
    AXES_SPACE = AXIS_D | AXIS_H | AXIS_W,
    ALL_AXES = 255,
};

#define DIMS0 ((struct dims){0})
#define DIMS1(a) ((struct dims){1, {a}})
#define DIMS2(a, b) ((struct dims){2, {a, b}})
#define DIMS3(a, b, c) ((struct dims){3, {a, b, c}})
#define DIMS4(a, b, c, d) ((struct dims){4, {a, b, c, d}})
#define DIMS5(a, b, c, d, e) ((struct dims){5, {a, b, c, d, e}})

size_t dtype_size(enum dtype t);
const char *dtype_name(enum dtype t);
int64_t dims_count(const struct dims *d); /* product of the extents; 1 for a scalar */
bool dims_equal(const struct dims *a, const struct dims *b);
/* Element strides of a dense tensor, last axis fastest. */
void dims_strides(const struct dims *d, int64_t stride[DIMS_MAX]);
/* NumPy's rule for equal ranks: extents agree or are 1. A scalar goes with everything. False if they do not
 * fit. */
bool dims_broadcast(const struct dims *a, const struct dims *b, struct dims *out);
/* "(2, 96, 96, 96, 4)" into buf; returns buf. */
const char *dims_text(const struct dims *d, char buf[160]);

#endif
