#include "phantom/render.h"
#include <math.h>
#include <string.h>

/* How a phase's grid differs from the portal venous one: slices and pixels by a factor, the field of view by
 * up to `plane` mm either way in x and y and from z[0] to z[1] mm. */
static const struct protocol {
    double slices, pixels, plane, z[2];
} protocol[PHANTOM_PHASES] = {
    [PHANTOM_NC] = {5.0 / 3, 1, 9, {-6, 2}},
    [PHANTOM_ART] = {1, 1, 4.5, {-5, 5}},
    [PHANTOM_PVP] = {1, 1, 0, {0, 0}},
    [PHANTOM_DEL] = {1, 1.09, 9, {-4, 4}},
};

enum { THICKEST = 5 }; /* mm that thicker slices of a phase may reach */

static const double noise_half[2] = {165, 112}; /* mm */

/* The grid of a protocol, moved, with as many slices as cover the portal venous ones. */
static void place_grid(struct scan *s, const struct protocol *how, const struct scan_options *o,
                       const double move[3])
{
    double thickness = fmax(o->thickness, fmin(how->slices * o->thickness, THICKEST));
    double spacing[3] = {how->pixels * o->spacing[0], how->pixels * o->spacing[1],
                         o->spacing[2] * thickness / o->thickness};
    double origin[3];
    int64_t dims[3] = {o->dims[0], o->dims[1],
                       (int64_t)ceil((double)o->dims[2] * o->spacing[2] / spacing[2] - 1e-6)};

    for (int a = 0; a < 3; a++)
        origin[a] = o->centre[a] + move[a] - 0.5 * (double)(dims[a] - 1) * spacing[a];
    s->grid = grid_make(dims, spacing, origin);
    s->thickness = thickness;
}

static void place_circle(struct scan *s, const double move[3])
{
    s->circle[2] = 0;
    for (int a = 0; a < 2; a++) {
        double size = (double)s->grid.dims[a] * s->grid.spacing[a];
        double lo = s->grid.affine[a][3] - 0.5 * s->grid.spacing[a];

        s->circle[a] = s->axis[a] + move[a];
        s->circle[2] = fmax(s->circle[2], fmax(s->circle[a] - lo, lo + size - s->circle[a]));
    }
}

void scans_draw(struct scan out[PHANTOM_PHASES], const struct phantom_id *id, const struct scan_options *o)
{
    struct rng r = phantom_rng(id, "scan", PHANTOM_PVP);
    double u = rng_unit(&r);
    int padding = u < 0.25 ? -1024 : u < 0.35 ? -2000 : 0;
    bool lps;

    r = phantom_rng(id, "grid", PHANTOM_PVP);
    lps = rng_unit(&r) < 1.0 / 3;
    for (int p = 0; p < PHANTOM_PHASES; p++) {
        const struct protocol *how = &protocol[o->registered ? PHANTOM_PVP : p];
        double move[3];

        r = phantom_rng(id, "grid", p);
        for (int a = 0; a < 2; a++)
            move[a] = how->plane * rng_between(&r, -1, 1);
        move[2] = rng_between(&r, how->z[0], how->z[1]);
        out[p] = (struct scan){.lps = lps, .noise = o->noise, .fpeak = o->fpeak, .padding = padding};
        for (int a = 0; a < 2; a++) {
            out[p].axis[a] = o->axis[a];
            out[p].half[a] = o->scale * noise_half[a];
        }
        place_grid(&out[p], how, o, move);
        place_circle(&out[p], move);
    }
}
