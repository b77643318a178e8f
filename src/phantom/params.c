#include "phantom/params.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct field fields[] = {
    FIELD(struct phantom_params, T_REAL, dial, .def = 0, .min = 0, .max = 15,
          .help = "mean misalignment left inside the liver, mm"),
    FIELD(struct phantom_params, T_REAL, breath, .def = 9, .min = 0, .max = 30,
          .help = "SD of the dome's shift along the body between a phase and the portal venous one, mm"),
    FIELD(struct phantom_params, T_BOOL, registered,
          .help = "no breathing, all phases on one grid: only the dial misaligns"),
    FIELD(struct phantom_params, T_INT, count, .def = PHANTOM_DRAWN, .min = PHANTOM_DRAWN,
          .max = PHANTOM_LESIONS, .help = "lesions; -1: drawn, 1 to 12 around 2.6"),
    FIELD(struct phantom_params, T_STRING, kinds, .arg = "KIND=WEIGHT,...",
          .text = "hcc=.5,metastasis=.22,icc=.08,cyst=.1,haemangioma=.06,fnh=.04",
          .help =
              "mixture of lesions; a bare name weighs 1; lits: mixture and number as in the LiTS data set"),
    FIELD(struct phantom_params, T_BOOL, benign_is_tumour,
          .help = "label haemangioma and FNH 2 as well, as LiTS does (a cyst never is)"),
    FIELD(struct phantom_params, T_REAL, noise, .def = PHANTOM_DRAWN, .min = PHANTOM_DRAWN, .max = 45,
          .help = "SD of the noise at the body's centre in 3 mm slices, HU; -1: 9 to 18, drawn"),
    FIELD(struct phantom_params, T_REAL, fpeak, .def = PHANTOM_DRAWN, .min = PHANTOM_DRAWN, .max = 0.35,
          .help = "frequency where the noise is strongest, 1/mm, from 0.05; -1: 0.12 to 0.24, drawn"),
    FIELD(struct phantom_params, T_REAL, spacing, .def = 0, .min = 0, .max = 6,
          .help = "portal venous pixel, mm, from 0.4; 0: the preset's"),
    FIELD(struct phantom_params, T_REAL, thickness, .def = 0, .min = 0, .max = 10,
          .help = "portal venous slice, mm, from 0.5; 0: the preset's"),
    FIELD(struct phantom_params, T_REAL3, missing, .text = "0.1,0.05,0.3", .min = 0, .max = 1,
          .help = "probability that the non-contrast, arterial, delayed phase is missing"),
    FIELD(struct phantom_params, T_BOOL, annotation, .def = 1,
          .help = "true (default): labels as a reader draws them; false: the truth"),
    FIELD(struct phantom_params, T_REAL, oversize, .def = 0.2, .min = -1, .max = 2,
          .help = "how far outside a lesion's edge the reader draws, mm"),
    FIELD(struct phantom_params, T_REAL, extent, .def = 0, .min = 0, .max = 3,
          .help = "SD of the change of a lesion's radius from phase to phase, mm"),
    FIELD(struct phantom_params, T_REAL, oral, .def = 0.25, .min = 0, .max = 1,
          .help = "probability of contrast in the gut"),
    FIELD(struct phantom_params, T_REAL, steatosis, .def = 0.15, .min = 0, .max = 1,
          .help = "probability of a fatty liver"),
    FIELD(struct phantom_params, T_REAL, cirrhosis, .def = 0.25, .min = 0, .max = 1,
          .help = "probability of a cirrhotic liver"),
    FIELD(struct phantom_params, T_REAL, test_share, .def = 0.25, .min = 0, .max = 1,
          .help = "share of the cases that goes to imagesTs and labelsTs"),
};
const struct cfg_table phantom_table = {fields, sizeof fields / sizeof *fields};

const char *const phantom_presets[] = {"tiny", "demo", "liver", "real", NULL};

/* Section 13. `real` draws: see draw_real. */
static const struct phantom_frame frames[] = {
    [PHANTOM_TINY] = {{64, 48, 48}, {3, 3, 3}, 3, {0, -6, -6}, 0.56, {9, 30}},
    [PHANTOM_DEMO] = {{160, 128, 64}, {2.2, 2.2, 3}, 3, {0, -10, 0}, 1, {6, 110}},
    [PHANTOM_LIVER_BOX] = {{128, 112, 72}, {2, 2, 2.5}, 2.5, {NAN, NAN, NAN}, 1, {6, 110}},
    [PHANTOM_REAL] = {{512, 512, 0}, {0, 0, 0}, 0, {0, -10, 0}, 0, {6, 110}},
};

static const double thicknesses[] = {1, 1.5, 2.5, 3, 5};

/* Streams of their own, so that a given spacing or thickness moves nothing else. */
static void draw_real(struct phantom_frame *f, const struct phantom_id *id, double *length)
{
    struct rng pixel = phantom_rng(id, "preset", 0), slice = phantom_rng(id, "preset", 1),
               box = phantom_rng(id, "preset", 2), size = phantom_rng(id, "preset", 3);

    f->spacing[0] = f->spacing[1] = rng_between(&pixel, 0.66, 0.90);
    f->thickness = thicknesses[rng_below(&slice, sizeof thicknesses / sizeof *thicknesses)];
    *length = rng_between(&box, 190, 260);
    f->scale = 1 + 0.05 * rng_normal(&size);
}

/* unset: the value that leaves it to the preset or the case */
static enum err check_real(double v, double least, int unset, const char *key)
{
    if (v != unset && v < least)
        return err_set(ERR_USAGE, "%s: expected a number from %g on, or %d to leave it open; got %g", key,
                       least, unset, v);
    return ERR_OK;
}

static enum err check_params(const struct phantom_params *p)
{
    TRY(check_real(p->spacing, 0.4, 0, "spacing"));
    TRY(check_real(p->thickness, 0.5, 0, "thickness"));
    TRY(check_real(p->noise, 0, PHANTOM_DRAWN, "noise"));
    return check_real(p->fpeak, 0.05, PHANTOM_DRAWN, "fpeak");
}

/* The grid with the pixels and slices that are asked for: `length` mm of slices, and the field of view of f
 * (but the matrix of a scanner, if there is one). */
static enum err fit_grid(struct phantom_frame *f, const struct phantom_params *p, double length, bool matrix)
{
    if (p->thickness > 0)
        f->thickness = p->thickness;
    if (p->spacing > 0) {
        for (int i = 0; i < 2 && !matrix; i++)
            f->dims[i] = (int64_t)rint((double)f->dims[i] * f->spacing[i] / p->spacing);
        f->spacing[0] = f->spacing[1] = p->spacing;
    }
    f->spacing[2] = f->thickness;
    f->dims[2] = (int64_t)rint(length / f->thickness);
    for (int i = 0; i < 3; i++) {
        f->dims[i] = f->dims[i] < 1 ? 1 : f->dims[i];
        if (f->dims[i] > 1024)
            return err_set(
                ERR_USAGE,
                "pixels of %g mm and slices of %g mm make %lld voxels on an axis, of at most 1024; give a "
                "greater spacing or thickness",
                f->spacing[0], f->thickness, (long long)f->dims[i]);
    }
    return ERR_OK;
}

enum err phantom_frame_draw(struct phantom_frame *out, const struct phantom_id *id, int preset,
                            const struct phantom_params *p)
{
    struct phantom_frame f = frames[preset];
    double length = (double)f.dims[2] * f.thickness;

    TRY(check_params(p));
    if (preset == PHANTOM_REAL)
        draw_real(&f, id, &length);
    TRY(fit_grid(&f, p, length, preset == PHANTOM_REAL));
    *out = f;
    return ERR_OK;
}

enum err phantom_frame_of(struct phantom_frame *out, const struct grid *ct, const struct phantom_params *p)
{
    struct phantom_frame f = {.thickness = ct->spacing[2], .scale = 1, .lesion = {6, 110}};
    double middle[3];

    TRY(check_params(p));
    for (int i = 0; i < 3; i++) {
        f.dims[i] = ct->dims[i];
        f.spacing[i] = ct->spacing[i];
        middle[i] = 0.5 * (double)(ct->dims[i] - 1);
    }
    grid_world(ct, middle, f.centre);
    TRY(fit_grid(&f, p, (double)f.dims[2] * f.thickness, false));
    *out = f;
    return ERR_OK;
}

/* LiTS's mixture and number of lesions. */
static const char lits[] = "metastasis=.6,hcc=.3,icc=.1";

static int find_kind(const char *s, size_t n)
{
    for (int k = 0; lesion_names[k]; k++)
        if (strlen(lesion_names[k]) == n && !strncmp(lesion_names[k], s, n))
            return k;
    return -1;
}

/* One entry of the list; *s moves behind it and its comma. */
static enum err add_kind(struct lesion_odds *out, const char **s)
{
    size_t all = strcspn(*s, ","), name = strcspn(*s, ",=");
    char number[32] = "1", *end;
    int kind = find_kind(*s, name);
    double weight;

    if (kind < 0)
        return err_set(
            ERR_USAGE,
            "kinds: no lesion is called \"%.*s\"; there are hcc, metastasis, icc, cyst, haemangioma, fnh",
            (int)(name < 40 ? name : 40), *s);
    if (name < all && all - name - 1 < sizeof number) {
        memcpy(number, *s + name + 1, all - name - 1);
        number[all - name - 1] = 0;
    }
    weight = strtod(number, &end);
    if (end == number || *end || !(weight >= 0) || weight > 1e6 ||
        (name < all && all - name - 1 >= sizeof number))
        return err_set(ERR_USAGE, "kinds: the weight of %s is no number from 0 on: %s", lesion_names[kind],
                       *s);
    out->weight[kind] += weight;
    *s += all + ((*s)[all] == ',');
    return ERR_OK;
}

enum err phantom_kinds(struct lesion_odds *out, const char *kinds)
{
    bool is_lits = !strcmp(kinds, "lits");
    const char *s = is_lits ? lits : kinds;
    double sum = 0;

    memset(out->weight, 0, sizeof out->weight);
    out->median = is_lits ? 3 : 2.6;
    out->spread = is_lits ? 1.2 : 0.9;
    while (*s)
        TRY(add_kind(out, &s));
    for (int k = 0; k < LESION_KINDS; k++)
        sum += out->weight[k];
    if (sum <= 0)
        return err_set(ERR_USAGE, "kinds: \"%s\" gives no lesion any weight; set count=0 for none", kinds);
    return ERR_OK;
}
