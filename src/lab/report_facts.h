/* The table "What was done" of a report: data, model, training, seed, commands and hashes. */
#ifndef D4M_LAB_REPORT_FACTS_H
#define D4M_LAB_REPORT_FACTS_H

#include "lab/report_sources.h"
#include <jansson.h>

struct fact_sources {
    const struct report_query *query;
    const char *dataset, *model;    /* folders, or NULL */
    const json_t *project, *record; /* project.json of training, result.json of prediction, or NULL */
};

/* Fills out->title and out->fact[]; texts go to out->arena. */
MUST_USE enum err report_facts(struct report_sources *out, const struct fact_sources *from);

#endif
