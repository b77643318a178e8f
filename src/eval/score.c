#include "eval/score.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const score_names[SCORE_COUNT] = {"DSC", "JAC", "SE", "PRE"};

static enum err add_region(struct evaluation *e, const char *key, const char *name, int first)
{
    struct region *r = &e->region[e->regions];

    r->key = arena_str(e->arena, key);
    r->name = arena_str(e->arena, name);
    if (!r->key || !r->name)
        return ERR_MEMORY;
    r->first = first;
    r->last = e->labels;
    e->regions++;
    return ERR_OK;
}

/* Label 1 is "liver" in the usual data sets; beside the region `liver` it is told apart as "liver only". */
static enum err name_regions(struct evaluation *e, const char *const label_name[])
{
    char key[16], only[128];

    if (e->labels > 1)
        TRY(add_region(e, "liver", "liver", 1));
    for (int label = 1; label <= e->labels; label++) {
        const char *name = label_name[label];

        e->label_name[label] = arena_str(e->arena, name);
        if (!e->label_name[label])
            return ERR_MEMORY;
        snprintf(key, sizeof key, "%d", label);
        snprintf(only, sizeof only, "%.100s only", name);
        TRY(add_region(e, key, e->labels > 1 && !strcmp(name, "liver") ? only : name, label));
        e->region[e->regions - 1].last = label;
    }
    return ERR_OK;
}

enum err evaluation_new(struct evaluation **out, int labels, const char *const label_name[],
                        enum empty_policy policy)
{
    struct evaluation *e;
    enum err err;

    if (labels < 1 || labels > LABEL_MAX)
        return err_set(ERR_INPUT, "%d foreground labels; the evaluation takes 1 to %d", labels, LABEL_MAX);
    e = mem_new(1, sizeof *e);
    if (!e)
        return ERR_MEMORY;
    e->labels = labels;
    e->policy = policy;
    e->arena = arena_new();
    err = e->arena ? name_regions(e, label_name) : ERR_MEMORY;
    if (err)
        evaluation_free(e);
    else
        *out = e;
    return err;
}

void evaluation_free(struct evaluation *e)
{
    if (!e)
        return;
    mem_free(e->item);
    arena_free(e->arena);
    mem_free(e);
}

enum err evaluation_append(struct evaluation *e, const struct score_files *files, struct case_score **out)
{
    struct case_score c = {0}, *grown;

    if (e->count == e->room) {
        grown = mem_resize(e->item, e->room ? 2 * e->room : 8, sizeof *grown);
        if (!grown)
            return ERR_MEMORY;
        e->item = grown;
        e->room = e->room ? 2 * e->room : 8;
    }
    c.name = arena_str(e->arena, files->name);
    c.reference = arena_str(e->arena, files->reference ? files->reference : "");
    c.prediction = files->prediction ? arena_str(e->arena, files->prediction) : NULL;
    c.region = arena_alloc(e->arena, (size_t)e->regions, sizeof *c.region);
    if (!c.name || !c.reference || !c.region || (files->prediction && !c.prediction))
        return ERR_MEMORY;
    e->item[e->count] = c;
    *out = &e->item[e->count++];
    return ERR_OK;
}

/* All background on the grid of v. */
static enum err empty_like(struct volume **out, const struct volume *v)
{
    return volume_new(out, &v->grid, VOXEL_U8);
}

enum err evaluation_add(struct evaluation *e, const struct score_files *files, const struct volume *reference,
                        const struct volume *prediction)
{
    const struct grid *g = &reference->grid;
    struct volume *empty = NULL;
    struct joint *joint = mem_new(1, sizeof *joint);
    struct case_score *c;
    struct lesion_counts lesions;
    enum err err = joint ? ERR_OK : ERR_MEMORY;

    TRY_OR(done, err);
    if (!prediction) {
        TRY_OR(done, empty_like(&empty, reference));
        prediction = empty;
    }
    TRY_OR(done, label_check(reference, e->labels, files->reference ? files->reference : files->name));
    TRY_OR(done, label_check(prediction, e->labels, files->prediction ? files->prediction : files->name));
    TRY_OR(done, lesions_match(&lesions, reference, prediction, e->labels));
    joint_count(joint, reference->data, prediction->data, grid_count(g), e->labels);
    TRY_OR(done, evaluation_append(e, files, &c));
    for (int i = 0; i < e->regions; i++)
        c->region[i] = joint_region(joint, e->region[i].first, e->region[i].last);
    c->lesions = lesions;
    c->voxel_ml = g->spacing[0] * g->spacing[1] * g->spacing[2] / 1000;
done:
    volume_free(empty);
    mem_free(joint);
    return err;
}

struct overlap evaluation_overlap(const struct evaluation *e, size_t item, int region)
{
    return counts_overlap(&e->item[item].region[region], e->policy);
}

double overlap_get(const struct overlap *o, enum score which)
{
    const double value[SCORE_COUNT] = {o->dsc, o->jac, o->se, o->pre};

    return value[which];
}

enum err evaluation_region(const struct evaluation *e, int region, struct region_summary *out)
{
    struct region_summary s = {0};
    double *value = mem_new(e->count ? e->count : 1, sizeof *value);

    if (!value)
        return ERR_MEMORY;
    for (int k = 0; k < SCORE_COUNT; k++) {
        for (size_t i = 0; i < e->count; i++) {
            struct overlap o = evaluation_overlap(e, i, region);
            value[i] = overlap_get(&o, (enum score)k);
        }
        s.score[k] = summary_of(value, e->count);
    }
    for (size_t i = 0; i < e->count; i++)
        counts_add(&s.pooled, &e->item[i].region[region]);
    s.pooled_overlap = counts_overlap(&s.pooled, e->policy);
    mem_free(value);
    *out = s;
    return ERR_OK;
}

struct lesion_counts evaluation_lesions(const struct evaluation *e)
{
    struct lesion_counts sum = {0};

    for (size_t i = 0; i < e->count; i++) {
        const struct lesion_counts *l = &e->item[i].lesions;

        sum.reference += l->reference;
        sum.predicted += l->predicted;
        sum.detected += l->detected;
        sum.false_positive += l->false_positive;
    }
    return sum;
}

size_t evaluation_missing(const struct evaluation *e)
{
    size_t n = 0;

    for (size_t i = 0; i < e->count; i++)
        n += !e->item[i].prediction;
    return n;
}

int evaluation_lesion_region(const struct evaluation *e)
{
    return e->regions - 1;
}

char *region_title(const struct region *r)
{
    struct str b = {0};
    char *title = NULL;

    if (r->first == r->last)
        str_addf(&b, "%s (label %d)", r->name, r->first);
    else
        str_addf(&b, "%s (labels %d-%d)", r->name, r->first, r->last);
    if (!str_status(&b))
        title = mem_str(b.s);
    str_free(&b);
    return title;
}
