#include "lab/report_facts.h"
#include "base/file.h"
#include "base/json.h"
#include "data/plan.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* text NULL: exhaustion. */
static enum err add(struct report_sources *out, const char *name, const char *text)
{
    if (!text)
        return ERR_MEMORY;
    if (out->facts < REPORT_FACTS)
        out->fact[out->facts++] = (struct report_fact){name, text};
    return ERR_OK;
}

/* Adds a text member of an object if it is there. */
static enum err add_member(struct report_sources *out, const char *name, const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text ? add(out, name, arena_str(out->arena, text)) : ERR_OK;
}

static enum err add_hash(struct report_sources *out, const char *name, const char *path)
{
    uint64_t hash;

    if (!path)
        return ERR_MEMORY;
    if (!file_exists(path))
        return ERR_OK;
    TRY(file_hash(path, &hash));
    return add(out, name, arena_printf(out->arena, "%s, xxh3 %016" PRIx64, path, hash));
}

static enum err add_dataset(struct report_sources *out, const char *folder)
{
    const char *path = arena_printf(out->arena, "%s/dataset.json", folder);
    json_t *j = NULL;
    enum err err;

    if (!path)
        return ERR_MEMORY;
    TRY(add(out, "Data set", arena_str(out->arena, folder)));
    if (!file_exists(path))
        return ERR_OK;
    TRY(json_read(&j, path));
    err = add_member(out, "Licence of the data", j, "licence");
    if (!err)
        err = add_member(out, "Licence of the data", j, "license");
    if (!err)
        err = add_member(out, "Source of the data", j, "reference");
    if (!err && json_is_string(json_object_get(j, "name")))
        out->title = arena_printf(out->arena, "Liver tumour segmentation: %s",
                                  json_string_value(json_object_get(j, "name")));
    json_decref(j);
    return err;
}

static const char *network_text(struct arena *a, const struct plan *p)
{
    int64_t last = p->features << (p->stages - 1);

    return arena_printf(a,
                        "%s, %" PRId64 " stages of %" PRId64 " to %" PRId64 " features%s; patch %" PRId64
                        " x %" PRId64 " x %" PRId64 " voxels of %g x %g x %g mm (z, y, x)",
                        p->network == NET_PLAIN ? "nnU-Net (PlainConvUNet)" : "nnU-Net (ResidualEncoderUNet)",
                        p->stages, p->features, last < p->features_max ? last : p->features_max,
                        p->deep_supervision ? ", deep supervision" : "", p->patch[0], p->patch[1],
                        p->patch[2], p->spacing[0], p->spacing[1], p->spacing[2]);
}

static const char *training_text(struct arena *a, const struct plan *p)
{
    return arena_printf(a,
                        "%" PRId64 " epochs of %" PRId64 " steps, batch %" PRId64
                        "; %s, learning rate %g, %s schedule; Dice + %g cross entropy",
                        p->epochs, p->iterations, p->batch, p->optimiser == OPT_SGD ? "SGD" : "AdamW", p->lr,
                        p->schedule == SCHED_POLY ? "poly" : "cosine", p->ce_weight);
}

static enum err add_model(struct report_sources *out, const char *model)
{
    struct arena *a = out->arena;
    struct plan p = {0};

    TRY(add_hash(out, "Model", arena_printf(a, "%s/model.safetensors", model)));
    if (!out->plan)
        return ERR_OK;
    TRY(plan_read(&p, a, out->plan));
    TRY(add(out, "Network", network_text(a, &p)));
    TRY(add(out, "Training", training_text(a, &p)));
    TRY(add(out, "Intensities",
            arena_printf(a, "clipped to [%g, %g] HU, then z-scored per volume", p.window[0], p.window[1])));
    if (p.phase_names)
        TRY(add(out, "Phases of the model", p.phase_names));
    TRY(add(out, "Seed", arena_printf(a, "%" PRIu64, p.seed)));
    return add_hash(out, "Plan", out->plan);
}

enum err report_facts(struct report_sources *out, const struct fact_sources *from)
{
    out->title = "Liver tumour segmentation";
    if (from->dataset)
        TRY(add_dataset(out, from->dataset));
    if (from->model)
        TRY(add_model(out, from->model));
    TRY(add_member(out, "Trained by", from->project, "command"));
    TRY(add_member(out, "Predicted by", from->record, "command"));
    TRY(add_hash(out, "Evaluation", out->summary));
    if (from->query->command_line)
        TRY(add(out, "Reported by", arena_str(out->arena, from->query->command_line)));
    return out->title ? ERR_OK : ERR_MEMORY;
}
