#include "train/trainer.h"

#include "base/clock.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/par.h"
#include "eval/curve.h"
#include "nn/optim.h"
#include "train/checkpoint.h"
#include "train/network.h"
#include "train/runlog.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SAVE_EVERY = 100 /* steps */, LOADERS_MAX = 4, PROGRAM_BYTES = 32 << 20 };

/* Where a run is; what a checkpoint keeps beside the states. */
struct position {
    int64_t epoch;   /* finished, validated and logged */
    int64_t step;    /* finished updates */
    double loss_sum; /* of the current epoch's steps */
    double ema, best;
    int64_t log_size; /* bytes of log.jsonl that belong to the finished epochs */
};

struct trainer {
    const struct trainer_options *o;
    const struct plan *p;
    struct network net;
    struct loader *train, *val;
    struct position at;
    struct run_log log;
    char *latest, *best, *model, *plan_path, *picture, *lock_path;
    int lock;                      /* one run per folder; -1: not taken */
    char *identity;                /* of plan and data, so that a folder is not resumed with others */
    double load, augment, compute; /* seconds of the current epoch */
};

/* ---- identity and position ---- */

static char *identity_of(const struct trainer_options *o)
{
    json_t *plan = cfg_to_json(plan_table, o->plan);
    char *text = plan ? json_text(plan) : NULL, *out = NULL;
    uint64_t h = text ? bytes_hash(text, strlen(text), 0) : 0;

    for (size_t i = 0; i < o->trains + o->vals; i++) {
        const struct prepared *c = i < o->trains ? o->train[i] : o->val[i - o->trains];
        h = bytes_hash(c->name, strlen(c->name), h);
        h = bytes_hash(c->class_voxels, sizeof c->class_voxels, h);
        for (int k = 0; k < c->phases; k++)
            h = bytes_hash(&c->stats[k], c->phase[k] ? sizeof c->stats[k] : 0, h);
    }
    if (text)
        out = mem_new(24, 1);
    if (out)
        snprintf(out, 24, "%016" PRIx64, h);
    json_decref(plan);
    mem_free(text);
    return out;
}

/* The numeric mode: what one mode has begun, another one would not end with the same bytes. */
static const char *precision(const struct trainer *t)
{
    return cpu_precision_names[t->p->precision == CPU_BF16 ? CPU_BF16 : CPU_F32];
}

static enum err check_precision(const struct trainer *t, const json_t *j)
{
    const char *begun;

    TRY(json_get_str(j, t->latest, "precision", &begun));
    if (!strcmp(begun, precision(t)))
        return ERR_OK;
    return err_set(
        ERR_MODEL,
        "%s: this run was begun in %s, which does not go on in %s: use --precision %s, or --force to "
        "start over",
        t->latest, begun, precision(t), begun);
}

static json_t *position_json(const struct trainer *t)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:f, s:f, s:f, s:I}", "identity", t->identity, "precision",
                     precision(t), "epoch", (json_int_t)t->at.epoch, "step", (json_int_t)t->at.step,
                     "loss_sum", t->at.loss_sum, "ema", t->at.ema, "best", t->at.best, "log_size",
                     (json_int_t)t->at.log_size);
}

static enum err position_read(struct trainer *t, const json_t *j)
{
    const char *identity;

    TRY(check_precision(t, j));
    TRY(json_get_str(j, t->latest, "identity", &identity));
    if (strcmp(identity, t->identity))
        return err_set(
            ERR_MODEL,
            "%s: belongs to a run with another plan, seed or data: use another -w, or --force to start over",
            t->latest);
    TRY(json_get_int(j, t->latest, "epoch", &t->at.epoch));
    TRY(json_get_int(j, t->latest, "step", &t->at.step));
    TRY(json_get_real(j, t->latest, "loss_sum", &t->at.loss_sum));
    TRY(json_get_real(j, t->latest, "ema", &t->at.ema));
    TRY(json_get_real(j, t->latest, "best", &t->at.best));
    return json_get_int(j, t->latest, "log_size", &t->at.log_size);
}

static enum err save_checkpoint(struct trainer *t)
{
    json_t *j = position_json(t);
    enum err err = j ? checkpoint_save(t->net.store, j, t->latest) : ERR_MEMORY;

    json_decref(j);
    return err;
}

static enum err resume(struct trainer *t)
{
    json_t *j = NULL;
    enum err err;

    if (t->o->force || !file_exists(t->latest))
        return ERR_OK;
    TRY(checkpoint_load(t->net.store, &j, t->latest));
    err = position_read(t, j);
    json_decref(j);
    if (!err && t->at.step > 0)
        progress_line(t->o->progress, "going on from step %" PRId64 " of %" PRId64, t->at.step,
                      t->p->epochs * t->p->iterations);
    return err;
}

/* ---- one step ---- */

static double learning_rate(const struct plan *p, int64_t step)
{
    double epoch = (double)(step / p->iterations);

    if (p->schedule == SCHED_POLY)
        return schedule_poly(p->lr, epoch, (double)p->epochs, p->poly);
    return schedule_cosine(p->lr, (double)step, (double)(p->epochs * p->iterations),
                           (double)(p->warmup * p->iterations));
}

static enum err not_finite(struct trainer *t, int64_t step)
{
    struct str who = {0};
    enum err err = program_replay(t->net.step, &who);

    if (!err)
        err = save_checkpoint(t);
    if (!err)
        err = err_set(
            ERR_INTERNAL,
            "step %" PRId64
            ": loss or gradient is not finite; %s made the first such value. The last good state is in %s; "
            "a lower --set lr may help",
            step, who.s && who.s[0] ? who.s : "an optimiser input", t->latest);
    str_free(&who);
    return err;
}

static enum err bind_batch(struct program *p, const struct batch *b)
{
    TRY(program_bind(p, "image", b->image));
    return program_bind(p, "labels", b->label);
}

static enum err train_step(struct trainer *t, int64_t step)
{
    float lr = (float)learning_rate(t->p, step), number = (float)(step + 1);
    struct batch *b = NULL;
    double start;
    enum err err;

    TRY(loader_take(t->train, step, &b));
    t->load += b->seconds_load;
    t->augment += b->seconds_augment;
    start = clock_now();
    TRY_OR(done, bind_batch(t->net.step, b));
    TRY_OR(done, program_bind(t->net.step, "lr", &lr));
    if (t->p->optimiser == OPT_ADAMW)
        TRY_OR(done, program_bind(t->net.step, "step", &number));
    TRY_OR(done, program_run(t->net.step));
    t->compute += clock_now() - start;
    if (program_scalar(t->net.step, "finite") == 0) {
        err = not_finite(t, step);
        goto done;
    }
    t->at.loss_sum += program_scalar(t->net.step, "loss");
    t->at.step = step + 1;
done:
    loader_give(t->train, b);
    return err;
}

/* ---- validation ---- */

struct score {
    double loss;
    double counts[256][3];
};

static enum err check_step(struct trainer *t, int64_t step, struct score *s)
{
    const float *counts;
    struct batch *b = NULL;
    enum err err;

    TRY(loader_take(t->val, step, &b));
    TRY_OR(done, bind_batch(t->net.check, b));
    TRY_OR(done, program_run(t->net.check));
    s->loss += program_scalar(t->net.check, "loss");
    counts = program_output(t->net.check, "counts");
    for (int64_t k = 0; k < t->p->classes - 1; k++)
        for (int i = 0; i < 3; i++)
            s->counts[k][i] += (double)counts[k * 3 + i];
done:
    loader_give(t->val, b);
    return err;
}

/* 2 TP / (2 TP + FP + FN); NaN where the class is in neither. */
static double dice_of(const double c[3])
{
    double all = 2 * c[0] + c[1] + c[2];

    return all > 0 ? 2 * c[0] / all : NAN;
}

static void summarise(const struct trainer *t, const struct score *s, struct epoch_log *e)
{
    double sum = 0;
    int n = 0;

    e->val_loss = t->p->val_iterations ? s->loss / (double)t->p->val_iterations : NAN;
    for (int64_t k = 0; k < t->p->classes - 1; k++) {
        e->dice[k] = dice_of(s->counts[k]);
        if (!isnan(e->dice[k]))
            sum += e->dice[k], n++;
    }
    e->mean_dice = n ? sum / n : NAN;
}

static enum err validate(struct trainer *t, struct epoch_log *e)
{
    struct score s = {0};

    for (int64_t i = 0; i < t->p->val_iterations; i++) {
        TRY(check_step(t, t->at.epoch * t->p->val_iterations + i, &s));
        progress_update(t->o->progress, "validating", i + 1, t->p->val_iterations, "%s", "");
    }
    summarise(t, &s, e);
    return ERR_OK;
}

/* ---- epochs ---- */

static enum err keep_best(struct trainer *t, double mean_dice)
{
    if (isnan(mean_dice))
        return ERR_OK;
    t->at.ema = t->at.epoch == 0 || t->at.ema < 0 ? mean_dice : 0.9 * t->at.ema + 0.1 * mean_dice;
    if (t->at.ema <= t->at.best)
        return ERR_OK;
    t->at.best = t->at.ema;
    return network_save(&t->net, t->p, t->best);
}

static enum err draw_curve(const struct trainer *t)
{
    struct curve c = {0};
    enum err err = curve_read(&c, t->log.path, NULL);

    if (!err)
        err = curve_save(&c, t->picture);
    curve_free(&c);
    return err;
}

static enum err end_epoch(struct trainer *t)
{
    struct epoch_log e = {.epoch = t->at.epoch,
                          .step = t->at.step,
                          .train_loss = t->at.loss_sum / (double)t->p->iterations,
                          .lr = learning_rate(t->p, t->at.step - 1)};

    TRY(validate(t, &e));
    TRY(keep_best(t, e.mean_dice));
    e.ema = t->at.ema;
    e.seconds_load = t->load;
    e.seconds_augment = t->augment;
    e.seconds_compute = t->compute;
    TRY(run_log_add(&t->log, &e, &t->at.log_size));
    TRY(draw_curve(t));
    run_log_show(&t->log, &e, t->o->progress);
    t->at.epoch++;
    t->at.loss_sum = 0;
    t->load = t->augment = t->compute = 0;
    return save_checkpoint(t);
}

static enum err run_epoch(struct trainer *t)
{
    int64_t total = t->p->epochs * t->p->iterations, end = (t->at.epoch + 1) * t->p->iterations;

    while (t->at.step < end) {
        int64_t done = t->at.step - t->at.epoch * t->p->iterations;
        TRY(train_step(t, t->at.step));
        progress_update(t->o->progress, "training", t->at.step, total, "epoch %" PRId64 " loss %.4f",
                        t->at.epoch + 1, t->at.loss_sum / (double)(done + 1));
        if (t->at.step % SAVE_EVERY == 0 && t->at.step < end)
            TRY(save_checkpoint(t));
    }
    return end_epoch(t);
}

static enum err run_epochs(struct trainer *t)
{
    while (t->at.epoch < t->p->epochs) {
        enum err err = run_epoch(t);
        if (err == ERR_STOPPED) {
            TRY(save_checkpoint(t));
            return err_set(ERR_STOPPED, "stopped after step %" PRId64 "; the same command goes on from there",
                           t->at.step);
        }
        if (err)
            return err;
    }
    TRY(plan_write(t->p, t->plan_path));
    return network_save(&t->net, t->p, t->model);
}

/* ---- set-up ---- */

static struct loader_options loading(const struct trainer *t, bool validation)
{
    int threads = par_cpus() < LOADERS_MAX ? par_cpus() : LOADERS_MAX;

    return (struct loader_options){.plan = t->p,
                                   .item = validation ? t->o->val : t->o->train,
                                   .count = validation ? t->o->vals : t->o->trains,
                                   .validation = validation,
                                   .threads = validation ? 1 : threads,
                                   .bytes = t->o->memory_max / 8,
                                   .seed = t->p->seed,
                                   .first = validation ? t->at.epoch * t->p->val_iterations : t->at.step};
}

static enum err open_loaders(struct trainer *t)
{
    struct loader_options l = loading(t, false);

    TRY(loader_new(&t->train, &l));
    if (!t->p->val_iterations)
        return ERR_OK;
    l = loading(t, true);
    return loader_new(&t->val, &l);
}

/* Bytes of both loaders: what the network may not take. */
static uint64_t loading_bytes(const struct trainer *t)
{
    const struct loader_options train = loading(t, false), check = loading(t, true);

    return loader_bytes(&train) + (t->p->val_iterations ? loader_bytes(&check) : 0);
}

/* What --mem leaves to the network, its inputs included: those are a loader's. */
static uint64_t network_limit(const struct trainer *t)
{
    const struct plan *p = t->p;
    const int64_t inputs = p->batch * p->patch[0] * p->patch[1] * p->patch[2] * (p->phases + 1);
    const uint64_t all = t->o->memory_max + sizeof(float) * (uint64_t)inputs,
                   beside = loading_bytes(t) + PROGRAM_BYTES;

    return !t->o->memory_max ? 0 : all > beside ? all - beside : 1;
}

static enum err make_paths(struct trainer *t)
{
    char *checkpoints = path_join(t->o->folder, "checkpoint");
    enum err err = ERR_MEMORY;

    if (checkpoints) {
        t->latest = path_join(checkpoints, "latest.safetensors");
        t->best = path_join(checkpoints, "best.safetensors");
        t->model = path_join(t->o->folder, "model.safetensors");
        t->plan_path = path_join(t->o->folder, "plan.json");
        t->picture = path_join(t->o->folder, "progress.png");
        t->lock_path = path_join(checkpoints, "lock");
        t->identity = identity_of(t->o);
        if (t->latest && t->best && t->model && t->plan_path && t->picture && t->lock_path && t->identity)
            err = folder_make(checkpoints);
    }
    mem_free(checkpoints);
    return err;
}

static enum err start(struct trainer *t)
{
    struct compile c = {.backend = t->o->backend,
                        .memory_max = network_limit(t),
                        .bf16 = t->p->precision == CPU_BF16,
                        .no_reference = true,
                        .stop = t->o->stop};

    TRY(make_paths(t));
    TRY(file_lock(&t->lock, t->lock_path));
    TRY(network_for_training(&t->net, t->p, &c));
    progress_line(t->o->progress,
                  "memory: %.2f GB for the network (%.2f GB of it weights and momenta), %.2f GB for batches",
                  1e-9 * (double)network_bytes(&t->net),
                  1e-9 * (double)(network_bytes(&t->net) - program_arena_bytes(t->net.arena)),
                  1e-9 * (double)loading_bytes(t));
    TRY(resume(t));
    TRY(run_log_open(&t->log, t->o->folder, t->o->class_name, t->p->classes, t->at.log_size));
    return ERR_OK;
}

static void finish(struct trainer *t)
{
    loader_free(t->train);
    loader_free(t->val);
    network_free(&t->net);
    run_log_close(&t->log);
    mem_free(t->latest);
    mem_free(t->best);
    mem_free(t->model);
    mem_free(t->plan_path);
    mem_free(t->picture);
    mem_free(t->lock_path);
    file_unlock(t->lock);
    mem_free(t->identity);
}

static bool finished(const struct trainer *t)
{
    return t->at.epoch == t->p->epochs && file_exists(t->model) && file_exists(t->plan_path);
}

enum err trainer_run(const struct trainer_options *o)
{
    struct trainer t = {.o = o, .p = o->plan, .at = {.ema = -1, .best = -1}, .lock = -1, .log = {.fd = -1}};
    enum err err = start(&t);

    if (!err && finished(&t)) {
        progress_line(o->progress, "%s is already trained; --force trains again", o->folder);
    } else if (!err) {
        err = open_loaders(&t);
        if (!err)
            err = run_epochs(&t);
    }
    finish(&t);
    return err;
}
