/* nnU-Net's networks: PlainConvUNet and ResidualEncoderUNet (Isensee et al. 2021 and 2024; seg-backbones.md
 * section 7), built from the arch_kwargs of its plans. Parameter names are the reference's. */
#ifndef D4M_NETS_NNUNET_H
#define D4M_NETS_NNUNET_H

#include "nets/weights.h"
#include "nn/nn.h"
#include <stdbool.h>

enum { NNUNET_STAGES_MAX = 12 };

struct nnunet {
    bool residual; /* ResidualEncoderUNet */
    int stages;    /* resolutions, 2 .. NNUNET_STAGES_MAX */
    int64_t features[NNUNET_STAGES_MAX];
    int64_t kernel[NNUNET_STAGES_MAX][3];
    int64_t stride[NNUNET_STAGES_MAX][3]; /* of a stage's first convolution */
    int64_t convs[NNUNET_STAGES_MAX];     /* convolutions of each encoder stage; residual: blocks */
    int64_t convs_up[NNUNET_STAGES_MAX];  /* convolutions of each decoder stage, deepest first; stages - 1
                                             entries */
    bool no_bias;                         /* convolutions and transposed convolutions without bias */
    bool no_affine;                       /* norms without weight and bias */
    double eps;                           /* of the norms; 0: 1e-5 */
    double slope;                         /* of the leaky ReLUs */
    bool deep_supervision;                /* an output per decoder stage instead of the finest alone */
    int64_t channels, classes;            /* of the image, of the logits */
};

/* The usual isotropic network: kernels 3, strides 2, widths min(width << stage, width_max), two convolutions
 * a stage; residual: 1, 3, 4, 6, 6, ... blocks and one convolution per decoder stage. Bias, affine norm,
 * slope 0.01, deep supervision. */
void nnunet_make(struct nnunet *o, bool residual, int stages, int64_t width, int64_t width_max);

/* Logits of image (N, D, H, W, channels): out[i] is (N, d, h, w, classes), full resolution first; *n_out is
 * stages - 1 with deep supervision, else 1. `out` needs room for NNUNET_STAGES_MAX. Errors latch in the
 * graph. */
void nnunet(struct nn *m, val image, const struct nnunet *o, val out[], int *n_out);

/* Reads {network_class_name, arch_kwargs, in_channels, num_classes, deep_supervision}. What this program does
 * not implement (another class, norm, activation, dropout, an unknown key) is ERR_MODEL and names the key;
 * unreadable JSON as json_read. */
MUST_USE enum err nnunet_read_json(struct nnunet *o, const char *path);

/* The keys of the reference's state dict in its order, aliases included: encoder, its copy decoder.encoder,
 * decoder.stages, decoder.transpconvs, decoder.seg_layers; every block repeats its tensors under all_modules.
 */
MUST_USE enum err nnunet_keys(struct weight_keys *k, const struct nn *m);

#endif
