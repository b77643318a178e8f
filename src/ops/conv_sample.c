/* Shapes on which the convolutions are tried (tests/ops, bench op). */
#include "ops/conv.h"

#include <string.h>

struct geometry {
    int64_t n, in[3], ci, co;
    struct conv c;
};

static const struct geometry geometry[] = {
    {2, {4, 5, 6}, 3, 5, {.kernel = CUBE(3), .stride = CUBE(1), .pad = CUBE(1)}},
    {1, {5, 6, 7}, 4, 18, {.kernel = CUBE(3), .stride = CUBE(2), .pad = CUBE(1)}},
    {2, {4, 4, 6}, 6, 3, {.kernel = CUBE(2), .stride = CUBE(2)}},
    {1, {3, 4, 5}, 17, 2, {.kernel = CUBE(1), .stride = CUBE(1)}},
    {1, {3, 6, 7}, 2, 4, {.kernel = {1, 3, 3}, .stride = {1, 2, 1}, .pad = {0, 1, 1}}},
    {1, {1, 9, 8}, 3, 2, {.kernel = {1, 7, 7}, .stride = CUBE(1), .pad = {0, 3, 3}}},
    {1, {6, 5, 7}, 2, 3, {.kernel = CUBE(3), .stride = CUBE(1), .pad = CUBE(2), .dilation = CUBE(2)}},
    {1, {4, 5, 4}, 6, 4, {.kernel = CUBE(3), .stride = CUBE(1), .pad = CUBE(1), .groups = 2}},
    {1, {5, 8, 6}, 1, 16, {.kernel = {4, 4, 2}, .stride = {2, 2, 1}, .pad = {1, 1, 0}}},
    {1, {6, 7, 7}, 3, 2, {.kernel = CUBE(2), .stride = CUBE(3), .pad = {0, 1, 0}}},
    {1, {5, 5, 5}, 16, 16, {.kernel = CUBE(3), .stride = CUBE(1), .pad = CUBE(1)}},
    {1, {9, 6, 7}, 16, 32, {.kernel = CUBE(3), .stride = CUBE(1), .pad = CUBE(1)}},
    {2, {1, 8, 5}, 32, 16, {.kernel = {1, 3, 3}, .stride = CUBE(1), .pad = {0, 1, 1}}},
    {2, {4, 2, 6}, 32, 16, {.kernel = CUBE(2), .stride = CUBE(2)}},
    {2, {3, 5, 3}, 16, 3, {.kernel = CUBE(1), .stride = CUBE(1)}},
    /* other padding: the same and the opposite ends, strides that skip the border, few and many channels */
    {2, {4, 5, 6}, 3, 5, {.kernel = CUBE(3), .pad = CUBE(1), .pad_mode = PAD_REFLECT}},
    {1, {3, 4, 5}, 16, 20, {.kernel = CUBE(3), .pad = CUBE(1), .pad_mode = PAD_REPLICATE}},
    {1, {5, 6, 7}, 4, 18, {.kernel = CUBE(3), .stride = CUBE(2), .pad = CUBE(1), .pad_mode = PAD_REFLECT}},
    {1,
     {2, 6, 7},
     2,
     4,
     {.kernel = {1, 3, 3}, .stride = {1, 2, 1}, .pad = {0, 1, 1}, .pad_mode = PAD_REPLICATE}},
    {1, {1, 9, 8}, 3, 2, {.kernel = {1, 7, 7}, .pad = {0, 3, 3}, .pad_mode = PAD_REFLECT}}, /* LaMa's ends */
    {1, {1, 7, 8}, 3, 16, {.kernel = {1, 7, 7}, .pad = {0, 3, 3}, .pad_mode = PAD_REFLECT}},
    {2, {1, 7, 5}, 16, 16, {.kernel = {1, 3, 3}, .pad = {0, 1, 1}, .pad_mode = PAD_REFLECT}},
    {1, {3, 5, 4}, 2, 3, {.kernel = CUBE(3), .pad = CUBE(2), .dilation = CUBE(2), .pad_mode = PAD_REFLECT}},
    {1, {4, 5, 4}, 6, 4, {.kernel = CUBE(3), .pad = CUBE(1), .groups = 2, .pad_mode = PAD_REPLICATE}},
    {1, {4, 3, 6}, 5, 5, {.kernel = CUBE(3), .pad = {2, 1, 1}, .groups = 5, .pad_mode = PAD_REFLECT}},
    {1,
     {1, 1, 6},
     3,
     2,
     {.kernel = {3, 1, 5}, .stride = {1, 1, 3}, .pad = {2, 0, 4}, .pad_mode = PAD_REPLICATE}},
};
enum { GEOMETRIES = sizeof geometry / sizeof *geometry };

/* What each row can do on the way; a geometry takes the sets in turn. */
static const int64_t hooks_of_conv[] = {HOOK_X_STAGE | HOOK_MOMENTS, HOOK_X_STAGE | HOOK_GATE, HOOK_X_STAGE,
                                        HOOK_MOMENTS, HOOK_GATE};
static const int64_t hooks_of_dx[] = {HOOK_GATE, HOOK_Y_STAGE, HOOK_Y_STAGE | HOOK_MOMENTS, HOOK_MOMENTS,
                                      HOOK_Y_STAGE | HOOK_GATE};
static const int64_t hooks_of_dw[] = {HOOK_X_STAGE, HOOK_X_STAGE, HOOK_Y_STAGE, HOOK_X_STAGE | HOOK_Y_STAGE,
                                      HOOK_X_STAGE};
enum { HOOK_SETS = 5 };

static struct dims y_dims(const struct geometry *q, const struct conv *c)
{
    return DIMS5(q->n, ops_conv_size(q->in[0], c, 0), ops_conv_size(q->in[1], c, 1),
                 ops_conv_size(q->in[2], c, 2), q->co);
}

/* Dims of x, y and the result for the inputs that hooks append. */
static void add_hooks(struct sample *c, int64_t hooks, const struct dims *x, const struct dims *y,
                      const struct dims *result)
{
    c->attr.conv.hooks = hooks;
    if (hooks & HOOK_X_STAGE)
        c->in[c->n_in++] = conv_rows(x, COEF_ROWS);
    if (hooks & HOOK_Y_STAGE)
        c->in[c->n_in++] = conv_rows(y, COEF_ROWS);
    if (hooks & HOOK_GATE) {
        c->in[c->n_in++] = *result;
        c->in[c->n_in++] = conv_rows(result, COEF_ROWS);
    }
}

static void each_geometry(struct sampler *s, int op, const int64_t hooks[HOOK_SETS])
{
    for (size_t i = 0; i < 2 * GEOMETRIES; i++) {
        const struct geometry *q = &geometry[i % GEOMETRIES];
        struct sample c = {.n_in = 2};
        struct dims x = DIMS5(q->n, q->in[0], q->in[1], q->in[2], q->ci), w, y;
        c.attr = attr_none();
        c.attr.conv = q->c;
        ops_conv_resolve(&c.attr.conv);
        w = DIMS5(q->co, q->ci / c.attr.conv.groups, q->c.kernel[0], q->c.kernel[1], q->c.kernel[2]);
        y = y_dims(q, &c.attr.conv);
        c.in[0] = op == OP_CONV ? x : y;
        c.in[1] = op == OP_CONV_DW ? x : w;
        if (op == OP_CONV_DX)
            memcpy(c.attr.conv.size, q->in, sizeof q->in);
        if (op != OP_CONV_DW && i % 3 == 0)
            c.in[c.n_in++] = DIMS1(op == OP_CONV ? q->co : q->ci);
        if (i >= GEOMETRIES)
            add_hooks(&c, hooks[i % HOOK_SETS], &x, &y, op == OP_CONV ? &y : &x);
        sampler_add(s, &c);
    }
}

void ops_conv_sample(struct sampler *s)
{
    each_geometry(s, OP_CONV, hooks_of_conv);
}

void ops_conv_dx_sample(struct sampler *s)
{
    each_geometry(s, OP_CONV_DX, hooks_of_dx);
}

void ops_conv_dw_sample(struct sampler *s)
{
    each_geometry(s, OP_CONV_DW, hooks_of_dw);
}
