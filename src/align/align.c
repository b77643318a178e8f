#include "align/align.h"
#include "align/body.h"
#include "align/tent.h"
#include "base/clock.h"
#include "base/mem.h"
#include <math.h>
#include <string.h>

enum { SLICES_LEAST = 8 /* input-rules.md */ };
static const double margin = 8; /* mm (section 2) */

static void image_free(struct align_image *im)
{
    for (int l = 0; l < ALIGN_LEVELS; l++)
        features_free(&im->level[l]);
    mem_free(im->body);
    mem_free(im->tissue);
}

void alignment_free(struct alignment *a)
{
    image_free(&a->fixed);
    image_free(&a->moving);
    mem_free(a->velocity.v);
    *a = (struct alignment){0};
}

/* Millimetres; what lies beyond is a wrong unit rather than a scan. */
static const double spacing_least = 0.05, spacing_most = 20;

static enum err check_image(const struct volume *v, const char *which)
{
    for (int a = 0; a < 3; a++)
        if (v->grid.dims[a] < SLICES_LEAST)
            return err_set(
                ERR_INPUT,
                "the %s image has %lld x %lld x %lld voxels: registration needs at least %d slices "
                "along every axis",
                which, (long long)v->grid.dims[0], (long long)v->grid.dims[1], (long long)v->grid.dims[2],
                (int)SLICES_LEAST);
    for (int a = 0; a < 3; a++)
        if (!(v->grid.spacing[a] >= spacing_least && v->grid.spacing[a] <= spacing_most))
            return err_set(
                ERR_INPUT,
                "the %s image has voxels of %g x %g x %g mm: registration takes %g to %g mm; correct "
                "the file's voxel size or its unit",
                which, v->grid.spacing[0], v->grid.spacing[1], v->grid.spacing[2], spacing_least,
                spacing_most);
    return ERR_OK;
}

/* An image on its working lattice, before features. */
struct working {
    struct lattice at;
    float *hu;
    uint8_t *body;
    uint8_t *inside; /* NULL: all */
    double sigma;
};

static void working_free(struct working *w)
{
    mem_free(w->hu);
    mem_free(w->body);
    mem_free(w->inside);
}

/* `like`: the lattice whose axes the image must have, or NULL. */
static enum err working_make(struct working *w, const struct volume *v, const struct tent *t,
                             const struct lattice *like)
{
    const char *which = like ? "moving" : "fixed";
    double nodes[3];
    enum err err;

    for (int a = 0; a < 3; a++)
        nodes[a] = t->half_width[a] / t->spacing;
    TRY(tent_resample(&w->at, &w->hu, v, t));
    if (like && tent_oblique(&w->at, like))
        TRY(tent_turn(&w->at, &w->hu, &w->inside, like));
    err = body_find(&w->body, w->hu, w->at.size);
    if (!err)
        err = body_noise(&w->sigma, w->hu, w->body, w->at.size, body_noise_gain(nodes));
    return err ? err_while(err, "looking at the %s image", which) : ERR_OK;
}

/* Moves the nodes from[a] .. from[a] + size[a] - 1 of an array to its front; `bytes` per node. */
static void crop_array(void *array, size_t bytes, const int64_t whole[3], const int64_t from[3],
                       const int64_t size[3])
{
    char *p = array;

    for (int64_t z = 0; z < size[2]; z++)
        for (int64_t y = 0; y < size[1]; y++)
            memmove(p + bytes * (size_t)lattice_index(size, 0, y, z),
                    p + bytes * (size_t)lattice_index(whole, from[0], y + from[1], z + from[2]),
                    bytes * (size_t)size[0]);
}

/* The body's box and a margin. */
static void crop(struct working *w, double spacing)
{
    int64_t from[3], to[3], size[3], edge = (int64_t)ceil(margin / spacing);

    body_box(w->body, w->at.size, from, to);
    for (int a = 0; a < 3; a++) {
        /* a node of the coarsest level, so that two images on one grid share nodes on all levels */
        from[a] = lattice_clamp(from[a] - edge, w->at.size[a]) & -((int64_t)1 << (ALIGN_LEVELS - 1));
        size[a] = lattice_clamp(to[a] + edge, w->at.size[a]) - from[a] + 1;
    }
    crop_array(w->hu, sizeof(float), w->at.size, from, size);
    crop_array(w->body, 1, w->at.size, from, size);
    w->at = lattice_crop(&w->at, from, size);
}

static enum err image_make(struct align_image *im, struct working *w, double sigma)
{
    int64_t count = lattice_count(&w->at);

    im->sigma = w->sigma;
    memcpy(im->size, w->at.size, sizeof im->size);
    im->body = w->body;
    w->body = NULL;
    im->tissue = mem_new((size_t)count, 1);
    if (!im->tissue)
        return ERR_MEMORY;
    for (int64_t i = 0; i < count; i++)
        im->tissue[i] = body_counts(w->hu[i], im->body[i]);
    for (int64_t i = 0; w->inside && i < count; i++)
        im->body[i] = im->body[i] && w->inside[i];
    TRY(features_make(&im->level[0], &w->at, w->hu, w->inside, sigma));
    mem_free(w->hu);
    w->hu = NULL;
    for (int l = 1; l < ALIGN_LEVELS; l++)
        TRY(features_coarser(&im->level[l], &im->level[l - 1]));
    return ERR_OK;
}

/* Nodes in the lesion do not count as tissue. */
static enum err mask_lesion(struct align_image *im, const struct volume *lesion)
{
    struct grid back;
    struct affine map;
    const struct lattice *at = &im->level[0].at;
    const uint8_t *label = lesion->data;

    TRY(grid_invert(&lesion->grid, back.affine));
    memcpy(map.m, back.affine, sizeof map.m);
    map = affine_then(&at->to_world, &map);
    for (int64_t z = 0; z < at->size[2]; z++)
        for (int64_t y = 0; y < at->size[1]; y++)
            for (int64_t x = 0; x < at->size[0]; x++) {
                double p[3] = {(double)x, (double)y, (double)z};
                int64_t v[3];

                affine_apply(&map, p, p);
                for (int a = 0; a < 3; a++)
                    v[a] = lattice_clamp((int64_t)floor(p[a] + 0.5), lesion->grid.dims[a]);
                if (label[lattice_index(lesion->grid.dims, v[0], v[1], v[2])])
                    im->tissue[lattice_index(at->size, x, y, z)] = 0;
            }
    return ERR_OK;
}

enum err align_coarse_mask(uint8_t **out, const uint8_t *mask, const int64_t size[3], int level)
{
    int64_t n[3], step = (int64_t)1 << level;
    uint8_t *coarse;

    for (int a = 0; a < 3; a++)
        n[a] = (size[a] + step - 1) / step;
    coarse = mem_new((size_t)(n[0] * n[1] * n[2]), 1);
    if (!coarse)
        return ERR_MEMORY;
    for (int64_t z = 0; z < n[2]; z++)
        for (int64_t y = 0; y < n[1]; y++)
            for (int64_t x = 0; x < n[0]; x++)
                coarse[lattice_index(n, x, y, z)] = mask[lattice_index(size, x * step, y * step, z * step)];
    *out = coarse;
    return ERR_OK;
}

static enum err expect(struct alignment *a, const struct working *w, const struct tent *t)
{
    double nodes[3];
    struct expect_input in = {
        .at = &w->at, .hu = w->hu, .body = w->body, .sigma = a->sigma, .half_width = nodes};

    for (int i = 0; i < 3; i++)
        nodes[i] = t->half_width[i] / t->spacing;
    return expect_noise(&a->noise, &in);
}

/* Sections 2 to 4: both images as features. */
static enum err make_images(struct alignment *a, const struct volume *fixed, const struct volume *moving,
                            const struct align_options *o, double spacing)
{
    struct working f = {0}, m = {0};
    struct orient axes = grid_orient(&fixed->grid);
    struct grid ordered = tent_order(&fixed->grid, axes);
    struct tent tf = tent_plan(&fixed->grid, axes, &moving->grid, spacing);
    struct tent tm = tent_plan(&moving->grid, tent_axes(&moving->grid, &ordered), &fixed->grid, spacing);
    enum err err;

    memcpy(a->half_width[0], tf.half_width, sizeof tf.half_width);
    memcpy(a->half_width[1], tm.half_width, sizeof tm.half_width);
    TRY_OR(done, working_make(&f, fixed, &tf, NULL));
    TRY_OR(done, working_make(&m, moving, &tm, &f.at));
    crop(&f, spacing);
    a->sigma = sqrt((f.sigma * f.sigma + m.sigma * m.sigma) / 2);
    TRY_OR(done, expect(a, &f, &tf));
    TRY_OR(done, image_make(&a->fixed, &f, a->sigma));
    TRY_OR(done, image_make(&a->moving, &m, a->sigma));
    if (o->lesion)
        err = mask_lesion(&a->fixed, o->lesion);
done:
    working_free(&f);
    working_free(&m);
    return err;
}

/* Mean feature distance of the body's nodes under a map, at level 2; nodes outside count as in block
 * matching, 0.6. */
static enum err mean_distance(double *mean, const struct alignment *a, const struct affine *t,
                              const uint8_t *body)
{
    const struct features *f = &a->fixed.level[2], *m = &a->moving.level[2];
    struct affine map = lattice_map(&f->at, t, &m->at);
    struct features warped;
    int64_t sum = 0, nodes = 0;

    TRY(features_warp(&warped, m, &f->at, &map));
    for (int64_t i = 0, n = lattice_count(&f->at); i < n; i++) {
        const uint8_t *node = warped.node + FEATURE_NODE * i;

        if (!body[i])
            continue;
        sum += node[FEATURE_VALID] ? feature_distance(f->node + FEATURE_NODE * i, node) : MATCH_OUTSIDE;
        nodes++;
    }
    features_free(&warped);
    *mean = nodes ? (double)sum / (double)nodes : 0;
    return ERR_OK;
}

/* An affine that fits worse than the translation it began with is not taken. */
static enum err refuse_worse(struct alignment *a, const struct affine *before, const uint8_t *body)
{
    double cost[2];

    TRY(mean_distance(&cost[0], a, before, body));
    TRY(mean_distance(&cost[1], a, &a->affine, body));
    if (cost[1] >= cost[0]) {
        a->affine = *before;
        a->match.rigid = a->match.outside = false;
    }
    return ERR_OK;
}

/* Section 5: header, coarse translation, affine. */
static enum err find_affine(struct alignment *a)
{
    const struct features *f = a->fixed.level, *m = a->moving.level;
    uint8_t *mask[3] = {0};
    struct search_side sides[2] = {{.f = &f[3]}, {.f = &m[3]}};
    struct match_input in = {.fixed = &f[2], .fine = &f[1].at, .moving = {&m[1], &m[2]}};
    struct affine before;
    enum err err;

    a->affine = affine_identity();
    TRY_OR(done, align_coarse_mask(&mask[0], a->fixed.body, f[0].at.size, 3));
    TRY_OR(done, align_coarse_mask(&mask[1], a->moving.body, m[0].at.size, 3));
    TRY_OR(done, align_coarse_mask(&mask[2], a->fixed.body, f[0].at.size, 2));
    sides[0].body = mask[0];
    sides[1].body = mask[1];
    in.body = mask[2];
    TRY_OR(done, search_translation(&a->search, &sides[0], &sides[1]));
    for (int i = 0; i < 3; i++)
        a->affine.m[i][3] = a->search.shift[i];
    before = a->affine;
    TRY_OR(done, match_affine(&a->affine, &a->match, &in));
    TRY_OR(done, refuse_worse(a, &before, mask[2]));
done:
    for (int i = 0; i < 3; i++)
        mem_free(mask[i]);
    return err;
}

/* Section 7. The moving features of level 0 are not needed any more once they are warped. */
static enum err find_field(struct alignment *a, const struct align_options *o)
{
    struct features *f = a->fixed.level, *m = a->moving.level, warped[2] = {0};
    uint8_t *weight = NULL;
    struct refine_input in = {.preset = o->preset, .progress = o->progress, .stop = o->stop};
    enum err err;

    for (int l = 0; l < 2; l++) {
        struct affine map = lattice_map(&f[l].at, &a->affine, &m[l].at);

        TRY_OR(done, features_warp(&warped[l], &m[l], &f[l].at, &map));
        in.fixed[l] = &f[l];
        in.moving[l] = &warped[l];
    }
    features_free(&m[0]);
    TRY_OR(done, align_coarse_mask(&weight, a->fixed.tissue, f[0].at.size, 1));
    in.weight = weight;
    TRY_OR(done, refine(&a->velocity, &a->refine, &in));
    features_free(&f[0]);
done:
    features_free(&warped[0]);
    features_free(&warped[1]);
    mem_free(weight);
    return err;
}

enum err align_run(struct alignment *out, const struct volume *fixed, const struct volume *moving,
                   const struct align_options *o)
{
    double spacing = o->spacing > 0 ? o->spacing : ALIGN_SPACING, start = clock_now(), now;
    struct alignment a = {0};
    enum err err;

    TRY(check_image(fixed, "fixed"));
    TRY(check_image(moving, "moving"));
    TRY_OR(failed, make_images(&a, fixed, moving, o, spacing));
    a.seconds[0] = (now = clock_now()) - start;
    TRY_OR(failed, find_affine(&a));
    a.seconds[1] = clock_now() - now;
    now = clock_now();
    TRY_OR(failed, find_field(&a, o));
    a.seconds[2] = clock_now() - now;
    a.seconds[3] = clock_now() - start;
    *out = a;
    return ERR_OK;
failed:
    alignment_free(&a);
    return err;
}

/* Nodes of the working lattice before it is cropped to the body. */
static uint64_t working_nodes(const struct grid *g, double spacing)
{
    double n = 1;

    for (int a = 0; a < 3; a++)
        n *= floor((double)(g->dims[a] - 1) * g->spacing[a] / spacing) + 1;
    return n < 0x1p62 ? (uint64_t)n : UINT64_MAX >> 2;
}

struct align_bytes align_memory(const struct grid *fixed, const struct grid *moving, double spacing)
{
    /* A node of level 0: features and their pyramid 18.3, both masks 2; while they are made 33 more (HU,
     * body, six shifts, scratch). The field: 3 floats for each of its nodes, an eighth as many. */
    enum { KEPT = 21, MAKING = 33, FIELD = 12, DENSITY = 8, WARPED = 19, STEPS = 8 };
    double h = spacing > 0 ? spacing : ALIGN_SPACING;
    uint64_t f = working_nodes(fixed, h), m = working_nodes(moving, h), map = FIELD * (f / DENSITY + 1);
    uint64_t features = KEPT * f + MAKING * (f > m ? f : m) + KEPT * m;
    uint64_t field = (KEPT + WARPED) * f + KEPT * m + STEPS * map;

    return (struct align_bytes){.peak = features > field ? features : field, .map = map};
}
