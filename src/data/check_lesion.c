/* Tumours and the liver that they should lie in. */
#include "base/mem.h"
#include "data/check_steps.h"
#include "image/morph.h"
#include <string.h>

/* A lesion that is smaller is more likely a slip of the pen. */
static const double tiny_mm3 = 15;
enum { TINY_VOXELS = 2 };
/* Pieces of liver, together, that are worth a remark. */
static const double pieces_ml = 0.5;

/* The labelled part of a label with a border of one voxel, where there is one. */
struct cut {
    const struct check_case *k;
    int64_t low[3], dims[3];
    uint8_t *label, *mask;
    double ml; /* of a voxel */
};

static void find_box(struct cut *b)
{
    const struct grid *g = &b->k->label->grid;
    const uint8_t *label = b->k->label->data;
    int64_t high[3] = {0};

    memcpy(b->low, g->dims, sizeof b->low);
    for (int64_t i = 0; i < grid_count(g); i++) {
        const int64_t at[3] = {i % g->dims[0], i / g->dims[0] % g->dims[1], i / (g->dims[0] * g->dims[1])};

        for (int a = 0; a < 3 && label[i]; a++) {
            b->low[a] = at[a] < b->low[a] ? at[a] : b->low[a];
            high[a] = at[a] > high[a] ? at[a] : high[a];
        }
    }
    for (int a = 0; a < 3; a++) {
        b->low[a] -= b->low[a] > 0;
        high[a] += high[a] + 1 < g->dims[a];
        b->dims[a] = high[a] - b->low[a] + 1;
    }
}

/* The voxel of the label's grid that voxel i of the cut is. */
static int64_t whole(const struct cut *b, int64_t i)
{
    const int64_t *n = b->k->label->grid.dims;

    return b->low[0] + i % b->dims[0] +
           n[0] *
               (b->low[1] + i / b->dims[0] % b->dims[1] + n[1] * (b->low[2] + i / (b->dims[0] * b->dims[1])));
}

static int64_t cut_count(const struct cut *b)
{
    return b->dims[0] * b->dims[1] * b->dims[2];
}

static enum err cut_make(struct cut *b, const struct check_case *k)
{
    const double *h = k->label->grid.spacing;

    *b = (struct cut){.k = k, .ml = h[0] * h[1] * h[2] / 1000};
    find_box(b);
    b->label = mem_new((size_t)cut_count(b), 1);
    b->mask = mem_new((size_t)cut_count(b), 1);
    if (!b->label || !b->mask)
        return ERR_MEMORY;
    for (int64_t i = 0; i < cut_count(b); i++)
        b->label[i] = ((const uint8_t *)k->label->data)[whole(b, i)];
    return ERR_OK;
}

static void cut_free(struct cut *b)
{
    mem_free(b->label);
    mem_free(b->mask);
}

/* Some neighbour of voxel i, corners included, is liver. */
static bool near_liver(const struct cut *b, int64_t i)
{
    const int64_t *n = b->dims, at[3] = {i % n[0], i / n[0] % n[1], i / (n[0] * n[1])};

    for (int64_t z = at[2] - (at[2] > 0); z <= at[2] + (at[2] + 1 < n[2]); z++)
        for (int64_t y = at[1] - (at[1] > 0); y <= at[1] + (at[1] + 1 < n[1]); y++)
            for (int64_t x = at[0] - (at[0] > 0); x <= at[0] + (at[0] + 1 < n[0]); x++)
                if (b->label[x + n[0] * (y + n[1] * z)] == b->k->liver)
                    return true;
    return false;
}

/* The last finding is shown with the components marked that are set in `which`. */
static enum err show_components(struct checker *c, struct check_case *k, const struct cut *b,
                                const struct components *found, const uint8_t *which)
{
    struct check_view *v = check_show(c, k);

    if (!v)
        return ERR_OK;
    for (int64_t i = 0; i < cut_count(b); i++)
        if (found->label[i] && which[found->label[i]])
            TRY(check_mark(&v->marks, whole(b, i)));
    check_look_at_marks(v, &k->label->grid);
    return ERR_OK;
}

/* Where component `id` begins, in mm. */
static void place_of(const struct cut *b, const struct components *found, int32_t id, double mm[3])
{
    const int64_t *n = b->k->label->grid.dims;

    for (int64_t i = 0; i < cut_count(b); i++)
        if (found->label[i] == id) {
            int64_t w = whole(b, i);

            grid_world(
                &b->k->label->grid,
                (const double[3]){(double)(w % n[0]), (double)(w / n[0] % n[1]), (double)(w / (n[0] * n[1]))},
                mm);
            return;
        }
}

/* Sums up the components that are set in `which`: how many there are, their ml, and where the largest one
 * begins. */
struct tally {
    int count;
    double ml, mm[3];
};

static struct tally tally_of(const struct cut *b, const struct components *found, const uint8_t *which)
{
    struct tally t = {0};
    int32_t largest = 0;

    for (int32_t i = 1; i <= found->count; i++)
        if (which[i]) {
            t.count++;
            t.ml += b->ml * (double)found->size[i];
            largest = !largest || found->size[i] > found->size[largest] ? i : largest;
        }
    if (largest)
        place_of(b, found, largest, t.mm);
    return t;
}

static enum err check_tumours(struct checker *c, struct check_case *k, struct cut *b,
                              const struct components *found, uint8_t *which)
{
    struct tally t;

    if (k->liver >= 0) {
        memset(which, 1, (size_t)found->count + 1);
        for (int64_t i = 0; i < cut_count(b); i++)
            if (found->label[i] && which[found->label[i]] && near_liver(b, i))
                which[found->label[i]] = 0;
        t = tally_of(b, found, which);
        if (t.count) {
            TRY(check_add(c, "tumour-outside-liver",
                          "%s: %d of %d tumours (%.3g ml) touch no labelled liver; the largest begins at "
                          "(%.0f, %.0f, %.0f) mm",
                          k->files->label, t.count, (int)found->count, t.ml, t.mm[0], t.mm[1], t.mm[2]));
            TRY(show_components(c, k, b, found, which));
        }
    }
    for (int32_t i = 1; i <= found->count; i++)
        which[i] = found->size[i] <= TINY_VOXELS || 1000 * b->ml * (double)found->size[i] < tiny_mm3;
    t = tally_of(b, found, which);
    if (t.count) {
        TRY(check_add(
            c, "tumour-tiny",
            "%s: %d of %d tumours are specks (%.2g ml together); the largest lies at (%.0f, %.0f, %.0f) mm",
            k->files->label, t.count, (int)found->count, t.ml, t.mm[0], t.mm[1], t.mm[2]));
        TRY(show_components(c, k, b, found, which));
    }
    return ERR_OK;
}

/* Liver with its tumours, apart from the largest piece. */
static enum err check_pieces(struct checker *c, struct check_case *k, struct cut *b,
                             const struct components *found, uint8_t *which)
{
    int32_t largest = 1;
    struct tally t;

    for (int32_t i = 1; i <= found->count; i++)
        largest = found->size[i] > found->size[largest] ? i : largest;
    for (int32_t i = 1; i <= found->count; i++)
        which[i] = i != largest;
    t = tally_of(b, found, which);
    if (t.ml < pieces_ml)
        return ERR_OK;
    TRY(check_add(
        c, "label-pieces",
        "%s: %d pieces (%.3g ml) lie apart from the liver; the largest begins at (%.0f, %.0f, %.0f) mm",
        k->files->label, t.count, t.ml, t.mm[0], t.mm[1], t.mm[2]));
    return show_components(c, k, b, found, which);
}

typedef enum err look(struct checker *c, struct check_case *k, struct cut *b, const struct components *found,
                      uint8_t *which);

/* Components of the mask, for one of the two above. */
static enum err with_components(struct checker *c, struct check_case *k, struct cut *b, look *at)
{
    struct components found = {0};
    uint8_t *which = NULL;
    enum err err;

    TRY_OR(done, components_find(&found, b->mask, b->dims, CORNERS));
    which = mem_new((size_t)found.count + 1, 1);
    err = which ? ERR_OK : ERR_MEMORY;
    if (!err && found.count)
        err = at(c, k, b, &found, which);
done:
    mem_free(which);
    components_free(&found);
    return err;
}

enum err check_lesions(struct checker *c, struct check_case *k)
{
    struct cut b;
    enum err err;

    if (k->tumour >= 0 && !k->voxels[k->tumour])
        TRY(check_add(c, "lesion-free", "%s: no voxel is labelled %s", k->files->label,
                      k->list->class_name[k->tumour]));
    TRY_OR(done, cut_make(&b, k));
    if (k->tumour >= 0 && k->voxels[k->tumour]) {
        for (int64_t i = 0; i < cut_count(&b); i++)
            b.mask[i] = b.label[i] == k->tumour;
        TRY_OR(done, with_components(c, k, &b, check_tumours));
    }
    if (k->liver >= 0 && k->voxels[k->liver]) {
        for (int64_t i = 0; i < cut_count(&b); i++)
            b.mask[i] = b.label[i] == k->liver || b.label[i] == k->tumour;
        TRY_OR(done, with_components(c, k, &b, check_pieces));
    }
done:
    cut_free(&b);
    return err;
}
