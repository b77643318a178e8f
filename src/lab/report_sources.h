/* Finds what a report tells about: the evaluation, the model's plan and log, the cases' images, which of them
 * the model was trained on, and what the prediction wrote down. */
#ifndef D4M_LAB_REPORT_SOURCES_H
#define D4M_LAB_REPORT_SOURCES_H

#include "base/mem.h"
#include "lab/report.h"

enum report_training { TRAINING_AUTO, TRAINING_ALL, TRAINING_NONE };

struct report_query {
    const char *work;    /* work folder, or NULL */
    const char *summary; /* summary.json; NULL: WORK/evaluation/summary.json */
    const char *dataset; /* NULL: the work folder's, else the folder above the references */
    const char *model;   /* folder; NULL: the only one under WORK/models/segmenter-* */
    enum report_training training;
    const char *command_line;
};

enum { REPORT_FACTS = 16 };

struct report_sources {
    struct arena *arena;
    const char *title;
    const char *summary, *log, *plan; /* log and plan NULL without a model */
    const char *registered;           /* WORK/registered, or NULL */
    struct report_case *cases;
    size_t count;
    struct report_fact fact[REPORT_FACTS];
    size_t facts;
    struct notes warnings; /* of the prediction, and what could not be found */
};

/* ERR_USAGE or ERR_INPUT where the evaluation or a named thing is missing; images that cannot be found are a
 * warning. */
MUST_USE enum err report_sources_find(struct report_sources *out, const struct report_query *q);
void report_sources_free(struct report_sources *s); /* accepts a zeroed struct */

#endif
