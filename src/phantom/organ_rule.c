#include "phantom/organ_rule.h"
#include "phantom/poly.h"
#include "phantom/scene_paint.h"

/* Height in a vertebra: its middle is 0, its discs are beyond 13.5. */
static float zeta(float z)
{
    return z - 35 * floorf(z / 35) - 17.5f;
}

void organ_waist(const struct part *p, struct view *v, float *d)
{
    (void)p;
    for (int i = 0; i < v->n; i++)
        d[i] = poly_wave(zeta(v->at.z[i]) * (3.14159265f / 17.5f) + 1.57079633f);
}

void organ_part_of_vertebra(const struct part *p, struct view *v, float *d)
{
    for (int i = 0; i < v->n; i++)
        d[i] = fabsf(zeta(v->at.z[i] - p->number[2] * (v->at.y[i] + 75)) - p->number[0]) - p->number[1];
}

void organ_food(const struct part *p, struct view *v, float *d)
{
    const float *n10 = body_field(v, FIELD_N10);
    float share = v->body->stomach == STOMACH_FOOD ? 1 : p->number[0];

    for (int i = 0; i < v->n; i++)
        d[i] = share * n10[i];
}

void organ_haustra(const struct part *p, struct view *v, float *d)
{
    (void)p;
    for (int i = 0; i < v->n; i++)
        d[i] = poly_wave(.16f * v->at.x[i]) * poly_wave(.15f * v->at.y[i] + 1.57079633f);
}

void organ_pyramids(const struct part *p, struct view *v, float *d)
{
    (void)p;
    noise_read(&v->body->texture->n10, &v->at, v->n, 1.45f, 7, d);
    for (int i = 0; i < v->n; i++)
        d[i] = 4 * (-.25f - d[i]);
}

/* A bent wedge. (Section 5 has a plane slit 3.2 mm wide: a ruler's mark.) */
void organ_ligament(const struct part *p, struct view *v, float *d)
{
    const float *n24 = body_field(v, FIELD_N24);

    (void)p;
    for (int i = 0; i < v->n; i++) {
        float x = v->at.x[i], y = v->at.y[i], z = v->at.z[i];
        float slit = fabsf(x + 6 + .1f * (y - 60) + 4 * n24[i]) - poly_clamp(.06f * (y - 34), .2f, 3);
        d[i] = poly_max(slit, poly_max(34 - y, z - 26 - .35f * (y - 60)));
    }
}

/* Beyond section 5, where 1.9 is the limit: as many plaques as that move some aortas' means by 6 HU. */
void organ_plaques(const struct part *p, struct view *v, float *d)
{
    (void)p;
    noise_read(&v->body->texture->n10, &v->at, v->n, 1.1f, 0, d);
    for (int i = 0; i < v->n; i++)
        d[i] = 4 * (2.4f - d[i]);
}

/* Beyond section 5, endplates are hollow by 2.4 mm: flat ones whiten a whole slice. */
void organ_marrow(const struct paint *p, const struct organ *o, const float *d, float *hu)
{
    struct view *v = p->layers.wall;
    const float *n4 = body_field(v, FIELD_N4);
    float marrow = (float)p->scene->tissues.marrow, shell = 430 * (float)p->scene->tissues.bone;

    (void)o;
    for (int i = 0; i < p->n; i++) {
        float hollow = poly_clamp(-.2f * d[i], 0, 2.4f);
        float disc = fabsf(zeta(v->at.z[i])) - 13.5f + hollow, plate = disc > -1.6f ? 90 : 0;
        float inner = marrow + plate + 18 * n4[i], body = d[i] > -1.8f ? shell : inner;
        hu[i] = disc > 0 ? 85 : body;
    }
}

/* Where two fields vanish together, a curve: what a vessel along it adds. a, b: mm from each one's surface.
 */
static float tube(float a, float b, float radius)
{
    return 400 * radius * poly_clamp(radius - sqrtf(a * a + b * b), 0, .7f);
}

/* Section 5 has spots of N4 here, which are flat lozenges in a lung window. */
void organ_lung_vessels(const struct paint *p, const struct organ *o, const float *d, float *hu)
{
    struct view *v = p->layers.organ;
    const float *n24 = body_field(v, FIELD_N24), *n10 = body_field(v, FIELD_N10);
    float n4[BLOCK_MAX];

    (void)o;
    (void)d;
    noise_read(&v->body->texture->n4, &v->at, p->n, .8f, 0, n4);
    for (int i = 0; i < p->n; i++)
        hu[i] += tube(14 * n10[i], 34 * n24[i], 2.8f) + tube(14 * n10[i], 6 * n4[i], 1.7f);
}

/* Finer, more broken and fainter than section 5 has them (.20x + .16y + 2.6 N24 + 1.5 N10, 19 HU): those move
 * some arterial spleens' means by more than the 4 HU that section 15 allows. */
void organ_stripes(const struct paint *p, const struct organ *o, const float *d, float *hu)
{
    struct view *v = p->layers.organ;
    const float *n24 = body_field(v, FIELD_N24), *n10 = body_field(v, FIELD_N10);

    (void)o;
    (void)d;
    for (int i = 0; i < p->n && p->phase == PHANTOM_ART; i++)
        hu[i] += 13 * poly_wave(.25f * v->at.x[i] + .2f * v->at.y[i] + 2.6f * n24[i] + 2.2f * n10[i]);
}

/* What is eaten or drunk, up to a level of fluid; air above. */
void organ_meal(const struct paint *p, const struct organ *o, const float *d, float *hu)
{
    static const float plain[] = {[STOMACH_WATER] = 6, [STOMACH_FOOD] = 32, [STOMACH_GAS] = 12};
    struct view *v = p->layers.organ;
    const struct body *b = &p->scene->body;
    float content = plain[b->stomach] + (b->oral ? 180.f : 0.f),
          level = (b->stomach == STOMACH_GAS ? 34 : 64) * (float)b->front;
    const float *y = p->layers.wall->at.y, *n4 = b->stomach == STOMACH_FOOD ? body_field(v, FIELD_N4) : NULL;

    (void)o;
    (void)d;
    if (n4)
        noise_read(&b->texture->n10, &v->at, p->n, .8f, 0, hu);
    for (int i = 0; i < p->n; i++)
        hu[i] = content + (n4 ? 22 * hu[i] + 8 * n4[i] : 0);
    for (int i = 0; i < p->n; i++)
        hu[i] = y[i] > level ? -960 : hu[i];
}

void organ_colon_gas(const struct paint *p, const struct organ *o, const float *d, float *hu)
{
    const float *y = p->layers.wall->at.y, *n24 = body_field(p->layers.organ, FIELD_N24);
    float level = o->hu.level * (float)p->scene->body.front;

    (void)d;
    for (int i = 0; i < p->n; i++)
        hu[i] = y[i] > level + 10 * n24[i] ? -940 : hu[i];
}

void organ_parenchyma(const struct paint *p, const struct organ *o, const float *d, float *hu)
{
    static const float uneven[PHANTOM_PHASES] = {1.2f, 3, 2, 1.5f};
    const float *n10 = body_field(p->layers.organ, FIELD_N10);

    (void)o;
    (void)d;
    for (int i = 0; i < p->n; i++)
        hu[i] += uneven[p->phase] * n10[i];
}

/* Blood of the kidneys is bright in the arterial phase: it fades in over z -70..-20. */
void organ_renal_inflow(const struct paint *p, const struct organ *o, const float *d, float *hu)
{
    const float *z = p->layers.organ->at.z;
    float more = .28f * (scene_tissue(p, TISSUE_CORTEX) - scene_tissue(p, TISSUE_CAVA));

    (void)o;
    (void)d;
    for (int i = 0; i < p->n && p->phase == PHANTOM_ART; i++)
        hu[i] += more * poly_clamp((z[i] + 70) / 50, 0, 1);
}

void organ_renal_vein(const struct paint *p, const struct organ *o, const float *d, float *hu)
{
    float bright = .35f * scene_tissue(p, TISSUE_CAVA) + .49f * scene_tissue(p, TISSUE_CORTEX);

    (void)o;
    (void)d;
    for (int i = 0; i < p->n && p->phase == PHANTOM_ART; i++)
        hu[i] = bright;
}
