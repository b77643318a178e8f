/* Speed of the convolution kernels, per shape and direction, beside the measured peak of fused multiply-adds.
 *
 *     bench_conv [-t threads] [-r rounds] [-i avx2|avx512] [-d] [-l line] [-s] [-c]
 *
 * -d: f64; -l: one shape only; -s: the layers of nnU-Net (5 stages, 4 x 96^3, batch 2) and the sum of a
 * training step. Times are the best of the rounds; weight packing is inside. The peak is measured before and
 * after: if the two differ by more than 5 %, the machine was busy and the shares mean little. */
#include "backend/cpu.h"
#include "backend/kernels.h"
#include "base/mem.h"

#include <omp.h>
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
    int count;     /* layers of this shape in the step */
    bool up, head; /* transposed: forward and by data exchange; head: first layer, no gradient by data */
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

/* A matrix product whose operands stay in the first cache: what the machine can do. */
static double peak(const struct kernel_table *t, int threads)
{
    const struct matmul_shape s = {.batch = 1, .m = 112, .n = 32, .k = 256};
    const size_t work = t->matmul_work(&s, 1);
    double best = 1e9;
    char *all = values_new(
        (int64_t)((work + (112 * 256 + 256 * 32 + 112 * 32 + 64) * sizeof(double)) / 8 + 64) * threads, 8);
    const size_t part = work + (112 * 256 + 256 * 32 + 112 * 32) * sizeof(double);
    const int repeats = 2000;

    for (int r = 0; r < 5; r++) {
        double start = now();
#pragma omp parallel num_threads(threads)
        {
            char *mine = all + (part + 64) / 64 * 64 * (size_t)omp_get_thread_num();
            char *a = mine + work, *b = a + 112 * 256 * sizeof(double), *c = b + 256 * 32 * sizeof(double);
            for (int i = 0; i < repeats; i++)
                t->matmul(&s, &(struct matmul_buf){.a = a,
                                                   .b = b,
                                                   .c = c,
                                                   .a_pitch = 256,
                                                   .b_pitch = 32,
                                                   .c_pitch = 32,
                                                   .work = mine,
                                                   .threads = 1});
        }
        double took = now() - start;
        best = took < best ? took : best;
    }
    return 2.0 * 112 * 32 * 256 * repeats * threads / best / 1e9;
}

struct buffers {
    void *x, *w, *y, *work;
    int64_t count[3];
    size_t work_bytes;
};

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
        if (!(l->head && dir == CONV_DX))
            sum += time * l->count;
    }
    printf("\n");
    fflush(stdout);
    for (int i = 0; i < 3; i++)
        mem_big_free(buffer[i], (size_t)count[i] * (size_t)t->real_bytes);
    return sum;
}

static const struct line classes[] = {
    {2, {96, 96, 96}, 4, 32, {3, 3, 3}, 1, 1, 1, false, true},
    {2, {96, 96, 96}, 32, 64, {3, 3, 3}, 2, 1, 1, false, false},
    {2, {48, 48, 48}, 64, 128, {3, 3, 3}, 2, 1, 1, false, false},
    {2, {24, 24, 24}, 128, 256, {3, 3, 3}, 2, 1, 1, false, false},
    {2, {12, 12, 12}, 256, 320, {3, 3, 3}, 2, 1, 1, false, false},
    {2, {6, 6, 6}, 320, 320, {3, 3, 3}, 1, 1, 1, false, false},
    {2, {24, 24, 24}, 320, 320, {1, 1, 1}, 1, 0, 1, false, false},
    {2, {96, 96, 96}, 32, 3, {1, 1, 1}, 1, 0, 1, false, false},
    {2, {96, 96, 96}, 32, 64, {2, 2, 2}, 2, 0, 1, false, false},
    {2, {24, 24, 24}, 128, 256, {2, 2, 2}, 2, 0, 1, false, false},
    {1, {1, 512, 512}, 4, 64, {1, 7, 7}, 1, 3, 1, false, false},
    {1, {1, 512, 512}, 64, 3, {1, 7, 7}, 1, 3, 1, false, false},
    {2, {48, 48, 48}, 32, 64, {4, 4, 4}, 2, 1, 1, false, false},
    {2, {96, 96, 96}, 16, 32, {4, 4, 4}, 2, 1, 1, false, false},
    {1, {1, 512, 512}, 64, 128, {1, 3, 3}, 2, 1, 1, false, false},
    {2, {48, 48, 48}, 64, 64, {3, 3, 3}, 1, 1, 1, false, false},
    {2, {24, 24, 24}, 128, 128, {3, 3, 3}, 1, 1, 1, false, false},
    {2, {12, 12, 12}, 256, 256, {3, 3, 3}, 1, 1, 1, false, false},
    {2, {96, 96, 96}, 32, 32, {3, 3, 3}, 1, 1, 1, false, false},
    {2, {96, 96, 96}, 1, 16, {3, 3, 3}, 1, 1, 1, false, true},
};

/* nnU-Net's plain network: encoder, decoder, transposed (written as the convolution they are the gradient
 * of), heads. */
static const struct line step[] = {
    {2, {96, 96, 96}, 4, 32, {3, 3, 3}, 1, 1, 1, false, true},
    {2, {96, 96, 96}, 32, 32, {3, 3, 3}, 1, 1, 2, false, false},
    {2, {96, 96, 96}, 64, 32, {3, 3, 3}, 1, 1, 1, false, false},
    {2, {96, 96, 96}, 32, 64, {3, 3, 3}, 2, 1, 1, false, false},
    {2, {48, 48, 48}, 64, 64, {3, 3, 3}, 1, 1, 2, false, false},
    {2, {48, 48, 48}, 128, 64, {3, 3, 3}, 1, 1, 1, false, false},
    {2, {48, 48, 48}, 64, 128, {3, 3, 3}, 2, 1, 1, false, false},
    {2, {24, 24, 24}, 128, 128, {3, 3, 3}, 1, 1, 2, false, false},
    {2, {24, 24, 24}, 256, 128, {3, 3, 3}, 1, 1, 1, false, false},
    {2, {24, 24, 24}, 128, 256, {3, 3, 3}, 2, 1, 1, false, false},
    {2, {12, 12, 12}, 256, 256, {3, 3, 3}, 1, 1, 2, false, false},
    {2, {12, 12, 12}, 512, 256, {3, 3, 3}, 1, 1, 1, false, false},
    {2, {12, 12, 12}, 256, 320, {3, 3, 3}, 2, 1, 1, false, false},
    {2, {6, 6, 6}, 320, 320, {3, 3, 3}, 1, 1, 1, false, false},
    {2, {12, 12, 12}, 256, 320, {2, 2, 2}, 2, 0, 1, true, false},
    {2, {24, 24, 24}, 128, 256, {2, 2, 2}, 2, 0, 1, true, false},
    {2, {48, 48, 48}, 64, 128, {2, 2, 2}, 2, 0, 1, true, false},
    {2, {96, 96, 96}, 32, 64, {2, 2, 2}, 2, 0, 1, true, false},
    {2, {12, 12, 12}, 256, 3, {1, 1, 1}, 1, 0, 1, false, false},
    {2, {24, 24, 24}, 128, 3, {1, 1, 1}, 1, 0, 1, false, false},
    {2, {48, 48, 48}, 64, 3, {1, 1, 1}, 1, 0, 1, false, false},
    {2, {96, 96, 96}, 32, 3, {1, 1, 1}, 1, 0, 1, false, false},
};

static struct options options_read(int argc, char **argv)
{
    struct options o = {.threads = 1, .rounds = 3, .line = -1, .avx512 = cpu_has_avx512()};
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
    const double before = peak(t, o.threads);
    double sum = 0;

    printf("%s %s, %d threads, peak %.0f GFLOP/s\n", t->isa, o.f64 ? "f64" : "f32", o.threads, before);
    for (int i = 0; i < count; i++)
        if (o.line < 0 || o.line == i)
            sum += line_run(t, &lines[i], &o, before);
    const double after = peak(t, o.threads);
    printf("peak after %.0f GFLOP/s%s\n", after,
           after < 0.95 * before || after > 1.05 * before ? ": it moved, the shares are not to be trusted"
                                                          : "");
    if (o.step)
        printf("sum of all layers, three directions: %.2f s\n", sum);
    return 0;
}
