/* Layers with parameters. Each enters the scope `name`, declares its parameters there with the names and
 * shapes of the PyTorch module of the same kind, and takes its input width from its argument. Activations are
 * (N, D, H, W, C). */
#ifndef D4M_NN_LAYERS_H
#define D4M_NN_LAYERS_H

#include "nn/nn.h"

/* Convolution to c.out channels: weight (out, in / groups, kD, kH, kW), bias (out) unless c.no_bias. Where
 * c.pad is all zero the padding is (kernel - 1) / 2, so stride 1 keeps the size; c.pad_mode says what is read
 * there (PyTorch's padding_mode). */
val nn_conv(struct nn *m, val x, const char *name, struct conv c);

/* Transposed convolution, zero padding only: weight (in, out, kD, kH, kW), bias (out) unless c.no_bias. With
 * kernel = stride the size grows by the stride. */
val nn_conv_up(struct nn *m, val x, const char *name, struct conv c);

struct norm {
    double eps;     /* 0: 1e-5 */
    bool no_affine; /* without weight and bias */
    bool zero;      /* weight and bias start at 0 instead of 1 and 0 */
};

/* Normalisation per sample and channel: weight (C), bias (C). A leaky ReLU behind it, or behind its sum with
 * a residual, fuses. */
val nn_norm(struct nn *m, val x, const char *name, struct norm o);

#endif
