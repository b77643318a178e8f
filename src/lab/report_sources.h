/* Finds what a report tells about: the evaluations, the model's plan and log, the cases' images, which of
 * them the model was trained on, and what the predictions wrote down. */
#ifndef D4M_LAB_REPORT_SOURCES_H
#define D4M_LAB_REPORT_SOURCES_H

#include "base/cfg.h"
#include "lab/report.h"

enum report_training { TRAINING_AUTO, TRAINING_ALL, TRAINING_NONE };

struct report_query {
    const char *work; /* work folder, or NULL */
    struct cfg_list
        summary;         /* files; none: WORK/evaluation/summary.json and WORK/evaluation/NAME/summary.json */
    const char *dataset; /* NULL: the work folder's, else the folder above the references */
    const char *model;   /* folder; NULL: the only one under WORK/models/segmenter-* */
    enum report_training training;
    const char *command_line;
};

struct report_sources {
    struct arena *arena;
    const char *title;
    const char *log, *plan; /* NULL without a model */
    const char *registered; /* WORK/registered, or NULL */
    struct report_set *set; /* one per evaluation, in the order of their names */
    size_t sets;
    size_t cases; /* of all sets */
    const struct report_fact *fact;
    size_t facts;
    struct notes warnings; /* of the predictions, and what could not be found */
};

/* ERR_USAGE or ERR_INPUT where the evaluation or a named thing is missing; images that cannot be found are a
 * warning. */
MUST_USE enum err report_sources_find(struct report_sources *out, const struct report_query *q);
void report_sources_free(struct report_sources *s); /* accepts a zeroed struct */

#endif
