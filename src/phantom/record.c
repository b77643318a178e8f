#include "phantom/record.h"
#include "base/json.h"
#include <math.h>
#include <string.h>

const char *const phantom_phase_names[] = {"noncontrast", "arterial", "portal_venous", "delayed", NULL};
const char *const phantom_label_names[] = {
    "background", "liver",        "malignant_lesion", "portal_vein", "hepatic_veins", "aorta",   "vena_cava",
    "spleen",     "right_kidney", "left_kidney",      "pancreas",    "gallbladder",   "stomach", "bone",
    "lung",       "rest_of_body", "benign_lesion",    NULL};

/* One value a phase; null where the phase is missing. */
struct by_phase {
    const struct phantom_case *c;
    int index; /* of a lesion, tissue or label */
};
static json_t *phases(const struct phantom_case *c, int index, json_t *(*of)(const struct by_phase *, int))
{
    struct by_phase what = {c, index};
    json_t *a = json_array();

    for (int p = 0; p < PHANTOM_PHASES; p++)
        if (json_array_append_new(a, c->facts[p].present ? of(&what, p) : json_null())) {
            json_decref(a);
            return NULL;
        }
    return a;
}

static const struct lesion_facts *lesion_at(const struct by_phase *w, int p)
{
    return &w->c->facts[p].lesion[w->index];
}
static json_t *lesion_centre(const struct by_phase *w, int p)
{
    return json_numbers(lesion_at(w, p)->centre, 3);
}
static json_t *lesion_contrast(const struct by_phase *w, int p)
{
    return json_number(lesion_at(w, p)->contrast);
}
static json_t *lesion_shift(const struct by_phase *w, int p)
{
    return json_number(lesion_at(w, p)->shift);
}
static json_t *lesion_volume(const struct by_phase *w, int p)
{
    return json_number((double)lesion_at(w, p)->voxels * w->c->facts[p].voxel_ml);
}
static json_t *label_volume(const struct by_phase *w, int p)
{
    return json_number((double)w->c->facts[p].voxels[w->index] * w->c->facts[p].voxel_ml);
}
static json_t *tissue_hu(const struct by_phase *w, int p)
{
    return json_number(w->c->scene.tissues.hu[w->index][p]);
}
static json_t *moved_mean(const struct by_phase *w, int p)
{
    return json_number(w->c->facts[p].moved_mean);
}
static json_t *moved_p95(const struct by_phase *w, int p)
{
    return json_number(w->c->facts[p].moved_p95);
}
static json_t *noise_sd(const struct by_phase *w, int p)
{
    return json_number(w->c->noise * sqrt(3 / w->c->scan[p].thickness));
}
static json_t *motion(const struct by_phase *w, int p)
{
    const struct phase_facts *f = &w->c->facts[p];

    return json_pack("{s:o, s:o, s:o}", "amplitude_mm", json_number(f->amplitude), "rotation_degrees",
                     json_numbers(f->rotation, 3), "shift_mm", json_numbers(f->shift, 3));
}
static json_t *grid(const struct by_phase *w, int p)
{
    const struct scan *s = &w->c->scan[p];
    const struct grid *g = &s->grid;
    double origin[3] = {g->affine[0][3], g->affine[1][3], g->affine[2][3]};

    return json_pack("{s:[I,I,I], s:i, s:o, s:o, s:s, s:o}", "dims", (json_int_t)g->dims[0],
                     (json_int_t)g->dims[1], (json_int_t)g->dims[2], "padding_hu", s->padding,
                     "ras_origin_mm", json_numbers(origin, 3), "spacing_mm", json_numbers(g->spacing, 3),
                     "stored_axes", s->lps ? "LPS" : "RAS", "thickness_mm", json_number(s->thickness));
}

static json_t *lesion(const struct phantom_case *c, int i)
{
    const struct lesion *l = &c->scene.lesions.item[i];

    return json_pack("{s:o, s:o, s:o, s:o, s:b, s:i, s:s, s:i, s:o, s:o}", "border_mm",
                     json_number(l->border), "centre_mm", phases(c, i, lesion_centre), "contrast_hu",
                     phases(c, i, lesion_contrast), "diameter_mm", json_number(l->diameter), "drawn",
                     (int)c->drawn[i], "id", i + 1, "kind", lesion_names[l->kind], "label",
                     lesion_malignant(l->kind) ? (int)PHANTOM_TUMOUR : (int)PHANTOM_BENIGN, "shift_mm",
                     phases(c, i, lesion_shift), "volume_ml", phases(c, i, lesion_volume));
}

/* A tumour that the real case came with: all we know of it is in the CT. */
static json_t *unknown(const struct semi_unknown *u, int id)
{
    double diameter = cbrt(6000 * u->volume_ml / 3.14159265358979323846); /* of a ball of that volume */

    return json_pack("{s:o, s:o, s:i, s:s, s:i, s:o}", "centre_mm", json_numbers(u->centre, 3), "diameter_mm",
                     json_number(diameter), "id", id, "kind", "unknown", "label", (int)PHANTOM_TUMOUR,
                     "volume_ml", json_number(u->volume_ml));
}

static json_t *lesions(const struct phantom_case *c)
{
    json_t *a = json_array();

    for (int i = 0; i < c->scene.lesions.count; i++)
        if (json_array_append_new(a, lesion(c, i))) {
            json_decref(a);
            return NULL;
        }
    for (int i = 0; c->semi && i < c->semi->unknowns; i++)
        if (json_array_append_new(a, unknown(&c->semi->unknown[i], c->scene.lesions.count + i + 1))) {
            json_decref(a);
            return NULL;
        }
    return a;
}

/* Names, from `first` on and in alphabetical order, to one value a phase. */
static json_t *table(const struct phantom_case *c, const char *const *names, int first,
                     json_t *(*of)(const struct by_phase *, int))
{
    json_t *o = json_object();
    const char *last = "", *next;

    do {
        int at = -1;

        next = NULL;
        for (int i = first; names[i]; i++)
            if (strcmp(names[i], last) > 0 && (!next || strcmp(names[i], next) < 0)) {
                next = names[i];
                at = i;
            }
        if (next && json_object_set_new(o, next, phases(c, at, of))) {
            json_decref(o);
            return NULL;
        }
        last = next;
    } while (next);
    return o;
}

/* What a real case is, beside its lesions; null for a painted one. */
static json_t *real(const struct phantom_case *c)
{
    const struct semi *s = c->semi;

    if (!s)
        return json_null();
    return json_pack("{s:s, s:s, s:o, s:o, s:s}", "background", "a real CT; its own texture is in all phases",
                     "changes_between_phases", s->organs ? "liver and labelled organs" : "liver only",
                     "liver_hu", json_number(s->liver_hu), "liver_ml", json_number(s->liver_ml), "phase",
                     phantom_phase_names[s->phase]);
}

static json_t *drawn(const struct phantom_case *c)
{
    static const char *const stomach[] = {"water", "food", "gas"};
    const struct body *b = &c->scene.body;
    const struct tissues *t = &c->scene.tissues;

    if (c->semi)
        return json_pack("{s:o, s:o}", "gain", json_number(t->gain), "timing", json_number(t->timing));
    return json_pack("{s:o, s:b, s:o, s:o, s:o, s:b, s:o, s:b, s:s, s:o}", "bone_quality",
                     json_number(t->bone), "cirrhosis", (int)t->cirrhosis, "fat_mm", json_number(b->fat),
                     "gain", json_number(t->gain), "marrow_hu", json_number(t->marrow), "oral_contrast",
                     (int)b->oral, "scale", json_number(c->frame.scale), "steatosis", (int)t->steatosis,
                     "stomach", stomach[b->stomach], "timing", json_number(t->timing));
}

json_t *phantom_record(const struct phantom_case *c)
{
    json_setup();
    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o}, s:o, s:o, s:o, s:o, s:I, s:o}", "case",
                     (json_int_t)c->id.number, "drawn", drawn(c), "fpeak_per_mm", json_number(c->fpeak),
                     "grids", phases(c, 0, grid), "hu", table(c, tissue_names, 0, tissue_hu), "lesions",
                     lesions(c), "misalignment", "mean_mm", phases(c, 0, moved_mean), "p95_mm",
                     phases(c, 0, moved_p95), "motion", phases(c, 0, motion), "noise_hu",
                     json_number(c->noise), "noise_sd_hu", phases(c, 0, noise_sd), "real", real(c), "seed",
                     (json_int_t)c->id.seed, "volumes_ml", table(c, phantom_label_names, 1, label_volume));
}
