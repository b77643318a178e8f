/* A checkpoint is one safetensors file with every state of the store (parameters and moments) and, in its
 * metadata, the position of the run and a checksum. It appears complete or not at all; the one before stays
 * until then. */
#ifndef D4M_TRAIN_CHECKPOINT_H
#define D4M_TRAIN_CHECKPOINT_H

#include "tensor/store.h"
#include <jansson.h>

/* `position` is an object of the trainer's; it comes back from checkpoint_load as it was. */
MUST_USE enum err checkpoint_save(const struct store *s, const json_t *position, const char *path);
/* Fills the states that the store already has; another set of states or another shape is ERR_MODEL, a wrong
 * checksum ERR_CORRUPT. The store changes only on success. *position is a new reference. */
MUST_USE enum err checkpoint_load(struct store *s, json_t **position, const char *path);

#endif
