/* The page of a gallery: sheets first, then each case with its montage, its animation and a few facts.
 * Pictures are relative links. */
#ifndef D4M_LAB_GALLERY_PAGE_H
#define D4M_LAB_GALLERY_PAGE_H

#include "lab/gallery.h"

void gallery_page_open(struct str *html, const char *dataset);
/* The section of contact sheets; `pages` of them are (or will be) there. */
void gallery_page_sheets(struct str *html, int pages);
/* A case's section. stem: CASE of the files' names. */
void gallery_page_case(struct str *html, const struct gallery_facts *f, const char *stem, bool motion);
void gallery_page_failure(struct str *html, const char *name, const char *why);
void gallery_page_close(struct str *html, const char *command_line);

#endif
