/* What montage, animation and sheet have in common: background, letters, empty panels, the key below. */
#include "lab/gallery_parts.h"
#include <math.h>

void gallery_background(cairo_t *cr)
{
    cairo_set_source_rgb(cr, 0.055, 0.067, 0.086);
    cairo_paint(cr);
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
}

void gallery_missing(cairo_t *cr, const struct view *v, const double at[2], double size)
{
    static const double dash[2] = {4, 5};

    cairo_save(cr);
    cairo_rectangle(cr, at[0] + 0.5, at[1] + 0.5, v->width - 1, v->height - 1);
    cairo_set_source_rgb(cr, 0.28, 0.31, 0.36);
    cairo_set_dash(cr, dash, 2, 0);
    cairo_set_line_width(cr, 1);
    cairo_stroke(cr);
    cairo_restore(cr);
    canvas_text(cr,
                &(struct label){.x = at[0] + v->width / 2.0,
                                .y = at[1] + v->height / 2.0 + size / 3,
                                .anchor = 0.5,
                                .size = size,
                                .colour = {0.60, 0.64, 0.69}},
                "missing");
}

static double add_key(cairo_t *cr, double x, double y, const double colour[3], const char *name)
{
    cairo_text_extents_t extents;

    cairo_set_source_rgb(cr, colour[0], colour[1], colour[2]);
    cairo_move_to(cr, x, y - 4);
    cairo_line_to(cr, x + 20, y - 4);
    cairo_set_line_width(cr, 2.4);
    cairo_stroke(cr);
    canvas_text(cr, &(struct label){.x = x + 26, .y = y, .size = 13}, name);
    cairo_set_font_size(cr, 13);
    cairo_text_extents(cr, name, &extents);
    return x + 26 + extents.x_advance + 22;
}

double gallery_keys(cairo_t *cr, double x, double y, bool benign)
{
    const char *name[OUTLINES] = {"liver", benign ? "malignant lesion" : "lesion", "benign lesion"};

    for (int i = 0; i <= (benign ? OUTLINE_BENIGN : OUTLINE_MALIGNANT); i++)
        x = add_key(cr, x, y, gallery_colour[i], name[i]);
    return x;
}

/* A bar of 50 mm that ends at x. */
void gallery_scale_bar(cairo_t *cr, double x, double y, const struct view *v)
{
    double mm = 0, pixels;

    for (int a = 0; a < 3; a++)
        mm += v->across[a] * v->across[a];
    pixels = 50 / sqrt(mm);
    cairo_set_source_rgb(cr, 0.87, 0.89, 0.92);
    cairo_rectangle(cr, x - 52 - pixels, y - 6, pixels, 3);
    cairo_fill(cr);
    canvas_text(cr, &(struct label){.x = x, .y = y, .size = 13, .anchor = 1}, "50 mm");
}
