#include "lab/gallery_parts.h"
#include <math.h>
#include <stdio.h>

enum { GUTTER = 58, HEAD = 88, FOOT = 66, GAP = 4 };

struct montage {
    const struct gallery_scene *s;
    cairo_t *cr;
    double height; /* of a row */
    int width, total;
};

static double row_height(const struct gallery_scene *s)
{
    return fmax(s->view[0].height, s->view[s->plan.levels].height);
}

static struct montage layout(const struct gallery_scene *s)
{
    int last = s->plan.levels;
    struct montage m = {.s = s, .height = row_height(s)};

    m.width = GUTTER + last * (s->view[0].width + GAP) + s->view[last].width + GAP;
    m.total = HEAD + s->facts.phases * (int)(m.height + GAP) + FOOT;
    return m;
}

void gallery_montage_corner(const struct gallery_scene *s, int phase, int column, double at[2])
{
    const struct view *v = &s->view[column];
    double height = row_height(s);

    at[0] = GUTTER + column * (s->view[0].width + GAP);
    at[1] = HEAD + phase * (height + GAP) + floor((height - v->height) / 2);
}

static void draw_title(const struct montage *m)
{
    const struct gallery_facts *f = &m->s->facts;
    double wide = m->width - GUTTER - 8;
    char text[512] = "no label";

    canvas_text(m->cr, &(struct label){.x = GUTTER, .y = 27, .size = 19, .bold = true, .fit = wide}, f->name);
    if (f->labelled)
        snprintf(text, sizeof text,
                 f->lesions ? "liver %.0f ml, lesions: %d, %.1f ml" : "liver %.0f ml, no lesions",
                 f->liver_ml, f->lesions, f->lesion_ml);
    if (f->kinds.len && f->moved.len) /* a phantom's truth says more */
        snprintf(text, sizeof text, "liver %.0f ml; %.240s; moved %.200s", f->liver_ml, f->kinds.s,
                 f->moved.s);
    canvas_text(m->cr, &(struct label){.x = GUTTER, .y = 50, .size = 14, .fit = wide, .colour = GALLERY_SOFT},
                text);
}

static void draw_columns(const struct montage *m)
{
    const struct gallery_plan *p = &m->s->plan;

    for (int i = 0; i <= p->levels; i++) {
        double mm = i < p->levels ? p->level[i] : p->coronal, at[2];
        char text[96];

        gallery_montage_corner(m->s, 0, i, at);
        snprintf(text, sizeof text, "%s %s%.0f mm%s", i < p->levels ? "z" : "coronal, y",
                 mm < -0.5 ? "\xE2\x88\x92" : "", fabs(mm), i == p->lesion_level ? ", largest lesion" : "");
        canvas_text(m->cr,
                    &(struct label){.x = at[0] + 1,
                                    .y = HEAD - 8,
                                    .size = 14,
                                    .fit = m->s->view[i].width,
                                    .bold = i == p->lesion_level},
                    text);
    }
}

static void draw_name(const struct montage *m, int row)
{
    const struct gallery_facts *f = &m->s->facts;
    double y = HEAD + row * (m->height + GAP) + m->height / 2;
    const double *mm = f->grid[row].spacing;
    struct orient o = grid_orient(&f->grid[row]);
    char text[96];

    canvas_text(
        m->cr,
        &(struct label){
            .x = 24, .y = y, .size = 16, .anchor = 0.5, .bold = true, .upright = true, .fit = m->height},
        f->phase[row]);
    if (!f->present[row])
        return;
    snprintf(text, sizeof text, "%.2g \xC3\x97 %.2g \xC3\x97 %.2g mm", mm[o.axis[0]], mm[o.axis[1]],
             mm[o.axis[2]]);
    canvas_text(m->cr,
                &(struct label){.x = 44,
                                .y = y,
                                .size = 12,
                                .anchor = 0.5,
                                .upright = true,
                                .fit = m->height,
                                .colour = GALLERY_SOFT},
                text);
}

/* Where the axial levels cut the coronal plane. */
static void draw_ticks(const struct montage *m, int row)
{
    const struct gallery_plan *p = &m->s->plan;
    const struct view *v = &m->s->view[p->levels];
    double at[2];

    gallery_montage_corner(m->s, row, p->levels, at);
    for (int i = 0; i < p->levels; i++) {
        const double mm[3] = {v->corner[0], v->corner[1], p->level[i]};
        double x, y;

        view_point(v, mm, &x, &y);
        if (y < 0 || y > v->height)
            continue;
        cairo_move_to(m->cr, at[0], at[1] + y);
        cairo_line_to(m->cr, at[0] + 7, at[1] + y);
        cairo_move_to(m->cr, at[0] + v->width - 7, at[1] + y);
        cairo_line_to(m->cr, at[0] + v->width, at[1] + y);
    }
    cairo_set_source_rgba(m->cr, 0.95, 0.80, 0.35, 0.9);
    cairo_set_line_width(m->cr, 1.2);
    cairo_stroke(m->cr);
}

static enum err draw_row(const struct montage *m, int row)
{
    const struct gallery_scene *s = m->s;

    draw_name(m, row);
    for (int i = 0; i <= s->plan.levels; i++) {
        double at[2];

        gallery_montage_corner(m->s, row, i, at);
        if (!s->facts.present[row]) {
            gallery_missing(m->cr, &s->view[i], at, 14);
            continue;
        }
        TRY(gallery_panel_draw(m->cr, &s->row[row].level[i], s->window, at, 1.6));
        view_letters(m->cr, &s->view[i], at, 12);
    }
    if (s->facts.present[row])
        draw_ticks(m, row);
    return ERR_OK;
}

static void draw_foot(const struct montage *m)
{
    const struct gallery_scene *s = m->s;
    double x = GUTTER, y = m->total - FOOT + 24;
    char text[320];

    if (s->outlined) {
        x = gallery_keys(m->cr, x, y, s->facts.truth);
        if (s->facts.truth)
            snprintf(text, sizeof text, "each phase's own truth");
        else
            snprintf(text, sizeof text, "the label of the phase %s, at the same place in every phase",
                     s->facts.phase[s->reference]);
        canvas_text(m->cr, &(struct label){.x = x, .y = y, .size = 13, .colour = GALLERY_SOFT}, text);
    }
    snprintf(
        text, sizeof text,
        "Window %g to %g HU. All phases at the same positions in patient space, by their headers. Patient's "
        "right (R) is on the left; dark blue: not scanned.",
        s->window[0], s->window[1]);
    canvas_text(
        m->cr,
        &(struct label){.x = GUTTER, .y = s->outlined ? y + 26 : y, .size = 13, .fit = m->width - GUTTER - 8},
        text);
    gallery_scale_bar(m->cr, m->width - 8, y, &s->view[0]);
}

static enum err draw(const struct montage *m)
{
    gallery_background(m->cr);
    draw_title(m);
    draw_columns(m);
    for (int k = 0; k < m->s->facts.phases; k++)
        TRY(draw_row(m, k));
    draw_foot(m);
    return ERR_OK;
}

enum err gallery_montage(struct str *png, const struct gallery_scene *s)
{
    struct montage m = layout(s);
    struct canvas c = {0};
    enum err err;

    TRY_OR(done, canvas_open(&c, m.width, m.total));
    m.cr = c.cr;
    TRY_OR(done, draw(&m));
    err = canvas_png(&c, png);
done:
    canvas_close(&c);
    return err;
}
