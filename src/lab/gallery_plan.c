/* Where the pictures of a case look: levels through the liver, planes through its middle, and the part of the
 * field of view that the body fills. */
#include "base/mem.h"
#include "eval/lesions.h"
#include "image/morph.h"
#include "lab/gallery_parts.h"
#include <math.h>

#define PIXEL_MM 3.0  /* of the views that the body is looked for in */
#define MARGIN_MM 9.0 /* around it */
enum {
    BODY_HU = -250,
    THIN = 2 /* pixels: what is thinner than twice as much and one is no body but a table */
};

/* World box of a grid, half a voxel around its centres. */
static void world_box(const struct grid *g, double lo[3], double hi[3])
{
    for (int a = 0; a < 3; a++) {
        lo[a] = INFINITY;
        hi[a] = -INFINITY;
    }
    for (int corner = 0; corner < 8; corner++) {
        double index[3], mm[3];

        for (int a = 0; a < 3; a++)
            index[a] = corner >> a & 1 ? (double)g->dims[a] - 0.5 : -0.5;
        grid_world(g, index, mm);
        for (int a = 0; a < 3; a++) {
            lo[a] = fmin(lo[a], mm[a]);
            hi[a] = fmax(hi[a], mm[a]);
        }
    }
}

/* A pixel stays if the square of THIN pixels around it is set; pixels outside the picture count as set. */
static void erode(uint8_t *to, const uint8_t *from, int width, int height)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t all = 1;

            for (int j = y - THIN; j <= y + THIN; j++)
                for (int i = x - THIN; i <= x + THIN; i++)
                    if (i >= 0 && j >= 0 && i < width && j < height)
                        all &= from[(size_t)j * (size_t)width + (size_t)i];
            to[(size_t)y * (size_t)width + (size_t)x] = all;
        }
}

/* The largest thick part of the picture, as pixels; false if there is none. */
static enum err body_pixels(bool *found, double lo[2], double hi[2], const struct view *v, const float *hu)
{
    const int64_t dims[3] = {v->width, v->height, 1};
    size_t n = (size_t)v->width * (size_t)v->height;
    uint8_t *mask = mem_new(n, 2);
    enum err err = ERR_MEMORY;

    if (!mask)
        return err;
    for (size_t i = 0; i < n; i++)
        mask[n + i] = hu[i] > BODY_HU;
    erode(mask, mask + n, v->width, v->height);
    TRY_OR(done, morph_keep_largest(mask, dims, FACES));
    *found = false;
    for (int y = 0; y < v->height; y++)
        for (int x = 0; x < v->width; x++)
            if (mask[(size_t)y * (size_t)v->width + (size_t)x]) {
                lo[0] = *found ? fmin(lo[0], x - THIN) : x - THIN;
                hi[0] = *found ? fmax(hi[0], x + 1 + THIN) : x + 1 + THIN;
                lo[1] = *found ? lo[1] : y - THIN;
                hi[1] = y + 1 + THIN;
                *found = true;
            }
done:
    mem_free(mask);
    return err;
}

/* Widens lo..hi (mm) to the body at one level. */
static enum err widen_to_body(double lo[3], double hi[3], const struct volume *image, double z)
{
    double all[2][3], from[2], to[2], low[3], high[3];
    struct view v;
    float *hu;
    bool found = false;
    enum err err;

    world_box(&image->grid, all[0], all[1]);
    v = view_make(PLANE_AXIAL, z, all[0], all[1], 1 / PIXEL_MM);
    hu = mem_new((size_t)v.width * (size_t)v.height, sizeof *hu);
    if (!hu)
        return ERR_MEMORY;
    err = view_image(hu, &v, image);
    if (!err)
        err = body_pixels(&found, from, to, &v, hu);
    mem_free(hu);
    if (err || !found)
        return err;
    view_mm(&v, from[0], from[1], high);
    view_mm(&v, to[0], to[1], low);
    for (int a = 0; a < 2; a++) {
        lo[a] = fmin(lo[a], fmax(all[0][a], low[a] - MARGIN_MM));
        hi[a] = fmax(hi[a], fmin(all[1][a], high[a] + MARGIN_MM));
    }
    return ERR_OK;
}

/* From feet to head: what all phases show, or if there is no such part what the reference shows; and what any
 * of them shows. */
static void fields_of_view(const struct gallery_facts *f, const struct grid *reference, double common[2],
                           double any[2])
{
    double lo[3], hi[3], own[2];

    world_box(reference, lo, hi);
    common[0] = any[0] = own[0] = lo[2];
    common[1] = any[1] = own[1] = hi[2];
    for (int k = 0; k < f->phases; k++) {
        if (!f->present[k])
            continue;
        world_box(&f->grid[k], lo, hi);
        common[0] = fmax(common[0], lo[2]);
        common[1] = fmin(common[1], hi[2]);
        any[0] = fmin(any[0], lo[2]);
        any[1] = fmax(any[1], hi[2]);
    }
    if (common[0] >= common[1]) {
        common[0] = own[0];
        common[1] = own[1];
    }
}

/* The middles of `levels` equal parts of z[0]..z[1], from the top. With a lesion, its level replaces the
 * nearest one. */
static void choose_levels(struct gallery_plan *p, const double z[2], const double *lesion)
{
    p->lesion_level = -1;
    for (int i = 0; i < p->levels; i++) {
        p->level[i] = z[1] - (z[1] - z[0]) * (i + 0.5) / p->levels;
        if (lesion &&
            (p->lesion_level < 0 || fabs(p->level[i] - *lesion) < fabs(p->level[p->lesion_level] - *lesion)))
            p->lesion_level = i;
    }
    if (lesion)
        p->level[p->lesion_level] = *lesion;
}

/* mm of the slices that show most of the largest component of the roles first..last. */
static enum err best_position(double mm[3], bool *found, const struct volume *roles, int first, int last)
{
    struct lesion_found l;
    double index[3];

    TRY(lesion_largest(&l, roles, first, last));
    *found = l.voxels > 0;
    for (int a = 0; a < 3; a++)
        index[a] = (double)l.slice[a];
    if (*found)
        grid_world(&roles->grid, index, mm);
    return ERR_OK;
}

/* World box of the liver with its lesions. */
static void liver_box(const struct volume *roles, double lo[3], double hi[3])
{
    const int64_t *n = roles->grid.dims;
    const uint8_t *role = roles->data;
    double first[3] = {INFINITY, INFINITY, INFINITY}, last[3] = {-INFINITY, -INFINITY, -INFINITY};
    struct grid box = roles->grid;

    for (int64_t z = 0; z < n[2]; z++)
        for (int64_t y = 0; y < n[1]; y++)
            for (int64_t x = 0; x < n[0]; x++, role++)
                if (*role && *role != ROLE_VESSEL) {
                    const double at[3] = {(double)x, (double)y, (double)z};

                    for (int a = 0; a < 3; a++) {
                        first[a] = fmin(first[a], at[a]);
                        last[a] = fmax(last[a], at[a]);
                    }
                }
    grid_world(&roles->grid, first, lo);
    for (int a = 0; a < 3; a++) {
        box.dims[a] = (int64_t)(last[a] - first[a]) + 1;
        box.affine[a][3] = lo[a];
    }
    world_box(&box, lo, hi);
}

/* As much from feet to head as from front to back, around `z`, within what any phase shows. */
static void choose_height(struct gallery_plan *p, double z, const double any[2])
{
    double height = fmin(p->hi[1] - p->lo[1], any[1] - any[0]);

    p->lo[2] = fmin(fmax(z - height / 2, any[0]), any[1] - height);
    p->hi[2] = p->lo[2] + height;
}

static enum err look_at_liver(struct gallery_plan *p, double z[2], const struct volume *roles)
{
    double lo[3], hi[3], lesion[3];
    bool found;

    liver_box(roles, lo, hi);
    z[0] = lo[2];
    z[1] = hi[2];
    TRY(best_position(p->middle, &found, roles, ROLE_LIVER, ROLE_BENIGN));
    TRY(best_position(lesion, &found, roles, ROLE_MALIGNANT, ROLE_BENIGN));
    choose_levels(p, z, found ? &lesion[2] : NULL);
    p->coronal = found ? lesion[1] : p->middle[1];
    p->thumb = found ? lesion[2] : p->middle[2];
    for (int a = 0; a < 2; a++) {
        p->lo[a] = lo[a];
        p->hi[a] = hi[a];
    }
    return ERR_OK;
}

/* Without labels: planes where the liver is likely to be. */
static void look_where_livers_are(struct gallery_plan *p, const double z[2])
{
    p->middle[0] = p->lo[0] + 0.68 * (p->hi[0] - p->lo[0]); /* through the right lobe */
    p->middle[1] = (p->lo[1] + p->hi[1]) / 2;
    p->middle[2] = (z[0] + z[1]) / 2;
    p->coronal = p->middle[1];
    p->thumb = p->middle[2];
}

static bool has_liver(const struct volume *roles)
{
    const uint8_t *role = roles ? roles->data : NULL;
    int64_t n = roles ? grid_count(&roles->grid) : 0;

    for (int64_t i = 0; i < n; i++)
        if (role[i] && role[i] != ROLE_VESSEL)
            return true;
    return false;
}

enum err gallery_plan_make(struct gallery_plan *out, const struct volume *image, const struct volume *roles,
                           const struct gallery_facts *f, int levels)
{
    struct gallery_plan p = {
        .levels = levels, .lo = {INFINITY, INFINITY, INFINITY}, .hi = {-INFINITY, -INFINITY, -INFINITY}};
    double z[2], any[2], all[2][3];
    bool liver = has_liver(roles);

    fields_of_view(f, &image->grid, z, any);
    if (liver)
        TRY(look_at_liver(&p, z, roles));
    else
        choose_levels(&p, z, NULL);
    for (int i = 0; i < p.levels; i++)
        TRY(widen_to_body(p.lo, p.hi, image, p.level[i]));
    world_box(&image->grid, all[0], all[1]);
    for (int a = 0; a < 2; a++)
        if (!(p.lo[a] < p.hi[a])) {
            p.lo[a] = all[0][a];
            p.hi[a] = all[1][a];
        }
    if (!liver)
        look_where_livers_are(&p, z);
    choose_height(&p, (z[0] + z[1]) / 2, any);
    *out = p;
    return ERR_OK;
}
