/* The page of a gallery: sheets first, then each case with its montage, its animation and a few facts.
 * Pictures are relative links. */
#ifndef D4M_LAB_GALLERY_PAGE_H
#define D4M_LAB_GALLERY_PAGE_H

#include "lab/gallery.h"

/* Cases are put together as they are drawn, the page around them when all are. */
struct gallery_sections {
    struct str cases, links; /* sections, and links to them */
    int count;
    bool phantoms; /* there is one among them */
};
void gallery_sections_free(struct gallery_sections *s);
/* A case's section. stem: CASE of the files' names. */
void gallery_page_case(struct gallery_sections *s, const struct gallery_facts *f, const char *stem,
                       bool motion);
void gallery_page_failure(struct gallery_sections *s, const char *name, const char *why);

void gallery_page_open(struct str *html, const char *dataset, bool phantoms);
/* The section of contact sheets, `pages` of them. */
void gallery_page_sheets(struct str *html, int pages);
void gallery_page_cases(struct str *html, const struct gallery_sections *s);
void gallery_page_close(struct str *html, const char *command_line);

#endif
