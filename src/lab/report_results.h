/* The section of a report about one evaluation: what it says about new patients, numbers, pictures. */
#ifndef D4M_LAB_REPORT_RESULTS_H
#define D4M_LAB_REPORT_RESULTS_H

#include "base/str.h"
#include "lab/report.h"

/* Appends the section of set `which` of o. ERR_... of an unreadable summary; pictures that cannot be drawn
 * become sentences. */
MUST_USE enum err report_results(struct str *html, const struct report_options *o, size_t which);

#endif
