/* The names of the labels in a folder of masks, from the dataset.json beside or above it. */
#ifndef D4M_STAGE_LABEL_NAMES_H
#define D4M_STAGE_LABEL_NAMES_H

#include "eval/metrics.h"
#include <jansson.h>

struct label_names {
    int count;                       /* foreground labels 1..count */
    const char *name[LABEL_MAX + 1]; /* [1..count], mem_new */
    bool phantom;                    /* the data set says that it is one of phantoms (its key "phantom") */
};

/* Looks in `path` (a folder, or the folder of a file) and in the folder above it. nnU-Net's v2 ("liver": 1)
 * and v1
 * ("1": "liver") forms are read; without a dataset.json the names are liver and tumour. ERR_INPUT for labels
 * that are not 0..count each once. */
MUST_USE enum err label_names_find(struct label_names *out, const char *path);
MUST_USE enum err label_names_parse(struct label_names *out, const json_t *dataset, const char *what);
void label_names_free(struct label_names *n);

#endif
