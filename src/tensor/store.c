#include "tensor/store.h"

#include "base/mem.h"
#include "tensor/bf16.h"
#include <inttypes.h>
#include <string.h>

/* What the store knows beside the tensor: small ones share ordinary memory, large ones get huge pages. */
struct cell {
    struct tensor t;
    void *block;
    size_t big; /* bytes of a mem_big_new block, else 0 */
};

enum { BIG = 4 << 20, ALIGN = 64 };

struct store {
    struct cell **item;
    size_t count, room;
};

struct store *store_new(void)
{
    return mem_new(1, sizeof(struct store));
}

static void cell_free(struct cell *c)
{
    if (c->big)
        mem_big_free(c->block, c->big);
    else
        mem_free(c->block);
    mem_free((char *)(uintptr_t)c->t.name);
    mem_free(c);
}

static bool cell_fill(struct cell *c, const char *name)
{
    size_t bytes = (size_t)tensor_bytes(&c->t);

    c->big = bytes >= BIG ? bytes : 0;
    c->block = c->big ? mem_big_new(bytes) : mem_new(bytes + ALIGN, 1);
    c->t.name = mem_str(name);
    if (!c->block || !c->t.name)
        return false;
    c->t.data = (char *)c->block + (ALIGN - (uintptr_t)c->block % ALIGN) % ALIGN;
    return true;
}

void store_free(struct store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        cell_free(s->item[i]);
    mem_free(s->item);
    mem_free(s);
}

struct tensor *store_find(const struct store *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (!strcmp(s->item[i]->t.name, name))
            return &s->item[i]->t;
    return NULL;
}

static enum err check_same(const struct tensor *t, enum dtype type, const struct dims *dims)
{
    char have[160], want[160];

    if (t->type == type && dims_equal(&t->dims, dims))
        return ERR_OK;
    return err_set(ERR_MODEL,
                   "state %s is %s%s here but %s%s is needed: the weights belong to another network", t->name,
                   dtype_name(t->type), dims_text(&t->dims, have), dtype_name(type), dims_text(dims, want));
}

static enum err store_add(struct store *s, struct cell *c)
{
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 64;
        struct cell **grown = mem_resize(s->item, room, sizeof *grown);
        if (!grown)
            return ERR_MEMORY;
        s->item = grown;
        s->room = room;
    }
    s->item[s->count++] = c;
    return ERR_OK;
}

enum err store_need(struct store *s, const char *name, enum dtype type, struct dims dims, struct tensor **out)
{
    struct tensor *have = store_find(s, name);
    struct cell *c;
    enum err err = ERR_MEMORY;

    if (have) {
        *out = have;
        return check_same(have, type, &dims);
    }
    c = mem_new(1, sizeof *c);
    if (!c)
        return ERR_MEMORY;
    c->t.type = type;
    c->t.dims = dims;
    if (cell_fill(c, name))
        err = store_add(s, c);
    if (err) {
        cell_free(c);
        return err;
    }
    *out = &c->t;
    return ERR_OK;
}

size_t store_count(const struct store *s)
{
    return s->count;
}

struct tensor *store_at(const struct store *s, size_t i)
{
    return &s->item[i]->t;
}

double tensor_get(const struct tensor *t, int64_t i)
{
    if (t->type == DT_F32)
        return ((const float *)t->data)[i];
    if (t->type == DT_F64)
        return ((const double *)t->data)[i];
    if (t->type == DT_BF16)
        return (double)bf16_widen(((const uint16_t *)t->data)[i]);
    return (double)((const int64_t *)t->data)[i];
}

void tensor_set(struct tensor *t, int64_t i, double v)
{
    if (t->type == DT_F32)
        ((float *)t->data)[i] = (float)v;
    else if (t->type == DT_F64)
        ((double *)t->data)[i] = v;
    else if (t->type == DT_BF16)
        ((uint16_t *)t->data)[i] = bf16_of(v);
    else
        ((int64_t *)t->data)[i] = (int64_t)v;
}

uint64_t tensor_bytes(const struct tensor *t)
{
    return (uint64_t)dims_count(&t->dims) * dtype_size(t->type);
}
