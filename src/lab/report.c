#include "lab/report.h"
#include "base/file.h"
#include "base/html.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/curve.h"
#include "lab/page.h"
#include "lab/report_case.h"
#include "lab/report_registration.h"
#include "lab/report_results.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

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

/* Facts of the model, then of every set under its name. */
static enum err add_facts(struct str *html, const struct report_options *o)
{
    size_t facts = o->fact_count;

    for (size_t k = 0; k < o->sets; k++)
        facts += o->set[k].fact_count;
    if (!facts && !o->plan)
        return ERR_OK;
    page_section(html, "What was done");
    str_add(html, "<table class=\"facts\"><tbody>\n");
    for (size_t i = 0; i < o->fact_count; i++)
        page_fact(html, o->facts[i].name, o->facts[i].text);
    for (size_t k = 0; k < o->sets; k++) {
        const struct report_set *s = &o->set[k];

        str_add(html, "<tr><th scope=\"colgroup\" colspan=\"2\"><strong>");
        html_add_text(html, s->name);
        str_add(html, "</strong></th></tr>\n");
        for (size_t i = 0; i < s->fact_count; i++)
            page_fact(html, s->facts[i].name, s->facts[i].text);
    }
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

static enum err add_page(struct str *html, const struct report_options *o, struct notes *own)
{
    char date[40], line[160];
    time_t now = time(NULL);
    struct tm utc;

    if (!gmtime_r(&now, &utc) || !strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", &utc))
        date[0] = 0;
    snprintf(line, sizeof line, "%.60s, made by d4m %s", o->date ? o->date : date, D4M_VERSION);
    page_open(html, o->title ? o->title : "d4m report", line);
    for (size_t k = 0; k < o->sets; k++)
        TRY(report_results(html, o, k));
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
    struct str html = {0};
    struct notes own = {0};
    enum err err;

    TRY_OR(done, add_page(&html, o, &own));
    TRY_OR(done, make_folder_of(o->path));
    TRY_OR(done, file_write(o->path, html.s, html.len));
done:
    str_free(&html);
    notes_clear(&own);
    return err;
}
