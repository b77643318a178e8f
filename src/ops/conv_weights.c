/* The weights of a convolution as its kernel wants them: the same numbers in another form, transformed and in
 * panels, so that a program can make them once and keep them, or make them at each use. In meaning the
 * identity; only a convolution with HOOK_PACKED reads the form, and only where kernels of the backend run
 * both (src/graph/pass_pack.c). */
#include "ops/row.h"

static enum err conv_weights_infer(const struct graph *g, struct node *n)
{
    struct dims w = graph_dims(g, n->in[0]);
    char text[160];

    if (w.rank != 5)
        return err_set(ERR_SHAPE, "weight %s is not (out, in, D, H, W)", dims_text(&w, text));
    infer_like_first(g, n);
    return ERR_OK;
}

static void conv_weights_expand(struct graph *g, const struct node *n, val y[])
{
    (void)g;
    y[0] = n->in[0];
}

static void conv_weights_ref(const struct ref_args *a)
{
    for (int64_t i = 0; i < dims_count(&a->out_dims[0]); i++)
        a->out[0][i] = a->in[0][i];
}

static void conv_weights_sample(struct sampler *s)
{
    struct sample c = {.n_in = 1, .in = {DIMS5(16, 32, 3, 3, 3)}};

    c.attr = attr_none();
    c.attr.pack.conv = (struct conv){.kernel = CUBE(3),
                                     .stride = CUBE(1),
                                     .pad = CUBE(1),
                                     .dilation = CUBE(1),
                                     .groups = 1,
                                     .size = CUBE(12)};
    c.attr.pack.batch = 2;
    sampler_add(s, &c);
    c.attr.pack.by_data = true;
    sampler_add(s, &c);
}

const struct op op_row_conv_weights = {.name = "conv_weights",
                                       .arity = 1,
                                       .flags = OP_OPAQUE,
                                       .infer = conv_weights_infer,
                                       .expand = conv_weights_expand,
                                       .ref = conv_weights_ref,
                                       .sample = conv_weights_sample};
