#include "lab/gallery_parts.h"
#include <math.h>
#include <stdio.h>

enum {
    MARGIN = 12,
    HEAD = 64,
    FOOT = 34,
    GAP = 3,
    CAPTION = 22,
    BETWEEN = 16,
    ACROSS = 12 /* panels a row */
};

struct sheet {
    const struct gallery_page *page;
    const double *window;
    cairo_t *cr;
    int phases, columns, rows, width, height;
};

static struct sheet layout(const struct gallery_page *page)
{
    struct sheet s = {.page = page, .phases = page->thumb[0]->phases};
    int tile, fit;

    for (size_t i = 0; i < page->count; i++)
        if (page->thumb[i]->phases > s.phases)
            s.phases = page->thumb[i]->phases;
    fit = ACROSS / s.phases > 0 ? ACROSS / s.phases : 1;
    s.columns = page->count < (size_t)fit ? (int)page->count : fit;
    s.rows = ((int)page->count + s.columns - 1) / s.columns;
    tile = s.phases * (THUMB_WIDTH + GAP) + BETWEEN;
    s.width = (int)fmax(900, 2 * MARGIN + s.columns * tile - BETWEEN);
    s.height = HEAD + s.rows * (THUMB_HEIGHT + CAPTION) + FOOT;
    return s;
}

static enum err draw_tile(const struct sheet *s, const struct gallery_thumb *t, double x, double y)
{
    const struct view frame = {.width = THUMB_WIDTH, .height = THUMB_HEIGHT};

    for (int k = 0; k < t->phases; k++, x += THUMB_WIDTH + GAP) {
        const struct gallery_panel *p = &t->panel[k];
        const double at[2] = {x + floor((THUMB_WIDTH - p->view.width) / 2.0),
                              y + floor((THUMB_HEIGHT - p->view.height) / 2.0)};

        if (!p->hu) {
            gallery_missing(s->cr, &frame, (const double[2]){x, y}, 11);
            continue;
        }
        TRY(gallery_panel_draw(s->cr, p, s->window, at, 1));
    }
    x -= t->phases * (THUMB_WIDTH + GAP);
    canvas_text(
        s->cr,
        &(struct label){
            .x = x + 1, .y = y + THUMB_HEIGHT + 14, .size = 12, .fit = t->phases * (THUMB_WIDTH + GAP)},
        t->name);
    return ERR_OK;
}

static void draw_head(const struct sheet *s)
{
    const struct gallery_thumb *t = s->page->thumb[0];

    canvas_text(s->cr,
                &(struct label){.x = MARGIN, .y = 27, .size = 18, .bold = true, .fit = s->width - 2 * MARGIN},
                s->page->title);
    for (int c = 0; c < s->columns; c++)
        for (int k = 0; k < t->phases; k++)
            canvas_text(s->cr,
                        &(struct label){.x = MARGIN + c * (s->phases * (THUMB_WIDTH + GAP) + BETWEEN) +
                                             k * (THUMB_WIDTH + GAP) + 1,
                                        .y = HEAD - 7,
                                        .size = 12,
                                        .fit = THUMB_WIDTH,
                                        .colour = GALLERY_SOFT},
                        t->phase[k]);
}

static enum err draw(const struct sheet *s)
{
    char text[240];

    gallery_background(s->cr);
    draw_head(s);
    for (size_t i = 0; i < s->page->count; i++) {
        int column = (int)i % s->columns, row = (int)i / s->columns;

        TRY(draw_tile(s, s->page->thumb[i], MARGIN + column * (s->phases * (THUMB_WIDTH + GAP) + BETWEEN),
                      HEAD + row * (THUMB_HEIGHT + CAPTION)));
    }
    snprintf(
        text, sizeof text,
        "Level of the largest lesion, else of the liver's middle; the same in every phase. Window %g to %g "
        "HU. The patient's right is on the left.",
        s->window[0], s->window[1]);
    canvas_text(s->cr,
                &(struct label){.x = MARGIN,
                                .y = s->height - 13,
                                .size = 12,
                                .fit = s->width - 2 * MARGIN,
                                .colour = GALLERY_SOFT},
                text);
    return ERR_OK;
}

enum err gallery_sheet(struct str *png, const struct gallery_page *page, const struct gallery_look *look)
{
    static const double abdomen[2] = {-140, 220};
    struct sheet s = layout(page);
    struct canvas c = {0};
    enum err err;

    s.window = look->window[0] < look->window[1] ? look->window : abdomen;
    TRY_OR(done, canvas_open(&c, s.width, s.height));
    s.cr = c.cr;
    TRY_OR(done, draw(&s));
    err = canvas_png(&c, png);
done:
    canvas_close(&c);
    return err;
}
