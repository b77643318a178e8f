/* What a registration writes down: verdict.json. */
#include "align/fit.h"
#include "base/json.h"
#include "stage/register.h"

static json_t *rows_json(const struct judgement *j)
{
    json_t *a = json_array();

    for (int i = 0; a && i < j->rows; i++) {
        const struct finding_row *r = &j->row[i];

        json_array_append_new(a, json_pack("{s:s, s:s, s:o, s:o, s:o}", "figure", r->name, "verdict",
                                           verdict_names[r->verdict], "value", json_number(r->value), "pass",
                                           json_numbers(r->pass, 2), "warn", json_numbers(r->warn, 2)));
    }
    return a;
}

static json_t *reasons_json(const struct judgement *j)
{
    json_t *a = json_array();

    for (int i = 0; a && i < j->rows; i++) {
        struct str s = {0};

        if (j->row[i].verdict == VERDICT_PASS)
            continue;
        judge_reason(&s, &j->row[i]);
        json_array_append_new(a, json_str(s.s));
        str_free(&s);
    }
    return a;
}

static json_t *fit_json(const struct fit_figures *f)
{
    return json_pack("{s:o, s:o, s:o}", "mean12", json_number(f->mean12), "share_over_0.03",
                     json_number(f->bad), "inside_moving", json_number(f->inside));
}

static json_t *region_json(const struct region_figures *r)
{
    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "nodes", (json_int_t)r->nodes, "header",
                     fit_json(&r->fit[MEASURE_HEADER]), "affine", fit_json(&r->fit[MEASURE_AFFINE]), "final",
                     fit_json(&r->fit[MEASURE_FINAL]), "det",
                     json_numbers((const double[]){r->det_least, r->det_largest}, 2),
                     "share_det_not_positive", json_number(r->folded), "log_det_sd",
                     json_number(r->log_det_sd), "moved_mean_mm", json_number(r->moved_mean), "moved_most_mm",
                     json_number(r->moved_most));
}

static json_t *affine_json(const struct alignment *a)
{
    struct fit_shape s = fit_shape(&a->affine);
    json_t *rows = json_array(), *points = json_array(), *rms = json_array();

    for (int i = 0; i < 3; i++)
        json_array_append_new(rows, json_numbers(a->affine.m[i], 4));
    for (int i = 0; i < MATCH_ROUNDS; i++) {
        json_array_append_new(points, json_integer((json_int_t)a->match.points[i]));
        json_array_append_new(rms, json_number(a->match.rms[i]));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:b, s:b, s:o, s:o, s:o}", "matrix", rows, "singular_values",
                     json_numbers((const double[]){s.least, s.largest}, 2), "rotation_degrees",
                     json_number(s.degrees), "det", json_number(s.det), "rigid", a->match.rigid,
                     "out_of_bounds", a->match.outside, "matches", points, "trimmed_rms_mm", rms,
                     "search_shift_mm", json_numbers(a->search.shift, 3));
}

static json_t *field_json(const struct alignment *a)
{
    const struct refine_report *r = &a->refine;

    return json_pack("{s:[i,i], s:o, s:o, s:i, s:i, s:o, s:I}", "iterations", r->iterations[0],
                     r->iterations[1], "data", json_numbers(r->data, 2), "smoothness",
                     json_numbers(r->smoothness, 2), "squarings", a->velocity.squarings, "repairs",
                     r->repairs, "det_least", json_number(r->det_least), "nodes_det_not_positive",
                     (json_int_t)r->folds);
}

static json_t *noise_json(const struct alignment *a)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "sigma_hu", json_number(a->sigma), "fixed_hu",
                     json_number(a->fixed.sigma), "moving_hu", json_number(a->moving.sigma),
                     "mean12_of_noise", json_number(a->noise.mean12), "share_over_0.03_of_noise",
                     json_number(a->noise.bad));
}

static json_t *mismatches_json(const struct figures *f)
{
    json_t *a = json_array();

    for (int i = 0; a && i < f->mismatches; i++)
        json_array_append_new(a, json_pack("{s:o, s:o}", "centre_mm", json_numbers(f->worst[i].mm, 3),
                                           "mean12", json_number(f->worst[i].mean12)));
    return a;
}

static json_t *liver_json(const struct liver_overlap *l)
{
    if (!l->known)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o}", "dice_before_after", json_numbers(l->dice, 2),
                     "hd95_mm_before_after", json_numbers(l->hd95, 2), "surface_distance_mm_before_after",
                     json_numbers(l->distance, 2), "volume_ratio", json_number(l->volume_ratio));
}

enum err registration_json(json_t **out, const struct registration *r)
{
    const struct alignment *a = &r->alignment;
    json_t *o;

    json_setup();
    o = json_pack("{s:s, s:o, s:s, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "verdict",
                  verdict_names[r->judgement.verdict], "reasons", reasons_json(&r->judgement), "notice",
                  "organ-level alignment; tumours are not expected to align", "identity", r->identity,
                  "figures", rows_json(&r->judgement), "body", region_json(&r->figures.body), "liver",
                  r->figures.liver.nodes ? region_json(&r->figures.liver) : json_null(), "liver_masks",
                  liver_json(&r->liver), "body_dice", json_number(r->figures.body_dice), "largest_mismatches",
                  mismatches_json(&r->figures), "noise", noise_json(a), "affine", affine_json(a), "field",
                  field_json(a), "seconds", json_numbers(a->seconds, 4));
    if (!o)
        return err_set(ERR_MEMORY, "out of memory for the record of a registration");
    *out = o;
    return ERR_OK;
}
