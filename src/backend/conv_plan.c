#include "backend/conv_plan.h"

static int64_t divisor_common(int64_t a, int64_t b)
{
    while (b) {
        int64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

/* Forward: off = tap * dilation - pad for every tap. */
static struct conv_phase phase_forward(const struct conv_axis *a)
{
    return (struct conv_phase){
        .taps = a->kernel, .tap_step = 1, .off0 = -a->pad, .off_step = a->dilation, .count = a->dest};
}

/* By data: x[phase + stride*t] meets tap j where (phase + pad - j*dilation) is a multiple of the stride. */
static struct conv_phase phase_by_data(const struct conv_axis *a, int64_t phase)
{
    const int64_t period = a->stride / divisor_common(a->stride, a->dilation);
    struct conv_phase p = {.tap_step = -period, .off_step = period * a->dilation / a->stride};

    for (int64_t j = a->kernel - 1; j >= 0 && j >= a->kernel - period; j--) {
        int64_t reach = phase + a->pad - j * a->dilation;
        if (reach % a->stride)
            continue;
        p.tap0 = j;
        p.taps = j / period + 1;
        p.off0 = reach / a->stride;
        break;
    }
    p.count = a->dest > phase ? (a->dest - phase + a->stride - 1) / a->stride : 0;
    return p;
}

static struct conv_phase phase_bare(const struct conv_axis *a, int64_t phase)
{
    return a->by_data ? phase_by_data(a, phase) : phase_forward(a);
}

struct conv_phase conv_axis_phase(const struct conv_axis *a, int64_t phase)
{
    struct conv_phase p = phase_bare(a, phase);

    for (int64_t i = 0; i < phase; i++)
        p.packed += phase_bare(a, i).taps;
    return p;
}

struct conv_axis conv_axis_make(const struct conv_shape *s, enum conv_dir dir, int axis)
{
    const bool by_data = dir == CONV_DX;
    const int64_t phases = s->stride[axis] < s->in[axis] ? s->stride[axis] : s->in[axis];
    struct conv_axis a = {.phases = by_data ? phases : 1,
                          .step_in = by_data ? 1 : s->stride[axis],
                          .step_out = by_data ? s->stride[axis] : 1,
                          .source = by_data ? s->out[axis] : s->in[axis],
                          .dest = by_data ? s->in[axis] : s->out[axis],
                          .low = INT64_MAX,
                          .high = INT64_MIN,
                          .kernel = s->kernel[axis],
                          .pad = s->pad[axis],
                          .stride = s->stride[axis],
                          .dilation = s->dilation[axis],
                          .by_data = by_data,
                          .outside = by_data ? CONV_PAD_ZERO : s->outside};

    for (int64_t i = 0; i < a.phases; i++) {
        struct conv_phase p = phase_bare(&a, i);
        if (!p.taps)
            continue;
        int64_t last = p.off0 + (p.taps - 1) * p.off_step;
        a.low = p.off0 < a.low ? p.off0 : a.low;
        a.high = last > a.high ? last : a.high;
    }
    if (a.low > a.high)
        a.low = a.high = 0; /* no tap reaches any position */
    return a;
}

enum { ELEMENTS_LOG2 = 40, EXTENT_LOG2 = 31 };

/* *product *= factor, false if it would pass 2^40 */
static bool product_grow(int64_t *product, int64_t factor)
{
    if (factor > ((int64_t)1 << ELEMENTS_LOG2) / *product)
        return false;
    *product *= factor;
    return true;
}

static bool axis_valid(const struct conv_shape *s, int i)
{
    const int64_t max = (int64_t)1 << EXTENT_LOG2;

    if (s->in[i] < 1 || s->out[i] < 1 || s->kernel[i] < 1 || s->stride[i] < 1 || s->dilation[i] < 1 ||
        s->pad[i] < 0)
        return false;
    if (s->in[i] >= max || s->out[i] >= max || s->kernel[i] >= max || s->stride[i] >= max ||
        s->dilation[i] >= max || s->pad[i] >= max)
        return false;
    if (s->outside == CONV_PAD_REFLECT && s->pad[i] && s->pad[i] >= s->in[i])
        return false;
    return (s->kernel[i] - 1) * s->dilation[i] < s->in[i] + 2 * s->pad[i]; /* the window fits */
}

/* The axis of x with every position that a window touches. */
static int64_t axis_padded(const struct conv_shape *s, int i)
{
    const int64_t reach = (s->out[i] - 1) * s->stride[i] + (s->kernel[i] - 1) * s->dilation[i] + 1;
    const int64_t padded = s->in[i] + 2 * s->pad[i];

    return reach > padded ? reach : padded;
}

bool conv_shape_valid(const struct conv_shape *s)
{
    int64_t x = 1, y = 1, w = 1;

    if (s->n < 1 || s->ci < 1 || s->co < 1 || s->groups < 1 || s->ci % s->groups || s->co % s->groups)
        return false;
    for (int i = 0; i < 3; i++)
        if (!axis_valid(s, i) || !product_grow(&x, axis_padded(s, i)) || !product_grow(&y, s->out[i]) ||
            !product_grow(&w, s->kernel[i]))
            return false;
    return product_grow(&x, s->n) && product_grow(&x, s->ci) && product_grow(&y, s->n) &&
           product_grow(&y, s->co) && product_grow(&w, s->co) && product_grow(&w, s->ci / s->groups);
}

bool conv_is_product(const struct conv_shape *s)
{
    for (int i = 0; i < 3; i++)
        if (s->kernel[i] != 1 || s->stride[i] != 1 || s->pad[i] || s->in[i] != s->out[i])
            return false;
    return true;
}

int64_t conv_voxels(int64_t n, const int64_t size[3])
{
    return n * size[0] * size[1] * size[2];
}

int64_t conv_taps(const struct conv_shape *s)
{
    return s->kernel[0] * s->kernel[1] * s->kernel[2];
}
