#include "nn/layers.h"

#include "ops/ops.h"

static int64_t or_one(int64_t n)
{
    return n ? n : 1;
}

static int64_t channels_of(struct nn *m, val x)
{
    struct dims d = graph_dims(m->g, x);

    return d.rank == 5 ? d.n[4] : 0;
}

/* c as an attribute: every default spelled out, without the fields that only layers read. */
static struct conv geometry(const struct conv *c)
{
    struct conv a = {.groups = or_one(c->groups), .pad_mode = c->pad_mode};

    for (int i = 0; i < 3; i++) {
        a.kernel[i] = or_one(c->kernel[i]);
        a.stride[i] = or_one(c->stride[i]);
        a.dilation[i] = or_one(c->dilation[i]);
        a.pad[i] = c->pad[i];
        a.size[i] = c->size[i];
    }
    return a;
}

static val weight_of(struct nn *m, int64_t first, int64_t second, const struct conv *a)
{
    return nn_param(m, "weight", DIMS5(first, second, a->kernel[0], a->kernel[1], a->kernel[2]), INIT_HE);
}

val nn_conv(struct nn *m, val x, const char *name, struct conv c)
{
    struct conv a = geometry(&c);
    val bias = {0};
    val weight;

    if (!a.pad[0] && !a.pad[1] && !a.pad[2])
        for (int i = 0; i < 3; i++)
            a.pad[i] = (a.kernel[i] - 1) / 2 * a.dilation[i];
    nn_enter(m, "%s", name);
    weight = weight_of(m, c.out, channels_of(m, x) / a.groups, &a);
    if (!c.no_bias)
        bias = nn_param(m, "bias", DIMS1(c.out), INIT_ZEROS);
    x = op_conv(m->g, x, weight, bias, &a);
    nn_leave(m);
    return x;
}

val nn_conv_up(struct nn *m, val x, const char *name, struct conv c)
{
    struct conv a = geometry(&c);
    val bias = {0};
    val weight;

    if (c.pad_mode) {
        graph_fail(m->g,
                   err_set(ERR_SHAPE, "layer %s: a transposed convolution has zero padding only", name));
        return bias;
    }
    nn_enter(m, "%s", name);
    weight = weight_of(m, channels_of(m, x), c.out / a.groups, &a);
    if (!c.no_bias)
        bias = nn_param(m, "bias", DIMS1(c.out), INIT_ZEROS);
    x = op_conv_dx(m->g, x, weight, bias, &a);
    nn_leave(m);
    return x;
}

val nn_norm(struct nn *m, val x, const char *name, struct norm o)
{
    int64_t channels = channels_of(m, x);
    double eps = o.eps > 0 ? o.eps : 1e-5;
    val gamma = {0}, beta = {0};

    nn_enter(m, "%s", name);
    if (!o.no_affine) {
        gamma = nn_param(m, "weight", DIMS1(channels), o.zero ? INIT_ZEROS : INIT_ONES);
        beta = nn_param(m, "bias", DIMS1(channels), INIT_ZEROS);
    }
    x = op_norm(m->g, x, gamma, beta, 0, eps);
    nn_leave(m);
    return x;
}
