#include "lab/report_registration.h"
#include "base/file.h"
#include "base/html.h"
#include "base/json.h"
#include "base/mem.h"
#include "lab/page.h"
#include <math.h>
#include <string.h>

enum { MOST_PICTURES = 6, RANKS = 4 };
/* As shown: the worst first. "unfit" could not be registered at all. */
static const char *const ranks[RANKS] = {"fail", "unfit", "warn", "pass"};

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static double number_of(const json_t *o, const char *group, const char *key)
{
    const json_t *v = json_object_get(json_object_get(json_object_get(o, "body"), group), key);

    return json_is_number(v) ? json_number_value(v) : NAN;
}

static void add_row(struct str *html, const char *name, const char *phase, const json_t *o)
{
    const json_t *reason, *moved = json_object_get(json_object_get(o, "body"), "moved_mean_mm");
    size_t i;

    str_add(html, "<tr><th scope=\"row\">");
    html_add_text(html, name);
    str_add(html, "</th><td>");
    html_add_text(html, phase);
    str_add(html, "</td><td>");
    html_add_text(html, text_of(o, "verdict"));
    str_add(html, "</td>");
    page_number(html, json_is_number(moved) ? json_number_value(moved) : NAN, 1);
    page_number(html, number_of(o, "header", "mean12"), 4);
    page_number(html, number_of(o, "final", "mean12"), 4);
    str_add(html, "<td>");
    html_add_text(html, text_of(o, "identity"));
    html_add_text(html, text_of(o, "error"));
    json_array_foreach(json_object_get(o, "reasons"), i, reason)
    {
        str_add(html, i ? "<br>" : "");
        html_add_text(html, json_string_value(reason));
    }
    str_add(html, "</td></tr>\n");
}

/* Only a name within qc/ is taken from the file. */
static enum err add_picture(struct str *html, const char *folder, const char *caption[2], const json_t *o)
{
    const char *name = text_of(o, "picture");
    struct str path = {0};
    uint8_t *png = NULL;
    size_t size;
    enum err err;

    if (!*name || strchr(name, '/'))
        return ERR_OK;
    str_addf(&path, "%s/qc/%s.png", folder, name);
    err = str_status(&path);
    if (!err && file_exists(path.s) && !file_read(path.s, &png, &size)) {
        str_add(html, "<figure>\n<img alt=\"registration before and after\" src=\"");
        html_add_data(html, "image/png", png, size);
        str_add(html, "\">\n<figcaption>");
        html_add_text(html, caption[0]);
        str_add(html, ", ");
        html_add_text(html, caption[1]);
        str_add(html, ": ");
        html_add_text(html, text_of(o, "verdict"));
        str_add(html, "</figcaption>\n</figure>\n");
    }
    mem_free(png);
    str_free(&path);
    return err;
}

/* Rows, or pictures up to *left, of one verdict. */
static enum err add_rank(struct str *html, const json_t *cases, const char *rank, const char *folder,
                         int *left)
{
    json_t *item, *o;
    const char *phase;
    size_t i;

    json_array_foreach((json_t *)cases, i, item)
        json_object_foreach(json_object_get(item, "phases"), phase, o)
    {
        const char *caption[2] = {text_of(item, "case"), phase};

        if (strcmp(text_of(o, "verdict"), rank) != 0)
            continue;
        if (!folder)
            add_row(html, caption[0], phase, o);
        else if (*left > 0) {
            TRY(add_picture(html, folder, caption, o));
            --*left;
        }
    }
    return ERR_OK;
}

static enum err add_section(struct str *html, const json_t *cases, const char *folder)
{
    int left = MOST_PICTURES;

    page_section(html, "Registration");
    str_add(html,
            "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Case</th><th scope=\"col\">Phase</th>"
            "<th scope=\"col\">Verdict</th><th class=\"n\" scope=\"col\">Moved, mm</th>"
            "<th class=\"n\" scope=\"col\">Distance before</th><th class=\"n\" scope=\"col\">after</th>"
            "<th scope=\"col\">Why</th></tr></thead>\n<tbody>\n");
    for (int k = 0; k < RANKS; k++)
        TRY(add_rank(html, cases, ranks[k], NULL, &left));
    str_add(html, "</tbody></table></div>\n<p class=\"note\">Every phase is brought onto the reference "
                  "phase. Organ-level "
                  "alignment; tumours are not expected to align. Moved: mean over the body. Distance: mean "
                  "difference of "
                  "local structure (MIND-SSC), lower is better. A phase that fails counts as missing.</p>\n");
    for (int k = 0; k < RANKS; k++)
        TRY(add_rank(html, cases, ranks[k], folder, &left));
    return ERR_OK;
}

enum err report_registration(struct str *html, const char *folder, struct notes *notes)
{
    char *path = folder ? path_join(folder, "verdict.json") : NULL;
    json_t *root = NULL;
    enum err err = ERR_OK;

    if (folder && !path)
        return ERR_MEMORY;
    if (path && json_read(&root, path))
        note_add(notes, "registration", "the registration is not shown: %s", err_text());
    else if (path)
        err = add_section(html, json_object_get(root, "cases"), folder);
    json_decref(root);
    mem_free(path);
    return err;
}
