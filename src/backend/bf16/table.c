#include "backend/bf16/conv.h"

/* A 1 x 1 x 1 convolution is one over a single row of voxels in each sample. */
static struct conv_shape group_shape(const struct conv_shape *s)
{
    struct conv_shape g = *s;

    g.ci /= s->groups;
    g.co /= s->groups;
    g.groups = 1;
    if (conv_is_product(s)) {
        const int64_t voxels = conv_voxels(1, s->in);
        for (int i = 0; i < 3; i++)
            g.in[i] = g.out[i] = i == 2 ? voxels : 1;
    }
    return g;
}

size_t bf16_conv_scratch(const struct conv_shape *s, enum conv_dir dir, int threads)
{
    const struct conv_shape g = group_shape(s);

    return dir == CONV_DW ? bf16_dw_scratch(&g, threads) : bf16_direct_scratch(&g, dir, threads);
}

static char *moved(const void *p, int64_t elements, bool wide)
{
    return (char *)(uintptr_t)p + elements * (wide ? (int64_t)sizeof(float) : (int64_t)sizeof(uint16_t));
}

void bf16_conv_run(const struct bf16_micro *m, const struct conv_shape *s, enum conv_dir dir,
                   const struct conv_buf *b)
{
    const struct conv_shape g = group_shape(s);

    for (int64_t i = 0; i < s->groups; i++) {
        struct conv_buf slice = *b;
        slice.x = moved(b->x, i * g.ci, dir == CONV_DX);
        slice.y = moved(b->y, i * g.co, dir == CONV_FORWARD);
        slice.w = moved(b->w, i * g.co * g.ci * conv_taps(s), dir == CONV_DW);
        if (b->bias)
            slice.bias = moved(b->bias, i * (dir == CONV_DX ? g.ci : g.co), true);
        if (dir == CONV_DW)
            bf16_dw_run(m, &g, &slice);
        else
            bf16_direct_run(m, &g, dir, &slice);
    }
}

/* Padding other than zero is left to the float kernels (graph/pass_bf16.c narrows nothing there). */
static bool accepts(const struct conv_shape *s, enum conv_dir dir)
{
    (void)dir;
    return conv_shape_valid(s) && !s->outside;
}

/* Stages are applied where operands are copied. */
static unsigned hooks_of(const struct conv_shape *s, enum conv_dir dir)
{
    if (s->groups > 1)
        return 0;
    return (dir == CONV_DX ? 0 : CONV_X_STAGE) | (dir == CONV_FORWARD ? 0 : CONV_Y_STAGE);
}

#define TABLE(name, set, micro)                                                                              \
    static void run_##name(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b)          \
    {                                                                                                        \
        bf16_conv_run(&micro, s, dir, b);                                                                    \
    }                                                                                                        \
    extern const struct kernel_table kernel_table_##name##_bf16;                                             \
    const struct kernel_table kernel_table_##name##_bf16 = {.isa = set,                                      \
                                                            .real_bytes = sizeof(uint16_t),                  \
                                                            .conv_accepts = accepts,                         \
                                                            .conv_hooks = hooks_of,                          \
                                                            .conv_work = bf16_conv_scratch,                  \
                                                            .conv = run_##name};

TABLE(avx2, "avx2", bf16_micro_avx2_f32)
TABLE(avx512, "avx512", bf16_micro_avx512_f32)
TABLE(amx, "avx512", bf16_micro_amx)
