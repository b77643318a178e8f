/* The picture of one case in a report, and the order of cases by lesion DSC. */
#ifndef D4M_LAB_REPORT_CASE_H
#define D4M_LAB_REPORT_CASE_H

#include "eval/score.h"
#include "lab/report.h"

/* Fills order[0..s->count) with the cases, lowest lesion DSC first; without an evaluation (NULL) as given. */
MUST_USE enum err report_order(size_t *order, const struct report_set *s, const struct evaluation *e);

struct report_figure_of {
    const struct report_set *set;
    size_t item;
    const struct evaluation *evaluation; /* or NULL */
    const char *rank;                    /* "worst of 6", or NULL */
    double window[2];                    /* HU */
};
/* Appends the <figure> of a case. Only exhaustion is an error: images that cannot be drawn become a sentence.
 */
MUST_USE enum err report_figure(struct str *html, const struct report_figure_of *f);

#endif
