/* Speed of the convolution kernels, per shape and direction, beside the measured peak of fused multiply-adds.
 *
 *     bench_conv [-t threads] [-r rounds] [-i avx2|avx512] [-d] [-l line] [-s] [-c]
 *
 * -d: f64; -l: one shape only; -s: the layers of nnU-Net (5 stages, 4 x 96^3, batch 2) and the sum of a
 * training step. Times are the best of the rounds; weight packing is inside. The peak is measured before and
 * after: if the two differ by more than 5 %, the machine was busy and the shares mean little. */
#include "base/cpu.h"
#include "backend/kernels.h"
#include "base/mem.h"

#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct options {
    int threads, rounds, line;
    bool avx512, f64, step;
};

struct line {
    int n, size[3], ci, co, kernel[3], stride, pad;
    int count;  /* layers of this shape in the step */
    bool first; /* no gradient by data is needed */
};

static clockid_t clock_used = CLOCK_MONOTONIC;

static double now(void)
{
    struct timespec t;

    clock_gettime(clock_used, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static struct conv_shape line_shape(const struct line *l)
{
    struct conv_shape s = {.n = l->n, .ci = l->ci, .co = l->co, .groups = 1};

    for (int i = 0; i < 3; i++) {
        s.in[i] = l->size[i];
        s.kernel[i] = l->kernel[i];
        s.stride[i] = l->kernel[i] == 1 && l->size[i] == 1 ? 1 : l->stride;
        s.pad[i] = l->kernel[i] == 1 ? 0 : l->pad;
        s.dilation[i] = 1;
        s.out[i] = (s.in[i] + 2 * s.pad[i] - s.kernel[i]) / s.stride[i] + 1;
    }
    return s;
}

static double flops(const struct conv_shape *s)
{
    return 2.0 * (double)(s->n * s->out[0] * s->out[1] * s->out[2] * s->co * s->ci) *
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
    const long repeats = 20000000;
    double best = 1e9;
    float sum = 0;

    for (int r = 0; r < 5; r++) {
        const double start = now();
#pragma omp parallel num_threads(o->threads) reduction(+ : sum)
        sum += o->avx512 ? peak_avx512(repeats) : peak_avx2(repeats);
        const double took = now() - start;
        best = took < best ? took : best;
    }
    if (sum == 0.5f) /* never; the compiler does not know */
        printf("\n");
    return 2.0 * CHAINS * (o->avx512 ? 16 : 8) * (double)repeats * o->threads / (o->f64 ? 2 : 1) / best / 1e9;
}

static double direction_time(const struct kernel_table *t, const struct conv_shape *s, enum conv_dir dir,
                             const struct options *o, void *const buffer[3])
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
    double best = 1e9;

    if (!work)
        abort();
    for (int r = 0; r <= o->rounds; r++) { /* the first one warms up */
        const double start = now();
        t->conv(s, dir, &b);
        const double took = now() - start;
        if (r && took < best)
            best = took;
    }
    mem_big_free(work, bytes);
    return best;
}

/* Prints one line and returns the seconds of the directions that a training step needs. */
static double line_run(const struct kernel_table *t, const struct line *l, const struct options *o,
                       double top)
{
    static const char *const names[] = {"forward", "by data", "by weights"};
    const struct conv_shape s = line_shape(l);
    const int64_t count[3] = {s.n * s.in[0] * s.in[1] * s.in[2] * s.ci,
                              s.co * s.ci * s.kernel[0] * s.kernel[1] * s.kernel[2],
                              s.n * s.out[0] * s.out[1] * s.out[2] * s.co};
    void *buffer[3];
    double sum = 0;

    for (int i = 0; i < 3; i++)
        buffer[i] = values_new(count[i], t->real_bytes);
    printf("%4d->%-4d k%d%d%d s%d %3dx%3dx%3d n%d", (int)s.ci, (int)s.co, (int)s.kernel[0], (int)s.kernel[1],
           (int)s.kernel[2], (int)s.stride[2], (int)s.in[0], (int)s.in[1], (int)s.in[2], (int)s.n);
    for (enum conv_dir dir = CONV_FORWARD; dir <= CONV_DW; dir++) {
        const double time = direction_time(t, &s, dir, o, buffer), speed = flops(&s) / time / 1e9;
        printf(" | %s %8.2f ms %5.0f GF/s %3.0f %%", names[dir], 1e3 * time, speed, 100 * speed / top);
        if (!(l->first && dir == CONV_DX))
            sum += time * l->count;
    }
    printf("\n");
    fflush(stdout);
    for (int i = 0; i < 3; i++)
        mem_big_free(buffer[i], (size_t)count[i] * (size_t)t->real_bytes);
    return sum;
}

static const struct line classes[] = {
    {2, {96, 96, 96}, 4, 32, {3, 3, 3}, 1, 1, 1, true},
    {2, {96, 96, 96}, 32, 64, {3, 3, 3}, 2, 1, 1, false},
    {2, {48, 48, 48}, 64, 128, {3, 3, 3}, 2, 1, 1, false},
    {2, {24, 24, 24}, 128, 256, {3, 3, 3}, 2, 1, 1, false},
    {2, {12, 12, 12}, 256, 320, {3, 3, 3}, 2, 1, 1, false},
    {2, {6, 6, 6}, 320, 320, {3, 3, 3}, 1, 1, 1, false},
    {2, {24, 24, 24}, 320, 320, {1, 1, 1}, 1, 0, 1, false},
    {2, {96, 96, 96}, 32, 3, {1, 1, 1}, 1, 0, 1, false},
    {2, {96, 96, 96}, 32, 64, {2, 2, 2}, 2, 0, 1, false},
    {2, {24, 24, 24}, 128, 256, {2, 2, 2}, 2, 0, 1, false},
    {1, {1, 512, 512}, 4, 64, {1, 7, 7}, 1, 3, 1, false},
    {1, {1, 512, 512}, 64, 3, {1, 7, 7}, 1, 3, 1, false},
    {2, {48, 48, 48}, 32, 64, {4, 4, 4}, 2, 1, 1, false},
    {2, {96, 96, 96}, 16, 32, {4, 4, 4}, 2, 1, 1, false},
    {1, {1, 512, 512}, 64, 128, {1, 3, 3}, 2, 1, 1, false},
    {2, {48, 48, 48}, 64, 64, {3, 3, 3}, 1, 1, 1, false},
    {2, {24, 24, 24}, 128, 128, {3, 3, 3}, 1, 1, 1, false},
    {2, {12, 12, 12}, 256, 256, {3, 3, 3}, 1, 1, 1, false},
    {2, {96, 96, 96}, 32, 32, {3, 3, 3}, 1, 1, 1, false},
    {2, {96, 96, 96}, 1, 16, {3, 3, 3}, 1, 1, 1, true},
    {2, {64, 64, 64}, 4, 16, {3, 3, 3}, 1, 1, 1, true},
    {2, {64, 64, 64}, 16, 16, {3, 3, 3}, 1, 1, 1, false},
    {2, {64, 64, 64}, 32, 16, {3, 3, 3}, 1, 1, 1, false},
    {2, {32, 32, 32}, 32, 32, {3, 3, 3}, 1, 1, 1, false},
};

/* nnU-Net's plain network: encoder, decoder, transposed (written as the convolution they are the gradient
 * of), heads. */
static const struct line step[] = {
    {2, {96, 96, 96}, 4, 32, {3, 3, 3}, 1, 1, 1, true},
    {2, {96, 96, 96}, 32, 32, {3, 3, 3}, 1, 1, 2, false},
    {2, {96, 96, 96}, 64, 32, {3, 3, 3}, 1, 1, 1, false},
    {2, {96, 96, 96}, 32, 64, {3, 3, 3}, 2, 1, 1, false},
    {2, {48, 48, 48}, 64, 64, {3, 3, 3}, 1, 1, 2, false},
    {2, {48, 48, 48}, 128, 64, {3, 3, 3}, 1, 1, 1, false},
    {2, {48, 48, 48}, 64, 128, {3, 3, 3}, 2, 1, 1, false},
    {2, {24, 24, 24}, 128, 128, {3, 3, 3}, 1, 1, 2, false},
    {2, {24, 24, 24}, 256, 128, {3, 3, 3}, 1, 1, 1, false},
    {2, {24, 24, 24}, 128, 256, {3, 3, 3}, 2, 1, 1, false},
    {2, {12, 12, 12}, 256, 256, {3, 3, 3}, 1, 1, 2, false},
    {2, {12, 12, 12}, 512, 256, {3, 3, 3}, 1, 1, 1, false},
    {2, {12, 12, 12}, 256, 320, {3, 3, 3}, 2, 1, 1, false},
    {2, {6, 6, 6}, 320, 320, {3, 3, 3}, 1, 1, 1, false},
    {2, {12, 12, 12}, 256, 320, {2, 2, 2}, 2, 0, 1, false},
    {2, {24, 24, 24}, 128, 256, {2, 2, 2}, 2, 0, 1, false},
    {2, {48, 48, 48}, 64, 128, {2, 2, 2}, 2, 0, 1, false},
    {2, {96, 96, 96}, 32, 64, {2, 2, 2}, 2, 0, 1, false},
    {2, {12, 12, 12}, 256, 3, {1, 1, 1}, 1, 0, 1, false},
    {2, {24, 24, 24}, 128, 3, {1, 1, 1}, 1, 0, 1, false},
    {2, {48, 48, 48}, 64, 3, {1, 1, 1}, 1, 0, 1, false},
    {2, {96, 96, 96}, 32, 3, {1, 1, 1}, 1, 0, 1, false},
};

static struct options options_read(int argc, char **argv)
{
    struct options o = {.threads = 1, .rounds = 3, .line = -1, .avx512 = cpu_best() == CPU_AVX512};
    int c;

    while ((c = getopt(argc, argv, "t:r:i:l:dsc")) != -1)
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
        case 'l':
            o.line = atoi(optarg);
            break;
        case 'd':
            o.f64 = true;
            break;
        case 'c':
            clock_used = CLOCK_PROCESS_CPUTIME_ID;
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
    const struct options o = options_read(argc, argv);
    const struct kernel_table *t = kernel_table_get(o.avx512, o.f64);
    const struct line *lines = o.step ? step : classes;
    const int count = o.step ? (int)(sizeof step / sizeof *step) : (int)(sizeof classes / sizeof *classes);
    const double before = peak(&o);
    double sum = 0;

    printf("%s %s, %d threads, peak %.0f GFLOP/s\n", t->isa, o.f64 ? "f64" : "f32", o.threads, before);
    for (int i = 0; i < count; i++)
        if (o.line < 0 || o.line == i)
            sum += line_run(t, &lines[i], &o, before);
    const double after = peak(&o);
    printf("peak after %.0f GFLOP/s%s\n", after,
           after < 0.95 * before || after > 1.05 * before ? ": it moved, the shares are not to be trusted"
                                                          : "");
    if (o.step)
        printf("sum of all layers, three directions: %.2f s\n", sum);
    return 0;
}
