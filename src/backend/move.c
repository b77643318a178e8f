/* Ops that only move elements, and the nearest-neighbour resize with its adjoint. */
#include "backend/classes.h"
#include "backend/strided.h"

#include <string.h>

enum { ROW_PIECE = 4096 };

/* Where the elements of a run's input or output k are. */
struct layout {
    const struct dims *dims;
    int64_t stride[DIMS_MAX];
};

static struct layout layout_in(const struct run *r, int k)
{
    struct layout l = {.dims = &r->step->in_dims[k]};

    class_strides(l.dims, run_in_pitch(r, k), l.stride);
    return l;
}

static struct layout layout_out(const struct run *r)
{
    struct layout l = {.dims = &r->step->out_dims[0]};

    class_strides(l.dims, run_out_pitch(r, 0), l.stride);
    return l;
}

/* A box of `extent` in two tensors, of which each may be the larger one. */
static struct strided strided_box(const struct step *s, const struct dims *extent, const struct layout *from,
                                  const struct layout *to)
{
    struct strided w = {.size = dtype_size(s->out_type[0])};

    for (int a = 0; a < extent->rank; a++)
        strided_axis(&w, extent->n[a], from->stride[a], to->stride[a]);
    return w;
}

static int64_t offset_at(const struct layout *l, const int64_t at[])
{
    int64_t offset = 0;

    for (int a = 0; a < l->dims->rank; a++)
        offset += at[a] * l->stride[a];
    return offset;
}

static void pitched_prepare(struct step *s)
{
    s->pitch_in = ~0u;
    s->pitch_out = 1;
}

static void broadcast_run(const struct run *r)
{
    const struct step *s = r->step;
    const struct layout from = layout_in(r, 0), to = layout_out(r);
    struct strided w = {.size = dtype_size(s->out_type[0])};

    for (int a = 0; a < to.dims->rank; a++)
        strided_axis(&w, to.dims->n[a], from.dims->rank && from.dims->n[a] != 1 ? from.stride[a] : 0,
                     to.stride[a]);
    strided_copy(&w, r->out[0], r->in[0], s->threads);
}

static void transpose_run(const struct run *r)
{
    const struct step *s = r->step;
    const int *perm = s->node->attr.transpose.perm;
    const struct layout from = layout_in(r, 0), to = layout_out(r);
    struct strided w = {.size = dtype_size(s->out_type[0])};

    for (int a = 0; a < to.dims->rank; a++)
        strided_axis(&w, to.dims->n[a], from.stride[perm[a]], to.stride[a]);
    strided_copy(&w, r->out[0], r->in[0], s->threads);
}

static void slice_run(const struct run *r)
{
    const struct step *s = r->step;
    const struct layout from = layout_in(r, 0), to = layout_out(r);
    const struct strided w = strided_box(s, to.dims, &from, &to);
    const int64_t at = offset_at(&from, s->node->attr.box.start);

    strided_copy(&w, r->out[0], (const char *)r->in[0] + (size_t)at * w.size, s->threads);
}

static void zero(void *to, size_t bytes, int threads)
{
    const size_t piece = (size_t)1 << 18, pieces = (bytes + piece - 1) / piece;

#pragma omp parallel for num_threads(threads) if (pieces > 1 && threads > 1) schedule(static)
    for (size_t i = 0; i < pieces; i++)
        memset((char *)to + i * piece, 0, bytes - i * piece < piece ? bytes - i * piece : piece);
}

static void pad_prepare(struct step *s)
{
    s->pitch_in = 1;
}

static void pad_run(const struct run *r)
{
    const struct step *s = r->step;
    const struct layout from = layout_in(r, 0), to = layout_out(r);
    const struct strided w = strided_box(s, from.dims, &from, &to);
    const int64_t at = offset_at(&to, s->node->attr.box.start);

    if (!dims_equal(from.dims, to.dims))
        zero(r->out[0], (size_t)dims_count(to.dims) * w.size, s->threads);
    strided_copy(&w, (char *)r->out[0] + (size_t)at * w.size, r->in[0], s->threads);
}

/* The plan may have had inputs made in their places: nothing to do for these. */
static void concat_run(const struct run *r)
{
    const struct step *s = r->step;
    const unsigned axes = s->node->attr.axes;
    const struct layout to = layout_out(r);
    int64_t at[DIMS_MAX] = {0};
    int axis = 0;

    while (!(axes & AXIS(axis)))
        axis++;
    for (int k = 0; k < s->node->n_in; k++) {
        const struct layout from = layout_in(r, k);
        const struct strided w = strided_box(s, from.dims, &from, &to);
        char *place = (char *)r->out[0] + (size_t)offset_at(&to, at) * w.size;

        if (place != r->in[k])
            strided_copy(&w, place, r->in[k], s->threads);
        at[axis] += from.dims->n[axis];
    }
}

#define ONE_HOT(name, type)                                                                                  \
    static void name(type *y, const type *index, int64_t rows, int64_t classes)                              \
    {                                                                                                        \
        for (int64_t r = 0; r < rows; r++)                                                                   \
            for (int64_t k = 0; k < classes; k++)                                                            \
                y[r * classes + k] = index[r] == (type)k;                                                    \
    }
ONE_HOT(one_hot_f32, float)
ONE_HOT(one_hot_f64, double)

static void one_hot_run(const struct run *r)
{
    const struct step *s = r->step;
    const int64_t rows = dims_count(&s->in_dims[0]), classes = s->out_dims[0].n[s->out_dims[0].rank - 1];
    const int64_t pieces = int64_ceil_div(rows, ROW_PIECE);
    const int threads = class_threads(s, pieces);

#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t p = 0; p < pieces; p++) {
        const int64_t first = p * ROW_PIECE, some = int64_min(ROW_PIECE, rows - first);

        if (s->type == DT_F32)
            one_hot_f32((float *)r->out[0] + first * classes, (const float *)r->in[0] + first, some, classes);
        else
            one_hot_f64((double *)r->out[0] + first * classes, (const double *)r->in[0] + first, some,
                        classes);
    }
}

/* Source index of i when n become m: floor((i + 1/2) n / m), in integers. */
static int64_t nearest_of(int64_t i, int64_t n, int64_t m)
{
    return (2 * i + 1) * n / (2 * m);
}

/* The first i < m whose source index is j or more; j = n gives m. */
static int64_t nearest_first(int64_t j, int64_t n, int64_t m)
{
    const int64_t over = 2 * m * j - n; /* (2 i + 1) n >= 2 m j */

    return over <= 0 ? 0 : (over + 2 * n - 1) / (2 * n);
}

static void nearest_run(const struct run *r)
{
    const struct step *s = r->step;
    const int64_t *in = s->in_dims[0].n, *out = s->out_dims[0].n;
    const size_t voxel = (size_t)out[4] * dtype_size(s->out_type[0]);
    const int64_t rows = out[0] * out[1] * out[2];
    const int threads = class_threads(s, rows);

#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t row = 0; row < rows; row++) {
        const int64_t h = row % out[2], d = row / out[2] % out[1], n = row / out[2] / out[1];
        const int64_t line =
            (n * in[1] + nearest_of(d, in[1], out[1])) * in[2] + nearest_of(h, in[2], out[2]);
        const char *from = (const char *)r->in[0] + (size_t)(line * in[3]) * voxel;
        char *to = (char *)r->out[0] + (size_t)(row * out[3]) * voxel;

        for (int64_t w = 0; w < out[3]; w++)
            memcpy(to + (size_t)w * voxel, from + (size_t)nearest_of(w, in[3], out[3]) * voxel, voxel);
    }
}

/* One line of sources gathers from the lines that were copied from it, in their order. */
static void nearest_line(const struct run *r, int64_t row)
{
    const struct step *s = r->step;
    const struct fused_table *t = fused_of(s);
    const int64_t *in = s->in_dims[0].n, *out = s->out_dims[0].n; /* in is the larger one of an enlargement */
    const size_t voxel = (size_t)out[4] * dtype_size(s->out_type[0]);
    const int64_t h = row % out[2], d = row / out[2] % out[1], n = row / out[2] / out[1];
    char *to = (char *)r->out[0] + (size_t)(row * out[3]) * voxel;

    memset(to, 0, (size_t)out[3] * voxel);
    for (int64_t i = nearest_first(d, out[1], in[1]); i < nearest_first(d + 1, out[1], in[1]); i++)
        for (int64_t j = nearest_first(h, out[2], in[2]); j < nearest_first(h + 1, out[2], in[2]); j++) {
            const char *from =
                (const char *)r->in[0] + (size_t)(((n * in[1] + i) * in[2] + j) * in[3]) * voxel;

            for (int64_t w = 0; w < in[3]; w++)
                t->add(to + (size_t)nearest_of(w, out[3], in[3]) * voxel, from + (size_t)w * voxel, out[4]);
        }
}

static void nearest_back_run(const struct run *r)
{
    const struct step *s = r->step;
    const int64_t rows = s->out_dims[0].n[0] * s->out_dims[0].n[1] * s->out_dims[0].n[2];
    const int threads = class_threads(s, rows);

#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t row = 0; row < rows; row++)
        nearest_line(r, row);
}

static bool same_type(const struct step *s)
{
    for (int k = 0; k < s->node->n_in; k++)
        if (s->in_type[k] != s->out_type[0])
            return false;
    return true;
}

static bool spatial(const struct step *s)
{
    return class_all_real(s) && s->in_dims[0].rank == 5;
}

const struct kernel_class class_broadcast = {"broadcast.strided", OP_BROADCAST, same_type, pitched_prepare,
                                             broadcast_run};
const struct kernel_class class_transpose = {"transpose.strided", OP_TRANSPOSE, same_type, pitched_prepare,
                                             transpose_run};
const struct kernel_class class_slice = {"slice.strided", OP_SLICE, same_type, pitched_prepare, slice_run};
const struct kernel_class class_pad = {"pad.strided", OP_PAD, same_type, pad_prepare, pad_run};
const struct kernel_class class_concat = {"concat.strided", OP_CONCAT, same_type, pitched_prepare,
                                          concat_run};
const struct kernel_class class_one_hot = {"one_hot.rows", OP_ONE_HOT, class_all_real, NULL, one_hot_run};
const struct kernel_class class_nearest = {"nearest.lines", OP_NEAREST, spatial, NULL, nearest_run};
const struct kernel_class class_nearest_back = {"nearest_back.lines", OP_NEAREST_BACK, spatial, NULL,
                                                nearest_back_run};
