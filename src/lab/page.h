/* The frame of a report page: head with all styles inline, banner, sections, foot. No script and no outside
 * reference; light, dark, narrow and printed pages come from the styles alone. */
#ifndef D4M_LAB_PAGE_H
#define D4M_LAB_PAGE_H

#include "base/str.h"

#define RESEARCH_ONLY "Research use only. Not a medical device. Not for clinical use."

void page_open(struct str *html, const char *title, const char *subtitle);
void page_section(struct str *html, const char *heading); /* closes the section before it */
void page_close(struct str *html, const char *foot);
/* <td> with a score of 0..1 (an en dash for NAN) or another number with `digits` decimals. */
void page_number(struct str *html, double v, int digits);
/* <tr><th>name</th><td>text</td></tr>, both escaped. */
void page_fact(struct str *html, const char *name, const char *text);

#endif
