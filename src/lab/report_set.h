/* One evaluation of a report, found: its cases with their images, which of them the model was trained on, and
 * what the prediction wrote down. */
#ifndef D4M_LAB_REPORT_SET_H
#define D4M_LAB_REPORT_SET_H

#include "lab/report_sources.h"
#include <jansson.h>

/* The model that the evaluations are of. */
struct report_model {
    const char *folder;     /* or NULL */
    const char *trained_on; /* data set of WORK/project.json, or NULL */
    const json_t *project;  /* WORK/project.json, or NULL */
    bool on_phantoms;       /* that data set is one of phantoms */
};

/* Fills *set from the evaluation at `path` (summary.json); texts go to the arena, warnings to notes.
 * *dataset: where its cases come from, or NULL. */
MUST_USE enum err report_set_find(struct report_set *set, const char **dataset, const char *path,
                                  const struct report_query *q, const struct report_model *m,
                                  struct report_sources *out);

/* The folder of a path ("." if it names none). */
const char *report_folder_of(struct arena *a, const char *path);
/* Reads a JSON file if it is there. */
MUST_USE enum err report_read_optional(json_t **out, const char *path);

#endif
