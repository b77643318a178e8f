/* Named tensors: parameters, momenta, counters. The store owns them; they never move while it lives, so
 * programs keep pointers. */
#ifndef D4M_TENSOR_STORE_H
#define D4M_TENSOR_STORE_H

#include "base/err.h"
#include "tensor/dims.h"

struct tensor {
    const char *name;
    enum dtype type;
    struct dims dims;
    void *data; /* 64-byte aligned, dense */
};

struct store;
struct store *store_new(void); /* NULL on exhaustion */
void store_free(struct store *s);
struct tensor *store_find(const struct store *s, const char *name); /* NULL if absent */
/* Finds or creates (zeroed). Another type or shape than the one present: ERR_MODEL. */
MUST_USE enum err store_need(struct store *s, const char *name, enum dtype type, struct dims dims,
                             struct tensor **out);
size_t store_count(const struct store *s);
struct tensor *store_at(const struct store *s, size_t i); /* in order of creation */

/* Elements [0, count) as double, whatever the type. */
double tensor_get(const struct tensor *t, int64_t i);
void tensor_set(struct tensor *t, int64_t i, double v);
uint64_t tensor_bytes(const struct tensor *t);

#endif
