#include "phantom/case.h"
#include "base/mem.h"
#include "phantom/annotate.h"
#include "phantom/measure.h"
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
    for (int i = 0; i < 2 && c->semi; i++)
        o.axis[i] = c->semi->axis[i];
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

static struct lesion_odds lesion_odds(const struct phantom_case *c)
{
    struct lesion_odds o = {
        .count = c->params->count, .least = c->frame.lesion[0], .most = c->frame.lesion[1]};

    if (c->semi) {
        o.taken = semi_taken;
        o.ctx = c->semi;
        o.apart = SEMI_APART;
    }
    return o;
}

static enum err draw_body(struct phantom_case *c)
{
    struct body_odds odds = {.oral = c->params->oral, .scale = c->frame.scale};
    struct liver unit;

    body_draw(&c->scene.body, &c->id, &c->texture, &odds);
    c->liver = liver_of_body(&c->scene.body);
    unit = unit_liver(&c->liver, &c->scene.body);
    TRY(tree_grow(&c->scene.portal, TREE_PORTAL, &c->id, &unit, c->frame.scale));
    return tree_grow(&c->scene.hepatic, TREE_HEPATIC, &c->id, &unit, c->frame.scale);
}

static enum err draw_patient(struct phantom_case *c)
{
    struct lesion_odds odds = lesion_odds(c);
    struct tissue_odds tissue = {.steatosis = c->params->steatosis, .cirrhosis = c->params->cirrhosis};

    TRY(phantom_kinds(&odds, c->params->kinds));
    TRY(texture_make(&c->texture, &c->id));
    tissues_draw(&c->scene.tissues, &c->id, &tissue);
    if (c->semi) {
        semi_tissues(c->semi, &c->scene.tissues);
        c->liver = c->semi->liver;
    } else {
        TRY(draw_body(c));
    }
    return lesions_draw(&c->scene.lesions, &c->id, &c->liver, &odds);
}

enum err phantom_case_make(struct phantom_case *out, const struct phantom_id *id,
                           const struct phantom_source *source)
{
    static const double noise[2] = {9, 18}, fpeak[2] = {0.12, 0.24};
    const struct phantom_params *params = source->params;
    struct phantom_case *c = out;
    enum err err;

    *c = (struct phantom_case){.id = *id, .params = params, .semi = source->semi};
    if (c->semi)
        TRY(phantom_frame_of(&c->frame, &c->semi->grid, params));
    else
        TRY(phantom_frame_draw(&c->frame, id, source->preset, params));
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

/* ---- phases ---- */

static struct motion_options motion_options(const struct phantom_case *c)
{
    struct motion_options o = {.breath = c->params->registered ? 0 : c->params->breath,
                               .dial = c->params->dial,
                               .scale = c->frame.scale,
                               .liver = c->liver};

    if (c->semi) {
        memcpy(o.origin, c->semi->origin, sizeof o.origin);
        o.skin = semi_skin;
        o.skin_ctx = c->semi;
    }
    return o;
}

static enum err render_semi(struct phantom_phase *p, const struct phantom_case *c, struct render *r)
{
    struct semi_scene scene = {.semi = c->semi,
                               .lesions = &c->scene.lesions,
                               .grow = (const float(*)[PHANTOM_PHASES])c->scene.grow,
                               .texture = &c->texture,
                               .tissues = &c->scene.tissues,
                               .motion = &p->motion,
                               .pixel = r->scan->grid.spacing[0]};
    struct semi_phase phase = {0};
    enum err err = semi_phase_open(&phase, &scene, r->phase);

    if (!err) {
        r->subject = semi_subject(&phase);
        err = render_phase(&p->image, r);
    }
    semi_phase_close(&phase);
    return err;
}

static enum err render_scene(struct phantom_phase *p, const struct phantom_case *c, struct render *r)
{
    struct view view = {.scene = &c->scene,
                        .motion = &p->motion,
                        .phase = r->phase,
                        .pixel = (float)r->scan->grid.spacing[0]};

    r->subject =
        (struct subject){.sample = view_sample, .open = view_open, .close = view_close, .ctx = &view};
    return render_phase(&p->image, r);
}

enum err phantom_case_render(struct phantom_phase *out, struct phantom_case *c, int phase,
                             const struct phantom_watch *w)
{
    struct phantom_phase p = {0};
    struct motion_options how = motion_options(c);
    struct render r = {.scan = &c->scan[phase],
                       .id = &c->id,
                       .phase = phase,
                       .stop = w->stop,
                       .tick = w->tick,
                       .tick_ctx = w->ctx};
    enum err err = motion_make(&p.motion, &c->id, phase, &how, &r.scan->grid);

    if (!err)
        err = c->semi ? render_semi(&p, c, &r) : render_scene(&p, c, &r);
    if (!err)
        err = phantom_measure(c, phase, &p);
    if (err)
        phantom_phase_free(&p);
    else
        *out = p;
    return err;
}

/* The scan, the motion's map with what lies around the grid, and lattices, trees and the program. */
uint64_t phantom_case_bytes(const struct phantom_frame *f)
{
    const double node = 2, around = 60; /* mm */
    const uint64_t rest = (uint64_t)72 << 20;
    struct scan s = {.thickness = f->thickness};
    double nodes = 1;

    for (int a = 0; a < 3; a++) {
        s.grid.dims[a] = f->dims[a];
        s.grid.spacing[a] = f->spacing[a];
        nodes *= ((double)f->dims[a] * f->spacing[a] + around) / node;
    }
    return render_bytes(&s) + (uint64_t)nodes * 3 * sizeof(float) + rest;
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
