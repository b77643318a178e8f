/* Speed of the convolution kernels, per shape and direction, beside the measured peak of fused multiply-adds
 * and, where cmake was told where oneDNN is, beside its better layout (channels-last or blocked).
 *
 *     bench_conv [-t threads] [-r rounds] [-i avx2|avx512] [-d] [-n text] [-s]
 *
 * -n: only shapes whose name holds the text; -d: f64, without the peer; -s: the layers of nnU-Net (5 stages,
 * 4 x 96^3, batch 2) and the sum of a training step. With one thread, processor time counts, so that a busy
 * machine does little harm; own and the peer's runs alternate and the best of each counts. Our weight packing
 * is inside, the peer's is not. A ratio is printed only if the peak before and after differs by at most 5 %.
 */
#include "base/cpu.h"
#include "backend/kernels.h"
#include "base/mem.h"
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
    bool avx512, f64, step, peer;
    const char *name;
};

/* D, H, W sizes. Axes of kernel 1 have no padding, and no stride where the size is 1. */
struct line {
    const char *name;
    int n, size[3], ci, co, kernel[3], stride, pad;
    int dilation, groups; /* 0 counts as 1 */
    int count;            /* layers of this shape in the step */
    bool first;           /* no gradient by data is needed */
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

/* Best seconds of ours, of the peer channels-last and blocked; 0 where it has none. */
struct times {
    double best[3];
    char kernel[64]; /* the peer's better one */
};

static void time_take(double *best, double took)
{
    if (!*best || took < *best)
        *best = took;
}

static struct times direction_times(const struct kernel_table *t, const struct conv_shape *s,
                                    enum conv_dir dir, const struct options *o, void *const buffer[3])
{
    const size_t bytes = t->conv_work(s, dir, o->threads);
    char *work = mem_big_new(bytes);
    const struct conv_buf b = {.x = buffer[0],
                               .w = buffer[1],
                               .y = buffer[2],
                               .x_pitch = s->ci,
                               .y_pitch = s->co,
                               .work = work,
                               .threads = o->threads};
    struct conv_peer *peers[2] = {NULL, NULL};
    struct times result = {{0}, ""};

    if (!work)
        abort();
    for (int i = 0; i < 2 && o->peer; i++)
        peers[i] = conv_peer_new(s, dir, i);
    for (int r = 0; r <= o->rounds; r++) /* the first one warms up */
        for (int i = 0; i < 3; i++) {
            if (i && !peers[i - 1])
                continue;
            const double start = now(o);
            if (i)
                conv_peer_run(peers[i - 1]);
            else
                t->conv(s, dir, &b);
            if (r)
                time_take(&result.best[i], now(o) - start);
        }
    const int better = result.best[2] && (!result.best[1] || result.best[2] < result.best[1]);
    if (peers[better])
        snprintf(result.kernel, sizeof result.kernel, "%s", conv_peer_kernel(peers[better]));
    conv_peer_free(peers[0]);
    conv_peer_free(peers[1]);
    mem_big_free(work, bytes);
    return result;
}

static void times_print(const struct times *t, double work, double before, double after)
{
    const double peer = t->best[1] && (!t->best[2] || t->best[1] < t->best[2]) ? t->best[1] : t->best[2];

    printf("%9.3f ms %6.1f GF/s %3.0f %%", 1e3 * t->best[0], work / t->best[0] / 1e9,
           100 * work / t->best[0] / 1e9 / before);
    if (!peer)
        return;
    printf(" | peer %8.3f ms %-7s %-30s", 1e3 * peer, peer == t->best[1] ? "last" : "blocked", t->kernel);
    if (after < 0.95 * before || after > 1.05 * before)
        printf(" peak moved");
    else
        printf(" %5.2f%s", peer / t->best[0], peer / t->best[0] < 0.9 ? " <" : "");
}

/* Prints one shape and returns our seconds in the directions that a training step needs. */
static double line_run(const struct kernel_table *t, const struct line *l, const struct options *o)
{
    static const char *const names[] = {"forward", "by data", "by weights"};
    const struct conv_shape s = line_shape(l);
    struct operands operands = operands_new(&s, t->real_bytes);
    double sum = 0;

    for (enum conv_dir dir = CONV_FORWARD; dir <= CONV_DW; dir++) {
        const double before = peak(o);
        const struct times times = direction_times(t, &s, dir, o, operands.at);
        printf("%-26s %-10s ", l->name, names[dir]);
        times_print(&times, flops(&s), before, peak(o));
        printf("\n");
        fflush(stdout);
        if (!(l->first && dir == CONV_DX))
            sum += times.best[0] * l->count;
    }
    operands_free(&operands);
    return sum;
}

static const struct line classes[] = {
    {"4->32 k3 96^3", 2, {96, 96, 96}, 4, 32, {3, 3, 3}, 1, 1, 0, 0, 1, false},
    {"1->16 k3 96^3", 2, {96, 96, 96}, 1, 16, {3, 3, 3}, 1, 1, 0, 0, 1, false},
    {"4->16 k3 64^3", 2, {64, 64, 64}, 4, 16, {3, 3, 3}, 1, 1, 0, 0, 1, false},
    {"32->64 k3 s2 96^3", 2, {96, 96, 96}, 32, 64, {3, 3, 3}, 2, 1, 0, 0, 1, false},
    {"64->128 k3 s2 48^3", 2, {48, 48, 48}, 64, 128, {3, 3, 3}, 2, 1, 0, 0, 1, false},
    {"128->256 k3 s2 24^3", 2, {24, 24, 24}, 128, 256, {3, 3, 3}, 2, 1, 0, 0, 1, false},
    {"256->320 k3 s2 12^3", 2, {12, 12, 12}, 256, 320, {3, 3, 3}, 2, 1, 0, 0, 1, false},
    {"320->320 k3 6^3", 2, {6, 6, 6}, 320, 320, {3, 3, 3}, 1, 1, 0, 0, 1, false},
    {"320->320 k1 24^3", 2, {24, 24, 24}, 320, 320, {1, 1, 1}, 1, 0, 0, 0, 1, false},
    {"64->64 k1 48^3", 2, {48, 48, 48}, 64, 64, {1, 1, 1}, 1, 0, 0, 0, 1, false},
    {"256->256 k1 24^3", 2, {24, 24, 24}, 256, 256, {1, 1, 1}, 1, 0, 0, 0, 1, false},
    {"512->1024 k1 8^3", 2, {8, 8, 8}, 512, 1024, {1, 1, 1}, 1, 0, 0, 0, 1, false},
    {"32->64 k1 s2 96^3", 2, {96, 96, 96}, 32, 64, {1, 1, 1}, 2, 0, 0, 0, 1, false},
    {"32->3 k1 96^3", 2, {96, 96, 96}, 32, 3, {1, 1, 1}, 1, 0, 0, 0, 1, false},
    {"256->3 k1 12^3", 2, {12, 12, 12}, 256, 3, {1, 1, 1}, 1, 0, 0, 0, 1, false},
    {"32->64 k2 s2 96^3", 2, {96, 96, 96}, 32, 64, {2, 2, 2}, 2, 0, 0, 0, 1, false},
    {"128->256 k2 s2 24^3", 2, {24, 24, 24}, 128, 256, {2, 2, 2}, 2, 0, 0, 0, 1, false},
    {"256->320 k2 s2 12^3", 2, {12, 12, 12}, 256, 320, {2, 2, 2}, 2, 0, 0, 0, 1, false},
    {"4->64 7x7 512^2", 1, {1, 512, 512}, 4, 64, {1, 7, 7}, 1, 3, 0, 0, 1, false},
    {"64->3 7x7 512^2", 1, {1, 512, 512}, 64, 3, {1, 7, 7}, 1, 3, 0, 0, 1, false},
    {"64->64 3x3 256^2", 1, {1, 256, 256}, 64, 64, {1, 3, 3}, 1, 1, 0, 0, 1, false},
    {"256->256 3x3 64^2", 1, {1, 64, 64}, 256, 256, {1, 3, 3}, 1, 1, 0, 0, 1, false},
    {"64->128 3x3 s2 512^2", 1, {1, 512, 512}, 64, 128, {1, 3, 3}, 2, 1, 0, 0, 1, false},
    {"32->64 k4 s2 48^3", 2, {48, 48, 48}, 32, 64, {4, 4, 4}, 2, 1, 0, 0, 1, false},
    {"16->32 k4 s2 96^3", 2, {96, 96, 96}, 16, 32, {4, 4, 4}, 2, 1, 0, 0, 1, false},
    {"64->128 4x4 s2 256^2", 1, {1, 256, 256}, 64, 128, {1, 4, 4}, 2, 1, 0, 0, 1, false},
    {"depthwise k3 32 96^3", 2, {96, 96, 96}, 32, 32, {3, 3, 3}, 1, 1, 0, 32, 1, false},
    {"depthwise k3 64 48^3", 2, {48, 48, 48}, 64, 64, {3, 3, 3}, 1, 1, 0, 64, 1, false},
    {"depthwise 7x7 96 128^2", 1, {1, 128, 128}, 96, 96, {1, 7, 7}, 1, 3, 0, 96, 1, false},
    {"depthwise k7 48 32^3", 1, {32, 32, 32}, 48, 48, {7, 7, 7}, 1, 3, 0, 48, 1, false},
    {"17->23 k3 13x18x15", 1, {13, 18, 15}, 17, 23, {3, 3, 3}, 1, 1, 0, 0, 1, false},
    {"17->23 k3 13x18x15 n3", 3, {13, 18, 15}, 17, 23, {3, 3, 3}, 1, 1, 0, 0, 1, false},
    {"23->17 k3 s2 13x18x15", 3, {13, 18, 15}, 23, 17, {3, 3, 3}, 2, 1, 0, 0, 1, false},
    {"48->24 1x3x3 s2 20x96x96", 1, {20, 96, 96}, 48, 24, {1, 3, 3}, 2, 1, 0, 0, 1, false},
    {"24->24 k3 d2 40^3", 1, {40, 40, 40}, 24, 24, {3, 3, 3}, 1, 2, 2, 0, 1, false},
    {"32->32 3x3 d2 128^2", 3, {1, 128, 128}, 32, 32, {1, 3, 3}, 1, 2, 2, 0, 1, false},
    {"16->16 k3 64^3", 2, {64, 64, 64}, 16, 16, {3, 3, 3}, 1, 1, 0, 0, 1, false},
    {"32->16 k3 64^3", 2, {64, 64, 64}, 32, 16, {3, 3, 3}, 1, 1, 0, 0, 1, false},
    {"16->16 k5 48^3", 2, {48, 48, 48}, 16, 16, {5, 5, 5}, 1, 2, 0, 0, 1, false},
    {"16->32 k5 48^3", 1, {48, 48, 48}, 16, 32, {5, 5, 5}, 1, 2, 0, 0, 1, false},
    {"32->64 groups 4 k3 32^3", 1, {32, 32, 32}, 32, 64, {3, 3, 3}, 1, 1, 0, 4, 1, false},
    {"20->20 k1 31^3", 1, {31, 31, 31}, 20, 20, {1, 1, 1}, 1, 0, 0, 0, 1, false},
    {"24->4 k3 48^3", 1, {48, 48, 48}, 24, 4, {3, 3, 3}, 1, 1, 0, 0, 1, false},
    {"32->1 k3 64^3", 1, {64, 64, 64}, 32, 1, {3, 3, 3}, 1, 1, 0, 0, 1, false},
    {"7->5 k3 33^3", 1, {33, 33, 33}, 7, 5, {3, 3, 3}, 1, 1, 0, 0, 1, false},
    {"512->512 k1 1^3", 2, {1, 1, 1}, 512, 512, {1, 1, 1}, 1, 0, 0, 0, 1, false},
    {"64->64 k3 5^3", 1, {5, 5, 5}, 64, 64, {3, 3, 3}, 1, 1, 0, 0, 1, false},
};

/* nnU-Net's plain network: encoder, decoder, transposed (written as the convolution they are the gradient
 * of), heads. */
static const struct line step[] = {
    {"4->32 k3 96^3", 2, {96, 96, 96}, 4, 32, {3, 3, 3}, 1, 1, 0, 0, 1, true},
    {"32->32 k3 96^3", 2, {96, 96, 96}, 32, 32, {3, 3, 3}, 1, 1, 0, 0, 2, false},
    {"64->32 k3 96^3", 2, {96, 96, 96}, 64, 32, {3, 3, 3}, 1, 1, 0, 0, 1, false},
    {"32->64 k3 s2 96^3", 2, {96, 96, 96}, 32, 64, {3, 3, 3}, 2, 1, 0, 0, 1, false},
    {"64->64 k3 48^3", 2, {48, 48, 48}, 64, 64, {3, 3, 3}, 1, 1, 0, 0, 2, false},
    {"128->64 k3 48^3", 2, {48, 48, 48}, 128, 64, {3, 3, 3}, 1, 1, 0, 0, 1, false},
    {"64->128 k3 s2 48^3", 2, {48, 48, 48}, 64, 128, {3, 3, 3}, 2, 1, 0, 0, 1, false},
    {"128->128 k3 24^3", 2, {24, 24, 24}, 128, 128, {3, 3, 3}, 1, 1, 0, 0, 2, false},
    {"256->128 k3 24^3", 2, {24, 24, 24}, 256, 128, {3, 3, 3}, 1, 1, 0, 0, 1, false},
    {"128->256 k3 s2 24^3", 2, {24, 24, 24}, 128, 256, {3, 3, 3}, 2, 1, 0, 0, 1, false},
    {"256->256 k3 12^3", 2, {12, 12, 12}, 256, 256, {3, 3, 3}, 1, 1, 0, 0, 2, false},
    {"512->256 k3 12^3", 2, {12, 12, 12}, 512, 256, {3, 3, 3}, 1, 1, 0, 0, 1, false},
    {"256->320 k3 s2 12^3", 2, {12, 12, 12}, 256, 320, {3, 3, 3}, 2, 1, 0, 0, 1, false},
    {"320->320 k3 6^3", 2, {6, 6, 6}, 320, 320, {3, 3, 3}, 1, 1, 0, 0, 1, false},
    {"256->320 k2 s2 12^3", 2, {12, 12, 12}, 256, 320, {2, 2, 2}, 2, 0, 0, 0, 1, false},
    {"128->256 k2 s2 24^3", 2, {24, 24, 24}, 128, 256, {2, 2, 2}, 2, 0, 0, 0, 1, false},
    {"64->128 k2 s2 48^3", 2, {48, 48, 48}, 64, 128, {2, 2, 2}, 2, 0, 0, 0, 1, false},
    {"32->64 k2 s2 96^3", 2, {96, 96, 96}, 32, 64, {2, 2, 2}, 2, 0, 0, 0, 1, false},
    {"256->3 k1 12^3", 2, {12, 12, 12}, 256, 3, {1, 1, 1}, 1, 0, 0, 0, 1, false},
    {"128->3 k1 24^3", 2, {24, 24, 24}, 128, 3, {1, 1, 1}, 1, 0, 0, 0, 1, false},
    {"64->3 k1 48^3", 2, {48, 48, 48}, 64, 3, {1, 1, 1}, 1, 0, 0, 0, 1, false},
    {"32->3 k1 96^3", 2, {96, 96, 96}, 32, 3, {1, 1, 1}, 1, 0, 0, 0, 1, false},
};

static struct options options_read(int argc, char **argv)
{
    struct options o = {.threads = 1, .rounds = 3, .name = "", .avx512 = cpu_best() == CPU_AVX512};
    int c;

    while ((c = getopt(argc, argv, "t:r:i:n:ds")) != -1)
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
        case 'd':
            o.f64 = true;
            break;
        case 's':
            o.step = true;
            break;
        default:
            exit(2);
        }
    return o;
}

int main(int argc, char **argv)
{
    struct options o = options_read(argc, argv);
    const struct kernel_table *t = kernel_table_get(o.avx512, o.f64);
    const struct line *lines = o.step ? step : classes;
    const int count = o.step ? (int)(sizeof step / sizeof *step) : (int)(sizeof classes / sizeof *classes);
    const char *peer = o.f64 ? NULL : conv_peer_open(o.avx512);
    double sum = 0;

    o.peer = peer != NULL;
    omp_set_num_threads(o.threads);
    printf("%s %s, %d threads, peak %.0f GFLOP/s, beside %s\n", t->isa, o.f64 ? "f64" : "f32", o.threads,
           peak(&o), peer ? peer : "nothing");
    for (int i = 0; i < count; i++)
        if (strstr(lines[i].name, o.name))
            sum += line_run(t, &lines[i], &o);
    if (o.step)
        printf("sum of all layers, three directions: %.2f s\n", sum);
    return 0;
}
