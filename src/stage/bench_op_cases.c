#include "stage/bench_op_cases.h"

#include <string.h>

struct list {
    struct bench_case *item;
    int count;
};

static struct bench_case *add(struct list *l, int op, bool grad)
{
    static struct bench_case spare; /* behind a full list */
    struct bench_case *c = l->count < BENCH_CASES_MAX ? &l->item[l->count++] : &spare;

    memset(c, 0, sizeof *c); /* attributes are compared byte by byte */
    c->op = op;
    c->grad = grad;
    c->is_shape = true;
    return c;
}

/* ---- convolutions: the shape classes of the networks here, in all three directions ---- */

struct layer {
    int64_t n, size[3], ci, co, kernel[3], stride, pad, dilation;
};

static const struct layer layers[] = {
    {2, {96, 96, 96}, 4, 32, {3, 3, 3}, 1, 1, 1}, /* first layer */
    {2, {96, 96, 96}, 32, 32, {3, 3, 3}, 1, 1, 1},
    {2, {96, 96, 96}, 64, 32, {3, 3, 3}, 1, 1, 1},
    {2, {96, 96, 96}, 16, 16, {3, 3, 3}, 1, 1, 1},
    {2, {48, 48, 48}, 64, 64, {3, 3, 3}, 1, 1, 1},
    {2, {48, 48, 48}, 128, 64, {3, 3, 3}, 1, 1, 1},
    {2, {24, 24, 24}, 128, 128, {3, 3, 3}, 1, 1, 1},
    {2, {12, 12, 12}, 256, 256, {3, 3, 3}, 1, 1, 1},
    {2, {6, 6, 6}, 320, 320, {3, 3, 3}, 1, 1, 1},
    {2, {96, 96, 96}, 32, 64, {3, 3, 3}, 2, 1, 1}, /* strided */
    {2, {48, 48, 48}, 64, 128, {3, 3, 3}, 2, 1, 1},
    {2, {24, 24, 24}, 128, 256, {3, 3, 3}, 2, 1, 1},
    {2, {12, 12, 12}, 256, 320, {3, 3, 3}, 2, 1, 1},
    {2, {96, 96, 96}, 32, 64, {2, 2, 2}, 2, 0, 1}, /* by data: the transposed 64 -> 32 */
    {2, {24, 24, 24}, 128, 256, {2, 2, 2}, 2, 0, 1},
    {2, {48, 48, 48}, 32, 64, {4, 4, 4}, 2, 1, 1},
    {2, {24, 24, 24}, 320, 320, {1, 1, 1}, 1, 0, 1}, /* 1 x 1 x 1 */
    {2, {96, 96, 96}, 32, 3, {1, 1, 1}, 1, 0, 1},    /* head */
    {1, {1, 256, 256}, 64, 64, {1, 3, 3}, 1, 1, 1},  /* 2D */
    {1, {1, 64, 64}, 128, 384, {1, 3, 3}, 1, 1, 1},
    {1, {1, 512, 512}, 4, 64, {1, 7, 7}, 1, 3, 1},
    {1, {1, 512, 512}, 64, 3, {1, 7, 7}, 1, 3, 1},
    {3, {37, 29, 31}, 17, 23, {3, 3, 3}, 1, 1, 1}, /* what nobody listed */
    {1, {20, 64, 64}, 24, 40, {1, 3, 3}, 2, 1, 1},
    {1, {48, 48, 48}, 32, 32, {3, 3, 3}, 1, 2, 2},
};

static const struct layer mirrored[] = {
    {1, {1, 256, 256}, 64, 64, {1, 3, 3}, 1, 1, 1},
    {1, {1, 256, 256}, 4, 64, {1, 7, 7}, 1, 3, 1},
};

/* Flat kernels have neither padding nor stride along their flat axes. */
static struct conv conv_of(const struct layer *l, enum pad_mode mode)
{
    struct conv c = {.groups = 1, .pad_mode = mode};

    for (int i = 0; i < 3; i++) {
        bool flat = l->kernel[i] == 1 && l->kernel[2] > 1;
        c.kernel[i] = l->kernel[i];
        c.stride[i] = flat ? 1 : l->stride;
        c.pad[i] = flat ? 0 : l->pad;
        c.dilation[i] = flat ? 1 : l->dilation;
    }
    return c;
}

static void add_layer(struct list *l, const struct layer *f, enum pad_mode mode)
{
    struct conv c = conv_of(f, mode);
    struct dims x = DIMS5(f->n, f->size[0], f->size[1], f->size[2], f->ci), y = DIMS5(f->n, 0, 0, 0, f->co);
    struct dims w = DIMS5(f->co, f->ci, f->kernel[0], f->kernel[1], f->kernel[2]);
    static const int op[3] = {OP_CONV, OP_CONV_DX, OP_CONV_DW};

    for (int i = 0; i < 3; i++)
        y.n[1 + i] = (f->size[i] + 2 * c.pad[i] - c.dilation[i] * (c.kernel[i] - 1) - 1) / c.stride[i] + 1;
    for (int k = 0; k < 3; k++) {
        struct sample *s = &add(l, op[k], false)->sample;
        s->attr.conv = c;
        s->n_in = 2;
        s->in[0] = op[k] == OP_CONV ? x : y;
        s->in[1] = op[k] == OP_CONV_DW ? x : w;
        if (op[k] == OP_CONV_DX)
            memcpy(s->attr.conv.size, f->size, sizeof f->size);
    }
}

/* ---- the rest ---- */

static struct sample *add_inputs(struct list *l, int op, bool grad, int n, const struct dims in[])
{
    struct sample *s = &add(l, op, grad)->sample;

    s->n_in = n;
    memcpy(s->in, in, (size_t)n * sizeof *in);
    return s;
}

static void add_norms(struct list *l)
{
    static const struct dims shape[] = {{5, {2, 96, 96, 96, 32}}, {5, {2, 24, 24, 24, 128}}};

    for (int i = 0; i < 2; i++) {
        struct dims c = DIMS1(shape[i].n[4]);
        for (int grad = 0; grad < 2; grad++) {
            struct sample *s = add_inputs(l, OP_NORM_ACT, grad, 3, (struct dims[]){shape[i], c, c});
            s->attr.norm.eps = 1e-5;
            s->attr.norm.slope = 0.01;
        }
    }
}

static void add_losses(struct list *l)
{
    static const struct dims logits = {5, {2, 96, 96, 96, 3}}, labels = {5, {2, 96, 96, 96, 1}};

    add_inputs(l, OP_SOFTMAX, false, 1, &logits);
    for (int grad = 0; grad < 2; grad++) {
        struct sample *s = add_inputs(l, OP_DICE_CE, grad, 2, (struct dims[]){logits, labels});
        s->attr.loss.ce_weight = 1;
        s->fill[1] = FILL_CLASS;
        s->classes = 3;
    }
    add_inputs(l, OP_ARGMAX, false, 1, &logits)->attr.axes = AXIS_C;
}

static void add_moves(struct list *l)
{
    static const struct dims wide = {5, {2, 96, 96, 96, 32}}, half = {5, {2, 48, 48, 48, 32}};
    struct sample *s = add_inputs(l, OP_CONCAT, false, 2, (struct dims[]){wide, wide});

    s->attr.axes = AXIS_C;
    s = add_inputs(l, OP_SLICE, false, 1, &wide);
    for (int i = 0; i < 5; i++)
        s->attr.box.size[i] = i == 4 ? 16 : wide.n[i];
    s = add_inputs(l, OP_NEAREST, false, 1, &half);
    memcpy(s->attr.box.size, wide.n + 1, sizeof s->attr.box.size[0] * 3);
    s = add_inputs(l, OP_TRANSPOSE, false, 1, &wide);
    memcpy(s->attr.transpose.perm, (int[]){0, 4, 1, 2, 3}, 5 * sizeof(int));
    add_inputs(l, OP_SUM, false, 1, &wide)->attr.axes = AXIS_N | AXES_SPACE; /* a bias's gradient */
}

static void add_pointwise(struct list *l)
{
    static const struct dims wide = {5, {2, 96, 96, 96, 32}};
    const struct dims two[2] = {wide, wide};

    add_inputs(l, OP_ADD, false, 2, two);
    add_inputs(l, OP_MUL, false, 2, two);
    add_inputs(l, OP_EXP, false, 1, &wide);
    add_inputs(l, OP_SIGMOID, false, 1, &wide);
    add_inputs(l, OP_LEAKY_RELU, false, 1, &wide)->attr.scalar = 0.01;
}

/* A third of nnU-Net's parameters: three tensors of 320 x 320 x 27. */
static void add_updates(struct list *l)
{
    static const struct dims w = {5, {320, 320, 3, 3, 3}};
    struct dims in[12] = {{0}};
    struct sample *s;

    for (int i = 3; i < 12; i++)
        in[i] = w;
    s = add_inputs(l, OP_SGD, false, 12, in);
    s->attr.update.count = 3;
    s->attr.update.momentum = 0.99;
    s->attr.update.decay = 3e-5;
    s->fill[0] = s->fill[1] = s->fill[2] = FILL_POSITIVE;
    add_inputs(l, OP_L2_NORM, false, 3, in + 3);
}

static void add_products(struct list *l)
{
    static const struct dims shape[][2] = {
        {{3, {1, 4096, 512}}, {3, {1, 512, 512}}},
        {{3, {64, 343, 32}}, {3, {64, 32, 343}}}, /* attention in windows of 7^3 */
    };

    for (int i = 0; i < 2; i++)
        add_inputs(l, OP_MATMUL, false, 2, shape[i]);
}

static void add_samples(struct list *l)
{
    for (int id = 1; id < OP_COUNT; id++) {
        struct sample item[64];
        struct sampler s = {.item = item, .room = 64};
        if (op_rows[id]->flags & (OP_SOURCE | OP_VIEW) || !op_rows[id]->sample)
            continue;
        op_rows[id]->sample(&s);
        for (int i = 0; i < s.count && i < s.room; i++) {
            struct bench_case *c = add(l, id, false);
            c->is_shape = false;
            c->sample = item[i];
        }
    }
}

int bench_cases(struct bench_case *list)
{
    struct list l = {.item = list};

    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        add_layer(&l, &layers[i], PAD_ZERO);
    for (size_t i = 0; i < sizeof mirrored / sizeof *mirrored; i++)
        add_layer(&l, &mirrored[i], PAD_REFLECT);
    add_products(&l);
    add_norms(&l);
    add_losses(&l);
    add_moves(&l);
    add_pointwise(&l);
    add_updates(&l);
    add_samples(&l);
    return l.count;
}
