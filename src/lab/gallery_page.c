#include "lab/gallery_page.h"
#include "base/html.h"
#include "eval/score.h"
#include "lab/page.h"
#include <stdio.h>

void gallery_page_open(struct str *html, const char *dataset, bool phantoms)
{
    struct str title = {0};

    str_addf(&title, "Gallery of %s", dataset);
    page_open(html, title.s ? title.s : "Gallery",
              "All phases are shown at the same positions in patient space, by their headers alone: what "
              "moved between two breath-holds is seen to move.");
    if (phantoms)
        str_add(html, "<p class=\"alert\">" PHANTOM_SENTENCE "</p>\n");
    str_free(&title);
}

/* A picture that fills the page's width and opens alone when clicked. */
static void add_figure(struct str *html, const char *stem, const char *ending, const char *alt)
{
    struct str file = {0};

    str_addf(&file, "%s%s", stem, ending);
    if (str_status(&file)) {
        html->err = html->err ? html->err : file.err;
        return;
    }
    str_add(html, "<figure><div class=\"wide\"><a href=\"");
    html_add_path(html, file.s);
    str_add(html, "\"><img loading=\"lazy\" alt=\"");
    html_add_text(html, alt);
    str_add(html, "\" src=\"");
    html_add_path(html, file.s);
    str_add(html, "\"></a></div></figure>\n");
    str_free(&file);
}

void gallery_page_sheets(struct str *html, int pages)
{
    page_section(html, pages == 1 ? "Contact sheet" : "Contact sheets");
    for (int i = 1; i <= pages; i++) {
        char name[32];

        snprintf(name, sizeof name, "sheet_%02d", i);
        add_figure(html, name, ".png", "All cases, small, one panel a phase");
    }
}

static void add_grids(struct str *html, const struct gallery_facts *f)
{
    for (int k = 0; k < f->phases; k++) {
        const struct grid *g = &f->grid[k];
        struct orient o = grid_orient(g);
        char text[160] = "missing", axes[4] = "";

        for (int r = 0; f->present[k] && r < 3; r++)
            axes[o.axis[r]] = o.flip[r] ? "LPI"[r] : "RAS"[r];
        if (f->present[k])
            snprintf(
                text, sizeof text,
                "%lld \xC3\x97 %lld \xC3\x97 %lld voxels of %.2f \xC3\x97 %.2f \xC3\x97 %.2f mm, axes %s",
                (long long)g->dims[0], (long long)g->dims[1], (long long)g->dims[2], g->spacing[0],
                g->spacing[1], g->spacing[2], axes);
        page_fact(html, f->phase[k], text);
    }
}

static void add_volumes(struct str *html, const struct gallery_facts *f)
{
    char text[160];

    snprintf(text, sizeof text, "%.1f ml with its lesions", f->liver_ml);
    page_fact(html, "liver", f->labelled ? text : "no label");
    snprintf(text, sizeof text, "%d, %.1f ml, the largest %.1f ml", f->lesions, f->lesion_ml, f->largest_ml);
    if (f->labelled)
        page_fact(html, "lesions", f->lesions ? text : "none labelled");
    if (f->kinds.len)
        page_fact(html, "lesions in truth", f->kinds.s);
    if (f->moved.len)
        page_fact(html, "displacement against the portal venous phase, mean in the liver", f->moved.s);
}

void gallery_page_cases(struct str *html, const struct gallery_sections *s)
{
    if (s->count > 1 && s->links.len) {
        str_add(html, "<p class=\"note\">To the cases: ");
        str_add(html, s->links.s);
        str_add(html, "</p>\n");
    }
    if (s->cases.len)
        str_add(html, s->cases.s);
}

void gallery_sections_free(struct gallery_sections *s)
{
    str_free(&s->cases);
    str_free(&s->links);
}

static void open_section(struct gallery_sections *s, const char *name)
{
    page_section(&s->cases, name);
    str_addf(&s->cases, "<a id=\"case-%d\"></a>\n", ++s->count);
    str_addf(&s->links, "%s<a href=\"#case-%d\">", s->count > 1 ? ", " : "", s->count);
    html_add_text(&s->links, name);
    str_add(&s->links, "</a>");
}

void gallery_page_case(struct gallery_sections *s, const struct gallery_facts *f, const char *stem,
                       bool motion)
{
    struct str *html = &s->cases;

    s->phantoms = s->phantoms || f->truth;
    open_section(s, f->name);
    add_figure(html, stem, "_montage.png", "Phases down, levels across");
    if (motion)
        add_figure(html, stem, "_motion.png", "The phases in turn at fixed planes");
    else
        str_add(html, "<p class=\"note\">One phase only: nothing moves.</p>\n");
    str_add(html, "<table class=\"facts\"><tbody>\n");
    add_grids(html, f);
    add_volumes(html, f);
    str_add(html, "</tbody></table>\n");
}

void gallery_page_failure(struct gallery_sections *s, const char *name, const char *why)
{
    open_section(s, name);
    str_add(&s->cases, "<p class=\"alert\">No picture: ");
    html_add_text(&s->cases, why);
    str_add(&s->cases, "</p>\n");
}

void gallery_page_close(struct str *html, const char *command_line)
{
    page_close(html, command_line);
}
