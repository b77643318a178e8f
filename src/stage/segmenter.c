#include "stage/segmenter.h"

#include "stage/backend.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/json.h"
#include "base/par.h"
#include "tensor/safetensors.h"
#include "train/network.h"
#include <string.h>

enum { BATCH = 1 /* more patches at a time cost memory and win nothing on two cores */ };

/* What lies behind a struct segmenter. */
struct opened {
    struct segmenter s;
    struct network net;
    struct backend backend;
    struct arena *arena; /* the plan's strings */
};

static enum err run_forward(void *ctx, const float *patch, float *logits)
{
    struct opened *o = ctx;
    const int64_t *p = o->s.plan.patch;

    TRY(program_bind(o->net.forward, "image", patch));
    TRY(program_run(o->net.forward));
    memcpy(logits, program_output(o->net.forward, "logits"),
           (size_t)(o->s.batch * p[0] * p[1] * p[2] * o->s.plan.classes) * sizeof *logits);
    return ERR_OK;
}

/* The plan that the weight file itself carries. */
static enum err embedded_plan(struct opened *o, const char *weights)
{
    struct safetensors *f = NULL;
    json_t *j = NULL;
    const char *text;
    enum err err;

    TRY(safetensors_open(&f, weights));
    text = safetensors_meta(f, "plan");
    if (!text) {
        err = err_set(ERR_MODEL,
                      "%s: no plan in it and no plan.json beside it: it is not a segmenter of this program",
                      weights);
        goto done;
    }
    TRY_OR(done, json_parse(&j, text, strlen(text), weights));
    err = plan_parse(&o->s.plan, o->arena, j, weights);
done:
    json_decref(j);
    safetensors_close(f);
    return err;
}

static enum err read_plan(struct opened *o, const char *weights, const char *beside)
{
    enum err err =
        beside && file_exists(beside) ? plan_read(&o->s.plan, o->arena, beside) : embedded_plan(o, weights);

    if (err)
        return err == ERR_INPUT || err == ERR_USAGE ? err_while(ERR_MODEL, "reading the model's plan") : err;
    if (o->s.plan.phases < 1 || o->s.plan.classes < 2)
        return err_set(ERR_MODEL, "%s: its plan names no phases or classes", weights);
    return ERR_OK;
}

static enum err open_network(struct opened *o, const char *weights, const struct cli *cli)
{
    struct compile c = {.backend = &o->backend,
                        .stop = cli->stop,
                        .bf16 = o->s.bf16,
                        .fixed_max = (uint64_t)cli->common->mem / 8};

    TRY(stage_backend(&o->backend, cli->common, par_threads()));
    TRY(network_for_prediction(&o->net, &o->s.plan, BATCH, &c));
    TRY(network_load(&o->net, weights));
    o->s.batch = BATCH;
    o->s.forward = run_forward;
    o->s.ctx = o;
    o->s.bytes = network_bytes(&o->net);
    return ERR_OK;
}

static enum err open_model(struct opened *o, const char *path, const struct cli *cli)
{
    bool folder = folder_exists(path);
    char *weights = arena_printf(o->arena, folder ? "%s/model.safetensors" : "%s", path);
    char *beside = folder ? arena_printf(o->arena, "%s/plan.json", path) : NULL;

    if (!weights || (folder && !beside))
        return ERR_MEMORY;
    if (!file_exists(weights))
        return err_set(ERR_USAGE, "%s: no model there: give a folder with model.safetensors, or such a file",
                       path);
    TRY(read_plan(o, weights, beside));
    return open_network(o, weights, cli);
}

enum err segmenter_open(struct segmenter **out, const char *path, int precision, const struct cli *cli)
{
    struct opened *o = mem_new(1, sizeof *o);
    enum err err;

    if (!o)
        return ERR_MEMORY;
    o->arena = arena_new();
    o->s.bf16 = stage_bf16(cli->common, precision);
    err = o->arena ? open_model(o, path, cli) : ERR_MEMORY;
    if (err)
        segmenter_close(&o->s);
    else
        *out = &o->s;
    return err;
}

void segmenter_close(struct segmenter *s)
{
    struct opened *o = (struct opened *)s; /* s is its first member */

    if (!o)
        return;
    network_free(&o->net);
    arena_free(o->arena);
    mem_free(o);
}
