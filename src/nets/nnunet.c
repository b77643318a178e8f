#include "nets/nnunet.h"

#include "nn/layers.h"
#include "ops/ops.h"
#include <stdio.h>
#include <string.h>

void nnunet_make(struct nnunet *o, bool residual, int stages, int64_t width, int64_t width_max)
{
    static const int64_t blocks[4] = {1, 3, 4, 6};

    *o = (struct nnunet){.residual = residual, .stages = stages, .slope = 0.01, .deep_supervision = true};
    for (int s = 0; s < stages; s++) {
        int64_t wide = width << s;

        o->features[s] = wide < width_max ? wide : width_max;
        o->convs[s] = residual ? blocks[s < 3 ? s : 3] : 2;
        o->convs_up[s] = residual ? 1 : 2;
        for (int i = 0; i < 3; i++) {
            o->kernel[s][i] = 3;
            o->stride[s][i] = s ? 2 : 1;
        }
    }
}

/* The convolution of stage s, with its stride or without. */
static struct conv conv_at(const struct nnunet *o, int s, bool strided)
{
    struct conv c = {.out = o->features[s], .no_bias = o->no_bias};

    for (int i = 0; i < 3; i++) {
        c.kernel[i] = o->kernel[s][i];
        c.stride[i] = strided ? o->stride[s][i] : 1;
    }
    return c;
}

static val activation(struct nn *m, val x, const struct nnunet *o)
{
    return op_leaky_relu(m->g, x, o->slope);
}

/* Convolution and instance norm; the activation is the caller's. */
static val conv_norm(struct nn *m, val x, const struct nnunet *o, struct conv c, bool starts_at_zero)
{
    x = nn_conv(m, x, "conv", c);
    return nn_norm(m, x, "norm",
                   (struct norm){.eps = o->eps, .no_affine = o->no_affine, .zero = starts_at_zero});
}

static val conv_block(struct nn *m, val x, const struct nnunet *o, struct conv c)
{
    return activation(m, conv_norm(m, x, o, c, false), o);
}

/* "convs.0" ... "convs.(n-1)": only the first has c's stride. */
static val conv_blocks(struct nn *m, val x, const struct nnunet *o, struct conv c, int64_t n)
{
    for (int i = 0; i < n; i++) {
        nn_enter(m, "convs.%d", i);
        x = conv_block(m, x, o, c);
        nn_leave(m);
        c.stride[0] = c.stride[1] = c.stride[2] = 1;
    }
    return x;
}

static bool is_strided(const struct conv *c)
{
    return c->stride[0] > 1 || c->stride[1] > 1 || c->stride[2] > 1;
}

/* ResNet-D's shortcut: average pooling where the block strides, then a 1x1x1 convolution where it changes the
 * width. */
static val shortcut(struct nn *m, val x, const struct nnunet *o, const struct conv *c)
{
    bool pools = is_strided(c);

    if (pools)
        x = op_average_pool(m->g, x, c->stride);
    if (graph_dims(m->g, x).n[4] != c->out) {
        nn_enter(m, "skip.%d", pools);
        x = conv_norm(m, x, o, (struct conv){.out = c->out, .no_bias = 1}, false);
        nn_leave(m);
    }
    return x;
}

/* BasicBlockD: two convolutions beside the shortcut, added before the last activation. */
static val residual_block(struct nn *m, val x, const struct nnunet *o, int s, bool first)
{
    struct conv c = conv_at(o, s, first);
    val y;

    nn_enter(m, "conv1");
    y = conv_block(m, x, o, c);
    nn_leave(m);
    nn_enter(m, "conv2");
    y = conv_norm(m, y, o, conv_at(o, s, false), true);
    nn_leave(m);
    return activation(m, op_add(m->g, y, shortcut(m, x, o, &c)), o);
}

static val residual_blocks(struct nn *m, val x, const struct nnunet *o, int s)
{
    for (int i = 0; i < o->convs[s]; i++) {
        nn_enter(m, "blocks.%d", i);
        x = residual_block(m, x, o, s, i == 0);
        nn_leave(m);
    }
    return x;
}

static val stem(struct nn *m, val x, const struct nnunet *o)
{
    nn_enter(m, "stem.convs.0");
    x = conv_block(m, x, o, conv_at(o, 0, false));
    nn_leave(m);
    return x;
}

/* skip[s]: the last map of stage s. */
static void encoder(struct nn *m, val x, const struct nnunet *o, val skip[])
{
    nn_enter(m, "encoder");
    if (o->residual)
        x = stem(m, x, o);
    for (int s = 0; s < o->stages; s++) {
        nn_enter(m, o->residual ? "stages.%d" : "stages.%d.0", s);
        x = o->residual ? residual_blocks(m, x, o, s)
                        : conv_blocks(m, x, o, conv_at(o, s, true), o->convs[s]);
        nn_leave(m);
        skip[s] = x;
    }
    nn_leave(m);
}

/* Decoder stage i, up to the resolution of encoder stage s: transposed convolution, then the skip behind it,
 * then convolutions. */
static val decoder_stage(struct nn *m, val x, const struct nnunet *o, int i, val skip)
{
    int s = o->stages - 2 - i;
    struct conv c = {.out = o->features[s], .no_bias = o->no_bias};
    char name[32];

    memcpy(c.kernel, o->stride[s + 1], sizeof(c.kernel));
    memcpy(c.stride, o->stride[s + 1], sizeof(c.stride));
    snprintf(name, sizeof(name), "transpconvs.%d", i);
    x = nn_conv_up(m, x, name, c);
    x = op_concat(m->g, AXIS_C, x, skip);
    nn_enter(m, "stages.%d", i);
    x = conv_blocks(m, x, o, conv_at(o, s, false), o->convs_up[i]);
    nn_leave(m);
    return x;
}

/* Logits of every stage, finest first. */
static void decoder(struct nn *m, const val skip[], const struct nnunet *o, val out[])
{
    val x = skip[o->stages - 1];
    char name[32];

    nn_enter(m, "decoder");
    for (int i = 0; i < o->stages - 1; i++) {
        int s = o->stages - 2 - i;

        x = decoder_stage(m, x, o, i, skip[s]);
        snprintf(name, sizeof(name), "seg_layers.%d", i);
        out[s] = nn_conv(m, x, name, (struct conv){.out = o->classes});
    }
    nn_leave(m);
}

void nnunet(struct nn *m, val image, const struct nnunet *o, val out[], int *n_out)
{
    val skip[NNUNET_STAGES_MAX];

    encoder(m, image, o, skip);
    decoder(m, skip, o, out);
    *n_out = o->deep_supervision ? o->stages - 1 : 1;
}
