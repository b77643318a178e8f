#include "backend/isa/conv.h"
#include "backend/isa/matmul.h"
#include "backend/isa/wino.h"

static struct conv_shape group_shape(const struct conv_shape *s)
{
    struct conv_shape g = *s;

    g.ci /= s->groups;
    g.co /= s->groups;
    g.groups = 1;
    return g;
}

/* The 1 x 1 x 1 convolution: y (V, Co) = x (V, Ci) w', its gradients dx = dy w and dw = dy' x. */
static struct matmul_shape product_shape(const struct conv_shape *s, enum conv_dir dir)
{
    const int64_t voxels = conv_voxels(s->n, s->in);

    switch (dir) {
    case CONV_FORWARD:
        return (struct matmul_shape){.batch = 1, .m = voxels, .n = s->co, .k = s->ci, .trans_b = true};
    case CONV_DX:
        return (struct matmul_shape){.batch = 1, .m = voxels, .n = s->ci, .k = s->co};
    default:
        return (struct matmul_shape){.batch = 1, .m = s->co, .n = s->ci, .k = voxels, .trans_a = true};
    }
}

static void product_run(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b)
{
    const struct matmul_shape shape = product_shape(s, dir);
    const struct matmul_stage stage = {.a = dir == CONV_FORWARD ? b->x_stage : b->y_stage,
                                       .b = dir == CONV_DW ? b->x_stage : NULL,
                                       .rows = conv_voxels(1, s->in)};
    struct matmul_buf m = {.bias = b->bias, .work = b->work, .threads = b->threads};

    m.a = dir == CONV_FORWARD ? b->x : b->y;
    m.a_pitch = dir == CONV_FORWARD ? b->x_pitch : b->y_pitch;
    m.b = dir == CONV_DW ? b->x : b->w;
    m.b_pitch = dir == CONV_DW ? b->x_pitch : s->ci;
    m.c = dir == CONV_FORWARD ? b->y : dir == CONV_DX ? b->x : b->w;
    m.c_pitch = dir == CONV_FORWARD ? b->y_pitch : dir == CONV_DX ? b->x_pitch : s->ci;
    matmul_run(&shape, &m, &stage);
}

/* Stages, applied while the sources are copied. */
static unsigned direct_hooks(enum conv_dir dir)
{
    return (dir != CONV_DX ? CONV_X_STAGE : 0) | (dir != CONV_FORWARD ? CONV_Y_STAGE : 0);
}

/* Whether the direct kernel with packed panels runs the shape. */
static bool is_direct(const struct conv_shape *s, enum conv_dir dir)
{
    return s->groups == 1 && dir != CONV_DW && !conv_is_product(s) && !conv_few_accepts(s, dir);
}

int64_t conv_packed_of(const struct conv_shape *s, enum conv_dir dir)
{
    struct wino q;

    if (conv_edge_accepts(s, dir))
        return 0;
    if (dir != CONV_DW && wino_plan(&q, s, dir))
        return wino_packed(&q);
    return is_direct(s, dir) ? conv_direct_packed(s, dir) : 0;
}

void conv_pack_run(const struct conv_shape *s, enum conv_dir dir, const void *w, void *packed, int threads)
{
    const struct conv_buf b = {.w = (void *)(uintptr_t)w, .work = packed, .threads = threads}; /* w is read */
    struct wino q;

    if (wino_plan(&q, s, dir))
        wino_pack(&q, dir, &b);
    else
        conv_direct_pack(s, dir, &b);
}

unsigned conv_hooks_of(const struct conv_shape *s, enum conv_dir dir)
{
    struct wino q;

    if (conv_edge_accepts(s, dir))
        return s->groups == 1 ? direct_hooks(dir) : 0;
    if (!wino_plan(&q, s, dir))
        return (s->groups == 1 ? direct_hooks(dir) : 0) | (is_direct(s, dir) ? CONV_PACKED : 0);
    if (dir == CONV_DW)
        return CONV_X_STAGE;
    return (dir == CONV_DX ? CONV_Y_STAGE : CONV_X_STAGE) | CONV_MOMENTS | CONV_GATE | CONV_PACKED;
}

size_t conv_scratch(const struct conv_shape *s, enum conv_dir dir, int threads)
{
    const struct conv_shape g = group_shape(s);
    struct wino q;

    if (conv_edge_accepts(s, dir))
        return conv_edge_scratch(s, dir, threads);
    if (conv_depth_accepts(s))
        return conv_depth_scratch(s, dir);
    if (wino_plan(&q, &g, dir))
        return dir == CONV_DW ? wino_dw_scratch(&q, threads) : wino_scratch(&q, threads);
    if (conv_is_product(&g)) {
        const struct matmul_shape m = product_shape(&g, dir);
        return matmul_scratch(&m, threads, true);
    }
    if (dir == CONV_DW)
        return conv_dw_scratch(&g, threads);
    return conv_few_accepts(&g, dir) ? conv_few_scratch(&g, dir, threads)
                                     : conv_direct_scratch(&g, dir, threads);
}

static void group_run(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b)
{
    struct wino q;
    const bool winograd = wino_plan(&q, s, dir);

    if (winograd && dir == CONV_DW)
        wino_dw_run(&q, b);
    else if (winograd)
        wino_run(&q, dir, b);
    else if (conv_is_product(s))
        product_run(s, dir, b);
    else if (dir == CONV_DW)
        conv_dw_run(s, b);
    else if (conv_few_accepts(s, dir))
        conv_few_run(s, dir, b);
    else
        conv_direct_run(s, dir, b);
}

void conv_run(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b)
{
    const struct conv_shape g = group_shape(s);
    const int64_t weights = g.co * g.ci * conv_taps(&g);

    if (conv_edge_accepts(s, dir)) {
        conv_edge_run(s, dir, b);
        return;
    }
    if (conv_depth_accepts(s)) {
        conv_depth_run(s, dir, b);
        return;
    }
    for (int64_t i = 0; i < s->groups; i++) {
        struct conv_buf slice = *b;
        slice.x = (REAL *)b->x + i * g.ci;
        slice.y = (REAL *)b->y + i * g.co;
        slice.w = (REAL *)b->w + i * weights;
        if (b->bias)
            slice.bias = (const REAL *)b->bias + i * (dir == CONV_DX ? g.ci : g.co);
        group_run(&g, dir, &slice);
    }
}
