/* Inside of the case list: how its readers (cases_dataset.c, cases_find.c) put it together. */
#ifndef D4M_DATA_CASES_BUILD_H
#define D4M_DATA_CASES_BUILD_H

#include "data/cases.h"

MUST_USE enum err phase_map_fill(struct phase_map *m, const char *what);

MUST_USE enum err case_list_new(struct case_list **out);
/* The case with this name (n bytes) and folder, new if need be. ERR_USAGE if another folder has one of that
 * name. */
MUST_USE enum err case_list_at(struct case_list *l, const char *folder, const char *name, size_t n,
                               struct case_files **out);
/* Puts folder/file into a channel. ERR_INPUT if another file is there already (.nii beside .nii.gz). */
MUST_USE enum err case_put(struct case_list *l, struct case_files *c, int channel, const char *file);
/* Sorts by name and fills `reference`. */
void case_list_finish(struct case_list *l);

/* The channels that a data set's dataset.json tells; *known is false if it tells no phases ("CT" everywhere).
 */
MUST_USE enum err dataset_phases(struct phase_map *m, bool *known, struct arena *a, const char *json_path);

#endif
