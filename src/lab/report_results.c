#include "lab/report_results.h"
#include "base/html.h"
#include "base/mem.h"
#include "lab/page.h"
#include "lab/report_case.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_PICTURES = 24 };

static void add_card(struct str *html, double value, const char *what)
{
    if (isnan(value))
        str_add(html, "<div class=\"card\"><b>\xE2\x80\x93</b><span>");
    else
        str_addf(html, "<div class=\"card\"><b>%.3f</b><span>", value);
    html_add_text(html, what);
    str_add(html, "</span></div>\n");
}

/* "mean DSC, liver (95 % CI 0.91-0.95, cases 0.88-0.97)" */
static void name_card(char *text, size_t size, const char *region, const struct summary *s)
{
    if (isnan(s->low))
        snprintf(text, size, "mean DSC, %.60s", region);
    else
        snprintf(text, size, "mean DSC, %.60s; 95 %% CI %.2f\xE2\x80\x93%.2f, cases %.2f\xE2\x80\x93%.2f",
                 region, s->low, s->high, s->min, s->max);
}

static enum err add_cards(struct str *html, const struct evaluation *e)
{
    struct lesion_counts l = evaluation_lesions(e);
    char text[160];

    str_add(html, "<div class=\"cards\">\n");
    for (int r = 0; r < e->regions; r++) {
        struct region_summary s;

        if (r && r < evaluation_lesion_region(e))
            continue;
        TRY(evaluation_region(e, r, &s));
        name_card(text, sizeof text, e->region[r].name, &s.score[SCORE_DSC]);
        add_card(html, s.score[SCORE_DSC].mean, text);
    }
    str_addf(html, "<div class=\"card\"><b>%lld / %lld</b><span>lesions detected, %lld false</span></div>\n",
             (long long)l.detected, (long long)l.reference, (long long)l.false_positive);
    str_addf(html, "<div class=\"card\"><b>%zu</b><span>%s, %zu without a prediction</span></div>\n</div>\n",
             e->count, e->count == 1 ? "case" : "cases", evaluation_missing(e));
    return ERR_OK;
}

/* The sentence that must not be overlooked when a model is shown its own training cases. */
static void add_training_notice(struct str *html, const struct report_set *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->count; i++)
        n += s->cases[i].training;
    if (!n)
        return;
    str_add(html, "<p class=\"alert\"><strong>");
    if (s->count == 1)
        str_add(html, "This is the training case.</strong> The model was trained on the very case that it is "
                      "evaluated on here.");
    else if (n == s->count)
        str_add(html, "These are the training cases.</strong> The model was trained on the very cases that "
                      "it is evaluated on "
                      "here.");
    else
        str_addf(html,
                 "%zu of %zu cases are training cases</strong> (marked below): the model was trained on "
                 "them, and they "
                 "count in the means.",
                 n, s->count);
    str_add(html, " Such results show that the machinery works. They say nothing about generalisation to "
                  "other patients.</p>\n");
}

static void add_notices(struct str *html, const struct report_set *s, const struct evaluation *e)
{
    if (e && e->phantom)
        str_add(html, "<p class=\"alert\"><strong>" PHANTOM_SENTENCE "</strong></p>\n");
    add_training_notice(html, s);
    if (s->unseen) {
        str_add(html, "<p>");
        html_add_text(html, s->unseen);
        str_add(html, "</p>\n");
    }
}

static void add_score_heads(struct str *html)
{
    for (int k = 0; k < SCORE_COUNT; k++)
        str_addf(html, "<th class=\"n\" scope=\"col\">%s</th>", score_names[k]);
}

static void add_region_name(struct str *html, const struct region *r)
{
    char *title = region_title(r);

    str_add(html, "<td class=\"r\">");
    html_add_text(html, title ? title : r->name);
    str_add(html, "</td>");
    mem_free(title);
}

static bool is_training(const struct report_set *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->cases[i].training && !strcmp(s->cases[i].name, name))
            return true;
    return false;
}

static void add_case_rows(struct str *html, const struct evaluation *e, size_t item, bool training)
{
    const struct case_score *c = &e->item[item];

    for (int r = 0; r < e->regions; r++) {
        const struct counts *n = &c->region[r];
        struct overlap s = evaluation_overlap(e, item, r);

        str_addf(html, "<tr%s>", r + 1 < e->regions ? " class=\"row\"" : "");
        if (!r) {
            str_addf(html, "<th scope=\"rowgroup\" rowspan=\"%d\">", e->regions);
            html_add_text(html, c->name);
            str_add(html, training ? " <span class=\"tag\">training case</span>" : "");
            str_add(html, c->prediction ? "</th>"
                                        : " <span class=\"tag\">no prediction: scored as empty</span></th>");
        }
        add_region_name(html, &e->region[r]);
        for (int k = 0; k < SCORE_COUNT; k++)
            page_number(html, overlap_get(&s, (enum score)k), 3);
        page_number(html, (double)(n->tp + n->fn) * c->voxel_ml, 1);
        page_number(html, (double)(n->tp + n->fp) * c->voxel_ml, 1);
        if (r == evaluation_lesion_region(e))
            str_addf(html, "<td class=\"n\">%lld</td><td class=\"n\">%lld</td><td class=\"n\">%lld</td>",
                     (long long)c->lesions.reference, (long long)c->lesions.detected,
                     (long long)c->lesions.false_positive);
        else
            str_add(html, "<td></td><td></td><td></td>");
        str_add(html, "</tr>\n");
    }
}

static void add_case_table(struct str *html, const struct report_set *s, const struct evaluation *e)
{
    str_add(
        html,
        "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Case</th><th scope=\"col\">Region</th>");
    add_score_heads(html);
    str_add(html,
            "<th class=\"n\" scope=\"col\">Reference ml</th><th class=\"n\" scope=\"col\">Predicted ml</th>"
            "<th class=\"n\" scope=\"col\">Lesions</th><th class=\"n\" scope=\"col\">Detected</th>"
            "<th class=\"n\" scope=\"col\">False</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < e->count; i++)
        add_case_rows(html, e, i, is_training(s, e->item[i].name));
    str_add(html, "</tbody></table></div>\n");
}

/* <td> with two numbers: "0.912 ± 0.034", "0.891–0.940"; without the second where it is undefined. */
static void add_pair(struct str *html, double a, const char *between, double b)
{
    if (isnan(a) || isnan(b)) {
        page_number(html, a, 3);
        return;
    }
    str_addf(html, "<td class=\"n\">%.3f%s%.3f</td>", a, between, b);
}

enum row { ROW_MEAN, ROW_INTERVAL, ROW_RANGE, ROW_MEDIAN, ROW_POOLED, ROW_USED, ROWS };
static const char *const row_names[ROWS] = {"mean \xC2\xB1 sd", "95 % CI of the mean", "range",
                                            "median",           "pooled voxels",       "cases used"};

static void add_row_cell(struct str *html, const struct region_summary *s, enum row row, enum score k)
{
    const struct summary *v = &s->score[k];

    if (row == ROW_MEAN)
        add_pair(html, v->mean, " \xC2\xB1 ", v->sd);
    else if (row == ROW_INTERVAL)
        add_pair(html, v->low, "\xE2\x80\x93", v->high);
    else if (row == ROW_RANGE)
        add_pair(html, v->min, "\xE2\x80\x93", v->max);
    else if (row == ROW_USED)
        page_number(html, (double)v->n, 0);
    else
        page_number(html, row == ROW_MEDIAN ? v->median : overlap_get(&s->pooled_overlap, k), 3);
}

static enum err add_mean_rows(struct str *html, const struct evaluation *e, int region)
{
    struct region_summary s;

    TRY(evaluation_region(e, region, &s));
    for (int row = 0; row < ROWS; row++) {
        str_addf(html, "<tr%s>", row + 1 < ROWS ? " class=\"row\"" : "");
        if (row == ROW_MEAN)
            add_region_name(html, &e->region[region]);
        else
            str_add(html, "<td></td>");
        str_addf(html, "<td>%s</td>", row_names[row]);
        for (int k = 0; k < SCORE_COUNT; k++)
            add_row_cell(html, &s, (enum row)row, (enum score)k);
        str_add(html, "</tr>\n");
    }
    return ERR_OK;
}

static enum err add_mean_table(struct str *html, const struct evaluation *e)
{
    if (e->count == 1) {
        str_add(html, "<p class=\"note\">One case: mean, median and pooled values are the case's own, and "
                      "there is no standard "
                      "deviation.</p>\n");
        return ERR_OK;
    }
    str_add(html, "<h3>Over cases</h3>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Region</th>"
                  "<th scope=\"col\">Over cases</th>");
    add_score_heads(html);
    str_add(html, "</tr></thead>\n<tbody>\n");
    for (int r = 0; r < e->regions; r++)
        TRY(add_mean_rows(html, e, r));
    str_add(html, "</tbody></table></div>\n");
    return ERR_OK;
}

static enum err add_numbers(struct str *html, const struct report_set *s, const struct evaluation *e)
{
    str_add(html, "<h3>Numbers</h3>\n");
    add_case_table(html, s, e);
    TRY(add_mean_table(html, e));
    str_add(
        html,
        "<p class=\"note\">Voxel overlap per case: DSC = 2TP/(2TP+FP+FN), JAC = TP/(TP+FP+FN), SE = "
        "TP/(TP+FN), PRE "
        "= TP/(TP+FP); sd with n \xE2\x88\x92 1. Region <em>liver</em> is every label \xE2\x89\xA5 1, tumour "
        "included. Lesions: ");
    html_add_text(html, LESION_DEFINITION);
    str_add(html, ". 95 % CI: " INTERVAL_DEFINITION);
    str_addf(html, ". Empty cases (policy \xE2\x80\x9C%s\xE2\x80\x9D): ", empty_policy_names[e->policy]);
    html_add_text(html, empty_policy_text(e->policy));
    str_add(html, ".</p>\n");
    return ERR_OK;
}

/* "worst of 6", "median of 6", "best of 6", or NULL for a rank between; needs an evaluation. */
static const char *rank_text(char *text, size_t size, size_t rank, size_t count)
{
    const char *name = !rank                     ? "worst"
                       : rank == count - 1       ? "best"
                       : rank == (count - 1) / 2 ? "median"
                                                 : NULL;

    if (!name || count < 2)
        return NULL;
    snprintf(text, size, "%s of %zu", name, count);
    return text;
}

/* Of `count` ranks the i-th of `shown`: from the worst to the best, evenly. */
static size_t pick_rank(size_t i, size_t shown, size_t count)
{
    return shown < 2 ? 0 : i * (count - 1) / (shown - 1);
}

static enum err add_pictures(struct str *html, const struct report_options *o, const struct report_set *s,
                             const struct evaluation *e)
{
    size_t shown = o->pictures ? o->pictures : MOST_PICTURES, *order;
    char rank[64];
    enum err err;

    if (!s->count)
        return ERR_OK;
    order = mem_new(s->count, sizeof *order);
    if (!order)
        return ERR_MEMORY;
    if (shown > s->count)
        shown = s->count;
    TRY_OR(done, report_order(order, s, e));
    str_add(html, "<h3>Pictures</h3>\n");
    for (size_t i = 0; i < shown; i++) {
        size_t at = pick_rank(i, shown, s->count);

        TRY_OR(done, report_figure(html, &(struct report_figure_of){
                                             .set = s,
                                             .item = order[at],
                                             .evaluation = e,
                                             .window = {o->window[0], o->window[1]},
                                             .rank = e ? rank_text(rank, sizeof rank, at, s->count) : NULL}));
    }
    if (s->count > shown)
        str_addf(html,
                 "<p class=\"note\">%zu of %zu cases are shown, from the lowest lesion DSC to the "
                 "highest.</p>\n",
                 shown, s->count);
done:
    mem_free(order);
    return err;
}

enum err report_results(struct str *html, const struct report_options *o, size_t which)
{
    const struct report_set *s = &o->set[which];
    struct evaluation *e = NULL;
    enum err err = ERR_OK;

    if (s->summary)
        TRY(evaluation_read(&e, s->summary));
    page_section(html, s->name);
    add_notices(html, s, e);
    if (e) {
        TRY_OR(done, add_cards(html, e));
        TRY_OR(done, add_numbers(html, s, e));
    }
    err = add_pictures(html, o, s, e);
done:
    evaluation_free(e);
    return err;
}
