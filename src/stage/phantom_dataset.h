/* What a phantom data set says of itself (phantom.md section 1). */
#ifndef D4M_STAGE_PHANTOM_DATASET_H
#define D4M_STAGE_PHANTOM_DATASET_H

#include "stage/phantom.h"
#include <jansson.h>

/* What is being made: the record by which a stopped run is recognised, and the key `phantom` of the data
 * set. Reads `from`, `liver` and `organs` to name their content. */
MUST_USE enum err phantom_describe(json_t **out, const struct phantom_job *job);
/* dataset.json; NULL on exhaustion. */
json_t *phantom_dataset(const struct phantom_job *job, json_t *phantom);

#endif
