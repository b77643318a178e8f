#include "phantom/semi.h"
#include "base/mem.h"
#include "base/par.h"
#include "image/filter.h"
#include "image/intensity.h"
#include "image/morph.h"
#include "volume/nifti.h"
#include <math.h>
#include <string.h>

static const double liver_least = 200, liver_most = 8000; /* ml */
static const double liver_core = 3 /* mm */, liver_margin = 40, tumour_margin = 40;
static const double liver_hu[2] = {-100, 350};        /* from fat to arterial, with room */
static const double procedural_liver[3] = {40, 0, 0}; /* mm: the middle of a procedural patient's liver */
static const double skin_step = 4;                    /* mm */
enum { AIR = -500, SKIN = -300 };                     /* HU */

/* The files' voxels, while a case is opened. */
struct files {
    const struct semi_options *o;
    struct volume *ct, *mask, *organs; /* RAS */
};

static void files_free(struct files *f)
{
    volume_free(f->ct);
    volume_free(f->mask);
    volume_free(f->organs);
}

static enum err load(struct volume **out, const char *path, bool hu)
{
    struct nifti_options o = {.positions_matter = true, .map = hu ? NULL : "255=1"};
    struct volume *v = NULL;
    enum err err;

    *out = NULL;
    TRY(hu ? nifti_load_hu(&v, path, &o, NULL) : nifti_load_labels(&v, path, &o, NULL));
    err = volume_to_ras(out, v);
    volume_free(v);
    return err;
}

static enum err load_labels(struct volume **out, const char *path, const struct files *f)
{
    TRY(load(out, path, false));
    if (!grid_same(&f->ct->grid, &(*out)->grid))
        return err_set(ERR_INPUT, "%s lies on another grid than %s; resample it onto that grid first", path,
                       f->o->ct);
    return ERR_OK;
}

static enum err load_all(struct files *f)
{
    TRY(load(&f->ct, f->o->ct, true));
    TRY(load_labels(&f->mask, f->o->liver, f));
    return f->o->organs ? load_labels(&f->organs, f->o->organs, f) : ERR_OK;
}

/* ---- what the files hold ---- */

static double voxel_ml(const struct grid *g)
{
    return g->spacing[0] * g->spacing[1] * g->spacing[2] / 1000;
}

/* A mask without label 1 is liver all over. */
static enum err measure_liver(struct semi *s, struct files *f)
{
    int64_t n = grid_count(&s->grid), set = 0, ones = 0, others = 0, inside = 0;
    const int16_t *hu = f->ct->data;
    uint8_t *mask = f->mask->data;

    for (int64_t i = 0; i < n; i++) {
        set += mask[i] != 0;
        ones += mask[i] == 1;
        others += mask[i] > 2;
        inside += mask[i] && hu[i] > AIR;
    }
    if (!set)
        return err_set(ERR_INPUT, "%s is empty: no voxel is liver", f->o->liver);
    if (ones && others)
        return err_set(ERR_INPUT,
                       "%s has more than liver (1) and tumour (2); give a mask of the liver, and organs with "
                       "--labels",
                       f->o->liver);
    s->liver_ml = (double)inside * voxel_ml(&s->grid);
    if (s->liver_ml < liver_least)
        return err_set(ERR_INPUT, "%s has %.0f ml of liver inside %s; a case needs %.0f ml", f->o->liver,
                       s->liver_ml, f->o->ct, liver_least);
    if (s->liver_ml > liver_most)
        return err_set(ERR_INPUT, "%s has %.0f ml: no liver is so large; give a mask of the liver alone",
                       f->o->liver, s->liver_ml);
    for (int64_t i = 0; i < n && !ones; i++)
        mask[i] = mask[i] != 0;
    return ERR_OK;
}

static enum err denoise(struct semi *s, const struct files *f)
{
    int64_t n = grid_count(&s->grid);
    int16_t *once = mem_new((size_t)n, sizeof *once);

    s->base = mem_new((size_t)n, sizeof *s->base);
    if (once && s->base) {
        filter_median(once, f->ct->data, s->grid.dims);
        filter_median(s->base, once, s->grid.dims);
    }
    mem_free(once);
    return once && s->base ? ERR_OK : ERR_MEMORY;
}

static enum err measure_hu(struct semi *s, const struct files *f)
{
    const int64_t *n = s->grid.dims;
    const uint8_t *mask = f->mask->data;
    struct volume base = {.grid = s->grid, .type = VOXEL_I16, .data = s->base}, *core;
    struct histogram *h = NULL;
    enum err err;
    uint8_t *in;

    TRY(volume_new(&core, &s->grid, VOXEL_U8));
    in = core->data;
    for (int64_t i = 0; i < grid_count(&s->grid); i++)
        in[i] =
            mask[i] && mask[i] != 2 &&
            (double)semi_map_node(&s->liver_map, i % n[0], i / n[0] % n[1], i / (n[0] * n[1])) < -liver_core;
    err = histogram_make(&h, &base, core);
    volume_free(core);
    if (err)
        return err;
    err = h->count ? ERR_OK : err_set(ERR_INPUT, "%s: the liver is nowhere 3 mm deep", f->o->liver);
    s->liver_hu = histogram_quantile(h, 0.5);
    mem_free(h);
    if (!err && !(s->liver_hu >= liver_hu[0] && s->liver_hu <= liver_hu[1]))
        err =
            err_set(ERR_INPUT, "%s: the liver measures %.0f, which is no liver in HU", f->o->ct, s->liver_hu);
    return err;
}

/* The box around the mask in mm. */
static void place_liver(struct semi *s)
{
    const struct semi_map *m = &s->liver_map;
    struct liver *l = &s->liver;

    for (int a = 0; a < 3; a++) {
        l->lo[a] = INFINITY;
        l->hi[a] = -INFINITY;
    }
    for (int corner = 0; corner < 8; corner++) {
        double at[3], mm[3];

        for (int a = 0; a < 3; a++)
            at[a] = (corner >> a & 1) ? (double)m->hi[a] + 0.5 : (double)m->lo[a] - 0.5;
        grid_world(&s->grid, at, mm);
        for (int a = 0; a < 3; a++) {
            l->lo[a] = fmin(l->lo[a], mm[a]);
            l->hi[a] = fmax(l->hi[a], mm[a]);
        }
    }
    for (int a = 0; a < 3; a++)
        s->origin[a] = 0.5 * (l->lo[a] + l->hi[a]) - procedural_liver[a];
}

static void liver_distance(const void *ctx, const struct points *p, int n, float *d)
{
    semi_map_read(&((const struct semi *)ctx)->liver_map, p, n, d);
}

/* ---- tumours that are there already ---- */

static void add_unknowns(struct semi *s, const struct components *c, const struct semi_map *m)
{
    const struct grid *g = &s->grid;
    int64_t i = 0;

    s->unknowns = c->count < SEMI_UNKNOWNS ? c->count : SEMI_UNKNOWNS;
    for (int64_t z = 0; z < m->size[2]; z++)
        for (int64_t y = 0; y < m->size[1]; y++)
            for (int64_t x = 0; x < m->size[0]; x++, i++) {
                int32_t k = c->label[i] < SEMI_UNKNOWNS ? c->label[i] : SEMI_UNKNOWNS;
                double mm[3],
                    at[3] = {(double)(m->from[0] + x), (double)(m->from[1] + y), (double)(m->from[2] + z)};

                if (!k)
                    continue;
                grid_world(g, at, mm);
                for (int a = 0; a < 3; a++)
                    s->unknown[k - 1].centre[a] += mm[a];
                s->unknown[k - 1].volume_ml++;
            }
    for (int k = 0; k < s->unknowns; k++) {
        for (int a = 0; a < 3; a++)
            s->unknown[k].centre[a] /= s->unknown[k].volume_ml;
        s->unknown[k].volume_ml *= voxel_ml(g);
    }
}

static enum err find_unknowns(struct semi *s)
{
    const struct semi_map *m = &s->tumour_map;
    int64_t n = m->size[0] * m->size[1] * m->size[2];
    struct components c = {0};
    enum err err = ERR_MEMORY;
    uint8_t *box;

    if (!m->mm)
        return ERR_OK;
    box = mem_new((size_t)n, 1);
    if (!box)
        return ERR_MEMORY;
    for (int64_t i = 0; i < n; i++)
        box[i] = m->mm[i] < 0;
    err = components_find(&c, box, m->size, CORNERS);
    if (!err)
        add_unknowns(s, &c, m);
    components_free(&c);
    mem_free(box);
    return err;
}

/* ---- the skin ---- */

/* Every so many voxels of the CT, about skin_step apart. */
static struct grid coarse_grid(const struct grid *g, int64_t every[3])
{
    struct grid c = *g;

    for (int a = 0; a < 3; a++) {
        every[a] = (int64_t)fmax(1, floor(skin_step / g->spacing[a]));
        c.dims[a] = (g->dims[a] - 1) / every[a] + 1;
        c.spacing[a] *= (double)every[a];
        for (int r = 0; r < 3; r++)
            c.affine[r][a] *= (double)every[a];
    }
    return c;
}

/* 1 in the body: what is no air, its largest part, filled slice by slice. */
static enum err find_body(struct volume *body, const int16_t *hu, const int64_t n[3], const int64_t every[3])
{
    const int64_t *c = body->grid.dims, slice[3] = {c[0], c[1], 1};
    uint8_t *in = body->data;
    int64_t i = 0;

    for (int64_t z = 0; z < c[2]; z++)
        for (int64_t y = 0; y < c[1]; y++)
            for (int64_t x = 0; x < c[0]; x++, i++)
                in[i] = hu[x * every[0] + n[0] * (y * every[1] + n[1] * z * every[2])] > SKIN;
    TRY(morph_keep_largest(in, c, FACES));
    for (int64_t z = 0; z < c[2]; z++)
        TRY(morph_fill_holes(in + z * c[0] * c[1], slice));
    return ERR_OK;
}

static void find_axis(struct semi *s, const struct volume *body)
{
    const struct grid *g = &body->grid;
    const uint8_t *in = body->data;
    double sum[3] = {0}, mm[3];
    int64_t count = 0;

    for (int64_t i = 0; i < grid_count(g); i++)
        if (in[i]) {
            sum[0] += (double)(i % g->dims[0]);
            sum[1] += (double)(i / g->dims[0] % g->dims[1]);
            sum[2] += (double)(i / (g->dims[0] * g->dims[1]));
            count++;
        }
    for (int a = 0; a < 3; a++)
        sum[a] /= (double)(count ? count : 1);
    grid_world(g, sum, mm);
    s->axis[0] = mm[0];
    s->axis[1] = mm[1];
}

static enum err measure_skin(struct semi *s)
{
    int64_t every[3];
    struct grid coarse = coarse_grid(&s->grid, every);
    struct volume *body;
    enum err err;

    TRY(volume_new(&body, &coarse, VOXEL_U8));
    err = find_body(body, s->base, s->grid.dims, every);
    if (!err) {
        find_axis(s, body);
        err = semi_map_make(&s->skin_map, &(struct semi_mask){body->data, &coarse, 0}, 0);
    }
    volume_free(body);
    return err;
}

/* ---- organs ---- */

static int row_of(int number)
{
    for (int i = 0; semi_organs[i].first >= 0; i++)
        if (number >= semi_organs[i].first && number <= semi_organs[i].last)
            return i;
    return row_of(15); /* a number without a row is some organ */
}

/* The kidneys' cortex gets rows of its own. */
static enum err find_cortex(struct semi *s, const struct files *f, int number)
{
    const int64_t *n = s->grid.dims;
    const uint8_t *given = f->organs->data;
    int cortex = row_of(1000 + number);
    struct semi_map map;

    TRY(semi_map_make(&map, &(struct semi_mask){given, &s->grid, number}, 0));
    for (int64_t i = 0; i < grid_count(&s->grid); i++)
        if (given[i] == number &&
            semi_map_node(&map, i % n[0], i / n[0] % n[1], i / (n[0] * n[1])) > -SEMI_CORTEX_MM)
            s->organ[i] = (uint8_t)cortex;
    semi_map_free(&map);
    return ERR_OK;
}

static enum err find_organs(struct semi *s, const struct files *f)
{
    uint8_t row[256];

    if (!f->organs)
        return ERR_OK;
    s->organs = true;
    s->organ = mem_new((size_t)grid_count(&s->grid), 1);
    if (!s->organ)
        return ERR_MEMORY;
    for (int i = 0; i < 256; i++)
        row[i] = (uint8_t)row_of(i);
    for (int64_t i = 0; i < grid_count(&s->grid); i++)
        s->organ[i] = row[((uint8_t *)f->organs->data)[i]];
    TRY(find_cortex(s, f, 2));
    return find_cortex(s, f, 3);
}

/* ---- all of it ---- */

static enum err make(struct semi *s, struct files *f)
{
    struct semi_mask liver = {NULL, &s->grid, 0}, tumour = {NULL, &s->grid, 2};

    TRY(load_all(f));
    s->grid = f->ct->grid;
    s->phase = f->o->phase;
    liver.set = tumour.set = f->mask->data;
    TRY(measure_liver(s, f));
    TRY(denoise(s, f));
    TRY(semi_map_make(&s->liver_map, &liver, liver_margin));
    TRY(semi_map_make(&s->tumour_map, &tumour, tumour_margin));
    s->liver = (struct liver){.distance = liver_distance, .ctx = s};
    place_liver(s);
    TRY(measure_hu(s, f));
    TRY(find_unknowns(s));
    TRY(measure_skin(s));
    return find_organs(s, f);
}

enum err semi_open(struct semi **out, const struct semi_options *o)
{
    struct semi *s = mem_new(1, sizeof *s);
    struct files f = {.o = o};
    enum err err = s ? make(s, &f) : ERR_MEMORY;

    files_free(&f);
    if (err)
        semi_free(s);
    else
        *out = s;
    return err;
}

void semi_free(struct semi *s)
{
    if (!s)
        return;
    mem_free(s->base);
    mem_free(s->organ);
    semi_map_free(&s->liver_map);
    semi_map_free(&s->tumour_map);
    semi_map_free(&s->skin_map);
    mem_free(s);
}

void semi_taken(const void *ctx, const struct points *p, int n, float *mm)
{
    semi_map_read(&((const struct semi *)ctx)->tumour_map, p, n, mm);
}

void semi_skin(const void *ctx, const struct points *p, int n, float *mm)
{
    semi_map_read(&((const struct semi *)ctx)->skin_map, p, n, mm);
}

void semi_tissues(const struct semi *s, struct tissues *t)
{
    t->hu[TISSUE_LIVER][s->phase] = s->liver_hu;
}
