/* The list of the CPU backend's kernel classes, and what they share. */
#ifndef D4M_BACKEND_CLASSES_H
#define D4M_BACKEND_CLASSES_H

#include "backend/fused.h"
#include "graph/kernel.h"
#include <stdbool.h>
#include <stdint.h>

/* X(name) stands for class_name. */
/* clang-format off */
#define KERNEL_CLASSES(X) \
    LINEAR_CLASSES(X) POINTWISE_CLASSES(X) REDUCE_CLASSES(X) MOVE_CLASSES(X) NORM_CLASSES(X) STAGE_CLASSES(X) \
    LOSS_CLASSES(X) RANDOM_CLASSES(X) UPDATE_CLASSES(X)
#define LINEAR_CLASSES(X) \
    X(conv_winograd) X(conv_dx_winograd) X(conv_dw_winograd) X(conv) X(conv_dx) X(conv_dw) X(conv_weights) X(matmul)
#define POINTWISE_CLASSES(X) \
    X(add) X(sub) X(mul) X(div) X(max) X(min) X(less) X(equal) X(where) X(neg) X(abs) X(sign) X(sqrt) X(exp) X(log) \
    X(tanh) X(sigmoid) X(relu) X(leaky_relu) X(prelu) X(silu) X(clamp) X(is_finite) X(stop_gradient) X(cast)
#define REDUCE_CLASSES(X) X(sum) X(max_over) X(argmax)
#define MOVE_CLASSES(X) \
    X(broadcast) X(transpose) X(slice) X(pad) X(concat) X(one_hot) X(nearest) X(nearest_back)
#define NORM_CLASSES(X) X(norm) X(norm_act) X(norm_grad) X(norm_act_grad)
#define STAGE_CLASSES(X) X(moments) X(norm_coef) X(stage) X(gate) X(norm_back) X(norm_dx)
#define LOSS_CLASSES(X) X(softmax) X(log_softmax) X(dice_ce) X(dice_ce_grad)
#define RANDOM_CLASSES(X) X(uniform) X(normal)
#define UPDATE_CLASSES(X) X(l2_norm) X(sgd) X(adamw)
/* clang-format on */

#define CLASS_DECLARE(name) extern const struct kernel_class class_##name;
KERNEL_CLASSES(CLASS_DECLARE)
#undef CLASS_DECLARE

/* All inputs and outputs have the step's type, and that is a real one. */
bool class_all_real(const struct step *s);
/* Threads for `items` pieces of work: no more than there are pieces, at least one. */
int class_threads(const struct step *s, int64_t items);
/* How norms and stages cut an image (N, ..., C) into chunks of voxels: by its shape alone. */
struct class_cut {
    int64_t samples, voxels, channels;
    int64_t columns;       /* of a row of whole voxels that fills registers */
    int64_t chunk, chunks; /* voxels of one, how many a sample has */
};
struct class_cut class_cut_of(const struct step *s, const struct dims *x);
/* Rounds a scratch size up to whole cache lines. */
size_t class_align(size_t bytes);
/* Element strides of a tensor whose rows along the last axis are `pitch` elements apart. */
void class_strides(const struct dims *d, int64_t pitch, int64_t stride[DIMS_MAX]);
/* Element `at` of a buffer of reals. */
void class_put(void *p, int64_t at, double value, enum dtype real);
double class_get(const void *p, int64_t at, enum dtype real);

static inline int64_t int64_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t int64_ceil_div(int64_t a, int64_t b) /* a >= 0, b > 0 */
{
    return (a + b - 1) / b;
}

#endif
