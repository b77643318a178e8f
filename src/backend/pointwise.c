/* Pointwise ops: blocks of contiguous elements go through one kernel per op; what broadcasts is laid out for
 * the block first, in a buffer that stays in the nearest cache. */
#include "backend/classes.h"

#include <stdalign.h>
#include <string.h>

enum { BLOCK = 1024, PERIOD = 1024, OPERANDS = 3 };

/* How element i of the output finds its element of an input: axes of the output that the input walks alike
 * are joined. */
struct operand {
    const char *data;
    int axes;
    int64_t extent[DIMS_MAX], stride[DIMS_MAX]; /* outer first */
    int64_t period;                             /* of element i is i % period; 0: neither that nor i */
    bool dense;
};

/* Joins axes, then names the two cases that matter: the same shape, and repetition of its trailing axes. */
static void operand_make(struct operand *o, const void *data, const struct dims *in, int64_t pitch,
                         const struct dims *out)
{
    int64_t stride[DIMS_MAX] = {0};

    *o = (struct operand){.data = data};
    class_strides(in, pitch, stride);
    for (int i = 0; i < out->rank; i++) {
        const int64_t n = out->n[i], step = in->rank && in->n[i] != 1 ? stride[i] : 0;
        const int last = o->axes - 1;

        if (n == 1)
            continue;
        if (last >= 0 && o->stride[last] == step * n) {
            o->extent[last] *= n;
            o->stride[last] = step;
        } else {
            o->extent[o->axes] = n;
            o->stride[o->axes++] = step;
        }
    }
    if (!o->axes || (o->axes == 1 && !o->stride[0]))
        o->period = 1;
    else if (o->axes == 1)
        o->dense = true;
    else if (o->axes == 2 && !o->stride[0] && o->extent[1] <= PERIOD)
        o->period = o->extent[1];
}

/* A place in an operand, and the elements from there to the end of the innermost axis. */
struct walk {
    int64_t at[DIMS_MAX], offset, run;
};

static void walk_start(struct walk *w, const struct operand *o, int64_t first)
{
    w->offset = 0;
    for (int a = o->axes - 1; a >= 0; a--) {
        w->at[a] = first % o->extent[a];
        first /= o->extent[a];
        w->offset += w->at[a] * o->stride[a];
    }
    w->run = o->extent[o->axes - 1] - w->at[o->axes - 1];
}

static void walk_on(struct walk *w, const struct operand *o, int64_t n)
{
    const int last = o->axes - 1;

    w->offset += n * o->stride[last];
    w->at[last] += n;
    for (int a = last; a > 0 && w->at[a] == o->extent[a]; a--) {
        w->offset += o->stride[a - 1] - w->at[a] * o->stride[a];
        w->at[a] = 0;
        w->at[a - 1]++;
    }
    w->run = o->extent[last] - w->at[last];
}

/* Elements first .. first + n - 1 into `to`. */
static void operand_gather(const struct operand *o, char *to, int64_t first, int64_t n, size_t size)
{
    struct walk w;

    for (walk_start(&w, o, first); n > 0;) {
        const int64_t run = int64_min(n, w.run);
        const char *from = o->data + (size_t)w.offset * size;

        if (o->stride[o->axes - 1])
            memcpy(to, from, (size_t)run * size);
        else
            for (int64_t i = 0; i < run; i++)
                memcpy(to + (size_t)i * size, from, size);
        to += (size_t)run * size;
        n -= run;
        walk_on(&w, o, run);
    }
}

/* The other way, for an output that is a window of a wider buffer. */
static void operand_scatter(const struct operand *o, char *out, const char *from, int64_t first, int64_t n,
                            size_t size)
{
    struct walk w;

    for (walk_start(&w, o, first); n > 0;) {
        const int64_t run = int64_min(n, w.run);

        memcpy(out + (size_t)w.offset * size, from, (size_t)run * size);
        from += (size_t)run * size;
        n -= run;
        walk_on(&w, o, run);
    }
}

/* Doubles the first `period` elements up to `n`. */
static void repeat(char *to, const char *from, int64_t period, int64_t n, size_t size)
{
    size_t have = (size_t)int64_min(period, n) * size, all = (size_t)n * size;

    memcpy(to, from, have);
    for (; have < all; have *= 2)
        memcpy(to + have, to, have < all - have ? have : all - have);
}

struct job {
    const struct operand *operand;
    int operands;
    struct operand to; /* how the output lies */
    char *out;
    int64_t count;
    size_t size;
    const struct fused_table *table;
    map_function map;
    const double *p;
};

/* Room for one thread. */
struct room {
    alignas(64) char operand[OPERANDS][(BLOCK + PERIOD) * sizeof(double)];
    alignas(64) char out[BLOCK * sizeof(double)];
};

static void block_run(const struct job *j, struct room *room, int64_t first, bool stream)
{
    const int64_t n = int64_min(BLOCK, j->count - first);
    const void *in[OPERANDS] = {0};
    char *out = j->out + (size_t)first * j->size;
    const bool aside = stream || !j->to.dense;

    for (int k = 0; k < j->operands; k++) {
        const struct operand *o = &j->operand[k];

        if (o->dense) {
            in[k] = o->data + (size_t)first * j->size;
        } else if (o->period) {
            in[k] = room->operand[k] + (size_t)(first % o->period) * j->size;
        } else {
            operand_gather(o, room->operand[k], first, n, j->size);
            in[k] = room->operand[k];
        }
    }
    j->map(aside ? room->out : out, in, n, j->p);
    if (!j->to.dense)
        operand_scatter(&j->to, j->out, room->out, first, n, j->size);
    else if (stream)
        j->table->stream_copy(out, room->out, n);
}

static void job_run(const struct job *j, const struct step *s)
{
    const int64_t blocks = int64_ceil_div(j->count, BLOCK);
    const int threads = class_threads(s, blocks / 4);
    const bool stream = (size_t)j->count * j->size >= STREAM_BYTES;

#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        struct room room;

        for (int k = 0; k < j->operands; k++)
            if (j->operand[k].period)
                repeat(room.operand[k], j->operand[k].data, j->operand[k].period,
                       j->operand[k].period + int64_min(BLOCK, j->count), j->size);
#pragma omp for schedule(static)
        for (int64_t b = 0; b < blocks; b++)
            block_run(j, &room, b * BLOCK, stream);
    }
}

static void pointwise_prepare(struct step *s)
{
    s->pitch_in = (1u << OPERANDS) - 1;
    s->pitch_out = 1;
}

static void pointwise_run(const struct run *r)
{
    const struct step *s = r->step;
    const struct fused_table *t = fused_of(s);
    const union attr *attr = &s->node->attr;
    const bool clamp = s->node->id == OP_CLAMP;
    const double p[2] = {clamp ? attr->clamp.lo : attr->scalar, clamp ? attr->clamp.hi : 0};
    struct operand operand[OPERANDS];
    struct job j = {.operand = operand,
                    .operands = s->node->n_in,
                    .out = r->out[0],
                    .count = dims_count(&s->out_dims[0]),
                    .size = dtype_size(s->type),
                    .table = t,
                    .map = t->map[s->node->id],
                    .p = p};

    for (int k = 0; k < j.operands; k++)
        operand_make(&operand[k], r->in[k], &s->in_dims[k], run_in_pitch(r, k), &s->out_dims[0]);
    operand_make(&j.to, r->out[0], &s->out_dims[0], run_out_pitch(r, 0), &s->out_dims[0]);
    j.to.dense |= j.to.axes == 0;
    job_run(&j, s);
}

#define CLASS(NAME, name)                                                                                    \
    const struct kernel_class class_##name = {#name ".map", OP_##NAME, class_all_real, pointwise_prepare,    \
                                              pointwise_run};

CLASS(ADD, add)
CLASS(SUB, sub)
CLASS(MUL, mul)
CLASS(DIV, div)
CLASS(MAX, max)
CLASS(MIN, min)
CLASS(LESS, less)
CLASS(EQUAL, equal)
CLASS(WHERE, where)
CLASS(NEG, neg)
CLASS(ABS, abs)
CLASS(SIGN, sign)
CLASS(SQRT, sqrt)
CLASS(EXP, exp)
CLASS(LOG, log)
CLASS(TANH, tanh)
CLASS(SIGMOID, sigmoid)
CLASS(RELU, relu)
CLASS(LEAKY_RELU, leaky_relu)
CLASS(PRELU, prelu)
CLASS(SILU, silu)
CLASS(CLAMP, clamp)
CLASS(IS_FINITE, is_finite)
CLASS(STOP_GRADIENT, stop_gradient)
