/* A label on its image. */
#include "base/mem.h"
#include "data/check_steps.h"
#include "image/intensity.h"
#include <math.h>
#include <string.h>

/* Liver in any phase lies well inside these HU; a mask that lies elsewhere (flipped, of another patient) does
 * not. */
static const double liver_low = 0, liver_high = 220;
/* Blocks of a sketch that are liver as a whole are neither fat, air nor bone; a few may be (vessels of a
 * port, gas, lipiodol). */
enum { BLOCK_LOW = -50, BLOCK_HIGH = 250 };
static const double blocks_most = 0.05;
/* Share of the label, and ml, that may lie in the air around the body. */
static const double outside_most = 0.002, outside_ml = 0.5;
enum { AIR_MOST = -300 };
/* Square millimetres of liver that may touch a border of the volume. */
static const double border_most = 200;

/* Which voxels of the label a finding is about. */
typedef bool offends(const struct check_case *k, int64_t i);

/* The last finding is shown with these voxels marked. */
static enum err show_marked(struct checker *c, struct check_case *k, offends *wrong)
{
    struct check_view *v = check_show(c, k);

    if (!v)
        return ERR_OK;
    for (int64_t i = 0; i < grid_count(&k->label->grid); i++)
        if (wrong(k, i))
            TRY(check_mark(&v->marks, i));
    check_look_at_marks(v, &k->label->grid);
    return ERR_OK;
}

static int label_at(const struct check_case *k, int64_t i)
{
    return ((const uint8_t *)k->label->data)[i];
}

static int hu_at(const struct check_case *k, int64_t i)
{
    return ((const int16_t *)k->hu->data)[i];
}

/* The middle of the labelled liver (or of all that is labelled). */
static void find_middle(struct check_case *k)
{
    const struct grid *g = &k->label->grid;
    bool liver = k->liver >= 0 && k->voxels[k->liver];
    double sum[3] = {0};
    int64_t count = 0;

    for (int64_t i = 0; i < grid_count(g); i++) {
        int label = label_at(k, i);

        if (liver ? label != k->liver : !label)
            continue;
        sum[0] += (double)(i % g->dims[0]);
        sum[1] += (double)(i / g->dims[0] % g->dims[1]);
        sum[2] += (double)(i / (g->dims[0] * g->dims[1]));
        count++;
    }
    for (int a = 0; a < 3 && count; a++) {
        k->mean[a] = sum[a] / (double)count;
        k->middle[a] = (int64_t)k->mean[a];
    }
}

static enum err check_storage(struct checker *c, const struct check_case *k)
{
    struct nifti_options read = {.prefer = c->options.prefer};
    struct nifti_storage at;
    struct volume *header = NULL;
    enum err err = ERR_OK;

    TRY(nifti_load_grid(&header, k->files->label, &read, NULL));
    at = nifti_storage_of(header);
    volume_free(header);
    if (!strncmp(at.type, "float", 5) ||
        (at.slope != 0 && isfinite(at.slope) && (at.slope != 1 || at.inter != 0)))
        err = check_add(c, "label-storage", "%s: stored as %s with slope %g and intercept %g",
                        k->files->label, at.type, at.slope, at.inter);
    return err;
}

static bool has_unknown(const struct check_case *k, int64_t i)
{
    return label_at(k, i) >= k->list->classes;
}

enum err check_label_read(struct checker *c, struct check_case *k)
{
    struct notes n = {0};
    const char *path = k->files->label;
    enum err err;

    c->reason = NULL;
    err = place_label(&k->label, path, k->reference, &c->options, &n);
    if (err) {
        notes_clear(&n);
        TRY(check_failure(c, err, "label"));
        if (!strcmp(c->report->found.item[c->report->found.count - 1].rule->name, "label-grid"))
            check_show(c, k);
        return ERR_OK;
    }
    TRY_OR(done, check_notes(c, &n));
    TRY_OR(done, check_storage(c, k));
    err = place_label_values(k->label, k->list->classes, path, &c->options, k->voxels);
    if (err) {
        TRY_OR(done, check_failure(c, err, "label"));
        TRY_OR(done, show_marked(c, k, has_unknown));
        volume_free(k->label);
        k->label = NULL;
    } else if (k->voxels[0] == grid_count(&k->label->grid)) {
        volume_free(k->label);
        k->label = NULL;
        TRY_OR(done, check_add(c, "label-empty", "%s: no voxel is labelled", path));
        check_show(c, k);
    } else {
        find_middle(k);
    }
    c->labels++;
    for (int v = 0; v < 256; v++)
        c->used[v] = c->used[v] || k->voxels[v];
done:
    notes_clear(&n);
    return err;
}

enum err check_liver_blocks(struct volume **out, const struct check_case *k, const struct sketch *s)
{
    const struct grid *g = &k->label->grid, *to = &s->hu->grid;
    const uint8_t *label = k->label->data;
    bool liver = k->liver >= 0 && k->voxels[k->liver];
    struct volume *v = NULL;
    uint8_t *in;

    TRY(volume_new(&v, to, VOXEL_U8));
    in = v->data;
    for (int64_t i = 0; i < grid_count(to); i++)
        in[i] = 1;
    for (int64_t i = 0; i < grid_count(g); i++) {
        int64_t x = i % g->dims[0] / s->block[0], y = i / g->dims[0] % g->dims[1] / s->block[1];
        int64_t z = i / (g->dims[0] * g->dims[1]) / s->block[2];

        if (liver ? label[i] != k->liver : !label[i])
            in[x + to->dims[0] * (y + to->dims[1] * z)] = 0;
    }
    *out = v;
    return ERR_OK;
}

static int64_t block_at(const struct check_case *k, int64_t i)
{
    const struct sketch *s = &k->sketch[k->files->reference];
    const int64_t *n = k->label->grid.dims, *m = s->hu->grid.dims;
    int64_t x = i % n[0] / s->block[0], y = i / n[0] % n[1] / s->block[1];

    return x + m[0] * (y + m[1] * (i / (n[0] * n[1]) / s->block[2]));
}

static bool is_beyond(const struct check_case *k, int64_t i)
{
    int hu = label_at(k, i) ? ((const int16_t *)k->sketch[k->files->reference].hu->data)[block_at(k, i)] : 0;

    return hu < BLOCK_LOW || hu > BLOCK_HIGH;
}

/* Share of the blocks wholly in the label, all in-plane neighbours too, that are beyond. */
static enum err share_beyond(double *out, const struct check_case *k)
{
    const struct sketch *s = &k->sketch[k->files->reference];
    const int16_t *hu = s->hu->data;
    const int64_t *n = s->hu->grid.dims;
    int64_t all = 0, beyond = 0;
    struct volume *liver = NULL;
    const uint8_t *in;

    TRY(check_liver_blocks(&liver, k, s));
    in = liver->data;
    for (int64_t i = n[0]; i < grid_count(&s->hu->grid) - n[0]; i++) {
        if (!in[i] || !in[i - 1] || !in[i + 1] || !in[i - n[0]] || !in[i + n[0]])
            continue;
        all++;
        beyond += hu[i] < BLOCK_LOW || hu[i] > BLOCK_HIGH;
    }
    volume_free(liver);
    *out = all ? (double)beyond / (double)all : 0;
    return ERR_OK;
}

static enum err check_hu(struct checker *c, struct check_case *k)
{
    const char *path = k->files->label, *image = k->files->phase[k->files->reference];
    struct histogram *h = NULL;
    double median, share;

    TRY(share_beyond(&share, k));
    TRY(histogram_make(&h, k->hu, k->label));
    median = histogram_quantile(h, 0.5);
    mem_free(h);
    if (median < liver_low || median > liver_high)
        TRY(check_add(c, "label-hu", "%s: the median under the label is %g HU in %s, which no liver is", path,
                      median, image));
    else if (share > blocks_most)
        TRY(check_add(c, "label-hu", "%s: %.0f %% of what is labelled liver is fat, air or bone in %s", path,
                      100 * share, image));
    else
        return ERR_OK;
    return show_marked(c, k, is_beyond);
}

/* In the air, and not in the body's neighbourhood. */
static bool is_outside(const struct check_case *k, int64_t i)
{
    return label_at(k, i) && hu_at(k, i) <= AIR_MOST &&
           !((const uint8_t *)k->sketch[k->files->reference].body->data)[block_at(k, i)];
}

static enum err check_outside(struct checker *c, struct check_case *k)
{
    const double *h = k->label->grid.spacing;
    double ml = h[0] * h[1] * h[2] / 1000;
    int64_t outside = 0, all = grid_count(&k->label->grid) - k->voxels[0];

    for (int64_t i = 0; i < grid_count(&k->label->grid); i++)
        outside += is_outside(k, i);
    if ((double)outside * ml < outside_ml || (double)outside < outside_most * (double)all)
        return ERR_OK;
    TRY(check_add(c, "label-outside-body",
                  "%s: %.3g ml of the label (%.2g %%) lie in the air around the body", k->files->label,
                  (double)outside * ml, 100 * (double)outside / (double)all));
    return show_marked(c, k, is_outside);
}

static bool at_border(const struct check_case *k, int64_t i)
{
    const int64_t *n = k->label->grid.dims;
    const int64_t at[3] = {i % n[0], i / n[0] % n[1], i / (n[0] * n[1])};

    for (int a = 0; a < 3; a++)
        if (n[a] > 1 && (at[a] == 0 || at[a] == n[a] - 1))
            return label_at(k, i) != 0;
    return false;
}

static enum err check_border(struct checker *c, struct check_case *k)
{
    static const char *const side[3][2] = {{"left", "right"}, {"back", "front"}, {"lower end", "upper end"}};
    const int64_t *n = k->label->grid.dims;
    const double *h = k->label->grid.spacing;
    int64_t touch[3][2] = {{0}};

    for (int64_t i = 0; i < grid_count(&k->label->grid); i++) {
        const int64_t at[3] = {i % n[0], i / n[0] % n[1], i / (n[0] * n[1])};

        for (int a = 0; a < 3 && label_at(k, i); a++) {
            touch[a][0] += at[a] == 0;
            touch[a][1] += at[a] == n[a] - 1;
        }
    }
    for (int a = 0; a < 3; a++)
        for (int e = 0; e < 2; e++) {
            double area = (double)touch[a][e] * h[0] * h[1] * h[2] / h[a];

            if (n[a] == 1 || area <= border_most)
                continue;
            TRY(check_add(c, "label-border", "%s: the label is cut off at the %s of the volume (%.3g cm2)",
                          k->files->label, side[a][e], area / 100));
            TRY(show_marked(c, k, at_border));
        }
    return ERR_OK;
}

enum err check_label(struct checker *c, struct check_case *k)
{
    if (!k->sketch[k->files->reference].hu)
        return ERR_OK;
    TRY(check_hu(c, k));
    TRY(check_outside(c, k));
    return check_border(c, k);
}
