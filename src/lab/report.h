/* One self-contained HTML file about an evaluated model: numbers and pictures of every set of cases that it
 * was evaluated on, training curve, warnings, and what it was made from. All texts and paths are borrowed and
 * escaped. */
#ifndef D4M_LAB_REPORT_H
#define D4M_LAB_REPORT_H

#include "base/err.h"
#include "base/note.h"
#include "lab/picture.h"
#include <stdbool.h>
#include <stddef.h>

struct report_case {
    const char *name;                       /* as in the summary */
    const char *phase_name[PICTURE_PHASES]; /* the phases that there are, in the order of the columns */
    const char *phase_path[PICTURE_PHASES];
    int phases;                         /* 0: no picture */
    const char *used;                   /* a sentence about the phases that the prediction used, or NULL */
    const char *reference, *prediction; /* label files, or NULL */
    bool training;                      /* the model was trained on this case */
};

struct report_fact {
    const char *name, *text;
};

/* One evaluation: of the test part, of patients from elsewhere, ... */
struct report_set {
    const char *name;    /* the section's heading */
    const char *summary; /* summary.json, or NULL */
    const char *unseen;  /* a sentence that says why the model does not know these cases, or NULL */
    const struct report_case *cases;
    size_t count;
    const struct report_fact *facts; /* data, prediction, evaluation */
    size_t fact_count;
};

struct report_options {
    const char *path; /* the HTML file */
    const char *title;
    const char *date;             /* NULL: now, in UTC */
    const struct report_set *set; /* in the order of their sections */
    size_t sets;
    const char *log, *plan;          /* log.jsonl, plan.json; each may be NULL */
    const char *registered;          /* WORK/registered, or NULL */
    const struct report_fact *facts; /* what was done: command, data, model, seed, hashes */
    size_t fact_count;
    const struct notes *warnings; /* may be NULL */
    double window[2];             /* HU; both 0: the picture's default */
    size_t pictures; /* most montages of a set, spread evenly from its worst to its best lesion DSC;
                        0: 24 */
};

/* Writes the page atomically, making its folder. A case whose images cannot be read or drawn gets a sentence
 * that says why in place of its picture; an unreadable summary, log or plan is an error. */
MUST_USE enum err report_write(const struct report_options *o);

#endif
