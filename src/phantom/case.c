#include "phantom/case.h"
#include "base/mem.h"
#include "phantom/annotate.h"
#include <math.h>
#include <string.h>

static double drawn_between(const struct phantom_id *id, const char *stream, double given,
                            const double range[2])
{
    struct rng r = phantom_rng(id, stream, 0);
    double v = rng_between(&r, range[0], range[1]);

    return given == PHANTOM_DRAWN ? v : given;
}

static void draw_missing(struct phantom_case *c)
{
    struct rng r = phantom_rng(&c->id, "missing", 0);
    static const int phase[3] = {PHANTOM_NC, PHANTOM_ART, PHANTOM_DEL};

    c->facts[PHANTOM_PVP].present = true;
    for (int i = 0; i < 3; i++)
        c->facts[phase[i]].present = rng_unit(&r) >= c->params->missing[i];
}

static void draw_extent(struct phantom_case *c)
{
    for (int p = 0; p < PHANTOM_PHASES; p++) {
        struct rng r = phantom_rng(&c->id, "extent", p);

        for (int i = 0; i < PHANTOM_LESIONS; i++) {
            double v = c->params->extent * rng_normal(&r);
            c->scene.grow[i][p] = p == PHANTOM_PVP ? 0 : (float)v;
        }
    }
}

/* The middle of the liver's true box, seen on an 8 mm lattice. */
static void liver_centre(const struct liver *l, double centre[3])
{
    const double step = 8;
    double lo[3] = {INFINITY, INFINITY, INFINITY}, hi[3] = {-INFINITY, -INFINITY, -INFINITY};
    struct points p;
    float d[BLOCK_MAX];

    for (double z = l->lo[2]; z <= l->hi[2]; z += step)
        for (double y = l->lo[1]; y <= l->hi[1]; y += step) {
            int n = 0;

            for (double x = l->lo[0]; x <= l->hi[0] && n < BLOCK_MAX; x += step, n++) {
                p.x[n] = (float)x;
                p.y[n] = (float)y;
                p.z[n] = (float)z;
            }
            l->distance(l->ctx, &p, n, d);
            for (int i = 0; i < n; i++) {
                double at[3] = {(double)p.x[i], y, z};

                for (int k = 0; k < 3 && d[i] < 0; k++) {
                    lo[k] = fmin(lo[k], at[k]);
                    hi[k] = fmax(hi[k], at[k]);
                }
            }
        }
    for (int k = 0; k < 3; k++)
        centre[k] = (lo[k] + hi[k]) / 2;
}

static void draw_scans(struct phantom_case *c)
{
    const struct phantom_frame *f = &c->frame;
    struct scan_options o = {.thickness = f->thickness,
                             .registered = c->params->registered,
                             .noise = c->noise,
                             .fpeak = c->fpeak,
                             .scale = f->scale};

    memcpy(o.dims, f->dims, sizeof o.dims);
    memcpy(o.spacing, f->spacing, sizeof o.spacing);
    memcpy(o.centre, f->centre, sizeof o.centre);
    if (isnan(f->centre[0]))
        liver_centre(&c->liver, o.centre);
    scans_draw(c->scan, &c->id, &o);
}

static void unit_distance(const void *ctx, const struct points *a, int n, float *d)
{
    body_liver_unit(ctx, a, n, d);
}

/* The liver that the trees grow in: before scale and warp. */
static struct liver unit_liver(const struct liver *l, const struct body *b)
{
    struct liver unit = {.distance = unit_distance, .ctx = b};

    for (int i = 0; i < 3; i++) {
        unit.lo[i] = l->lo[i] / b->scale;
        unit.hi[i] = l->hi[i] / b->scale;
    }
    return unit;
}

static enum err draw_patient(struct phantom_case *c)
{
    const struct phantom_params *p = c->params;
    struct lesion_odds odds = {.count = p->count, .least = c->frame.lesion[0], .most = c->frame.lesion[1]};
    struct tissue_odds tissue = {.steatosis = p->steatosis, .cirrhosis = p->cirrhosis};
    struct body_odds body = {.oral = p->oral, .scale = c->frame.scale};
    struct liver unit;

    TRY(phantom_kinds(&odds, p->kinds));
    TRY(texture_make(&c->texture, &c->id));
    body_draw(&c->scene.body, &c->id, &c->texture, &body);
    tissues_draw(&c->scene.tissues, &c->id, &tissue);
    c->liver = liver_of_body(&c->scene.body);
    unit = unit_liver(&c->liver, &c->scene.body);
    TRY(tree_grow(&c->scene.portal, TREE_PORTAL, &c->id, &unit, c->frame.scale));
    TRY(tree_grow(&c->scene.hepatic, TREE_HEPATIC, &c->id, &unit, c->frame.scale));
    return lesions_draw(&c->scene.lesions, &c->id, &c->liver, &odds);
}

enum err phantom_case_make(struct phantom_case *out, const struct phantom_id *id, int preset,
                           const struct phantom_params *params)
{
    static const double noise[2] = {9, 18}, fpeak[2] = {0.12, 0.24};
    struct phantom_case *c = out;
    enum err err;

    *c = (struct phantom_case){.id = *id, .params = params};
    TRY(phantom_frame_draw(&c->frame, id, preset, params));
    c->noise = drawn_between(id, "noise", params->noise, noise);
    c->fpeak = drawn_between(id, "fpeak", params->fpeak, fpeak);
    draw_missing(c);
    draw_extent(c);
    err = draw_patient(c);
    if (err) {
        phantom_case_free(c);
        return err;
    }
    draw_scans(c);
    return ERR_OK;
}

void phantom_case_free(struct phantom_case *c)
{
    texture_free(&c->texture);
    tree_free(&c->scene.portal);
    tree_free(&c->scene.hepatic);
    lesions_free(&c->scene.lesions);
    *c = (struct phantom_case){0};
}

/* ---- a phase as the scanner sees it ---- */

struct view {
    const struct scene *scene;
    const struct motion *motion;
    int phase;
    float pixel;
};

struct view_scratch {
    struct points p, q;
    struct scene_scratch *scene;
};

static void view_close(void *scratch)
{
    struct view_scratch *s = scratch;

    if (s)
        scene_scratch_free(s->scene);
    mem_free(s);
}

static enum err view_open(const void *ctx, void **scratch)
{
    struct view_scratch *s = mem_new(1, sizeof *s);
    enum err err = s ? scene_scratch_new(&s->scene) : ERR_MEMORY;

    (void)ctx;
    if (err) {
        mem_free(s);
        return err;
    }
    *scratch = s;
    return ERR_OK;
}

static void view_sample(const void *ctx, const struct points *y, int n, void *scratch, float *hu,
                        uint8_t *label)
{
    const struct view *v = ctx;
    struct view_scratch *s = scratch;
    struct scene_points at = {.p = &s->p, .q = &s->q, .n = n, .pixel = v->pixel};

    motion_visceral(v->motion, y, n, &s->p);
    motion_wall(v->motion, y, n, &s->q);
    scene_sample(v->scene, v->phase, &at, s->scene, hu, label);
}

/* ---- what is measured ---- */

struct sums {
    double hu[PHANTOM_LESIONS];
    int64_t n[PHANTOM_LESIONS];
};

/* Adds a block's voxels that lie deeper than 1 mm in lesion `i`. at: voxel positions in the phase; hu: clean.
 */
static void add_inner(struct sums *s, const struct phantom_case *c, const struct motion *m, int i,
                      const struct points *at, const int16_t *hu, int n)
{
    struct points p;
    float d[BLOCK_MAX];

    motion_visceral(m, at, n, &p);
    lesion_distance(&c->scene.lesions.item[i], &c->texture, &p, n, d);
    for (int k = 0; k < n; k++)
        if (d[k] < -1) {
            s->hu[i] += hu[k];
            s->n[i]++;
        }
}

struct gather { /* voxels of one lesion waiting to be measured */
    struct points at;
    int16_t hu[BLOCK_MAX];
    int n;
};

static void measure_labels(struct phase_facts *f, const struct phantom_case *c, const struct phantom_phase *p,
                           struct gather *wait, struct sums *sums)
{
    const struct volume *v = p->image.label;
    const uint8_t *label = v->data;
    const int16_t *clean = p->image.clean->data;
    const int64_t *dims = v->grid.dims;

    for (int64_t i = 0; i < grid_count(&v->grid); i++) {
        int lesion = label[i] - PHANTOM_LESION;
        struct gather *g;
        double index[3] = {(double)(i % dims[0]), (double)(i / dims[0] % dims[1]),
                           (double)(i / (dims[0] * dims[1]))},
               mm[3];

        if (lesion < 0) {
            f->voxels[label[i]]++;
            continue;
        }
        f->voxels[lesion_malignant(c->scene.lesions.item[lesion].kind) ? PHANTOM_TUMOUR : PHANTOM_BENIGN]++;
        f->lesion[lesion].voxels++;
        grid_world(&v->grid, index, mm);
        g = &wait[lesion];
        g->at.x[g->n] = (float)mm[0];
        g->at.y[g->n] = (float)mm[1];
        g->at.z[g->n] = (float)mm[2];
        g->hu[g->n++] = clean[i];
        if (g->n == BLOCK_MAX) {
            add_inner(sums, c, &p->motion, lesion, &g->at, g->hu, g->n);
            g->n = 0;
        }
    }
    for (int k = 0; k < c->scene.lesions.count; k++)
        if (wait[k].n)
            add_inner(sums, c, &p->motion, k, &wait[k].at, wait[k].hu, wait[k].n);
}

static void measure_centres(struct phase_facts *f, const struct phantom_case *c, const struct motion *m)
{
    struct points x = {0}, y;
    int n = c->scene.lesions.count;

    for (int i = 0; i < n; i++) {
        x.x[i] = (float)c->scene.lesions.item[i].centre[0];
        x.y[i] = (float)c->scene.lesions.item[i].centre[1];
        x.z[i] = (float)c->scene.lesions.item[i].centre[2];
    }
    motion_truth(m, &x, n, &y);
    for (int i = 0; i < n; i++) {
        double d[3] = {(double)(y.x[i] - x.x[i]), (double)(y.y[i] - x.y[i]), (double)(y.z[i] - x.z[i])};

        f->lesion[i].centre[0] = (double)y.x[i];
        f->lesion[i].centre[1] = (double)y.y[i];
        f->lesion[i].centre[2] = (double)y.z[i];
        f->lesion[i].shift = sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    }
}

static enum err measure(struct phantom_case *c, int phase, const struct phantom_phase *p)
{
    struct phase_facts *f = &c->facts[phase];
    const struct scan *s = &c->scan[phase];
    struct gather *wait = mem_new(PHANTOM_LESIONS, sizeof *wait);
    struct sums sums = {0};

    if (!wait)
        return ERR_MEMORY;
    *f = (struct phase_facts){.present = f->present};
    f->amplitude = p->motion.amplitude;
    for (int i = 0; i < 3; i++) {
        f->rotation[i] = p->motion.rotation[i] * 180 / 3.14159265358979323846;
        f->shift[i] = p->motion.shift[i];
    }
    f->voxel_ml = s->grid.spacing[0] * s->grid.spacing[1] * s->grid.spacing[2] / 1000;
    measure_labels(f, c, p, wait, &sums);
    mem_free(wait);
    measure_centres(f, c, &p->motion);
    for (int i = 0; i < c->scene.lesions.count; i++)
        f->lesion[i].contrast =
            sums.n[i] ? sums.hu[i] / (double)sums.n[i] - c->scene.tissues.hu[TISSUE_LIVER][phase] : NAN;
    return motion_in_liver(&p->motion, &f->moved_mean, &f->moved_p95);
}

enum err phantom_case_render(struct phantom_phase *out, struct phantom_case *c, int phase,
                             const struct phantom_watch *w)
{
    struct phantom_phase p = {0};
    const struct scan *scan = &c->scan[phase];
    struct motion_options how = {.breath = c->params->registered ? 0 : c->params->breath,
                                 .dial = c->params->dial,
                                 .scale = c->frame.scale,
                                 .liver = c->liver};
    struct view view = {
        .scene = &c->scene, .motion = &p.motion, .phase = phase, .pixel = (float)scan->grid.spacing[0]};
    struct render r = {.subject = {view_sample, view_open, view_close, &view, false},
                       .scan = scan,
                       .id = &c->id,
                       .phase = phase,
                       .stop = w->stop,
                       .done = w->done};
    enum err err = motion_make(&p.motion, &c->id, phase, &how, &scan->grid);

    if (!err)
        err = render_phase(&p.image, &r);
    if (!err)
        err = measure(c, phase, &p);
    if (err)
        phantom_phase_free(&p);
    else
        *out = p;
    return err;
}

void phantom_phase_free(struct phantom_phase *p)
{
    motion_free(&p->motion);
    rendered_free(&p->image);
    *p = (struct phantom_phase){0};
}

enum err phantom_case_annotate(struct volume **out, struct phantom_case *c, const struct phantom_phase *pvp)
{
    double contrast[PHANTOM_LESIONS];
    struct annotation a = {.id = &c->id,
                           .lesions = &c->scene.lesions,
                           .texture = &c->texture,
                           .liver = c->liver,
                           .contrast = contrast,
                           .oversize = c->params->oversize,
                           .off = !c->params->annotation,
                           .benign_is_tumour = c->params->benign_is_tumour};

    for (int i = 0; i < c->scene.lesions.count; i++)
        contrast[i] = c->facts[PHANTOM_PVP].lesion[i].contrast;
    return annotate(out, c->drawn, pvp->image.label, &a);
}

void phantom_case_labels(const struct phantom_case *c, struct volume *label)
{
    uint8_t *v = label->data;

    for (int64_t i = 0; i < grid_count(&label->grid); i++)
        if (v[i] >= PHANTOM_LESION)
            v[i] = lesion_malignant(c->scene.lesions.item[v[i] - PHANTOM_LESION].kind) ? PHANTOM_TUMOUR
                                                                                       : PHANTOM_BENIGN;
}
