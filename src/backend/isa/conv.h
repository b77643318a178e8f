/* The direct convolution. conv.c cuts groups and chooses a path by the shape alone; each path takes a shape
 * with one group and buffers that are that group's slices. */
#ifndef D4M_BACKEND_ISA_CONV_H
#define D4M_BACKEND_ISA_CONV_H

#include "backend/conv_plan.h"
#include "backend/isa/vec.h"

#define conv_hooks_of KERNEL(conv_hooks_of)
#define conv_scratch KERNEL(conv_scratch)
#define conv_run KERNEL(conv_run)
#define conv_direct_scratch KERNEL(conv_direct_scratch)
#define conv_packed_of KERNEL(conv_packed_of)
#define conv_pack_run KERNEL(conv_pack_run)
#define conv_direct_packed KERNEL(conv_direct_packed)
#define conv_direct_pack KERNEL(conv_direct_pack)
#define conv_direct_run KERNEL(conv_direct_run)
#define conv_few_accepts KERNEL(conv_few_accepts)
#define conv_few_scratch KERNEL(conv_few_scratch)
#define conv_few_run KERNEL(conv_few_run)
#define conv_depth_accepts KERNEL(conv_depth_accepts)
#define conv_depth_scratch KERNEL(conv_depth_scratch)
#define conv_depth_run KERNEL(conv_depth_run)
#define conv_edge_accepts KERNEL(conv_edge_accepts)
#define conv_edge_scratch KERNEL(conv_edge_scratch)
#define conv_edge_run KERNEL(conv_edge_run)
#define conv_dw_scratch KERNEL(conv_dw_scratch)
#define conv_dw_run KERNEL(conv_dw_run)

unsigned conv_hooks_of(const struct conv_shape *s, enum conv_dir dir); /* as in kernels.h */
int64_t conv_packed_of(const struct conv_shape *s, enum conv_dir dir);
void conv_pack_run(const struct conv_shape *s, enum conv_dir dir, const void *w, void *packed, int threads);
size_t conv_scratch(const struct conv_shape *s, enum conv_dir dir, int threads);
void conv_run(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b);

/* Forward and by data, any shape. */
size_t conv_direct_scratch(const struct conv_shape *s, enum conv_dir dir, int threads);
void conv_direct_run(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b);

/* The packed weights: elements, and the packing of b's w into its work. */
int64_t conv_direct_packed(const struct conv_shape *s, enum conv_dir dir);
void conv_direct_pack(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b);

/* Forward and by data into few channels, with the taps along w as columns. */
bool conv_few_accepts(const struct conv_shape *s, enum conv_dir dir);
size_t conv_few_scratch(const struct conv_shape *s, enum conv_dir dir, int threads);
void conv_few_run(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b);

/* Every direction of a depthwise convolution, whole: as many groups as channels in x and y. */
bool conv_depth_accepts(const struct conv_shape *s);
size_t conv_depth_scratch(const struct conv_shape *s, enum conv_dir dir);
void conv_depth_run(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b);

/* Padding other than zero that is not read by the kernel itself: by data, and of depthwise convolutions.
 * Whole: any groups; without CONV_PACKED, CONV_MOMENTS and CONV_GATE. */
bool conv_edge_accepts(const struct conv_shape *s, enum conv_dir dir);
size_t conv_edge_scratch(const struct conv_shape *s, enum conv_dir dir, int threads);
void conv_edge_run(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b);

/* By weights, any shape. */
size_t conv_dw_scratch(const struct conv_shape *s, int threads);
void conv_dw_run(const struct conv_shape *s, const struct conv_buf *b);

#endif
