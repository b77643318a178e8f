#include "align/transform.h"
#include "base/file.h"
#include "base/mem.h"
#include <string.h>

bool grid_known(const struct grid *g)
{
    return g->dims[0] > 0;
}

uint64_t grid_hash(const struct grid *g)
{
    struct {
        int64_t dims[3];
        float affine[3][4];
    } key;

    memcpy(key.dims, g->dims, sizeof key.dims);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++)
            key.affine[i][j] = (float)g->affine[i][j] + 0.0f; /* no negative zero */
    return bytes_hash(&key, sizeof key, 0);
}

enum err transform_new(struct transform **out, const struct grid *fixed, const struct grid *moving)
{
    struct transform *t = mem_new(1, sizeof *t);

    if (!t)
        return ERR_MEMORY;
    if (fixed)
        t->fixed = *fixed;
    if (moving)
        t->moving = *moving;
    *out = t;
    return ERR_OK;
}

void transform_free(struct transform *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        mem_free(t->item[i].lattice.v);
    mem_free(t->item);
    mem_free(t);
}

/* Appends e, whose lattice.v (if any) t then owns. */
static enum err add(struct transform *t, const struct element *e)
{
    struct element *item = mem_resize(t->item, t->count + 1, sizeof *item);

    if (!item)
        return ERR_MEMORY;
    t->item = item;
    t->item[t->count++] = *e;
    return ERR_OK;
}

enum err transform_add_affine(struct transform *t, const struct affine *a)
{
    return add(t, &(struct element){.kind = ELEMENT_AFFINE, .affine = *a});
}

enum err transform_take_lattice(struct transform *t, enum element_kind kind, const struct velocity *lattice,
                                bool inverse)
{
    return add(t, &(struct element){.kind = kind, .inverse = inverse, .lattice = *lattice});
}

enum err transform_add_lattice(struct transform *t, enum element_kind kind, const struct velocity *lattice,
                               bool inverse)
{
    size_t n = 3 * (size_t)velocity_nodes(lattice);
    struct velocity copy = *lattice;
    enum err err;

    copy.v = mem_new(n, sizeof *copy.v);
    if (!copy.v)
        return ERR_MEMORY;
    memcpy(copy.v, lattice->v, n * sizeof *copy.v);
    err = transform_take_lattice(t, kind, &copy, inverse);
    if (err)
        mem_free(copy.v);
    return err;
}

static enum err add_copy(struct transform *t, const struct element *e)
{
    if (e->kind == ELEMENT_AFFINE)
        return transform_add_affine(t, &e->affine);
    return transform_add_lattice(t, e->kind, &e->lattice, e->inverse);
}

enum err transform_append(struct transform *t, const struct transform *next)
{
    size_t before = t->count;
    enum err err = ERR_OK;

    for (size_t i = 0; !err && i < next->count; i++)
        err = add_copy(t, &next->item[i]);
    if (!err)
        t->moving = next->moving;
    while (err && t->count > before)
        mem_free(t->item[--t->count].lattice.v);
    return err;
}

static enum err add_inverse(struct transform *t, const struct element *e)
{
    struct affine inverse;

    if (e->kind != ELEMENT_AFFINE)
        return transform_add_lattice(t, e->kind, &e->lattice, !e->inverse);
    TRY(affine_invert(&inverse, &e->affine));
    return transform_add_affine(t, &inverse);
}

enum err transform_inverse(struct transform **out, const struct transform *t)
{
    struct transform *r;

    TRY(transform_new(&r, &t->moving, &t->fixed));
    for (size_t i = t->count; i-- > 0;) {
        enum err err = add_inverse(r, &t->item[i]);

        if (err) {
            transform_free(r);
            return err;
        }
    }
    *out = r;
    return ERR_OK;
}
