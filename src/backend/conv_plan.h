/* Index arithmetic of convolutions, shared by all instruction sets: along one axis, which taps join which
 * positions.
 *
 * Both directions that move activations are the same loop: destination = phase + step_out * t reads, for tap
 * i of the phase, source = step_in * t + off0 + i * off_step through the weight tap0 + i * tap_step. Offsets
 * ascend with i.
 *
 *     forward:  one phase, step_in = stride, step_out = 1, every tap in ascending order;
 *     by data:  `stride` phases, step_in = 1, step_out = stride; a phase owns the taps that reach it,
 *               in descending order. */
#ifndef D4M_BACKEND_CONV_PLAN_H
#define D4M_BACKEND_CONV_PLAN_H

#include "backend/kernels.h"

struct conv_axis {
    int64_t phases, step_in, step_out;
    int64_t source, dest;                  /* sizes */
    int64_t low, high;                     /* smallest and largest offset of any phase */
    int64_t kernel, pad, stride, dilation; /* as in the shape */
    bool by_data;
    enum conv_pad outside; /* of the source */
};

struct conv_phase {
    int64_t taps, tap0, tap_step, off0, off_step;
    int64_t count;  /* how many t there are */
    int64_t packed; /* taps of the phases before this one: where its taps stand among the packed ones */
};

/* `axis` 0, 1, 2 for D, H, W; dir is CONV_FORWARD or CONV_DX. */
struct conv_axis conv_axis_make(const struct conv_shape *s, enum conv_dir dir, int axis);
struct conv_phase conv_axis_phase(const struct conv_axis *a, int64_t phase);

/* The position of an axis of n that stands at i: i itself inside; outside by `outside`, -1 where that is a
 * zero (or past the mirror image's end, which only a tile's unused positions reach). */
static inline int64_t conv_position(enum conv_pad outside, int64_t i, int64_t n)
{
    if (i >= 0 && i < n)
        return i;
    if (outside == CONV_PAD_REPLICATE)
        return i < 0 ? 0 : n - 1;
    if (outside == CONV_PAD_REFLECT)
        i = i < 0 ? -i : 2 * (n - 1) - i;
    return i >= 0 && i < n ? i : -1;
}

/* Clips positions range[0] .. range[1] - 1 of the source to those that have a voxel of their own; where
 * others stand for the ones outside, there is nothing to clip. */
static inline void conv_axis_clip(const struct conv_axis *a, int64_t range[2])
{
    if (a->outside)
        return;
    range[0] = range[0] > 0 ? range[0] : 0;
    range[1] = range[1] < a->source ? range[1] : a->source;
}

/* Positive sizes, groups dividing both channel counts, a window that fits the padded x, every buffer (x with
 * its padding) below 2^40 elements. */
bool conv_shape_valid(const struct conv_shape *s);
/* Kernel 1, stride 1, no padding, same size: a matrix product over voxels. */
bool conv_is_product(const struct conv_shape *s);
/* n * D * H * W of x or y */
int64_t conv_voxels(int64_t n, const int64_t size[3]);
int64_t conv_taps(const struct conv_shape *s);

#endif
