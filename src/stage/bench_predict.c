/* bench predict: the whole verb on a synthetic case with random weights, as a process of its own: reading,
 * preparing, sliding windows, export and writing, with its peak memory. Its peer is nnU-Net's own predictor
 * on the same files (bench/peers/predict.py). */
#include "stage/bench.h"

#include "base/child.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/json.h"
#include "base/par.h"
#include "stage/backend.h"
#include "stage/bench_volume.h"
#include "train/network.h"
#include "volume/nifti.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Seconds that a prediction may take. */
#define PATIENCE 36000.0

static const char *const net_names[] = {"nnunet", "nnunet-residual", NULL};
enum { PHASES = 4 };

struct bench_predict {
    struct bench_common common;
    int net;
    int64_t size[3], patch[3], stages, features;
    double spacing[3], to[3];
    bool mirror;
    const char *work;
};

static const struct field fields[] = {
    FIELD(struct bench_predict, T_CHOICE, net, .names = net_names, .help = "network"),
    FIELD(struct bench_predict, T_INT3, size, .text = "128,224,224", .min = 16, .max = 2048,
          .help = "voxels of the four phases, z,y,x"),
    FIELD(struct bench_predict, T_REAL3, spacing, .text = "1.5,0.9,0.9", .min = 0.1, .max = 20,
          .help = "their spacing, mm, z,y,x"),
    FIELD(struct bench_predict, T_REAL3, to, .text = "1", .min = 0.1, .max = 20,
          .help = "the network's spacing, mm"),
    FIELD(struct bench_predict, T_INT3, patch, .text = "96", .min = 16, .max = 512,
          .help = "the network's patch"),
    FIELD(struct bench_predict, T_INT, stages, .def = 5, .min = 2, .max = 8, .help = "the network's stages"),
    FIELD(struct bench_predict, T_INT, features, .def = 32, .min = 4, .max = 128,
          .help = "features of its first stage; ten times as many at most"),
    FIELD(struct bench_predict, T_BOOL, mirror,
          .help = "average over the eight mirror images (8 times the work)"),
    FIELD(struct bench_predict, T_STRING, work, .text = "/tmp", .arg = "FOLDER",
          .help = "where a folder for the case and its mask is made, and removed at the end"),
    BENCH_FIELDS(struct bench_predict, 1),
};

struct bench {
    const struct bench_predict *cfg;
    const struct cli *cli;
    char *folder;
    const char *image[PHASES], *input, *model, *mask, *record;
    struct plan plan;
    struct bench_stat seconds;
    uint64_t peak;
    int64_t voxels[3]; /* that the network sees */
    struct bench_duels duels;
    json_t *scaling;
};

/* ---- files ---- */

static enum err name_files(struct bench *b)
{
    struct arena *a = b->cli->arena;
    bool all = true;

    b->folder = arena_printf(a, "%s/d4m-bench-XXXXXX", b->cfg->work);
    if (!b->folder)
        return ERR_MEMORY;
    if (!mkdtemp(b->folder)) {
        b->folder = NULL;
        return err_set(ERR_OUTPUT, "--work %s: no folder can be made there", b->cfg->work);
    }
    for (int i = 0; i < PHASES; i++)
        all = (b->image[i] = arena_printf(a, "%s/case_%04d.nii.gz", b->folder, i)) && all;
    b->input = arena_printf(a, "%s/case", b->folder);
    b->model = arena_printf(a, "%s/model.safetensors", b->folder);
    b->mask = arena_printf(a, "%s/mask.nii.gz", b->folder);
    b->record = arena_printf(a, "%s/mask.json", b->folder);
    return all && b->input && b->model && b->mask && b->record ? ERR_OK : ERR_MEMORY;
}

static void remove_files(const struct bench *b)
{
    if (!b->folder)
        return;
    for (int i = 0; i < PHASES; i++)
        if (b->image[i])
            (void)unlink(b->image[i]);
    (void)unlink(b->model);
    (void)unlink(b->mask);
    (void)unlink(b->record);
    (void)rmdir(b->folder);
}

static enum err save_images(struct bench *b)
{
    const struct bench_predict *c = b->cfg;
    const int64_t dims[3] = {c->size[2], c->size[1], c->size[0]};
    const double spacing[3] = {c->spacing[2], c->spacing[1], c->spacing[0]}, origin[3] = {0, 0, 0};
    struct grid g = grid_make(dims, spacing, origin);

    for (int i = 0; i < PHASES; i++) {
        struct volume *v = NULL;
        enum err err;
        TRY(bench_volume_hu(&v, &g, i));
        err = nifti_save(v, NULL, b->image[i]);
        volume_free(v);
        TRY(err);
    }
    return ERR_OK;
}

static enum err make_plan(struct bench *b)
{
    const struct bench_predict *c = b->cfg;
    struct plan *p = &b->plan;

    TRY(plan_preset(p, b->cli->arena, "paper"));
    p->network = c->net;
    p->stages = c->stages;
    p->features = c->features;
    p->features_max = 10 * c->features;
    p->phases = PHASES;
    p->classes = 3;
    p->phase_names = "noncontrast,arterial,portal_venous,delayed";
    p->reference = "portal_venous";
    for (int i = 0; i < 3; i++) {
        p->patch[i] = c->patch[i];
        p->spacing[i] = c->to[i];
        b->voxels[i] = (int64_t)(0.5 + (double)c->size[i] * c->spacing[i] / c->to[i]);
    }
    return plan_check(p);
}

static enum err save_model(struct bench *b)
{
    struct backend cpu;
    struct compile how = {.backend = &cpu};
    struct network n = {0};
    enum err err;

    TRY(make_plan(b));
    TRY(stage_backend(&cpu, b->cli->common, 0));
    TRY(network_for_prediction(&n, &b->plan, 1, &how));
    err = nn_init(n.nn, n.store, 1);
    if (!err)
        err = network_save(&n, &b->plan, b->model);
    network_free(&n);
    return err;
}

/* ---- one round ---- */

static enum err run_verb(const struct bench *b, struct child_result *r)
{
    char threads[24];
    const char *argv[] = {"/proc/self/exe",
                          "predict",
                          "--quiet",
                          "--model",
                          b->model,
                          "--input",
                          b->input,
                          "--output",
                          b->mask,
                          "--threads",
                          threads,
                          "--isa",
                          cpu_isa_name((enum cpu_isa)b->cli->common->isa),
                          b->cfg->mirror ? "--mirror" : "--no-mirror",
                          b->cli->common->exact ? "--exact" : "--no-exact",
                          NULL};
    struct child_options o = {.argv = argv, .stop = b->cli->stop};
    struct child *c = NULL;
    enum err err = ERR_OK;

    snprintf(threads, sizeof threads, "%d", par_threads());
    TRY(child_start(&c, &o));
    child_wait(c, PATIENCE, r);
    if (b->cli->stop && atomic_load(b->cli->stop))
        err = err_set(ERR_STOPPED, "stopped");
    else if (r->status)
        err = err_set(ERR_INTERNAL, "d4m predict ended with status %d: %.300s", r->status, child_errors(c));
    child_free(c);
    return err;
}

static enum err predict_once(void *ctx, double *seconds)
{
    struct bench *b = ctx;
    struct child_result r = {0};
    double start = clock_now();

    TRY(run_verb(b, &r));
    *seconds = clock_now() - start;
    b->peak = r.peak_bytes > b->peak ? r.peak_bytes : b->peak;
    return ERR_OK;
}

/* ---- peers and results ---- */

static enum err run_peers(struct bench *b, const struct bench_work *w)
{
    const struct bench_predict *c = b->cfg;
    const double number[] = {
        (double)c->patch[0], (double)c->patch[1], (double)c->patch[2], c->to[0], c->to[1], c->to[2],
        (double)c->stages,   (double)c->features};
    const char *args[BENCH_ARGS_MAX] = {"predict.py", "--net", net_names[c->net], "--folder", b->folder};
    static const char *const name[] = {"--patch", NULL, NULL,       "--spacing",
                                       NULL,      NULL, "--stages", "--features"};
    char text[8][24];
    int n = 5;

    for (int i = 0; i < 8; i++) {
        snprintf(text[i], sizeof text[i], "%g", number[i]);
        if (name[i])
            args[n++] = name[i];
        args[n++] = text[i];
    }
    if (c->mirror)
        args[n++] = "--mirror";
    TRY(bench_duels_begin(&b->duels, b->cli));
    TRY(bench_duel(&b->duels, b->cli, &c->common, args, w));
    args[n] = "--compile";
    TRY(bench_duel(&b->duels, b->cli, &c->common, args, w));
    return bench_duels_end(&b->duels, b->cli);
}

static enum err print_json(const struct bench *b)
{
    const struct bench_predict *c = b->cfg;
    json_t *j =
        json_pack("{s:s, s:s, s:o, s:[I,I,I], s:[f,f,f], s:[I,I,I], s:[I,I,I], s:b, s:o, s:I}", "bench",
                  "predict", "net", net_names[c->net], "machine", bench_machine(b->cli), "size",
                  (json_int_t)c->size[0], (json_int_t)c->size[1], (json_int_t)c->size[2], "spacing",
                  c->spacing[0], c->spacing[1], c->spacing[2], "network_voxels", (json_int_t)b->voxels[0],
                  (json_int_t)b->voxels[1], (json_int_t)b->voxels[2], "patch", (json_int_t)c->patch[0],
                  (json_int_t)c->patch[1], (json_int_t)c->patch[2], "mirror", (int)c->mirror, "seconds",
                  bench_stat_json(b->seconds), "peak_bytes", (json_int_t)b->peak);

    return bench_json_print(j, b->scaling, c->common.peer ? &b->duels : NULL);
}

static void print_text(const struct bench *b)
{
    const struct bench_predict *c = b->cfg;

    printf("%s predicts four phases of %lld x %lld x %lld voxels (%lld x %lld x %lld for the network)%s, %d "
           "threads\n",
           net_names[c->net], (long long)c->size[0], (long long)c->size[1], (long long)c->size[2],
           (long long)b->voxels[0], (long long)b->voxels[1], (long long)b->voxels[2],
           c->mirror ? ", mirrored" : "", par_threads());
    printf("%.4g s (median of %lld, %.4g to %.4g), %.2f GB peak; from the start of the program to the "
           "written mask\n",
           b->seconds.median, (long long)c->common.rounds, b->seconds.low, b->seconds.high,
           1e-9 * (double)b->peak);
    bench_scaling_print(b->scaling);
    bench_duels_print(&b->duels, b->peak);
}

static enum err run_all(struct bench *b)
{
    const struct bench_common *c = &b->cfg->common;
    struct bench_work w = {.round = predict_once, .ctx = b};

    TRY(name_files(b));
    TRY(save_model(b));
    TRY(save_images(b));
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
    remove_files(&b);
    json_decref(b.scaling);
    return err;
}

const struct command cmd_bench_predict = {
    .name = "bench predict",
    .summary = "time the prediction of a whole case",
    .example = "--net nnunet --size 128,224,224 --peer",
    .table = CFG_TABLE(fields),
    .cfg_size = sizeof(struct bench_predict),
    .run = run,
};
