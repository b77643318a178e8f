/* bench prepare: resampling and normalising one case, as preparing for training does it. Its peer is
 * nnU-Net's own preprocessing (bench/peers/prepare.py) on the same voxels and spacings. */
#include "stage/bench.h"

#include "base/clock.h"
#include "base/cpu.h"
#include "base/json.h"
#include "base/par.h"
#include "data/source.h"
#include "image/intensity.h"
#include "image/resample.h"
#include "stage/bench_volume.h"
#include <stdatomic.h>
#include <stdio.h>

struct bench_prepare {
    struct bench_common common;
    int64_t size[3], phases;
    double from[3], to[3];
};

static const struct field fields[] = {
    FIELD(struct bench_prepare, T_INT3, size, .text = "200,320,320", .min = 8, .max = 2048,
          .help = "voxels of the case, z,y,x"),
    FIELD(struct bench_prepare, T_INT, phases, .def = 4, .min = 1, .max = PLAN_MAX_PHASES, .help = "phases"),
    FIELD(struct bench_prepare, T_REAL3, from, .min = 0.1, .max = 20, .text = "2.5,0.8,0.8",
          .help = "its spacing, mm, z,y,x; 1.6,0.8,0.8 to 1 is cubic along all axes"),
    FIELD(struct bench_prepare, T_REAL3, to, .min = 0.1, .max = 20, .text = "2.5,1,1",
          .help = "the spacing wanted, mm"),
    BENCH_FIELDS(struct bench_prepare, 3),
};

struct bench {
    const struct bench_prepare *cfg;
    const struct cli *cli;
    struct volume *phase[PLAN_MAX_PHASES], *label;
    double spacing[3]; /* wanted, x, y, z */
    int64_t size[3];   /* of the result, z, y, x */
    struct bench_stat seconds;
    struct bench_duels duels;
    json_t *scaling;
};

static const double window[2] = {-160, 240};

static enum err make_case(struct bench *b)
{
    const struct bench_prepare *c = b->cfg;
    const int64_t dims[3] = {c->size[2], c->size[1], c->size[0]};
    const double from[3] = {c->from[2], c->from[1], c->from[0]}, origin[3] = {0, 0, 0};
    struct grid g = grid_make(dims, from, origin), to;

    for (int i = 0; i < 3; i++)
        b->spacing[i] = c->to[2 - i];
    TRY(resize_grid(&to, &g, b->spacing));
    for (int i = 0; i < 3; i++)
        b->size[i] = to.dims[2 - i];
    for (int i = 0; i < c->phases; i++)
        TRY(bench_volume_hu(&b->phase[i], &g, i));
    return bench_volume_label(&b->label, &g);
}

/* ---- one round ---- */

/* Normalised planes go through a buffer a thread: what a network reads, patch by patch. */
struct reading {
    struct source source;
    atomic_bool failed;
};

static void read_plane(void *ctx, int64_t z)
{
    struct reading *r = ctx;
    struct patch p = {{1, r->source.size[1], r->source.size[2]}, r->source.channels, NULL, NULL};
    const int64_t at[3] = {z, 0, 0};

    p.image = mem_new((size_t)(patch_voxels(&p) * p.channels), sizeof *p.image);
    if (p.image)
        source_read(&r->source, at, &p);
    else
        atomic_store(&r->failed, true);
    mem_free(p.image);
}

static enum err normalise(const struct prepared *p, int64_t phases)
{
    struct plan plan = {.phases = phases, .window = {window[0], window[1]}};
    struct reading r = {.failed = false};

    TRY(source_make(&r.source, p, &plan));
    par_for(r.source.size[0], read_plane, &r);
    return atomic_load(&r.failed) ? ERR_MEMORY : ERR_OK;
}

static enum err prepare(struct bench *b, struct prepared *p)
{
    for (int i = 0; i < p->phases; i++) {
        struct histogram *h = NULL;
        TRY(resample_to_spacing(&p->phase[i], b->phase[i], b->spacing));
        TRY(histogram_make(&h, p->phase[i], NULL));
        histogram_clip_stats(h, window, &p->stats[i].mean, &p->stats[i].sd);
        mem_free(h);
    }
    TRY(resample_to_spacing(&p->label, b->label, b->spacing));
    p->grid = p->label->grid;
    return normalise(p, p->phases);
}

static enum err prepare_once(void *ctx, double *seconds)
{
    struct bench *b = ctx;
    struct prepared p = {.phases = (int)b->cfg->phases};
    double start = clock_now();
    enum err err = prepare(b, &p);

    *seconds = clock_now() - start;
    for (int i = 0; i < p.phases; i++)
        volume_free(p.phase[i]);
    volume_free(p.label);
    return err;
}

/* ---- peers and results ---- */

/* nnU-Net prepares a case in one process, and a data set in many: both count, per case. */
static enum err run_peers(struct bench *b, const struct bench_work *w)
{
    const struct bench_prepare *c = b->cfg;
    char text[10][32], workers[24];
    const char *args[BENCH_ARGS_MAX] = {"prepare.py", "--size", text[0], text[1],    text[2],
                                        "--from",     text[3],  text[4], text[5],    "--to",
                                        text[6],      text[7],  text[8], "--phases", text[9]};

    for (int i = 0; i < 3; i++) {
        snprintf(text[i], sizeof text[i], "%lld", (long long)c->size[i]);
        snprintf(text[3 + i], sizeof text[i], "%g", c->from[i]);
        snprintf(text[6 + i], sizeof text[i], "%g", c->to[i]);
    }
    snprintf(text[9], sizeof text[9], "%lld", (long long)c->phases);
    snprintf(workers, sizeof workers, "%d", par_threads());
    TRY(bench_duels_begin(&b->duels, b->cli));
    TRY(bench_duel(&b->duels, b->cli, &c->common, args, w));
    args[15] = "--workers";
    args[16] = workers;
    if (par_threads() > 1)
        TRY(bench_duel(&b->duels, b->cli, &c->common, args, w));
    return bench_duels_end(&b->duels, b->cli);
}

static enum err print_json(const struct bench *b)
{
    const struct bench_prepare *c = b->cfg;
    json_t *j = json_pack("{s:s, s:o, s:[I,I,I], s:[I,I,I], s:[f,f,f], s:[f,f,f], s:I, s:o, s:I}", "bench",
                          "prepare", "machine", bench_machine(b->cli), "size", (json_int_t)c->size[0],
                          (json_int_t)c->size[1], (json_int_t)c->size[2], "new_size", (json_int_t)b->size[0],
                          (json_int_t)b->size[1], (json_int_t)b->size[2], "from", c->from[0], c->from[1],
                          c->from[2], "to", c->to[0], c->to[1], c->to[2], "phases", (json_int_t)c->phases,
                          "seconds", bench_stat_json(b->seconds), "peak_bytes", (json_int_t)mem_peak());

    return bench_json_print(j, b->scaling, c->common.peer ? &b->duels : NULL);
}

static void print_text(const struct bench *b)
{
    const struct bench_prepare *c = b->cfg;

    printf("%lld phases and labels of %lld x %lld x %lld voxels at %g x %g x %g mm to %lld x %lld x %lld at "
           "%g x %g x %g "
           "mm, normalised, %d threads\n",
           (long long)c->phases, (long long)c->size[0], (long long)c->size[1], (long long)c->size[2],
           c->from[0], c->from[1], c->from[2], (long long)b->size[0], (long long)b->size[1],
           (long long)b->size[2], c->to[0], c->to[1], c->to[2], par_threads());
    printf("%.4g s (median of %lld, %.4g to %.4g)\n", b->seconds.median, (long long)c->common.rounds,
           b->seconds.low, b->seconds.high);
    bench_scaling_print(b->scaling);
    bench_duels_print(&b->duels, 0);
}

static enum err run_all(struct bench *b)
{
    const struct bench_common *c = &b->cfg->common;
    struct bench_work w = {.round = prepare_once, .ctx = b};

    TRY(make_case(b));
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
    for (int i = 0; i < PLAN_MAX_PHASES; i++)
        volume_free(b.phase[i]);
    volume_free(b.label);
    json_decref(b.scaling);
    return err;
}

const struct command cmd_bench_prepare = {
    .name = "bench prepare",
    .summary = "time resampling and normalising a case",
    .example = "--size 200,320,320 --from 2.5,0.8,0.8 --to 2.5,1,1 --peer",
    .table = CFG_TABLE(fields),
    .cfg_size = sizeof(struct bench_prepare),
    .run = run,
};
