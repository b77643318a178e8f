#include "eval/canvas.h"
#include "base/mem.h"
#include "base/utf8.h"

#define FONT "DejaVu Sans"

enum err canvas_open(struct canvas *c, int width, int height)
{
    c->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    c->cr = cairo_create(c->surface);
    if (cairo_status(c->cr))
        return err_set(ERR_MEMORY, "picture: no memory for %d x %d pixels", width, height);
    return ERR_OK;
}

void canvas_close(struct canvas *c)
{
    if (c->cr)
        cairo_destroy(c->cr);
    if (c->surface)
        cairo_surface_destroy(c->surface);
    *c = (struct canvas){0};
}

static cairo_status_t append(void *closure, const unsigned char *data, unsigned int length)
{
    struct str *png = closure;

    str_add_bytes(png, data, length);
    return png->err ? CAIRO_STATUS_WRITE_ERROR : CAIRO_STATUS_SUCCESS;
}

enum err canvas_png(struct canvas *c, struct str *png)
{
    cairo_status_t status = cairo_status(c->cr);

    if (!status)
        status = cairo_surface_write_to_png_stream(c->surface, append, png);
    if (status)
        return err_set(ERR_MEMORY, "picture: %s", cairo_status_to_string(status));
    return str_status(png);
}

static double text_width(cairo_t *cr, const char *text)
{
    cairo_text_extents_t extents;

    cairo_text_extents(cr, text, &extents);
    return extents.x_advance;
}

/* Valid UTF-8 that fits l->fit pixels in the font set on cr; mem_free. */
static char *fitted(cairo_t *cr, const struct label *l, const char *text)
{
    char *clean = utf8_clean(text);
    size_t kept = 0;

    if (!clean || l->fit <= 0 || text_width(cr, clean) <= l->fit)
        return clean;
    while (clean[kept])
        kept++;
    while (kept) {
        struct str shorter = {0};
        double width;

        do
            kept--;
        while (kept && ((unsigned char)clean[kept] & 0xC0) == 0x80);
        str_add_bytes(&shorter, clean, kept);
        str_add(&shorter, "\xE2\x80\xA6");
        width = str_status(&shorter) ? 0 : text_width(cr, shorter.s);
        if (width <= l->fit) {
            mem_free(clean);
            clean = width > 0 ? mem_str(shorter.s) : NULL;
            kept = 0;
        }
        str_free(&shorter);
    }
    return clean;
}

/* Sets font and position and leaves the text as the current path. False if there is nothing to draw. */
static bool text_path(cairo_t *cr, const struct label *l, const char *text)
{
    char *clean;

    cairo_select_font_face(cr, FONT, CAIRO_FONT_SLANT_NORMAL,
                           l->bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cr, l->size);
    clean = fitted(cr, l, text);
    if (!clean || !*clean) {
        mem_free(clean);
        return false;
    }
    cairo_translate(cr, l->x, l->y);
    if (l->upright)
        cairo_rotate(cr, -1.5707963267948966);
    cairo_move_to(cr, -l->anchor * text_width(cr, clean), 0);
    cairo_text_path(cr, clean);
    mem_free(clean);
    return true;
}

static void text_colour(cairo_t *cr, const struct label *l)
{
    const double *c = l->colour;

    if (c[0] > 0 || c[1] > 0 || c[2] > 0)
        cairo_set_source_rgb(cr, c[0], c[1], c[2]);
    else
        cairo_set_source_rgb(cr, 0.87, 0.89, 0.92);
}

static void draw_text(cairo_t *cr, const struct label *l, const char *text, bool halo)
{
    cairo_save(cr);
    cairo_new_path(cr);
    if (text_path(cr, l, text)) {
        if (halo) {
            cairo_set_source_rgba(cr, 0, 0, 0, 0.75);
            cairo_set_line_width(cr, 3);
            cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
            cairo_stroke_preserve(cr);
        }
        text_colour(cr, l);
        cairo_fill(cr);
    }
    cairo_new_path(cr);
    cairo_restore(cr);
}

void canvas_text(cairo_t *cr, const struct label *l, const char *text)
{
    draw_text(cr, l, text, false);
}

void canvas_halo_text(cairo_t *cr, const struct label *l, const char *text)
{
    draw_text(cr, l, text, true);
}
