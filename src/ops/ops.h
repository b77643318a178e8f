/* Builders of the public ops. Shapes are channels-last (N, D, H, W, C) where axes are named; pointwise ops
 * broadcast extents of 1 (NumPy's rule, equal ranks; a scalar goes with everything). Errors latch in the
 * graph and the result is the null value. */
#ifndef D4M_OPS_OPS_H
#define D4M_OPS_OPS_H

#include "graph/graph.h"

/* Constants: one number of any shape; a scalar if dims is DIMS0. */
val op_constant(struct graph *g, double value, struct dims dims);
val op_scalar(struct graph *g, double value);

/* Pointwise. */
val op_add(struct graph *g, val a, val b);
val op_sub(struct graph *g, val a, val b);
val op_mul(struct graph *g, val a, val b);
val op_div(struct graph *g, val a, val b);
val op_max(struct graph *g, val a, val b); /* where equal, half of the gradient goes each way */
val op_min(struct graph *g, val a, val b);
val op_less(struct graph *g, val a, val b);  /* 1 where a < b, else 0; flat */
val op_equal(struct graph *g, val a, val b); /* flat */
/* a where c is not zero, else b; not differentiable in c */
val op_where(struct graph *g, val c, val a, val b);
val op_neg(struct graph *g, val a);
val op_abs(struct graph *g, val a);
val op_sign(struct graph *g, val a);
val op_sqrt(struct graph *g, val a);
val op_exp(struct graph *g, val a);
val op_log(struct graph *g, val a);
val op_tanh(struct graph *g, val a);
val op_sigmoid(struct graph *g, val a);
val op_relu(struct graph *g, val a);
/* on a norm, or on norm + residual: becomes norm_act */
val op_leaky_relu(struct graph *g, val a, double slope);
val op_prelu(struct graph *g, val a, val slope); /* slope broadcasts: one, or one per channel */
val op_silu(struct graph *g, val a);
val op_clamp(struct graph *g, val a, double lo, double hi); /* gradient 1 inside, 0 outside */
val op_is_finite(struct graph *g, val a);
val op_cast(struct graph *g, val a, enum dtype type);
val op_stop_gradient(struct graph *g, val a);
val op_add_scalar(struct graph *g, val a, double s);
val op_mul_scalar(struct graph *g, val a, double s);
val op_square(struct graph *g, val a);

/* Reductions over the axes in the bit set; reduced extents become 1. */
val op_sum(struct graph *g, val a, unsigned axes);
val op_mean(struct graph *g, val a, unsigned axes);
val op_max_over(struct graph *g, val a, unsigned axes); /* gradient is shared equally by ties */
/* index as a real number, first of ties; extent of the axis becomes 1; flat */
val op_argmax(struct graph *g, val a, unsigned axis);
val op_sum_to(struct graph *g, val a, struct dims dims); /* undoes broadcasting from dims */

/* Moving. */
val op_broadcast(struct graph *g, val a, struct dims dims);
val op_reshape(struct graph *g, val a, struct dims dims);
val op_transpose(struct graph *g, val a, const int perm[]); /* output axis i is input axis perm[i] */
val op_slice(struct graph *g, val a, const int64_t start[], const int64_t size[]);
/* zeros; size is the output's */
val op_pad(struct graph *g, val a, const int64_t before[], const int64_t size[]);
val op_concat(struct graph *g, unsigned axis, val a, val b);
val op_concat_n(struct graph *g, unsigned axis, int n, const val a[]);
val op_one_hot(struct graph *g, val index, int64_t classes); /* (..., 1) -> (..., classes); flat */
/* (N,D,H,W,C), nearest-exact: input floor((i + 1/2) n/m) */
val op_nearest(struct graph *g, val a, const int64_t size[3]);
/* stride = window, no padding, remainder dropped */
val op_average_pool(struct graph *g, val a, const int64_t window[3]);

/* Convolution (cross-correlation, padded as c->pad_mode says); w is (out, in / groups, kD, kH, kW) as PyTorch
 * stores it. */
val op_conv(struct graph *g, val x, val w, val bias /* (out) or null */, const struct conv *c);
/* Gradient by data; also the transposed convolution, w is then PyTorch's ConvTranspose weight (in, out /
 * groups, kD, kH, kW). */
val op_conv_dx(struct graph *g, val dy, val w, val bias /* (in) or null */, const struct conv *c);
val op_conv_dw(struct graph *g, val dy, val x, const struct conv *c);
/* (..., M, K) x (..., K, N) with equal leading axes (or 1); flags read an operand transposed. */
val op_matmul(struct graph *g, val a, val b, bool transpose_a, bool transpose_b);

/* Normalisation over space and channel groups (groups 0: instance norm), biased variance; gamma and beta (C)
 * or both null. */
val op_norm(struct graph *g, val x, val gamma, val beta, int64_t groups, double eps);
val op_softmax(struct graph *g, val a);     /* over the last axis */
val op_log_softmax(struct graph *g, val a); /* over the last axis */

/* Dice + ce_weight * cross entropy of logits (N,D,H,W,K) against class indices (N,D,H,W,1); a scalar. */
struct dice_ce {
    /* false: seg-nnunet.md section 9, foreground classes; true: MONAI's squared form, all classes, 1 - Dice
     */
    bool squared;
    bool batch;       /* Dice sums over the batch too */
    double ce_weight; /* the cross entropy's factor */
};
val op_dice_ce(struct graph *g, val logits, val labels, const struct dice_ce *o);

/* Random tensors: a pure function of key (an I64 scalar below 2^53), the scope path and the call index. Flat.
 */
val op_uniform(struct graph *g, val key, struct dims dims); /* [0,1) */
val op_normal(struct graph *g, val key, struct dims dims);  /* N(0,1) */

/* Updates of all parameters at once. Arrays have n entries; scalars are rank 0. Where `when` is 0 the outputs
 * are the inputs. */
val op_l2_norm(struct graph *g, int n, const val a[]); /* sqrt of the sum of all squares */
struct update {
    val lr, scale, when, step; /* gradients are multiplied by scale; step (AdamW) counts from 1 */
    double momentum, decay;    /* SGD with Nesterov momentum, coupled decay (PyTorch's form) */
    double beta1, beta2, eps;  /* AdamW */
};
void op_sgd(struct graph *g, const struct update *u, int n, const val w[], const val grad[], const val v[],
            val w_new[], val v_new[]);
void op_adamw(struct graph *g, const struct update *u, int n, const val w[], const val grad[], const val m[],
              const val v[], val w_new[], val m_new[], val v_new[]);

#endif
