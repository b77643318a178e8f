/* The library that bench_conv compares with: oneDNN where cmake was told where it is (-DONEDNN_ROOT=...),
 * else none. One thread, f32. Running out of memory ends the program. */
#ifndef D4M_BENCH_CONV_PEER_H
#define D4M_BENCH_CONV_PEER_H

#include "backend/kernels.h"

struct conv_peer;

/* Name and version; NULL if there is none. Before anything else: limits it to the instruction set. */
const char *conv_peer_open(bool avx512);
/* A convolution with its operands, weights already in the peer's order; channels-last activations or, with
 * `blocked`, whatever order it likes best. NULL if it cannot do the shape. conv_peer_free. */
struct conv_peer *conv_peer_new(const struct conv_shape *s, enum conv_dir dir, bool blocked);
const char *conv_peer_kernel(const struct conv_peer *p); /* which of its kernels it chose */
void conv_peer_run(struct conv_peer *p);
/* Weights from (Co, Ci, kD, kH, kW) to the peer's order; by weights, back. */
void conv_peer_order(struct conv_peer *p);
void conv_peer_free(struct conv_peer *p); /* NULL: nothing */

#endif
