/* The table "What was done" of a report: data, model, training, seed, commands and hashes. All texts go to
 * the arena. */
#ifndef D4M_LAB_REPORT_FACTS_H
#define D4M_LAB_REPORT_FACTS_H

#include "lab/report_set.h"

/* out->title from the data set's name; dataset may be NULL. */
MUST_USE enum err report_title(struct report_sources *out, const char *dataset);
/* out->fact[]: the model, how it was trained, and the report's own command. */
MUST_USE enum err report_model_facts(struct report_sources *out, const struct report_query *q,
                                     const struct report_model *m);
/* set->facts: its data set (or NULL), the prediction's record (result.json, or NULL) and evaluation. */
MUST_USE enum err report_set_facts(struct report_set *set, struct arena *a, const char *dataset,
                                   const json_t *record);

#endif
