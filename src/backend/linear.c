/* Convolutions and matrix products as classes over kernels.h. */
#include "backend/classes.h"
#include "backend/kernels.h"
#include "backend/wino_plan.h"

#include <assert.h>
#include <stdio.h>

/* The graph and the kernels name hooks alike. */
static_assert((int)HOOK_X_STAGE == CONV_X_STAGE && (int)HOOK_Y_STAGE == CONV_Y_STAGE &&
                  (int)HOOK_MOMENTS == CONV_MOMENTS && (int)HOOK_GATE == CONV_GATE &&
                  (int)HOOK_PACKED == CONV_PACKED,
              "hooks");
static_assert((int)PAD_ZERO == CONV_PAD_ZERO && (int)PAD_REFLECT == CONV_PAD_REFLECT &&
                  (int)PAD_REPLICATE == CONV_PAD_REPLICATE,
              "padding");
static_assert((int)COEF_SCALE == STAGE_SCALE && (int)COEF_SHIFT == STAGE_SHIFT &&
                  (int)COEF_SLOPE == STAGE_SLOPE && (int)COEF_CENTRE == STAGE_CENTRE &&
                  (int)COEF_ROWS == STAGE_ROWS,
              "rows of coefficients");

/* Which input or output of the op is x, w and y; -1 - k is output k. x and y may be windows of wider buffers.
 */
struct roles {
    enum conv_dir dir;
    int x, w, y;
};

static const struct dims *dims_at(const struct step *s, int role)
{
    return role < 0 ? &s->out_dims[-1 - role] : &s->in_dims[role];
}

static void *buffer_at(const struct run *r, int role)
{
    return role < 0 ? r->out[-1 - role] : (void *)(uintptr_t)r->in[role]; /* an input is only read */
}

static int64_t pitch_at(const struct run *r, int role)
{
    return role < 0 ? run_out_pitch(r, -1 - role) : run_in_pitch(r, role);
}

static struct roles roles_of(const struct step *s)
{
    if (s->node->id == OP_CONV)
        return (struct roles){CONV_FORWARD, 0, 1, -1};
    if (s->node->id == OP_CONV_DX)
        return (struct roles){CONV_DX, -1, 1, 0};
    return (struct roles){CONV_DW, 1, -1, 0};
}

static struct conv_shape conv_shape_of(const struct step *s)
{
    const struct roles role = roles_of(s);
    const struct dims *x = dims_at(s, role.x), *w = dims_at(s, role.w), *y = dims_at(s, role.y);
    const struct conv *c = &s->node->attr.conv;
    struct conv_shape shape = {
        .n = x->n[0], .ci = x->n[4], .co = y->n[4], .groups = c->groups, .exact = s->exact};

    shape.packed = c->hooks & HOOK_PACKED;
    shape.outside = (enum conv_pad)c->pad_mode;

    for (int i = 0; i < 3; i++) {
        shape.in[i] = x->n[1 + i];
        shape.out[i] = y->n[1 + i];
        shape.kernel[i] = w->n[2 + i];
        shape.stride[i] = c->stride[i];
        shape.pad[i] = c->pad[i];
        shape.dilation[i] = c->dilation[i];
    }
    return shape;
}

/* bf16 operands, a float result and perhaps a float bias. */
static bool operands_bf16(const struct step *s)
{
    if (s->node->n_in < 2 || s->in_type[0] != DT_BF16 || s->in_type[1] != DT_BF16)
        return false;
    return s->out_type[0] == DT_F32 && (s->node->n_in == 2 || s->in_type[2] == DT_F32);
}

static bool conv_accepts(const struct step *s)
{
    struct conv_shape shape;

    if (!class_all_real(s) && !operands_bf16(s))
        return false;
    shape = conv_shape_of(s);
    return s->table->conv_accepts(&shape, roles_of(s).dir) &&
           !((unsigned)s->node->attr.conv.hooks & ~s->table->conv_hooks(&shape, roles_of(s).dir));
}

static unsigned mask_of(int input)
{
    return input < 0 ? 0 : 1u << input;
}

static bool winograd_accepts(const struct step *s)
{
    struct conv_shape shape;
    struct wino q;

    if (!class_all_real(s) || !conv_accepts(s))
        return false;
    shape = conv_shape_of(s);
    return wino_plan(&q, &shape, roles_of(s).dir);
}

static void conv_prepare(struct step *s)
{
    const struct conv_shape shape = conv_shape_of(s);
    const struct roles role = roles_of(s);

    s->work = s->table->conv_work(&shape, role.dir, s->threads);
    s->pitch_in = mask_of(role.x) | mask_of(role.y) | mask_of(conv_inputs_of(s->node).z);
    s->pitch_out = role.dir != CONV_DW;
}

/* Also says what it will take, the outputs per tile and the estimates that chose them. */
static void winograd_prepare(struct step *s)
{
    const struct conv_shape shape = conv_shape_of(s);
    struct wino q;
    struct wino_cost cost;

    conv_prepare(s);
    wino_plan(&q, &shape, roles_of(s).dir);
    cost = wino_cost(&q, &shape, roles_of(s).dir);
    s->seconds = cost.winograd;
    snprintf(s->choice, sizeof s->choice, "%d%d%d (%.2f for %.2f ms)", (int)q.m[0], (int)q.m[1], (int)q.m[2],
             1e3 * cost.winograd, 1e3 * cost.direct);
}

static const void *input_at(const struct run *r, int k)
{
    return k < 0 ? NULL : r->in[k];
}

static void conv_run(const struct run *r)
{
    const struct step *s = r->step;
    const struct roles role = roles_of(s);
    const struct conv_shape shape = conv_shape_of(s);
    const struct conv_inputs at = conv_inputs_of(s->node);
    const struct conv_buf b = {
        .x = buffer_at(r, role.x),
        .w = buffer_at(r, role.w),
        .y = buffer_at(r, role.y),
        .x_pitch = pitch_at(r, role.x),
        .y_pitch = pitch_at(r, role.y),
        .bias = input_at(r, at.bias),
        .x_stage = input_at(r, at.x_coef),
        .y_stage = input_at(r, at.y_coef),
        .sums = s->node->n_out > 1 ? r->out[1] : NULL,
        .z = input_at(r, at.z),
        .z_stage = input_at(r, at.z_coef),
        .z_pitch = at.z < 0 ? 0 : run_in_pitch(r, at.z),
        .work = r->work,
        .threads = s->threads,
    };

    s->table->conv(&shape, role.dir, &b);
}

/* ---- packed weights ---- */

static struct conv_shape packed_shape(const struct step *s)
{
    const struct conv *c = &s->node->attr.pack.conv;
    const struct dims *w = &s->in_dims[0];
    struct conv_shape shape = {.n = s->node->attr.pack.batch,
                               .ci = w->n[1] * c->groups,
                               .co = w->n[0],
                               .groups = c->groups,
                               .exact = s->exact,
                               .outside = (enum conv_pad)c->pad_mode};

    for (int i = 0; i < 3; i++) {
        shape.in[i] = c->size[i];
        shape.kernel[i] = c->kernel[i];
        shape.stride[i] = c->stride[i];
        shape.pad[i] = c->pad[i];
        shape.dilation[i] = c->dilation[i];
        shape.out[i] =
            (c->size[i] + 2 * c->pad[i] - (c->kernel[i] - 1) * c->dilation[i] - 1) / c->stride[i] + 1;
    }
    return shape;
}

static enum conv_dir packed_dir(const struct step *s)
{
    return s->node->attr.pack.by_data ? CONV_DX : CONV_FORWARD;
}

static bool pack_accepts(const struct step *s)
{
    struct conv_shape shape;

    if (!class_all_real(s))
        return false;
    shape = packed_shape(s);
    return s->table->conv_accepts(&shape, packed_dir(s)) && s->table->conv_packed(&shape, packed_dir(s)) > 0;
}

static void pack_prepare(struct step *s)
{
    const struct conv_shape shape = packed_shape(s);

    s->out_bytes = (size_t)s->table->conv_packed(&shape, packed_dir(s)) * dtype_size(s->type);
}

static void pack_run(const struct run *r)
{
    const struct conv_shape shape = packed_shape(r->step);

    r->step->table->conv_pack(&shape, packed_dir(r->step), r->in[0], r->out[0], r->step->threads);
}

/* ---- matrix products ---- */

/* Elements from one matrix of the batch to the next: 0 if all leading extents are 1, -1 if only some are. */
static int64_t batch_step(const struct dims *d, const struct dims *out)
{
    int64_t step = d->n[d->rank - 1] * d->n[d->rank - 2], count = 1, all = 1;

    for (int i = 0; i < d->rank - 2; i++) {
        count *= d->n[i];
        all *= out->n[i];
    }
    return count == all ? step : count == 1 ? 0 : -1;
}

static struct matmul_shape matmul_shape_of(const struct step *s)
{
    const struct dims *a = &s->in_dims[0], *out = &s->out_dims[0];
    const bool ta = s->node->attr.matmul.transpose_a;
    struct matmul_shape shape = {.batch = 1,
                                 .m = out->n[out->rank - 2],
                                 .n = out->n[out->rank - 1],
                                 .k = a->n[a->rank - (ta ? 2 : 1)],
                                 .trans_a = ta,
                                 .trans_b = s->node->attr.matmul.transpose_b};

    for (int i = 0; i < out->rank - 2; i++)
        shape.batch *= out->n[i];
    return shape;
}

static bool matmul_accepts(const struct step *s)
{
    return class_all_real(s) && dims_count(&s->out_dims[0]) > 0 && dims_count(&s->in_dims[0]) > 0 &&
           batch_step(&s->in_dims[0], &s->out_dims[0]) >= 0 &&
           batch_step(&s->in_dims[1], &s->out_dims[0]) >= 0;
}

static void matmul_prepare(struct step *s)
{
    const struct matmul_shape shape = matmul_shape_of(s);

    s->work = s->table->matmul_work(&shape, s->threads);
}

static void matmul_run(const struct run *r)
{
    const struct step *s = r->step;
    const struct dims *a = &s->in_dims[0], *b = &s->in_dims[1], *out = &s->out_dims[0];
    const struct matmul_shape shape = matmul_shape_of(s);
    const struct matmul_buf buf = {
        .a = r->in[0],
        .b = r->in[1],
        .c = r->out[0],
        .a_pitch = a->n[a->rank - 1],
        .b_pitch = b->n[b->rank - 1],
        .c_pitch = shape.n,
        .a_batch = batch_step(a, out),
        .b_batch = batch_step(b, out),
        .c_batch = shape.m * shape.n,
        .work = r->work,
        .threads = s->threads,
    };

    s->table->matmul(&shape, &buf);
}

const struct kernel_class class_conv_winograd = {"conv.winograd", OP_CONV, winograd_accepts, winograd_prepare,
                                                 conv_run};
const struct kernel_class class_conv_dx_winograd = {"conv_dx.winograd", OP_CONV_DX, winograd_accepts,
                                                    winograd_prepare, conv_run};
const struct kernel_class class_conv_dw_winograd = {"conv_dw.winograd", OP_CONV_DW, winograd_accepts,
                                                    winograd_prepare, conv_run};
const struct kernel_class class_conv = {"conv.direct", OP_CONV, conv_accepts, conv_prepare, conv_run};
const struct kernel_class class_conv_dx = {"conv_dx.direct", OP_CONV_DX, conv_accepts, conv_prepare,
                                           conv_run};
const struct kernel_class class_conv_dw = {"conv_dw.direct", OP_CONV_DW, conv_accepts, conv_prepare,
                                           conv_run};
const struct kernel_class class_conv_weights = {"conv_weights.pack", OP_CONV_WEIGHTS, pack_accepts,
                                                pack_prepare, pack_run};
const struct kernel_class class_matmul = {"matmul.tile", OP_MATMUL, matmul_accepts, matmul_prepare,
                                          matmul_run};
