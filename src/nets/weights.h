/* Weights of a network in safetensors files, under the keys of the reference implementation's state dict. */
#ifndef D4M_NETS_WEIGHTS_H
#define D4M_NETS_WEIGHTS_H

#include "nn/nn.h"
#include "tensor/store.h"
#include <jansson.h>

/* A state dict as its network lists it: several keys may name one parameter (aliases share storage in the
 * reference). */
struct weight_key {
    const char *key;
    const struct param *param; /* of the nn, which must outlive the keys */
};

struct weight_keys {
    struct weight_key *item;
    size_t count, room;
    struct arena *names;
};

/* Appends one key (copied); the struct starts zeroed. */
MUST_USE enum err weight_keys_add(struct weight_keys *k, const char *key, const struct param *p);
void weight_keys_free(struct weight_keys *k);

/* Fills all of m's parameters in the store from a file. Prefixes "module." and "_orig_mod." are stripped; of
 * aliases one is enough, and all present must agree; F16, BF16, F32 and F64 are converted to m->real.
 * Missing, unexpected and misshapen keys: ERR_MODEL with a list; then the store is unchanged. */
MUST_USE enum err weights_load(const struct nn *m, const struct weight_keys *k, struct store *s,
                               const char *path);

/* Writes every key of the state dict in its order, aliases as copies, atomically. `metadata` is an object of
 * strings or NULL. */
MUST_USE enum err weights_save(const struct weight_keys *k, const struct store *s, const json_t *metadata,
                               const char *path);

#endif
