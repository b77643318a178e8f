/* Speed of the convolution kernels, per shape and direction, beside the measured peak of fused multiply-adds
 * and, where cmake was told where oneDNN is, beside its better layout (channels-last or blocked).
 *
 *     bench_conv [-t threads] [-r rounds] [-i avx2|avx512] [-d] [-j] [-x] [-n text] [-k text] [-s]
 *
 * -n, -k: only shapes, only directions whose name holds the text; -x: without the peer; -d: f64, without it;
 * -j: JSON, a line each; -s: the layers of nnU-Net (5 stages, 4 x 96^3, batch 2) and their sums. With one
 * thread, processor time counts, so that a busy machine does little harm. Own and the peer's runs alternate,
 * each long enough to be timed; times and ratios are medians over the rounds. Weights are in the order that
 * the kernels want, as in a program, where packing is a step of its own; what ordering them costs stands
 * apart, and inside where our kernel does it itself. `ordered` is the ratio with both sides' ordering. */
#include "base/cpu.h"
#include "backend/kernels.h"
#include "base/mem.h"
#include "conv_shapes.h"
#include "onednn/conv_peer.h"

#include <immintrin.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct options {
    int threads, rounds;
    bool avx512, f64, step, peer, json;
    const char *name, *direction;
};

static double now(const struct options *o)
{
    struct timespec t;

    clock_gettime(o->threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static struct conv_shape line_shape(const struct line *l)
{
    struct conv_shape s = {.n = l->n, .ci = l->ci, .co = l->co, .groups = l->groups ? l->groups : 1};

    for (int i = 0; i < 3; i++) {
        s.in[i] = l->size[i];
        s.kernel[i] = l->kernel[i];
        s.stride[i] = l->kernel[i] == 1 && (l->size[i] == 1 || l->kernel[2] > 1) ? 1 : l->stride;
        s.pad[i] = l->kernel[i] == 1 ? 0 : l->pad;
        s.dilation[i] = l->kernel[i] == 1 || !l->dilation ? 1 : l->dilation;
        s.out[i] = (s.in[i] + 2 * s.pad[i] - (s.kernel[i] - 1) * s.dilation[i] - 1) / s.stride[i] + 1;
    }
    return s;
}

static double flops(const struct conv_shape *s)
{
    return 2.0 * (double)(s->n * s->out[0] * s->out[1] * s->out[2] * s->co * (s->ci / s->groups)) *
           (double)(s->kernel[0] * s->kernel[1] * s->kernel[2]);
}

static void *values_new(int64_t count, int bytes)
{
    char *p = mem_big_new((size_t)count * (size_t)bytes);

    if (!p)
        abort();
    for (int64_t i = 0; i < count; i++) {
        const double v = i % 3 ? 0.125 : 1;
        if (bytes == 4)
            ((float *)(void *)p)[i] = (float)v;
        else
            ((double *)(void *)p)[i] = v;
    }
    return p;
}

/* Ten independent chains of fused multiply-adds in registers, `repeats` long each; the sum keeps them alive.
 */
#define CHAINS 10
#define PEAK(name, isa, vec, set, fma, lane)                                                                 \
    __attribute__((target(isa))) static float name(long repeats)                                             \
    {                                                                                                        \
        const vec a = set(0.999f), b = set(1e-9f);                                                           \
        vec c[CHAINS];                                                                                       \
        for (int i = 0; i < CHAINS; i++)                                                                     \
            c[i] = set((float)i);                                                                            \
        for (long r = 0; r < repeats; r++) {                                                                 \
            _Pragma("GCC unroll 10") for (int i = 0; i < CHAINS; i++) c[i] = fma(c[i], a, b);                \
        }                                                                                                    \
        vec sum = c[0];                                                                                      \
        for (int i = 1; i < CHAINS; i++)                                                                     \
            sum = fma(c[i], a, sum);                                                                         \
        return lane(sum);                                                                                    \
    }
PEAK(peak_avx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_cvtss_f32)
PEAK(peak_avx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_cvtss_f32)

/* GFLOP/s of fused multiply-adds with all threads. */
static double peak(const struct options *o)
{
    const long repeats = 2000000;
    double best = 1e9;
    float sum = 0;

    for (int r = 0; r < 3; r++) {
        const double start = now(o);
#pragma omp parallel num_threads(o->threads) reduction(+ : sum)
        sum += o->avx512 ? peak_avx512(repeats) : peak_avx2(repeats);
        const double took = now(o) - start;
        best = took < best ? took : best;
    }
    if (sum == 0.5f) /* never; the compiler does not know */
        printf("\n");
    return 2.0 * CHAINS * (o->avx512 ? 16 : 8) * (double)repeats * o->threads / (o->f64 ? 2 : 1) / best / 1e9;
}

/* The three operands of a shape. */
struct operands {
    void *at[3];
    size_t bytes[3];
};

static struct operands operands_new(const struct conv_shape *s, int real_bytes)
{
    const int64_t count[3] = {s->n * s->in[0] * s->in[1] * s->in[2] * s->ci,
                              s->co * (s->ci / s->groups) * s->kernel[0] * s->kernel[1] * s->kernel[2],
                              s->n * s->out[0] * s->out[1] * s->out[2] * s->co};
    struct operands o;

    for (int i = 0; i < 3; i++) {
        o.bytes[i] = (size_t)count[i] * (size_t)real_bytes;
        o.at[i] = values_new(count[i], real_bytes);
    }
    return o;
}

static void operands_free(struct operands *o)
{
    for (int i = 0; i < 3; i++)
        mem_big_free(o->at[i], o->bytes[i]);
}

/* What is timed: ours, our packing of weights, the peer channels-last and blocked, and their ordering of
 * weights. */
enum { OWN, OWN_ORDER, PEER_LAST, PEER_BLOCKED, PEER_LAST_ORDER, PEER_BLOCKED_ORDER, PARTS, ROUNDS_MAX = 64 };

/* One convolution of one direction on both sides. */
struct duel {
    const struct kernel_table *table;
    struct conv_shape shape;
    enum conv_dir dir;
    struct conv_buf buf;
    size_t work_bytes, packed_bytes;
    void *w, *packed;
    struct conv_peer *peers[2];
    int repeats[PARTS]; /* 0: there is no such part */
    double seconds[PARTS][ROUNDS_MAX];
};

static void part_run(struct duel *d, int part)
{
    if (part == OWN)
        d->table->conv(&d->shape, d->dir, &d->buf);
    else if (part == OWN_ORDER)
        d->table->conv_pack(&d->shape, d->dir, d->w, d->packed, d->buf.threads);
    else if (part < PEER_LAST_ORDER)
        conv_peer_run(d->peers[part - PEER_LAST]);
    else
        conv_peer_order(d->peers[part - PEER_LAST_ORDER]);
}

static double part_time(struct duel *d, int part, const struct options *o)
{
    const double start = now(o);

    for (int i = 0; i < d->repeats[part]; i++)
        part_run(d, part);
    return (now(o) - start) / d->repeats[part];
}

static void duel_make(struct duel *d, const struct options *o, const struct operands *operands)
{
    d->w = operands->at[1];
    d->buf = (struct conv_buf){.x = operands->at[0],
                               .w = operands->at[1],
                               .y = operands->at[2],
                               .x_pitch = d->shape.ci,
                               .y_pitch = d->shape.co,
                               .threads = o->threads};
    d->shape.packed = d->table->conv_hooks(&d->shape, d->dir) & CONV_PACKED;
    if (d->shape.packed) {
        d->packed_bytes = (size_t)d->table->conv_packed(&d->shape, d->dir) * (size_t)d->table->real_bytes;
        d->buf.w = d->packed = mem_big_new(d->packed_bytes);
    }
    d->work_bytes = d->table->conv_work(&d->shape, d->dir, o->threads);
    d->buf.work = mem_big_new(d->work_bytes);
    if (!d->buf.w || !d->buf.work)
        abort();
    d->repeats[OWN] = 1;
    d->repeats[OWN_ORDER] = d->shape.packed;
    for (int i = 0; i < 2 && o->peer; i++) {
        d->peers[i] = conv_peer_new(&d->shape, d->dir, i);
        d->repeats[PEER_LAST + i] = d->repeats[PEER_LAST_ORDER + i] = d->peers[i] != NULL;
    }
}

static void duel_free(struct duel *d)
{
    for (int i = 0; i < 2; i++)
        conv_peer_free(d->peers[i]);
    mem_big_free(d->buf.work, d->work_bytes);
    if (d->packed)
        mem_big_free(d->packed, d->packed_bytes);
}

/* The first calls warm up and say how many make a time worth reading. */
static void duel_run(struct duel *d, const struct options *o)
{
    const double least = 2e-3;

    for (int i = PARTS - 1; i >= 0; i--) /* weights are packed before they are read */
        if (d->repeats[i]) {
            part_run(d, i);
            const double took = part_time(d, i, o);
            d->repeats[i] = took < least ? (int)(least / (took + 1e-7)) + 1 : 1;
        }
    for (int r = 0; r < o->rounds; r++)
        for (int i = 0; i < PARTS; i++)
            if (d->repeats[i])
                d->seconds[i][r] = part_time(d, i, o);
}

static int double_compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(const double *values, int count)
{
    double sorted[ROUNDS_MAX];

    memcpy(sorted, values, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, double_compare);
    return (sorted[count / 2] + sorted[(count - 1) / 2]) / 2;
}

/* Seconds of ours and of the peer's better layout; ratios of neighbouring times. */
struct score {
    double own, own_order, peer, peer_order, ratio, ordered, flops;
    bool blocked;
};

static struct score score_of(const struct duel *d, int rounds)
{
    double part[PARTS], ratio[ROUNDS_MAX], ordered[ROUNDS_MAX];

    for (int i = 0; i < PARTS; i++)
        part[i] = d->repeats[i] ? median(d->seconds[i], rounds) : 0;
    const bool blocked = part[PEER_BLOCKED] && (!part[PEER_LAST] || part[PEER_BLOCKED] < part[PEER_LAST]);
    const int peer = PEER_LAST + blocked, order = PEER_LAST_ORDER + blocked;
    for (int r = 0; r < rounds; r++) {
        const double own = d->seconds[OWN][r];
        ratio[r] = d->seconds[peer][r] / own;
        ordered[r] = (d->seconds[peer][r] + d->seconds[order][r]) / (own + d->seconds[OWN_ORDER][r]);
    }
    return (struct score){.own = part[OWN],
                          .own_order = part[OWN_ORDER],
                          .peer = part[peer],
                          .peer_order = part[order],
                          .ratio = median(ratio, rounds),
                          .ordered = median(ordered, rounds),
                          .blocked = blocked};
}

static void score_print(const struct score *s, const char *name, const char *dir, const char *kernel,
                        const struct options *o)
{
    if (o->json) {
        printf("{\"name\": \"%s\", \"dir\": \"%s\", \"own\": %.4g, \"own_order\": %.4g, \"gflops\": %.4g",
               name, dir, s->own, s->own_order, s->flops / s->own / 1e9);
        if (s->peer)
            printf(", \"peer\": %.4g, \"peer_order\": %.4g, \"ratio\": %.3f, \"ordered\": %.3f, \"kernel\": "
                   "\"%s\"",
                   s->peer, s->peer_order, s->ratio, s->ordered, kernel);
        printf("}\n");
    } else {
        printf("%-26s %-10s %9.3f ms + %7.3f %6.1f GF/s", name, dir, 1e3 * s->own, 1e3 * s->own_order,
               s->flops / s->own / 1e9);
        if (s->peer)
            printf(" | peer %9.3f + %7.3f %-7s %-26s %5.2f %5.2f%s", 1e3 * s->peer, 1e3 * s->peer_order,
                   s->blocked ? "blocked" : "last", kernel, s->ratio, s->ordered, s->ratio < 0.9 ? " <" : "");
        printf("\n");
    }
    fflush(stdout);
}

static const char *const directions[] = {"forward", "by data", "by weights"};

/* Measures and prints one shape in one direction. */
static struct score line_run(const struct kernel_table *t, const struct line *l, enum conv_dir dir,
                             const struct options *o)
{
    struct duel d = {.table = t, .shape = line_shape(l), .dir = dir};
    struct operands operands = operands_new(&d.shape, t->real_bytes);

    duel_make(&d, o, &operands);
    duel_run(&d, o);
    struct score s = score_of(&d, o->rounds);
    s.flops = flops(&d.shape);
    score_print(&s, l->name, directions[dir], d.peers[s.blocked] ? conv_peer_kernel(d.peers[s.blocked]) : "",
                o);
    duel_free(&d);
    operands_free(&operands);
    return s;
}

/* Times `count` layers of a shape. */
static void sum_add(struct score *sum, const struct score *s, int count)
{
    sum->own += count * s->own;
    sum->own_order += count * s->own_order;
    sum->peer += count * s->peer;
    sum->peer_order += count * s->peer_order;
    sum->flops += count * s->flops;
}

static struct options options_read(int argc, char **argv)
{
    struct options o = {.threads = 1,
                        .rounds = 5,
                        .peer = true,
                        .name = "",
                        .direction = "",
                        .avx512 = cpu_best() == CPU_AVX512};
    int c;

    while ((c = getopt(argc, argv, "t:r:i:n:k:djsx")) != -1)
        switch (c) {
        case 't':
            o.threads = atoi(optarg);
            break;
        case 'r':
            o.rounds = atoi(optarg);
            break;
        case 'i':
            o.avx512 = !strcmp(optarg, "avx512");
            break;
        case 'n':
            o.name = optarg;
            break;
        case 'k':
            o.direction = optarg;
            break;
        case 'x':
            o.peer = false;
            break;
        case 'j':
            o.json = true;
            break;
        case 'd':
            o.f64 = true;
            break;
        case 's':
            o.step = true;
            break;
        default:
            exit(2);
        }
    if (o.rounds < 1 || o.rounds > ROUNDS_MAX || o.threads < 1)
        exit(2);
    return o;
}

int main(int argc, char **argv)
{
    struct options o = options_read(argc, argv);
    const struct kernel_table *t = kernel_table_get(o.avx512, o.f64);
    const struct line *lines = o.step ? step : classes;
    const int count = o.step ? (int)(sizeof step / sizeof *step) : (int)(sizeof classes / sizeof *classes);
    const char *peer = o.f64 || !o.peer ? NULL : conv_peer_open(o.avx512);
    struct score sum[3] = {{0}};

    o.peer = peer != NULL;
    omp_set_num_threads(o.threads);
    if (o.json)
        printf("{\"isa\": \"%s\", \"threads\": %d, \"peak\": %.4g, \"peer\": \"%s\"}\n", t->isa, o.threads,
               peak(&o), peer ? peer : "none");
    else
        printf("%s %s, %d threads, peak %.0f GFLOP/s, beside %s\n", t->isa, o.f64 ? "f64" : "f32", o.threads,
               peak(&o), peer ? peer : "nothing");
    for (int i = 0; i < count; i++)
        for (enum conv_dir dir = CONV_FORWARD; dir <= CONV_DW && strstr(lines[i].name, o.name); dir++) {
            if ((lines[i].first && dir == CONV_DX) || !strstr(directions[dir], o.direction))
                continue;
            const struct score s = line_run(t, &lines[i], dir, &o);
            sum_add(&sum[dir], &s, lines[i].count);
        }
    for (int dir = 0; dir < 3 && o.step; dir++) {
        sum[dir].ratio = sum[dir].peer / sum[dir].own;
        sum[dir].ordered = (sum[dir].peer + sum[dir].peer_order) / (sum[dir].own + sum[dir].own_order);
        score_print(&sum[dir], "all layers", directions[dir], "", &o);
    }
    return 0;
}
