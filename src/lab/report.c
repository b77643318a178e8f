#include "lab/report.h"
#include "base/file.h"
#include "base/html.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/curve.h"
#include "eval/score.h"
#include "lab/page.h"
#include "lab/report_case.h"
#include "lab/report_registration.h"
#include <math.h>
#include <string.h>
#include <time.h>

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

static enum err add_cards(struct str *html, const struct evaluation *e)
{
    struct lesions l = evaluation_lesions(e);
    char text[128];

    str_add(html, "<div class=\"cards\">\n");
    for (int r = 0; r < e->regions; r++) {
        struct region_summary s;

        if (r && r < evaluation_lesion_region(e))
            continue;
        TRY(evaluation_region(e, r, &s));
        snprintf(text, sizeof text, "mean DSC, %.60s", e->region[r].name);
        add_card(html, s.score[SCORE_DSC].mean, text);
    }
    str_addf(html, "<div class=\"card\"><b>%lld / %lld</b><span>lesions detected, %lld false</span></div>\n",
             (long long)l.detected, (long long)l.reference, (long long)l.false_positive);
    str_addf(html, "<div class=\"card\"><b>%zu</b><span>%s, %zu without a prediction</span></div>\n</div>\n",
             e->count, e->count == 1 ? "case" : "cases", evaluation_missing(e));
    return ERR_OK;
}

/* The sentence that must not be overlooked when a model is shown its own training cases. */
static void add_training_notice(struct str *html, const struct report_options *o)
{
    size_t n = 0;

    for (size_t i = 0; i < o->count; i++)
        n += o->cases[i].training;
    if (!n)
        return;
    str_add(html, "<p class=\"alert\"><strong>");
    if (o->count == 1)
        str_add(html, "This is the training case.</strong> The model was trained on the very case that it is "
                      "evaluated on here.");
    else if (n == o->count)
        str_add(html, "These are the training cases.</strong> The model was trained on the very cases that "
                      "it is evaluated on "
                      "here.");
    else
        str_addf(html,
                 "%zu of %zu cases are training cases</strong> (marked below): the model was trained on "
                 "them, and they "
                 "count in the means.",
                 n, o->count);
    str_add(html, " Such results show that the machinery works. They say nothing about generalisation to "
                  "other patients.</p>\n");
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

static bool is_training(const struct report_options *o, const char *name)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->cases[i].training && !strcmp(o->cases[i].name, name))
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

static void add_case_table(struct str *html, const struct report_options *o, const struct evaluation *e)
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
        add_case_rows(html, e, i, is_training(o, e->item[i].name));
    str_add(html, "</tbody></table></div>\n");
}

/* "0.912 ± 0.034" over cases */
static void add_mean_cell(struct str *html, const struct summary *s)
{
    if (!s->n)
        str_add(html, "<td class=\"n\">\xE2\x80\x93</td>");
    else if (isnan(s->sd))
        str_addf(html, "<td class=\"n\">%.3f</td>", s->mean);
    else
        str_addf(html, "<td class=\"n\">%.3f \xC2\xB1 %.3f</td>", s->mean, s->sd);
}

static enum err add_mean_rows(struct str *html, const struct evaluation *e, int region)
{
    struct region_summary s;

    TRY(evaluation_region(e, region, &s));
    str_add(html, "<tr class=\"row\">");
    add_region_name(html, &e->region[region]);
    str_add(html, "<td>mean \xC2\xB1 sd</td>");
    for (int k = 0; k < SCORE_COUNT; k++)
        add_mean_cell(html, &s.score[k]);
    str_add(html, "</tr>\n<tr class=\"row\"><td></td><td>median</td>");
    for (int k = 0; k < SCORE_COUNT; k++)
        page_number(html, s.score[k].median, 3);
    str_add(html, "</tr>\n<tr class=\"row\"><td></td><td>pooled voxels</td>");
    for (int k = 0; k < SCORE_COUNT; k++)
        page_number(html, overlap_get(&s.pooled_overlap, (enum score)k), 3);
    str_add(html, "</tr>\n<tr><td></td><td>cases used</td>");
    for (int k = 0; k < SCORE_COUNT; k++)
        page_number(html, (double)s.score[k].n, 0);
    str_add(html, "</tr>\n");
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

static enum err add_numbers(struct str *html, const struct report_options *o, const struct evaluation *e)
{
    page_section(html, "Numbers");
    add_case_table(html, o, e);
    TRY(add_mean_table(html, e));
    str_add(
        html,
        "<p class=\"note\">Voxel overlap per case: DSC = 2TP/(2TP+FP+FN), JAC = TP/(TP+FP+FN), SE = "
        "TP/(TP+FN), PRE "
        "= TP/(TP+FP); sd with n \xE2\x88\x92 1. Region <em>liver</em> is every label \xE2\x89\xA5 1, tumour "
        "included. Lesions: ");
    html_add_text(html, LESION_DEFINITION);
    str_addf(html, ". Empty cases (policy \xE2\x80\x9C%s\xE2\x80\x9D): ", empty_policy_names[e->policy]);
    html_add_text(html, empty_policy_text(e->policy));
    str_add(html, ".</p>\n");
    return ERR_OK;
}

static enum err add_curve(struct str *html, const struct report_options *o, struct notes *notes)
{
    struct curve c = {0};

    if (!o->log)
        return ERR_OK;
    TRY(curve_read(&c, o->log, notes));
    page_section(html, "Training");
    if (c.count) {
        str_add(html, "<div class=\"plots\">\n");
        curve_svg(&c, html);
        str_addf(html,
                 "</div>\n<p class=\"note\">%zu epochs. Numbers behind the names are the last values. Pseudo "
                 "Dice is "
                 "measured on random validation patches.</p>\n",
                 c.count);
    } else {
        str_add(html, "<p>The log holds no epoch yet.</p>\n");
    }
    curve_free(&c);
    return ERR_OK;
}

static enum err add_plan(struct str *html, const char *path)
{
    json_t *plan = NULL;
    char *text, *line, *rest;

    if (!path)
        return ERR_OK;
    TRY(json_read(&plan, path));
    text = json_dumps(plan, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    json_decref(plan);
    if (!text)
        return err_set(ERR_MEMORY, "out of memory for %s", path);
    str_add(html, "<details><summary>The plan: every setting of network and training</summary>\n<pre>");
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        html_add_text(html, line);
        str_add(html, "\n");
    }
    str_add(html, "</pre></details>\n");
    mem_free(text);
    return ERR_OK;
}

static enum err add_facts(struct str *html, const struct report_options *o)
{
    if (!o->fact_count && !o->plan)
        return ERR_OK;
    page_section(html, "What was done");
    str_add(html, "<table class=\"facts\"><tbody>\n");
    for (size_t i = 0; i < o->fact_count; i++)
        page_fact(html, o->facts[i].name, o->facts[i].text);
    str_add(html, "</tbody></table>\n");
    return add_plan(html, o->plan);
}

static void add_notes(struct str *html, const struct notes *n)
{
    for (size_t i = 0; n && i < n->count; i++) {
        str_add(html, "<li>");
        html_add_text(html, n->item[i].text);
        str_add(html, "</li>\n");
    }
}

static void add_warnings(struct str *html, const struct notes *given, const struct notes *own)
{
    if (!(given && given->count) && !own->count)
        return;
    page_section(html, "Warnings");
    str_add(html, "<ul>\n");
    add_notes(html, given);
    add_notes(html, own);
    str_add(html, "</ul>\n");
}

static enum err add_pictures(struct str *html, const struct report_options *o, const struct evaluation *e)
{
    size_t most = o->pictures ? o->pictures : MOST_PICTURES, *order;
    enum err err;

    if (!o->count)
        return ERR_OK;
    order = mem_new(o->count, sizeof *order);
    if (!order)
        return ERR_MEMORY;
    TRY_OR(done, report_order(order, o, e));
    page_section(html, "Pictures");
    for (size_t i = 0; i < o->count && i < most; i++)
        TRY_OR(done, report_figure(html, o, order[i], e));
    if (o->count > most)
        str_addf(html, "<p class=\"note\">The %zu cases with the lowest lesion DSC are shown, of %zu.</p>\n",
                 most, o->count);
done:
    mem_free(order);
    return err;
}

static enum err add_page(struct str *html, const struct report_options *o, const struct evaluation *e,
                         struct notes *own)
{
    char date[40], line[160];
    time_t now = time(NULL);
    struct tm utc;

    if (!gmtime_r(&now, &utc) || !strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", &utc))
        date[0] = 0;
    snprintf(line, sizeof line, "%.60s, made by d4m %s", o->date ? o->date : date, D4M_VERSION);
    page_open(html, o->title ? o->title : "d4m report", line);
    add_training_notice(html, o);
    if (e) {
        TRY(add_cards(html, e));
        TRY(add_numbers(html, o, e));
    }
    TRY(add_pictures(html, o, e));
    TRY(report_registration(html, o->registered, own));
    TRY(add_curve(html, o, own));
    TRY(add_facts(html, o));
    add_warnings(html, o->warnings, own);
    page_close(html, line);
    return str_status(html);
}

static enum err make_folder_of(const char *path)
{
    const char *name = path_base(path);
    struct str folder = {0};
    enum err err = ERR_OK;

    if (name - path > 1) {
        str_add_bytes(&folder, path, (size_t)(name - path - 1));
        err = str_status(&folder);
        if (!err)
            err = folder_make(folder.s);
    }
    str_free(&folder);
    return err;
}

enum err report_write(const struct report_options *o)
{
    struct evaluation *e = NULL;
    struct str html = {0};
    struct notes own = {0};
    enum err err = ERR_OK;

    if (o->summary)
        TRY_OR(done, evaluation_read(&e, o->summary));
    TRY_OR(done, add_page(&html, o, e, &own));
    TRY_OR(done, make_folder_of(o->path));
    TRY_OR(done, file_write(o->path, html.s, html.len));
done:
    str_free(&html);
    notes_clear(&own);
    evaluation_free(e);
    return err;
}
