/* Segmentation losses over several resolutions. */
#ifndef D4M_NN_LOSS_H
#define D4M_NN_LOSS_H

#include "graph/graph.h"
#include "ops/ops.h"

/* Weights of n outputs, full resolution first: 2^-i, the last 0, normalised to sum 1 (seg-nnunet.md section
 * 9); 1 if n is 1. */
void loss_level_weights(int n, double weight[]);

/* Sum over the outputs of weight[i] * dice_ce(logits[i], labels at its size); a scalar. logits[i] are
 * (N,d,h,w,K), labels (N,D,H,W,1) class indices, brought down by nearest-exact. An output of weight 0 is left
 * out, so that it gets no gradient. */
val loss_deep_supervision(struct graph *g, int n, const val logits[], val labels, const struct dice_ce *o);

#endif
