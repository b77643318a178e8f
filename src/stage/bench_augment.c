/* bench augment: nnU-Net's augmentation of training patches, as the loader's threads do it; seconds per
 * patch, mean over a list of seeds, since most of its transforms are drawn seldom. Its peer is
 * batchgeneratorsv2 (bench/peers/augment.py), which nnU-Net runs. */
#include "stage/bench.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/par.h"
#include "base/rng.h"
#include "data/augment.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct bench_augment {
    struct bench_common common;
    int64_t patch[3], channels, patches;
};

static const struct field fields[] = {
    FIELD(struct bench_augment, T_INT3, patch, .text = "96", .min = 8, .max = 512,
          .help = "voxels, z,y,x or one for all"),
    FIELD(struct bench_augment, T_INT, channels, .def = 4, .min = 1, .max = PLAN_MAX_PHASES,
          .help = "phases"),
    FIELD(struct bench_augment, T_INT, patches, .def = 50, .min = 1, .max = 100000,
          .help = "patches of a round, each with its own random choices; the mean counts"),
    BENCH_FIELDS(struct bench_augment, 5),
};

struct bench {
    const struct bench_augment *cfg;
    const struct cli *cli;
    struct augment augment;
    int64_t sample[3];
    struct patch from; /* the sample that every patch is cut from */
    atomic_llong next;
    atomic_bool failed;
    struct bench_stat seconds; /* per patch */
    struct bench_duels duels;
    json_t *scaling;
};

static enum err make_sample(struct bench *b)
{
    struct plan p = {.augment = AUGMENT_NNUNET, .rotation = 30, .scale = {0.7, 1.4}, .spatial_p = 0.2};
    struct patch *s = &b->from;
    struct rng r = rng_at(1, 1);
    int64_t n;

    for (int i = 0; i < 3; i++)
        p.patch[i] = b->cfg->patch[i];
    b->augment = augment_from_plan(&p);
    augment_sample_size(&b->augment, b->sample);
    *s = (struct patch){.size = {b->sample[0], b->sample[1], b->sample[2]}, .channels = b->cfg->channels};
    n = patch_voxels(s);
    s->image = mem_new((size_t)(n * s->channels), sizeof *s->image);
    s->label = mem_new((size_t)n, 1);
    if (!s->image || !s->label)
        return ERR_MEMORY;
    for (int64_t i = 0; i < n * s->channels; i++)
        s->image[i] = (float)(2 * rng_unit(&r) - 1);
    for (int64_t i = 0; i < n; i++) { /* a ball in a ball */
        double z = (double)(i / (s->size[1] * s->size[2])) / (double)s->size[0] - 0.5;
        double y = (double)(i / s->size[2] % s->size[1]) / (double)s->size[1] - 0.5;
        double x = (double)(i % s->size[2]) / (double)s->size[2] - 0.5, d = x * x + y * y + z * z;
        s->label[i] = d < 0.1 ? d < 0.01 ? 2 : 1 : 0;
    }
    return ERR_OK;
}

/* The centre of the sample, which is all that a patch without a spatial transform needs. */
static void crop(const struct patch *from, struct patch *out)
{
    size_t row = (size_t)(out->size[2] * out->channels) * sizeof *out->image;

    for (int64_t z = 0; z < out->size[0]; z++)
        for (int64_t y = 0; y < out->size[1]; y++) {
            int64_t to = (z * out->size[1] + y) * out->size[2];
            int64_t at = ((z + (from->size[0] - out->size[0]) / 2) * from->size[1] + y +
                          (from->size[1] - out->size[1]) / 2) *
                             from->size[2] +
                         (from->size[2] - out->size[2]) / 2;
            memcpy(out->image + to * out->channels, from->image + at * out->channels, row);
            memcpy(out->label + to, from->label + at, (size_t)out->size[2]);
        }
}

/* As the loader does it, but for reading the sample, which lies in memory as the peer's does. */
static void augment_one(const struct bench *b, int64_t i, struct patch *out, float *scratch)
{
    uint64_t key = augment_key(1, i, 0);
    struct spatial turn = augment_spatial(&b->augment, key);

    if (turn.identity)
        crop(&b->from, out);
    else
        spatial_apply(&turn, &b->from, (const int64_t[3]){0, 0, 0}, out);
    augment_apply(&b->augment, key, out, scratch);
}

/* One thread takes patches until none is left. */
static void work(void *ctx, int64_t thread)
{
    struct bench *b = ctx;
    struct patch out = {.size = {b->cfg->patch[0], b->cfg->patch[1], b->cfg->patch[2]},
                        .channels = b->cfg->channels};
    float *scratch = mem_new((size_t)augment_scratch(&b->augment, out.channels), sizeof *scratch);
    int64_t i;

    (void)thread;
    out.image = mem_new((size_t)(patch_voxels(&out) * out.channels), sizeof *out.image);
    out.label = mem_new((size_t)patch_voxels(&out), 1);
    if (!scratch || !out.image || !out.label)
        atomic_store(&b->failed, true);
    while (!atomic_load(&b->failed) && (i = atomic_fetch_add(&b->next, 1)) < b->cfg->patches)
        augment_one(b, i, &out, scratch);
    mem_free(out.image);
    mem_free(out.label);
    mem_free(scratch);
}

static enum err augment_round(void *ctx, double *seconds)
{
    struct bench *b = ctx;
    double start = clock_now();

    atomic_store(&b->next, 0);
    par_for(par_threads(), work, b);
    *seconds = (clock_now() - start) / (double)b->cfg->patches;
    return atomic_load(&b->failed) ? err_set(ERR_MEMORY, "out of memory for augmented patches") : ERR_OK;
}

/* ---- peers and results ---- */

/* Threads inside one transform, or as nnU-Net runs it: a process a thread. */
static enum err run_peers(struct bench *b, const struct bench_work *w)
{
    const struct bench_augment *c = b->cfg;
    char text[8][24], workers[24];
    const char *args[BENCH_ARGS_MAX] = {"augment.py", "--patch",   text[0], text[1], text[2],
                                        "--sample",   text[3],     text[4], text[5], "--channels",
                                        text[6],      "--patches", text[7]};

    for (int i = 0; i < 3; i++) {
        snprintf(text[i], sizeof text[i], "%lld", (long long)c->patch[i]);
        snprintf(text[3 + i], sizeof text[i], "%lld", (long long)b->sample[i]);
    }
    snprintf(text[6], sizeof text[6], "%lld", (long long)c->channels);
    snprintf(text[7], sizeof text[7], "%lld", (long long)c->patches);
    snprintf(workers, sizeof workers, "%d", par_threads());
    TRY(bench_duels_begin(&b->duels, b->cli));
    TRY(bench_duel(&b->duels, b->cli, &c->common, args, w));
    args[13] = "--workers";
    args[14] = workers;
    if (par_threads() > 1)
        TRY(bench_duel(&b->duels, b->cli, &c->common, args, w));
    return bench_duels_end(&b->duels, b->cli);
}

static enum err print_json(const struct bench *b)
{
    const struct bench_augment *c = b->cfg;
    json_t *j = json_pack("{s:s, s:o, s:[I,I,I], s:I, s:I, s:o, s:I}", "bench", "augment", "machine",
                          bench_machine(b->cli), "patch", (json_int_t)c->patch[0], (json_int_t)c->patch[1],
                          (json_int_t)c->patch[2], "channels", (json_int_t)c->channels, "patches",
                          (json_int_t)c->patches, "seconds", bench_stat_json(b->seconds), "peak_bytes",
                          (json_int_t)mem_peak());

    return bench_json_print(j, b->scaling, c->common.peer ? &b->duels : NULL);
}

static void print_text(const struct bench *b)
{
    const struct bench_augment *c = b->cfg;

    printf("one patch of %lld channels x %lld x %lld x %lld, mean of %lld, %d threads\n",
           (long long)c->channels, (long long)c->patch[0], (long long)c->patch[1], (long long)c->patch[2],
           (long long)c->patches, par_threads());
    printf("%.3f ms a patch (median of %lld rounds, %.3f to %.3f)\n", 1e3 * b->seconds.median,
           (long long)c->common.rounds, 1e3 * b->seconds.low, 1e3 * b->seconds.high);
    bench_scaling_print(b->scaling);
    bench_duels_print(&b->duels, 0);
}

static enum err run_all(struct bench *b)
{
    const struct bench_common *c = &b->cfg->common;
    struct bench_work w = {.round = augment_round, .ctx = b};

    TRY(make_sample(b));
    TRY(bench_run(&b->seconds, &w, c->rounds, b->cli));
    if (c->scaling)
        TRY(bench_scaling(&b->scaling, &w, c->rounds, b->cli));
    if (c->peer)
        TRY(run_peers(b, &w));
    if (b->cli->common->json)
        return print_json(b);
    print_text(b);
    return ERR_OK;
}

static enum err run(const struct cli *cli, const void *cfg)
{
    struct bench b = {.cfg = cfg, .cli = cli};
    enum err err;

    json_setup();
    err = run_all(&b);
    mem_free(b.from.image);
    mem_free(b.from.label);
    json_decref(b.scaling);
    return err;
}

const struct command cmd_bench_augment = {
    .name = "bench augment",
    .summary = "time the augmentation of training patches",
    .example = "--patch 96 --channels 4 --patches 50 --peer",
    .table = CFG_TABLE(fields),
    .cfg_size = sizeof(struct bench_augment),
    .run = run,
};
