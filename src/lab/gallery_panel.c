#include "base/mem.h"
#include "lab/gallery_parts.h"
#include <math.h>

/* Turquoise liver, red malignant, yellow benign: far apart in hue and in lightness. */
const double gallery_colour[OUTLINES][3] = {{0.16, 0.90, 0.80}, {1.00, 0.27, 0.30}, {1.00, 0.86, 0.15}};
#define AROUND_MM 8.0 /* how far around a vessel its neighbours are asked */

void gallery_panel_free(struct gallery_panel *p)
{
    mem_free(p->hu);
    for (int i = 0; i < OUTLINES; i++)
        mem_free(p->share[i]);
    *p = (struct gallery_panel){0};
}

/* How much of what lies around a pixel, vessels apart, is liver. */
static float liver_around(const struct view *v, const float *liver, const float *vessel, int x, int y)
{
    double size = 0, inside = 0, all = 1e-6;
    int r;

    for (int a = 0; a < 3; a++)
        size += v->across[a] * v->across[a];
    r = (int)ceil(AROUND_MM / sqrt(size));
    for (int j = y - r < 0 ? 0 : y - r; j <= y + r && j < v->height; j++)
        for (int i = x - r < 0 ? 0 : x - r; i <= x + r && i < v->width; i++) {
            size_t at = (size_t)j * (size_t)v->width + (size_t)i;

            if ((i - x) * (i - x) + (j - y) * (j - y) > r * r)
                continue;
            inside += (double)liver[at];
            all += 1 - (double)vessel[at];
        }
    return (float)fmin(1, inside / all);
}

/* Truth labels have holes where vessels are. A vessel with liver around it belongs to the outlined organ. */
static enum err close_vessels(float *liver, const struct view *v, const struct volume *roles)
{
    size_t n = (size_t)v->width * (size_t)v->height;
    float *vessel = mem_new(n, sizeof *vessel), *closed = mem_new(n, sizeof *closed);
    enum err err = vessel && closed ? view_share(vessel, v, roles, ROLE_VESSEL, ROLE_VESSEL) : ERR_MEMORY;

    for (int y = 0; !err && y < v->height; y++)
        for (int x = 0; x < v->width; x++) {
            size_t at = (size_t)y * (size_t)v->width + (size_t)x;

            closed[at] = vessel[at] > 0 ? vessel[at] * liver_around(v, liver, vessel, x, y) : 0;
        }
    for (size_t i = 0; !err && i < n; i++)
        liver[i] += closed[i];
    mem_free(vessel);
    mem_free(closed);
    return err;
}

enum err gallery_liver_share(float *share, const struct view *v, const struct volume *roles)
{
    TRY(view_share(share, v, roles, ROLE_LIVER, ROLE_BENIGN));
    return close_vessels(share, v, roles);
}

enum err gallery_panel_sample(struct gallery_panel *p, const struct view *v, const struct volume *image,
                              const struct volume *roles)
{
    size_t n = (size_t)v->width * (size_t)v->height;

    p->view = *v;
    p->hu = mem_new(n, sizeof *p->hu);
    if (!p->hu)
        return ERR_MEMORY;
    for (int i = 0; roles && i < OUTLINES; i++)
        if (!(p->share[i] = mem_new(n, sizeof(float))))
            return ERR_MEMORY;
    TRY(view_image(p->hu, v, image));
    if (!roles)
        return ERR_OK;
    TRY(gallery_liver_share(p->share[OUTLINE_LIVER], v, roles));
    TRY(view_share(p->share[OUTLINE_MALIGNANT], v, roles, ROLE_MALIGNANT, ROLE_MALIGNANT));
    return view_share(p->share[OUTLINE_BENIGN], v, roles, ROLE_BENIGN, ROLE_BENIGN);
}

enum err gallery_panel_draw(cairo_t *cr, const struct gallery_panel *p, const double window[2],
                            const double at[2], double width)
{
    TRY(view_paint(cr, &p->view, p->hu, window, at));
    for (int i = 0; i < OUTLINES; i++) {
        const double *c = gallery_colour[i];

        if (!p->share[i])
            continue;
        view_outline(cr, &p->view, p->share[i], at);
        cairo_set_source_rgb(cr, c[0], c[1], c[2]);
        cairo_set_line_width(cr, i == OUTLINE_LIVER ? 0.8 * width : width);
        cairo_stroke(cr);
    }
    return ERR_OK;
}
