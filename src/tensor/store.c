#include "tensor/store.h"

#include "base/mem.h"
#include <inttypes.h>
#include <string.h>

struct store {
    struct tensor **item;
    size_t count, room;
};

struct store *store_new(void)
{
    return mem_new(1, sizeof(struct store));
}

static void tensor_free(struct tensor *t)
{
    mem_big_free(t->data, (size_t)tensor_bytes(t));
    mem_free((char *)(uintptr_t)t->name);
    mem_free(t);
}

void store_free(struct store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        tensor_free(s->item[i]);
    mem_free(s->item);
    mem_free(s);
}

struct tensor *store_find(const struct store *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (!strcmp(s->item[i]->name, name))
            return s->item[i];
    return NULL;
}

static enum err check_same(const struct tensor *t, enum dtype type, const struct dims *dims)
{
    char have[160], want[160];

    if (t->type == type && dims_equal(&t->dims, dims))
        return ERR_OK;
    return err_set(ERR_MODEL, "state %s is %s%s here but %s%s is needed: the weights belong to another network", t->name,
                   dtype_name(t->type), dims_text(&t->dims, have), dtype_name(type), dims_text(dims, want));
}

static enum err store_add(struct store *s, struct tensor *t)
{
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 64;
        struct tensor **grown = mem_resize(s->item, room, sizeof *grown);
        if (!grown)
            return ERR_MEMORY;
        s->item = grown;
        s->room = room;
    }
    s->item[s->count++] = t;
    return ERR_OK;
}

enum err store_need(struct store *s, const char *name, enum dtype type, struct dims dims, struct tensor **out)
{
    struct tensor *t = store_find(s, name);
    enum err err = ERR_MEMORY;

    if (t) {
        *out = t;
        return check_same(t, type, &dims);
    }
    t = mem_new(1, sizeof *t);
    if (!t)
        return ERR_MEMORY;
    t->type = type;
    t->dims = dims;
    t->name = mem_str(name);
    t->data = mem_big_new((size_t)tensor_bytes(t));
    if (t->name && t->data)
        err = store_add(s, t);
    if (err) {
        tensor_free(t);
        return err;
    }
    *out = t;
    return ERR_OK;
}

size_t store_count(const struct store *s)
{
    return s->count;
}

struct tensor *store_at(const struct store *s, size_t i)
{
    return s->item[i];
}

double tensor_get(const struct tensor *t, int64_t i)
{
    if (t->type == DT_F32)
        return ((const float *)t->data)[i];
    if (t->type == DT_F64)
        return ((const double *)t->data)[i];
    return (double)((const int64_t *)t->data)[i];
}

void tensor_set(struct tensor *t, int64_t i, double v)
{
    if (t->type == DT_F32)
        ((float *)t->data)[i] = (float)v;
    else if (t->type == DT_F64)
        ((double *)t->data)[i] = v;
    else
        ((int64_t *)t->data)[i] = (int64_t)v;
}

uint64_t tensor_bytes(const struct tensor *t)
{
    return (uint64_t)dims_count(&t->dims) * dtype_size(t->type);
}
