/* summary.json: nnU-Net's keys (metric_per_case, mean, foreground_mean) with null where it writes NaN, ours
 * under "d4m". */
#include "base/json.h"
#include "eval/score.h"
#include <math.h>
#include <string.h>

#define MOST_VOXELS 9007199254740992 /* 2^53: counts stay exact in JSON numbers of other programs */

/* Returns o, or NULL after releasing it if one of the puts failed. */
static json_t *checked(json_t *o, int failed)
{
    if (!failed)
        return o;
    json_decref(o);
    return NULL;
}

static int put_counts(json_t *o, const struct counts *c)
{
    return json_object_set_new(o, "TP", json_integer(c->tp)) |
           json_object_set_new(o, "FP", json_integer(c->fp)) |
           json_object_set_new(o, "FN", json_integer(c->fn)) |
           json_object_set_new(o, "TN", json_integer(c->tn));
}

static int put_overlap(json_t *o, const struct overlap *s)
{
    int failed = 0;

    for (int k = 0; k < SCORE_COUNT; k++)
        failed |= json_object_set_new(o, score_names[k], json_number(overlap_get(s, (enum score)k)));
    return failed;
}

/* nnU-Net's eight numbers of a label, as means over `cases` cases (1: a case's own). Its Dice and IoU are
 * undefined only where prediction and reference are both empty, whatever our policy says. */
enum { NNUNET_KEYS = 8 };
static const char *const nnunet_key[NNUNET_KEYS] = {"Dice", "FN", "FP", "IoU", "TN", "TP", "n_pred", "n_ref"};

static void nnunet_values(double v[NNUNET_KEYS], const struct counts *c)
{
    struct overlap o = counts_overlap(c, EMPTY_EXCLUDE);
    const double value[NNUNET_KEYS] = {
        o.dsc,         (double)c->fn, (double)c->fp,           o.jac,
        (double)c->tn, (double)c->tp, (double)(c->tp + c->fp), (double)(c->tp + c->fn)};

    memcpy(v, value, sizeof value);
}

static json_t *nnunet_case(const struct counts *c)
{
    json_t *o = json_object();
    double v[NNUNET_KEYS];
    int failed = 0;

    nnunet_values(v, c);
    for (int k = 0; k < NNUNET_KEYS; k++) {
        bool whole = strcmp(nnunet_key[k], "Dice") && strcmp(nnunet_key[k], "IoU");
        failed |=
            json_object_set_new(o, nnunet_key[k], whole ? json_integer((json_int_t)v[k]) : json_number(v[k]));
    }
    return checked(o, failed);
}

/* Means over cases without the undefined values; NAN where nothing is left. */
static void nnunet_mean(double mean[NNUNET_KEYS], const struct evaluation *e, int region)
{
    double v[NNUNET_KEYS], sum[NNUNET_KEYS] = {0};
    int64_t n[NNUNET_KEYS] = {0};

    for (size_t i = 0; i < e->count; i++) {
        nnunet_values(v, &e->item[i].region[region]);
        for (int k = 0; k < NNUNET_KEYS; k++)
            if (!isnan(v[k])) {
                sum[k] += v[k];
                n[k]++;
            }
    }
    for (int k = 0; k < NNUNET_KEYS; k++)
        mean[k] = n[k] ? sum[k] / (double)n[k] : NAN;
}

static json_t *nnunet_object(const double v[NNUNET_KEYS])
{
    json_t *o = json_object();
    int failed = 0;

    for (int k = 0; k < NNUNET_KEYS; k++)
        failed |= json_object_set_new(o, nnunet_key[k], json_number(v[k]));
    return checked(o, failed);
}

static int first_label_region(const struct evaluation *e)
{
    return e->regions - e->labels;
}

/* "mean" per label and "foreground_mean", the plain mean over labels. */
static int put_nnunet_means(json_t *root, const struct evaluation *e)
{
    double v[NNUNET_KEYS], sum[NNUNET_KEYS] = {0};
    json_t *mean = json_object();
    int failed = 0, n[NNUNET_KEYS] = {0};

    for (int r = first_label_region(e); r < e->regions; r++) {
        nnunet_mean(v, e, r);
        failed |= json_object_set_new(mean, e->region[r].key, nnunet_object(v));
        for (int k = 0; k < NNUNET_KEYS; k++)
            if (!isnan(v[k])) {
                sum[k] += v[k];
                n[k]++;
            }
    }
    for (int k = 0; k < NNUNET_KEYS; k++)
        v[k] = n[k] ? sum[k] / n[k] : NAN;
    failed |= json_object_set_new(root, "foreground_mean", nnunet_object(v));
    return failed | json_object_set_new(root, "mean", mean);
}

static json_t *case_region(const struct evaluation *e, size_t item, int region)
{
    const struct case_score *c = &e->item[item];
    const struct counts *n = &c->region[region];
    struct overlap score = evaluation_overlap(e, item, region);
    json_t *o = json_object();
    int failed = put_overlap(o, &score) | put_counts(o, n);

    failed |= json_object_set_new(o, "reference_ml", json_number((double)(n->tp + n->fn) * c->voxel_ml));
    failed |= json_object_set_new(o, "prediction_ml", json_number((double)(n->tp + n->fp) * c->voxel_ml));
    return checked(o, failed);
}

static json_t *lesions_json(const struct lesion_counts *l)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "reference", (json_int_t)l->reference, "predicted",
                     (json_int_t)l->predicted, "detected", (json_int_t)l->detected, "false_positive",
                     (json_int_t)l->false_positive);
}

static json_t *case_json(const struct evaluation *e, size_t item)
{
    const struct case_score *c = &e->item[item];
    json_t *o = json_object(), *metrics = json_object(), *ours = json_object(), *regions = json_object();
    int failed = 0;

    for (int r = first_label_region(e); r < e->regions; r++)
        failed |= json_object_set_new(metrics, e->region[r].key, nnunet_case(&c->region[r]));
    for (int r = 0; r < e->regions; r++)
        failed |= json_object_set_new(regions, e->region[r].key, case_region(e, item, r));
    failed |= json_object_set_new(o, "metrics", metrics);
    failed |= json_object_set_new(o, "prediction_file", json_str(c->prediction));
    failed |= json_object_set_new(o, "reference_file", json_str(c->reference));
    failed |= json_object_set_new(ours, "case", json_str(c->name));
    failed |= json_object_set_new(ours, "voxel_ml", json_number(c->voxel_ml));
    failed |= json_object_set_new(ours, "regions", regions);
    failed |= json_object_set_new(ours, "lesions", lesions_json(&c->lesions));
    failed |= json_object_set_new(o, "d4m", ours);
    return checked(o, failed);
}

static json_t *summary_json(const struct summary *s)
{
    json_t *o = json_object();
    int failed =
        json_object_set_new(o, "mean", json_number(s->mean)) |
        json_object_set_new(o, "sd", json_number(s->sd)) |
        json_object_set_new(o, "mean_low", json_number(s->low)) |
        json_object_set_new(o, "mean_high", json_number(s->high)) |
        json_object_set_new(o, "median", json_number(s->median)) |
        json_object_set_new(o, "q1", json_number(s->q1)) | json_object_set_new(o, "q3", json_number(s->q3)) |
        json_object_set_new(o, "min", json_number(s->min)) |
        json_object_set_new(o, "max", json_number(s->max)) | json_object_set_new(o, "n", json_integer(s->n)) |
        json_object_set_new(o, "undefined", json_integer(s->undefined));

    return checked(o, failed);
}

static json_t *region_json(const struct evaluation *e, int region)
{
    const struct region *r = &e->region[region];
    struct region_summary s;
    json_t *o, *pooled, *cases;
    int failed;

    if (evaluation_region(e, region, &s))
        return NULL;
    o = json_pack("{s:s, s:[i,i]}", "name", r->name, "labels", r->first, r->last);
    pooled = json_object();
    cases = json_object();
    failed = put_overlap(pooled, &s.pooled_overlap) | put_counts(pooled, &s.pooled);
    for (int k = 0; k < SCORE_COUNT; k++)
        failed |= json_object_set_new(cases, score_names[k], summary_json(&s.score[k]));
    failed |= json_object_set_new(o, "over_cases", cases) | json_object_set_new(o, "pooled", pooled);
    return checked(o, failed);
}

static json_t *names_json(const struct evaluation *e)
{
    json_t *o = json_array();
    int failed = 0;

    for (int label = 1; label <= e->labels; label++)
        failed |= json_array_append_new(o, json_str(e->label_name[label]));
    return checked(o, failed);
}

static json_t *missing_json(const struct evaluation *e)
{
    json_t *o = json_array();
    int failed = 0;

    for (size_t i = 0; i < e->count; i++)
        if (!e->item[i].prediction)
            failed |= json_array_append_new(o, json_str(e->item[i].name));
    return checked(o, failed);
}

static json_t *extra_json(char *const *extra, size_t extras)
{
    json_t *o = json_array();
    int failed = 0;

    for (size_t i = 0; i < extras; i++)
        failed |= json_array_append_new(o, json_str(extra[i]));
    return checked(o, failed);
}

static json_t *ours_json(const struct evaluation *e, char *const *extra, size_t extras)
{
    struct lesion_counts lesions = evaluation_lesions(e);
    json_t *o = json_object(), *regions = json_object();
    int failed = 0;

    for (int r = 0; r < e->regions; r++)
        failed |= json_object_set_new(regions, e->region[r].key, region_json(e, r));
    failed |= json_object_set_new(o, "version", json_string(D4M_VERSION));
    failed |= json_object_set_new(o, "cases", json_integer((json_int_t)e->count));
    if (e->phantom)
        failed |= json_object_set_new(o, "phantom", json_string(PHANTOM_SENTENCE));
    failed |= json_object_set_new(o, "interval_definition",
                                  json_string("95 % interval of the mean: " INTERVAL_DEFINITION));
    failed |= json_object_set_new(o, "empty_policy", json_string(empty_policy_names[e->policy]));
    failed |= json_object_set_new(o, "empty_policy_text", json_string(empty_policy_text(e->policy)));
    failed |= json_object_set_new(o, "label_names", names_json(e));
    failed |= json_object_set_new(o, "regions", regions);
    failed |= json_object_set_new(o, "lesions", lesions_json(&lesions));
    failed |= json_object_set_new(o, "lesion_definition", json_string(LESION_DEFINITION));
    failed |= json_object_set_new(o, "missing_predictions", missing_json(e));
    failed |= json_object_set_new(o, "extra_predictions", extra_json(extra, extras));
    return checked(o, failed);
}

json_t *evaluation_json(const struct evaluation *e, char *const *extra, size_t extras)
{
    json_t *root, *cases;
    int failed;

    json_setup();
    root = json_object();
    cases = json_array();
    failed = put_nnunet_means(root, e);
    for (size_t i = 0; i < e->count; i++)
        failed |= json_array_append_new(cases, case_json(e, i));
    failed |= json_object_set_new(root, "metric_per_case", cases);
    failed |= json_object_set_new(root, "d4m", ours_json(e, extra, extras));
    return checked(root, failed);
}

/* ---- reading it back ---- */

static enum err get_count(const json_t *o, const char *what, const char *key, int64_t *v)
{
    int64_t n = 0;

    TRY(json_get_int(o, what, key, &n));
    if (n < 0 || n > MOST_VOXELS)
        return err_set(ERR_INPUT, "%s: %s: %lld is not a number of voxels", what, key, (long long)n);
    *v = n;
    return ERR_OK;
}

static enum err read_counts(struct counts *c, const json_t *o, const char *what)
{
    TRY(get_count(o, what, "TP", &c->tp));
    TRY(get_count(o, what, "FP", &c->fp));
    TRY(get_count(o, what, "FN", &c->fn));
    return get_count(o, what, "TN", &c->tn);
}

static enum err read_lesions(struct lesion_counts *l, const json_t *o, const char *what)
{
    TRY(get_count(o, what, "reference", &l->reference));
    TRY(get_count(o, what, "predicted", &l->predicted));
    TRY(get_count(o, what, "detected", &l->detected));
    return get_count(o, what, "false_positive", &l->false_positive);
}

static enum err read_case(struct evaluation *e, const json_t *j, const char *what)
{
    struct score_files files = {0};
    struct case_score *c;
    json_t *ours, *regions, *region, *lesions, *prediction;

    TRY(json_get(j, what, "d4m", &ours));
    TRY(json_get_str(ours, what, "case", &files.name));
    TRY(json_get_str(j, what, "reference_file", &files.reference));
    TRY(json_get(j, what, "prediction_file", &prediction));
    files.prediction = json_string_value(prediction);
    TRY(json_get(ours, what, "regions", &regions));
    TRY(json_get(ours, what, "lesions", &lesions));
    TRY(evaluation_append(e, &files, &c));
    TRY(json_get_real(ours, what, "voxel_ml", &c->voxel_ml));
    for (int r = 0; r < e->regions; r++) {
        TRY(json_get(regions, what, e->region[r].key, &region));
        TRY(read_counts(&c->region[r], region, what));
    }
    return read_lesions(&c->lesions, lesions, what);
}

static enum err read_policy(enum empty_policy *policy, const json_t *ours, const char *what)
{
    const char *name = NULL;

    TRY(json_get_str(ours, what, "empty_policy", &name));
    for (int i = 0; empty_policy_names[i]; i++)
        if (!strcmp(name, empty_policy_names[i])) {
            *policy = (enum empty_policy)i;
            return ERR_OK;
        }
    return err_set(ERR_INPUT, "%s: empty_policy: \"%.40s\" is not exclude, zero or one", what, name);
}

static enum err read_head(struct evaluation **out, const json_t *ours, const char *what)
{
    const char *name[LABEL_MAX + 1] = {NULL};
    enum empty_policy policy = EMPTY_EXCLUDE;
    json_t *names, *item;
    size_t i;

    TRY(read_policy(&policy, ours, what));
    TRY(json_get(ours, what, "label_names", &names));
    if (json_array_size(names) < 1 || json_array_size(names) > LABEL_MAX)
        return err_set(ERR_INPUT, "%s: label_names: expected an array of 1 to %d names", what, LABEL_MAX);
    json_array_foreach(names, i, item)
    {
        name[i + 1] = json_string_value(item);
        if (!name[i + 1])
            return err_set(ERR_INPUT, "%s: label_names[%zu]: expected a string", what, i);
    }
    return evaluation_new(out, (int)json_array_size(names), name, policy);
}

enum err evaluation_from_json(struct evaluation **out, const json_t *j, const char *what)
{
    struct evaluation *e = NULL;
    json_t *ours, *cases, *item;
    size_t i;
    enum err err;

    TRY(json_get(j, what, "d4m", &ours));
    TRY(json_get(j, what, "metric_per_case", &cases));
    TRY_OR(done, read_head(&e, ours, what));
    e->phantom = json_is_string(json_object_get(ours, "phantom"));
    json_array_foreach(cases, i, item)
    {
        TRY_OR(done, read_case(e, item, what));
    }
    *out = e;
    e = NULL;
done:
    evaluation_free(e);
    return err;
}

enum err evaluation_read(struct evaluation **out, const char *path)
{
    json_t *j = NULL;
    enum err err;

    TRY(json_read(&j, path));
    err = evaluation_from_json(out, j, path);
    json_decref(j);
    return err;
}
