#include "base/file.h"
#include "base/html.h"
#include "base/json.h"
#include "base/mem.h"
#include "lab/check_picture.h"
#include "lab/page.h"
#include <string.h>

static void add_finding(struct str *html, const struct finding *f)
{
    str_addf(html, "<p><b>%s</b> <span class=\"tag\">%s</span><br>", f->rule->name,
             finding_severities[f->rule->severity]);
    html_add_text(html, f->text);
    str_add(html, "<br><span class=\"note\">What to do: ");
    html_add_text(html, f->rule->fix);
    str_add(html, ".</span></p>\n");
    if (!f->picture)
        return;
    str_add(html, "<figure><a href=\"");
    html_add_path(html, f->picture);
    str_add(html, "\"><img loading=\"lazy\" alt=\"");
    html_add_text(html, f->rule->meaning);
    str_add(html, "\" src=\"");
    html_add_path(html, f->picture);
    str_add(html, "\"></a></figure>\n");
}

static void add_counts(struct str *html, const struct check_report *r)
{
    const size_t n[4] = {r->cases, r->found.of[FINDING_ERROR], r->found.of[FINDING_WARNING],
                         r->found.of[FINDING_INFO]};
    static const char *const what[4] = {"cases", "errors", "warnings", "remarks"};

    str_add(html, "<div class=\"cards\">");
    for (int i = 0; i < 4; i++)
        str_addf(html, "<div class=\"card\"><b>%zu</b><span>%s</span></div>", n[i], what[i]);
    str_add(html, "</div>\n");
}

static enum err write_page(const struct check_album *a, const struct check_report *r, const char *path)
{
    struct str html = {0}, title = {0};
    char *file = path_join(a->folder, "index.html");
    const char *where = NULL;
    enum err err = file ? ERR_OK : ERR_MEMORY;

    str_addf(&title, "What d4m check found in %s", path);
    page_open(&html, title.s ? title.s : "d4m check",
              "Each finding with what to do about it; docs/check.md explains all of them.");
    add_counts(&html, r);
    for (size_t i = 0; i < r->found.count; i++) {
        const struct finding *f = &r->found.item[i];

        if (!where || strcmp(where, f->where) != 0)
            page_section(&html, f->where);
        where = f->where;
        add_finding(&html, f);
    }
    page_close(&html, "Made by d4m check.");
    if (!err)
        err = str_status(&html);
    if (!err)
        err = file_write(file, html.s, html.len);
    str_free(&title);
    str_free(&html);
    mem_free(file);
    return err;
}

enum err check_album_finish(const struct check_album *a, const struct check_report *r, const char *path)
{
    char *file = path_join(a->folder, "check.json");
    json_t *j = check_to_json(r);
    enum err err = file && j ? json_write(j, file) : ERR_MEMORY;

    json_decref(j);
    mem_free(file);
    return err ? err : write_page(a, r, path);
}
