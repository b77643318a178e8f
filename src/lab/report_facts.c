#include "lab/report_facts.h"
#include "base/file.h"
#include "base/json.h"
#include "data/plan.h"
#include <inttypes.h>
#include <string.h>

enum { MOST_FACTS = 16 };

struct facts {
    struct arena *arena;
    struct report_fact *item; /* [MOST_FACTS] */
    size_t count;
};

static enum err facts_begin(struct facts *f, struct arena *a)
{
    *f = (struct facts){.arena = a, .item = arena_alloc(a, MOST_FACTS, sizeof *f->item)};
    return f->item ? ERR_OK : ERR_MEMORY;
}

/* text NULL: exhaustion. */
static enum err add(struct facts *f, const char *name, const char *text)
{
    if (!text)
        return ERR_MEMORY;
    if (f->count < MOST_FACTS)
        f->item[f->count++] = (struct report_fact){name, text};
    return ERR_OK;
}

/* Adds a text member of an object if it is there. */
static enum err add_member(struct facts *f, const char *name, const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text ? add(f, name, arena_str(f->arena, text)) : ERR_OK;
}

static enum err add_hash(struct facts *f, const char *name, const char *path)
{
    uint64_t hash;

    if (!path)
        return ERR_MEMORY;
    if (!file_exists(path))
        return ERR_OK;
    TRY(file_hash(path, &hash));
    return add(f, name, arena_printf(f->arena, "%s, xxh3 %016" PRIx64, path, hash));
}

static enum err add_dataset(struct facts *f, const char *folder)
{
    json_t *j = NULL;
    enum err err;

    TRY(add(f, "Data set", arena_str(f->arena, folder)));
    TRY(report_read_optional(&j, arena_printf(f->arena, "%s/dataset.json", folder)));
    err = add_member(f, "Licence of the data", j, "licence");
    if (!err)
        err = add_member(f, "Licence of the data", j, "license");
    if (!err)
        err = add_member(f, "Source of the data", j, "reference");
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

static const char *intensities_text(struct arena *a, const struct plan *p)
{
    if (p->normalisation == NORM_CT)
        return arena_printf(
            a,
            "clipped and normalised by the labelled voxels of the training cases; low, high, mean, "
            "sd by phase, HU: %s",
            p->intensities ? p->intensities : "not measured");
    return arena_printf(a, "clipped to [%g, %g] HU, then z-scored per volume", p->window[0], p->window[1]);
}

static enum err add_model(struct facts *f, const char *model, const char *plan)
{
    struct arena *a = f->arena;
    struct plan p = {0};

    TRY(add_hash(f, "Model", arena_printf(a, "%s/model.safetensors", model)));
    if (!plan)
        return ERR_OK;
    TRY(plan_read(&p, a, plan));
    TRY(add(f, "Network", network_text(a, &p)));
    TRY(add(f, "Training", training_text(a, &p)));
    TRY(add(f, "Intensities", intensities_text(a, &p)));
    if (p.phase_names)
        TRY(add(f, "Phases of the model", p.phase_names));
    TRY(add(f, "Seed", arena_printf(a, "%" PRIu64, p.seed)));
    return add_hash(f, "Plan", plan);
}

enum err report_title(struct report_sources *out, const char *dataset)
{
    json_t *j = NULL;
    const char *name;

    out->title = "Liver tumour segmentation";
    if (!dataset)
        return ERR_OK;
    TRY(report_read_optional(&j, arena_printf(out->arena, "%s/dataset.json", dataset)));
    name = json_string_value(json_object_get(j, "name"));
    if (name)
        out->title = arena_printf(out->arena, "Liver tumour segmentation: %s", name);
    json_decref(j);
    return out->title ? ERR_OK : ERR_MEMORY;
}

enum err report_model_facts(struct report_sources *out, const struct report_query *q,
                            const struct report_model *m)
{
    struct facts f;

    TRY(facts_begin(&f, out->arena));
    if (m->folder)
        TRY(add_model(&f, m->folder, out->plan));
    TRY(add_member(&f, "Trained by", m->project, "command"));
    if (q->command_line)
        TRY(add(&f, "Reported by", arena_str(out->arena, q->command_line)));
    out->fact = f.item;
    out->facts = f.count;
    return ERR_OK;
}

enum err report_set_facts(struct report_set *set, struct arena *a, const char *dataset, const json_t *record)
{
    struct facts f;

    TRY(facts_begin(&f, a));
    if (dataset)
        TRY(add_dataset(&f, dataset));
    TRY(add_member(&f, "Predicted by", record, "command"));
    TRY(add_hash(&f, "Evaluation", set->summary));
    set->facts = f.item;
    set->fact_count = f.count;
    return ERR_OK;
}
