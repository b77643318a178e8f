/* One frame a phase: axial, coronal and sagittal plane at fixed positions, so that what differs between the
 * phases moves. The liver's outline in the reference phase stays. */
#include "eval/animation.h"
#include "lab/gallery_parts.h"
#include <math.h>
#include <stdio.h>

enum { HEAD = 64, FOOT = 40, GAP = 5 };
#define SECONDS 0.6 /* a frame */

struct frame {
    const struct gallery_scene *s;
    cairo_t *cr;
    int width, height;
    double row; /* height of the planes */
};

static struct frame layout(const struct gallery_scene *s)
{
    struct frame f = {.s = s, .width = GAP};

    for (int k = 0; k < PLANES; k++) {
        f.width += s->motion[k].width + GAP;
        f.row = fmax(f.row, s->motion[k].height);
    }
    f.height = HEAD + (int)f.row + FOOT;
    return f;
}

/* All phases by name, this frame's one bright. */
static void draw_names(const struct frame *f, int phase)
{
    const struct gallery_facts *facts = &f->s->facts;
    double x = GAP, share = (double)(f->width - GAP) / facts->phases;

    for (int k = 0; k < facts->phases; k++, x += share) {
        struct label l = {.x = x + 12, .y = 47, .size = 17, .fit = share - 16, .colour = GALLERY_SOFT};
        char text[96];

        snprintf(text, sizeof text, "%s%s", facts->phase[k], facts->present[k] ? "" : " (missing)");
        if (k == phase) {
            cairo_set_source_rgb(f->cr, 0.95, 0.80, 0.35);
            cairo_rectangle(f->cr, x, 33, 5, 17);
            cairo_fill(f->cr);
            l.bold = true;
            l.colour[0] = l.colour[1] = l.colour[2] = 1;
        }
        canvas_text(f->cr, &l, text);
    }
}

static enum err draw_planes(const struct frame *f, int phase)
{
    double x = GAP;

    for (int k = 0; k < PLANES; k++) {
        const struct view *v = &f->s->motion[k];
        const double at[2] = {x, HEAD + floor((f->row - v->height) / 2)};

        TRY(gallery_panel_draw(f->cr, &f->s->row[phase].motion[k], f->s->window, at, 1.4));
        if (f->s->fixed[k]) {
            view_outline(f->cr, v, f->s->fixed[k], at);
            cairo_set_source_rgb(f->cr, gallery_colour[0][0], gallery_colour[0][1], gallery_colour[0][2]);
            cairo_set_line_width(f->cr, 1.3);
            cairo_stroke(f->cr);
        }
        view_letters(f->cr, v, at, 13);
        x += v->width + GAP;
    }
    return ERR_OK;
}

static enum err draw(const struct frame *f, int phase)
{
    const struct gallery_scene *s = f->s;
    const double *mm = s->plan.middle;
    char text[240];

    gallery_background(f->cr);
    canvas_text(f->cr,
                &(struct label){.x = GAP, .y = 22, .size = 16, .bold = true, .fit = f->width - 2 * GAP},
                s->facts.name);
    draw_names(f, phase);
    TRY(draw_planes(f, phase));
    snprintf(text, sizeof text, "z %.0f, y %.0f, x %.0f mm. Window %g to %g HU.%s%s", mm[2], mm[1], mm[0],
             s->window[0], s->window[1], s->fixed[0] ? " Outline: liver of the phase " : "",
             s->fixed[0] ? s->facts.phase[s->reference] : "");
    canvas_text(f->cr,
                &(struct label){
                    .x = GAP, .y = f->height - 15, .size = 13, .colour = GALLERY_SOFT, .fit = f->width - 160},
                text);
    gallery_scale_bar(f->cr, f->width - GAP, f->height - 15, &s->motion[0]);
    return ERR_OK;
}

enum err gallery_motion(struct str *png, const struct gallery_scene *s)
{
    struct canvas frame[PLAN_MAX_PHASES] = {{0}};
    struct frame f = layout(s);
    int frames = 0;
    enum err err = ERR_OK;

    for (int k = 0; k < s->facts.phases && !err; k++) {
        if (!s->facts.present[k])
            continue;
        err = canvas_open(&frame[frames], f.width, f.height);
        f.cr = frame[frames++].cr;
        if (!err)
            err = draw(&f, k);
    }
    if (!err && frames > 1)
        err = animation_png(frame, frames, SECONDS, png);
    for (int i = 0; i < frames; i++)
        canvas_close(&frame[i]);
    return err;
}
