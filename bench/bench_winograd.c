/* Where the coefficients of the choice between Winograd and direct convolutions come from
 * (src/backend/wino_plan.c): both ways of many shapes are timed on one thread in processor time, and the
 * terms of the estimate are fitted to what was measured, errors counting relatively.
 *
 *     bench_winograd [-i avx2|avx512] [-r rounds]
 *
 * Prints per shape and direction the measured and the estimated milliseconds of both ways and whether the
 * rule chose the faster one; then the fitted coefficients beside those compiled in. Only figures of an
 * AVX-512 machine are for the source: the choice is the same on all. */
#include "backend/kernels.h"
#include "backend/wino_plan.h"
#include "base/cpu.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TERMS = 4, ROWS_MAX = 256 };

static const char *const term_names[TERMS] = {"product, up to 128 channels", "product, above",
                                              "source, per tile and 16 channels",
                                              "result, per tile and 16 channels"};

struct fit {
    double a[ROWS_MAX][TERMS + 1], t[ROWS_MAX]; /* the last term: weights, per point and channel pair */
    int rows;
};

struct timing {
    const struct kernel_table *table;
    int rounds;
    int right, wrong;
    double lost;                /* seconds of the wrong choices */
    struct fit by_direction[2]; /* forward and by data; by weights */
    double direct_work, direct_time;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *numbers_new(int64_t count)
{
    float *p = mem_big_new((size_t)count * sizeof *p);

    if (!p)
        abort();
    for (int64_t i = 0; i < count; i++)
        p[i] = i % 3 ? 0.125f : 1;
    return p;
}

static double time_of(const struct timing *t, const struct conv_shape *s, enum conv_dir dir)
{
    const int64_t voxels = s->n * s->in[0] * s->in[1] * s->in[2];
    const int64_t count[3] = {voxels * s->ci, s->ci * s->co * s->kernel[0] * 9, voxels * s->co};
    const size_t work = t->table->conv_work(s, dir, 1);
    float *p[3];
    struct conv_buf b = {.x_pitch = s->ci, .y_pitch = s->co, .threads = 1, .work = mem_big_new(work + 64)};
    double best = INFINITY;

    for (int i = 0; i < 3; i++)
        p[i] = numbers_new(count[i]);
    b.x = p[0], b.w = p[1], b.y = p[2];
    for (int i = 0; i <= t->rounds; i++) {
        const double start = now();
        t->table->conv(s, dir, &b);
        if (i && now() - start < best)
            best = now() - start;
    }
    for (int i = 0; i < 3; i++)
        mem_big_free(p[i], (size_t)count[i] * sizeof *p[i]);
    mem_big_free(b.work, work + 64);
    return best;
}

/* The terms of the estimate, as wino_cost adds them. */
static void terms_of(const struct wino *q, const struct conv_shape *s, double a[TERMS + 1])
{
    const double tiles = (double)(q->n * q->tiles[0] * q->tiles[1] * q->tiles[2]), points = (double)q->points;
    const double pairs = (double)s->ci * (double)s->co, ci = (double)q->depth, co = (double)q->cols;
    const double lines = tiles * points / WINO_POINTS / 16;

    a[0] = ci <= 128 && co <= 128 ? tiles * points * pairs : 0;
    a[1] = tiles * points * pairs - a[0];
    a[2] = lines * ci;
    a[3] = lines * co;
    a[4] = points * pairs;
}

static void measure(struct timing *t, const struct conv_shape *s, enum conv_dir dir)
{
    static const char *const names[] = {"forward", "by data", "by weights"};
    struct fit *f = &t->by_direction[dir == CONV_DW];
    struct conv_shape exact = *s;
    struct wino q;
    struct wino_cost cost;
    double winograd, direct;
    bool chosen = wino_plan(&q, s, dir);

    if (!chosen) /* the plan is complete all the same */
        return;
    cost = wino_cost(&q, s, dir);
    exact.exact = true;
    winograd = time_of(t, s, dir);
    direct = time_of(t, &exact, dir);
    terms_of(&q, s, f->a[f->rows]);
    f->t[f->rows++] = winograd;
    t->direct_work += cost.direct;
    t->direct_time += direct;
    *(winograd < direct ? &t->right : &t->wrong) += 1;
    t->lost += winograd < direct ? 0 : winograd - direct;
    printf("%4d->%-4d %2dx%2dx%2d x%d %-10s winograd %8.2f ms (%8.2f), direct %8.2f (%8.2f) %s\n", (int)s->ci,
           (int)s->co, (int)s->in[0], (int)s->in[1], (int)s->in[2], (int)s->n, names[dir], 1e3 * winograd,
           1e3 * cost.winograd, 1e3 * direct, 1e3 * cost.direct, winograd < direct ? "" : "WRONG");
}

/* Least squares of relative errors by cyclic descent, no coefficient below zero. */
static void solve(const struct fit *f, double x[TERMS + 1])
{
    memset(x, 0, (TERMS + 1) * sizeof *x);
    for (int round = 0; round < 20000; round++)
        for (int k = 0; k <= TERMS; k++) {
            double up = 0, down = 0;
            for (int i = 0; i < f->rows; i++) {
                double rest = f->t[i];
                for (int j = 0; j <= TERMS; j++)
                    rest -= j == k ? 0 : f->a[i][j] * x[j];
                up += rest * f->a[i][k] / (f->t[i] * f->t[i]);
                down += f->a[i][k] * f->a[i][k] / (f->t[i] * f->t[i]);
            }
            x[k] = down > 0 && up > 0 ? up / down : 0;
        }
}

static void print_fit(const char *name, const struct fit *f)
{
    double x[TERMS + 1];

    if (!f->rows)
        return;
    solve(f, x);
    printf("\n%s (%d measurements), nanoseconds:\n", name, f->rows);
    for (int k = 0; k < TERMS; k++)
        printf("  %-34s %.4g%s\n", term_names[k], 1e9 * x[k], k < 2 ? " per multiply-add" : "");
    printf("  %-34s %.4g\n", "weights, per point and pair", 1e9 * x[TERMS]);
}

int main(int argc, char **argv)
{
    static const int channels[][2] = {{16, 16},   {32, 32},   {64, 32},   {64, 64},   {128, 64},
                                      {128, 128}, {256, 128}, {256, 256}, {320, 320}, {512, 256}};
    static const int sizes[] = {5, 6, 8, 12, 16, 24, 48};
    struct timing t = {.rounds = 3};
    bool avx512 = cpu_best() == CPU_AVX512;

    for (int c; (c = getopt(argc, argv, "i:r:")) != -1;) {
        if (c == 'i')
            avx512 = avx512 && !strcmp(optarg, "avx512");
        else if (c == 'r')
            t.rounds = atoi(optarg);
        else
            return 2;
    }
    t.table = kernel_table_get(avx512, false);
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++)
            for (int flat = 0; flat < 2; flat++) {
                const int n = sizes[j], d = flat ? 1 : n, side = flat ? 4 * n : n, k = flat ? 1 : 3;
                const struct conv_shape s = {.n = 2,
                                             .in = {d, side, side},
                                             .ci = channels[i][0],
                                             .out = {d, side, side},
                                             .co = channels[i][1],
                                             .kernel = {k, 3, 3},
                                             .stride = {1, 1, 1},
                                             .pad = {flat ? 0 : 1, 1, 1},
                                             .dilation = {1, 1, 1},
                                             .groups = 1};
                if (s.ci * s.co * (int64_t)d * side * side > (int64_t)1 << 30)
                    continue;
                for (enum conv_dir dir = CONV_FORWARD; dir <= CONV_DW; dir++)
                    measure(&t, &s, dir);
            }
    printf(
        "\n%d choices of Winograd right, %d wrong, which lost %.2f ms; direct: measured / estimated %.3f\n",
        t.right, t.wrong, 1e3 * t.lost, t.direct_time / t.direct_work);
    print_fit("forward and by data", &t.by_direction[0]);
    print_fit("by weights", &t.by_direction[1]);
    return 0;
}
