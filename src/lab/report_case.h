/* The picture of one case in a report, and the order in which cases are shown. */
#ifndef D4M_LAB_REPORT_CASE_H
#define D4M_LAB_REPORT_CASE_H

#include "eval/score.h"
#include "lab/report.h"

/* Fills order[0..o->count) with the cases, lowest lesion DSC first; without an evaluation (NULL) as given. */
MUST_USE enum err report_order(size_t *order, const struct report_options *o, const struct evaluation *e);
/* Appends the <figure> of case `item`. Only exhaustion is an error: images that cannot be drawn become a
 * sentence. */
MUST_USE enum err report_figure(struct str *html, const struct report_options *o, size_t item,
                                const struct evaluation *e);

#endif
