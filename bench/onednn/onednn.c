#include "conv_peer.h"

#include "base/mem.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>

struct operand {
    dnnl_memory_t memory;
    void *data;
    size_t bytes;
};

struct conv_peer {
    dnnl_primitive_t run;
    dnnl_primitive_t order;    /* of the weights */
    struct operand operand[4]; /* x, w, y, w in plain order */
    dnnl_exec_arg_t args[3], order_args[2];
    char kernel[64];
};

static dnnl_engine_t engine;
static dnnl_stream_t stream;

static void must(dnnl_status_t status)
{
    if (status != dnnl_success) {
        fprintf(stderr, "oneDNN: status %d\n", (int)status);
        exit(1);
    }
}

const char *conv_peer_open(bool avx512)
{
    static char name[32];
    const dnnl_version_t *v = dnnl_version();

    must(dnnl_set_max_cpu_isa(avx512 ? dnnl_cpu_isa_avx512_core : dnnl_cpu_isa_avx2));
    must(dnnl_engine_create(&engine, dnnl_cpu, 0));
    must(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
    snprintf(name, sizeof name, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    return name;
}

/* Sizes as oneDNN wants them: batch and channels first, no depth axis for planes. */
struct problem {
    int rank; /* of x and y */
    dnnl_dims_t x, w, y, stride, dilation, pad, pad_after;
};

static struct problem problem_of(const struct conv_shape *s)
{
    const int skip = s->in[0] == 1 && s->out[0] == 1 && s->kernel[0] == 1 && !s->pad[0];
    const int groups = s->groups > 1;
    struct problem p = {.rank = 5 - skip, .x = {s->n, s->ci}, .y = {s->n, s->co}};

    p.w[0] = s->groups;
    p.w[groups] = s->co / s->groups;
    p.w[groups + 1] = s->ci / s->groups;
    for (int i = skip; i < 3; i++) {
        const int to = i - skip;
        p.x[2 + to] = s->in[i];
        p.y[2 + to] = s->out[i];
        p.w[groups + 2 + to] = s->kernel[i];
        p.stride[to] = s->stride[i];
        p.dilation[to] = s->dilation[i] - 1;
        p.pad[to] = s->pad[i];
        p.pad_after[to] =
            (s->out[i] - 1) * s->stride[i] + (s->kernel[i] - 1) * s->dilation[i] + 1 - s->in[i] - s->pad[i];
    }
    return p;
}

static dnnl_memory_desc_t desc_new(const dnnl_dims_t dims, int rank, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t d;

    must(dnnl_memory_desc_create_with_tag(&d, rank, dims, dnnl_f32, tag));
    return d;
}

static dnnl_status_t describe(const struct problem *p, enum conv_dir dir, const dnnl_memory_desc_t d[3],
                              dnnl_primitive_desc_t *out)
{
    dnnl_primitive_desc_t forward;
    dnnl_status_t status = dnnl_convolution_forward_primitive_desc_create(
        &forward, engine, dnnl_forward_training, dnnl_convolution_direct, d[0], d[1], NULL, d[2], p->stride,
        p->dilation, p->pad, p->pad_after, NULL);

    if (status != dnnl_success || dir == CONV_FORWARD) {
        *out = forward;
        return status;
    }
    if (dir == CONV_DX)
        status = dnnl_convolution_backward_data_primitive_desc_create(
            out, engine, dnnl_convolution_direct, d[0], d[1], d[2], p->stride, p->dilation, p->pad,
            p->pad_after, forward, NULL);
    else
        status = dnnl_convolution_backward_weights_primitive_desc_create(
            out, engine, dnnl_convolution_direct, d[0], d[1], NULL, d[2], p->stride, p->dilation, p->pad,
            p->pad_after, forward, NULL);
    dnnl_primitive_desc_destroy(forward);
    return status;
}

static struct operand operand_new(const_dnnl_memory_desc_t d)
{
    struct operand o = {.bytes = dnnl_memory_desc_get_size(d)};
    float *p = o.data = mem_big_new(o.bytes);

    if (!p)
        exit(1);
    for (size_t i = 0; i < o.bytes / sizeof *p; i++)
        p[i] = i % 3 ? 0.125f : 1;
    must(dnnl_memory_create(&o.memory, d, engine, p));
    return o;
}

static void operands_make(struct conv_peer *p, enum conv_dir dir, dnnl_primitive_desc_t desc)
{
    static const dnnl_query_t what[3][3] = {
        {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
        {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md},
        {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md},
    };
    static const int arg[3][3] = {
        {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
        {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
        {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST},
    };

    for (int i = 0; i < 3; i++) {
        p->operand[i] = operand_new(dnnl_primitive_desc_query_md(desc, what[dir][i], 0));
        p->args[i] = (dnnl_exec_arg_t){arg[dir][i], p->operand[i].memory};
    }
}

/* The order of the weights from or, by weights, to the framework's. */
static void order_make(struct conv_peer *p, enum conv_dir dir, const_dnnl_memory_desc_t own,
                       const_dnnl_memory_desc_t plain)
{
    const int from = dir == CONV_DW ? 1 : 3, to = 4 - from;
    dnnl_primitive_desc_t desc;

    p->operand[3] = operand_new(plain);
    must(dnnl_reorder_primitive_desc_create(&desc, from == 1 ? own : plain, engine, from == 1 ? plain : own,
                                            engine, NULL));
    must(dnnl_primitive_create(&p->order, desc));
    p->order_args[0] = (dnnl_exec_arg_t){DNNL_ARG_FROM, p->operand[from].memory};
    p->order_args[1] = (dnnl_exec_arg_t){DNNL_ARG_TO, p->operand[to].memory};
    dnnl_primitive_desc_destroy(desc);
}

struct conv_peer *conv_peer_new(const struct conv_shape *s, enum conv_dir dir, bool blocked)
{
    const struct problem problem = problem_of(s);
    const dnnl_format_tag_t last = problem.rank == 5 ? dnnl_ndhwc : dnnl_nhwc;
    const dnnl_format_tag_t tag = blocked ? dnnl_format_tag_any : last;
    dnnl_memory_desc_t d[3] = {desc_new(problem.x, problem.rank, tag),
                               desc_new(problem.w, problem.rank + (s->groups > 1), dnnl_format_tag_any),
                               desc_new(problem.y, problem.rank, tag)};
    const int w_rank = problem.rank + (s->groups > 1);
    dnnl_memory_desc_t plain = desc_new(problem.w, w_rank,
                                        w_rank == 4   ? dnnl_abcd
                                        : w_rank == 5 ? dnnl_abcde
                                                      : dnnl_abcdef);
    dnnl_primitive_desc_t desc;
    struct conv_peer *p = NULL;

    if (describe(&problem, dir, d, &desc) == dnnl_success) {
        const char *kernel;
        p = calloc(1, sizeof *p);
        if (!p)
            exit(1);
        must(dnnl_primitive_create(&p->run, desc));
        must(dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &kernel));
        snprintf(p->kernel, sizeof p->kernel, "%s", kernel);
        operands_make(p, dir, desc);
        const dnnl_query_t w = dir == CONV_DW ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
        order_make(p, dir, dnnl_primitive_desc_query_md(desc, w, 0), plain);
        dnnl_primitive_desc_destroy(desc);
    }
    for (int i = 0; i < 3; i++)
        dnnl_memory_desc_destroy(d[i]);
    dnnl_memory_desc_destroy(plain);
    return p;
}

const char *conv_peer_kernel(const struct conv_peer *p)
{
    return p->kernel;
}

void conv_peer_run(struct conv_peer *p)
{
    must(dnnl_primitive_execute(p->run, stream, 3, p->args));
    must(dnnl_stream_wait(stream));
}

void conv_peer_order(struct conv_peer *p)
{
    must(dnnl_primitive_execute(p->order, stream, 2, p->order_args));
    must(dnnl_stream_wait(stream));
}

void conv_peer_free(struct conv_peer *p)
{
    if (!p)
        return;
    dnnl_primitive_destroy(p->run);
    dnnl_primitive_destroy(p->order);
    for (int i = 0; i < 4; i++) {
        dnnl_memory_destroy(p->operand[i].memory);
        mem_big_free(p->operand[i].data, p->operand[i].bytes);
    }
    free(p);
}
