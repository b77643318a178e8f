#include "phantom/scene.h"
#include "base/mem.h"
#include "phantom/scene_paint.h"
#include <assert.h>
#include <string.h>

#define AIR (-1000.f)

struct scene_scratch {
    struct view organ, wall;
    struct points unit; /* visceral points over the scale */
    float shape[BLOCK_MAX], hu[BLOCK_MAX], kept[ORGANS_KEPT][BLOCK_MAX];
    bool is_near[ORGANS_KEPT];
    bool all;
};

enum err scene_scratch_new(struct scene_scratch **out)
{
    struct scene_scratch *s = mem_new(1, sizeof *s);

    if (!s)
        return ERR_MEMORY;
    *out = s;
    return ERR_OK;
}

void scene_scratch_free(struct scene_scratch *s)
{
    mem_free(s);
}

void scene_scratch_thorough(struct scene_scratch *s, bool on)
{
    s->all = on;
}

static void to_unit(const struct points *p, int n, float unit, struct points *out)
{
    for (int i = 0; i < n; i++) {
        out->x[i] = p->x[i] * unit;
        out->y[i] = p->y[i] * unit;
        out->z[i] = p->z[i] * unit;
    }
}

/* How far from a row's shape something of it is still painted. */
static float reach_of(const struct paint *p, const struct organ *o)
{
    return scene_edge(p, o->width) - o->inset;
}

/* Evaluates the organs that may fill a block. Returns the row at which painting begins: the last of those
 * inside of which the block lies wholly, or the first row. */
static int find_first(struct paint *p, struct scene_scratch *s)
{
    int first = 0;

    for (int i = 0; i < organs_count; i++) {
        const struct organ *o = organs + i;
        float *d = s->kept[o->kept];

        if (o->kept == ORGAN_PASSING)
            continue;
        s->is_near[o->kept] = organ_distance(o->shape, &p->layers, reach_of(p, o), d);
        if (s->is_near[o->kept] && !s->all && shape_range(d, p->n).hi < -scene_edge(p, o->width))
            first = i;
    }
    if (s->is_near[ORGAN_KEPT_LIVER])
        p->liver = s->kept[ORGAN_KEPT_LIVER];
    return first;
}

/* Rows of one shape follow one another: it is evaluated for the first, which reaches farthest. */
static void paint_rows(struct paint *p, struct scene_scratch *s, int first)
{
    const struct part *evaluated = NULL;
    const float *d = s->shape;
    bool is_near = false;

    for (int i = first; i < organs_count; i++) {
        const struct organ *o = organs + i;

        if (o->paint) {
            o->paint(p);
            continue;
        }
        if (o->kept) {
            is_near = s->is_near[o->kept];
            d = s->kept[o->kept];
        } else if (o->shape != evaluated) {
            d = s->shape;
            is_near = organ_distance(o->shape, &p->layers, reach_of(p, o), s->shape);
        }
        evaluated = o->shape;
        if (!is_near || shape_range(d, p->n).lo > reach_of(p, o))
            continue;
        scene_rule(p, o, d, s->hu);
        scene_blend(p, d, o->inset, scene_edge(p, o->width), s->hu);
        scene_label(p, d, o->inset, o->label);
    }
}

/* Far outside the skin there is nothing but the couch. */
static bool is_air(const struct body *b, const struct shape_box *box)
{
    return body_view_air(b, box) && !scene_couch_near(box);
}

void scene_sample(const struct scene *s, int phase, const struct scene_points *at,
                  struct scene_scratch *scratch, float *hu, uint8_t *label)
{
    struct paint p = {.scene = s,
                      .phase = phase,
                      .n = at->n,
                      .layers = {&scratch->organ, &scratch->wall, scratch->all},
                      .p = at->p,
                      .unit = (float)(1 / s->body.scale),
                      .least = at->pixel / 2,
                      .hu = hu,
                      .label = label};

    assert(at->n <= BLOCK_MAX);
    for (int i = 0; i < at->n; i++)
        hu[i] = AIR;
    memset(label, PHANTOM_OUTSIDE, (size_t)at->n);
    if (at->n < 1)
        return;
    to_unit(at->q, at->n, p.unit, &scratch->wall.at);
    scratch->wall.n = at->n;
    body_view_reset(&scratch->wall, &s->body);
    if (!scratch->all && is_air(&s->body, &scratch->wall.box))
        return;
    to_unit(at->p, at->n, p.unit, &scratch->unit);
    body_view_warp(&scratch->organ, &s->body, &scratch->unit, at->n);
    paint_rows(&p, scratch, find_first(&p, scratch));
}
