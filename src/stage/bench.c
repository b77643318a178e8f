#include "stage/bench.h"

#include "stage/backend.h"
#include "backend/kernels.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/par.h"
#include <stdio.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct bench_stat bench_stat(const double *v, int64_t n)
{
    double s[BENCH_ROUNDS_MAX];

    for (int64_t i = 0; i < n; i++)
        s[i] = v[i];
    qsort(s, (size_t)n, sizeof *s, by_value);
    return (struct bench_stat){.median = 0.5 * (s[(n - 1) / 2] + s[n / 2]), .low = s[0], .high = s[n - 1]};
}

json_t *bench_stat_json(struct bench_stat s)
{
    return json_pack("{s:f, s:f, s:f}", "median", s.median, "low", s.low, "high", s.high);
}

enum err bench_run(struct bench_stat *s, const struct bench_work *w, int64_t rounds, const struct cli *cli)
{
    double seconds[BENCH_ROUNDS_MAX], first;

    progress_update(cli->progress, "rounds", 0, rounds, "%s", "");
    TRY(w->round(w->ctx, &first));
    for (int64_t i = 0; i < rounds; i++) {
        TRY(w->round(w->ctx, &seconds[i]));
        progress_update(cli->progress, "rounds", i + 1, rounds, "%.3g s", seconds[i]);
    }
    *s = bench_stat(seconds, rounds);
    return ERR_OK;
}

/* ---- threads ---- */

static enum err scaling_row(json_t *list, const struct bench_work *w, int threads, int64_t rounds,
                            const struct cli *cli)
{
    struct bench_stat s;
    double one;

    par_set_threads(threads);
    if (w->threads)
        TRY(w->threads(w->ctx, threads));
    TRY(bench_run(&s, w, rounds, cli));
    one = json_real_value(json_object_get(json_array_get(list, 0), "seconds"));
    one = one > 0 ? one : s.median;
    json_array_append_new(list, json_pack("{s:i, s:f, s:f, s:f}", "threads", threads, "seconds", s.median,
                                          "speedup", one / s.median, "efficiency", one / s.median / threads));
    return ERR_OK;
}

enum err bench_scaling(json_t **out, const struct bench_work *w, int64_t rounds, const struct cli *cli)
{
    json_t *list = json_array();
    int all = (int)cli->common->threads;
    enum err err = ERR_OK;

    for (int t = 1; !err && t < all; t *= 2)
        err = scaling_row(list, w, t, rounds, cli);
    if (!err)
        err = scaling_row(list, w, all, rounds, cli);
    par_set_threads(all);
    if (err)
        json_decref(list);
    else
        *out = list;
    return err;
}

void bench_scaling_print(const json_t *scaling)
{
    size_t i;
    json_t *row;

    if (!scaling)
        return;
    printf("\n%-8s %10s %8s %11s\n", "threads", "s", "speedup", "efficiency");
    json_array_foreach(scaling, i, row) printf(
        "%-8lld %10.4g %8.2f %10.0f%%\n", (long long)json_integer_value(json_object_get(row, "threads")),
        json_real_value(json_object_get(row, "seconds")), json_real_value(json_object_get(row, "speedup")),
        100 * json_real_value(json_object_get(row, "efficiency")));
}

/* ---- the machine ---- */

enum { TRIAD = 32 << 20 /* floats: 128 MB an array */, TRIAD_PARTS = 256, PEAK_TRIES = 5 };
#define FMA_ROUNDS 3000000

struct peaks {
    const struct kernel_table *table;
    float *a;
    double sum[4096];
};

static void fma_part(void *ctx, int64_t i)
{
    struct peaks *p = ctx;

    p->sum[i] = p->table->fma(FMA_ROUNDS);
}

static void triad_part(void *ctx, int64_t i)
{
    struct peaks *p = ctx;
    int64_t n = TRIAD / TRIAD_PARTS;
    float *a = p->a + i * n;

    p->table->triad(a, a + TRIAD, a + 2 * (int64_t)TRIAD, n);
}

static double best_of(int64_t parts, void (*part)(void *ctx, int64_t i), struct peaks *p)
{
    double best = 1e9;

    for (int i = 0; i < PEAK_TRIES; i++) {
        double start = clock_now(), took;
        par_for(parts, part, p);
        took = clock_now() - start;
        best = took < best ? took : best;
    }
    return best;
}

enum err bench_peak(struct bench_peak *out, const struct cli *cli, bool bandwidth)
{
    int64_t threads = par_threads();
    struct peaks p = {0};
    struct backend cpu;

    TRY(stage_backend(&cpu, cli->common, 0));
    p.table = cpu.f32;
    *out = (struct bench_peak){0};
    out->gflops =
        2e-9 * PEAK_CHAINS * p.table->lanes * FMA_ROUNDS * (double)threads / best_of(threads, fma_part, &p);
    if (!bandwidth)
        return ERR_OK;
    p.a = mem_big_new(3 * (size_t)TRIAD * sizeof *p.a);
    if (!p.a)
        return ERR_MEMORY;
    out->gbytes = 3e-9 * TRIAD * sizeof *p.a / best_of(TRIAD_PARTS, triad_part, &p);
    mem_big_free(p.a, 3 * (size_t)TRIAD * sizeof *p.a);
    return ERR_OK;
}

json_t *bench_machine(const struct cli *cli)
{
    char cpu[64];

    return json_pack("{s:s, s:s, s:i}", "cpu", cpu_model(cpu), "isa",
                     cpu_isa_name((enum cpu_isa)cli->common->isa), "threads", par_threads());
}
