#include "lab/picture.h"
#include "eval/lesions.h"
#include "base/mem.h"
#include "eval/canvas.h"
#include <cairo.h>
#include <math.h>
#include <stdio.h>

enum { GAP = 6, GUTTER = 34, HEAD = 68, FOOT = 74, DEFAULT_PANEL = 420 };
#define MARGIN_MM 20.0

static const char *const plane_name[PLANES] = {"axial", "coronal", "sagittal"};
#define REFERENCE_COLOUR                                                                                     \
    {                                                                                                        \
        0.16, 0.90, 0.80                                                                                     \
    }
#define PREDICTION_COLOUR                                                                                    \
    {                                                                                                        \
        1.00, 0.62, 0.10                                                                                     \
    }

/* What is drawn: labels in RAS order beside the caller's request. */
struct scene {
    const struct picture *p;
    struct volume *reference, *prediction; /* RAS order, NULL if absent */
    struct picture_layout at;
    double window[2];
    int lesion_label;
};

/* Widens lo..hi to the voxels of v with a label. */
static void box_of(const struct volume *v, double lo[3], double hi[3])
{
    const int64_t *n = v->grid.dims;
    const uint8_t *voxel = v->data;

    for (int64_t z = 0; z < n[2]; z++)
        for (int64_t y = 0; y < n[1]; y++)
            for (int64_t x = 0; x < n[0]; x++) {
                const double at[3] = {(double)x, (double)y, (double)z};

                if (!voxel[x + n[0] * (y + n[1] * z)])
                    continue;
                for (int a = 0; a < 3; a++) {
                    lo[a] = fmin(lo[a], at[a]);
                    hi[a] = fmax(hi[a], at[a]);
                }
            }
}

/* The labelled part with a margin, or everything where there are no labels. */
static void choose_box(struct scene *s)
{
    const struct grid *g = &s->at.grid;

    for (int a = 0; a < 3; a++) {
        s->at.lo[a] = INFINITY;
        s->at.hi[a] = -INFINITY;
    }
    if (s->reference)
        box_of(s->reference, s->at.lo, s->at.hi);
    if (s->prediction)
        box_of(s->prediction, s->at.lo, s->at.hi);
    for (int a = 0; a < 3; a++) {
        double last = (double)g->dims[a] - 1, margin = ceil(MARGIN_MM / g->spacing[a]);

        s->at.lo[a] = s->at.lo[a] <= s->at.hi[a] ? fmax(0, s->at.lo[a] - margin) : 0;
        s->at.hi[a] = s->at.hi[a] >= s->at.lo[a] ? fmin(last, s->at.hi[a] + margin) : last;
    }
}

/* The largest lesion of the reference, else of the prediction, else the liver, else the grid's centre. */
static enum err choose_slices(struct scene *s)
{
    const struct volume *from[4] = {s->reference, s->prediction, s->reference, s->prediction};
    struct lesion_found found = {0};

    for (int i = 0; i < 4 && !found.voxels; i++)
        if (from[i])
            TRY(lesion_largest(&found, from[i], i < 2 ? s->lesion_label : 1, i < 2 ? s->lesion_label : 255));
    for (int a = 0; a < 3; a++)
        s->at.slice[a] = found.voxels ? found.slice[a] : s->at.grid.dims[a] / 2;
    return ERR_OK;
}

static void place_panels(struct scene *s)
{
    struct picture_layout *at = &s->at;
    double longest = 0, mm[3], y = HEAD, column;

    for (int a = 0; a < 3; a++)
        mm[a] = (at->hi[a] - at->lo[a] + 1) * at->grid.spacing[a];
    longest = fmax(mm[0], fmax(mm[1], mm[2]));
    at->scale = (s->p->panel > 0 ? s->p->panel : DEFAULT_PANEL) / longest;
    for (int k = 0; k < PLANES; k++) {
        int across, down, through;

        view_axes((enum plane)k, &across, &down, &through);
        at->width[k] = fmax(1, round(mm[across] * at->scale));
        at->height[k] = fmax(1, round(mm[down] * at->scale));
        at->top[k] = y;
        y += at->height[k] + GAP;
    }
    column = fmax(200, fmax(at->width[PLANE_AXIAL], at->width[PLANE_SAGITTAL]));
    for (int i = 0; i < s->p->phases; i++)
        at->left[i] = GUTTER + i * (column + GAP);
    at->total_width = (int)(GUTTER + fmax(760, s->p->phases * (column + GAP)));
    at->total_height = (int)(y + FOOT);
}

static enum err scene_open(struct scene *s, const struct picture *p)
{
    struct volume *plain = NULL;

    *s = (struct scene){.p = p, .window = {p->window[0], p->window[1]}, .lesion_label = p->lesion_label};
    if (p->phases < 1 || p->phases > PICTURE_PHASES)
        return err_set(ERR_INPUT, "picture: %d phases, expected 1 to %d", p->phases, PICTURE_PHASES);
    if (!(s->window[1] > s->window[0])) {
        s->window[0] = -100;
        s->window[1] = 240;
    }
    if (!s->lesion_label)
        s->lesion_label = 2;
    if (p->reference)
        TRY(volume_to_ras(&s->reference, p->reference));
    if (p->prediction)
        TRY(volume_to_ras(&s->prediction, p->prediction));
    if (s->reference && s->prediction && !grid_same(&s->reference->grid, &s->prediction->grid))
        return err_set(ERR_INPUT, "picture: reference and prediction lie on different grids");
    if (!s->reference && !s->prediction)
        TRY(volume_to_ras(&plain, p->phase[0].image));
    s->at.grid = s->reference ? s->reference->grid : s->prediction ? s->prediction->grid : plain->grid;
    volume_free(plain);
    choose_box(s);
    TRY(choose_slices(s));
    place_panels(s);
    return ERR_OK;
}

static void scene_close(struct scene *s)
{
    volume_free(s->reference);
    volume_free(s->prediction);
}

enum err picture_plan(struct picture_layout *out, const struct picture *p)
{
    struct scene s;
    enum err err = scene_open(&s, p);

    if (!err)
        *out = s.at;
    scene_close(&s);
    return err;
}

/* The view of a panel, along the axes of the label grid. */
static struct view view_of(const struct picture_layout *at, enum plane plane)
{
    struct view v = {.plane = plane, .width = (int)at->width[plane], .height = (int)at->height[plane]};
    int across, down, through;
    double index[3];

    view_axes(plane, &across, &down, &through);
    index[across] = at->hi[across] + 0.5;
    index[down] = at->hi[down] + 0.5;
    index[through] = (double)at->slice[through];
    grid_world(&at->grid, index, v.corner);
    for (int a = 0; a < 3; a++) {
        v.across[a] = -at->grid.affine[a][across] / (at->scale * at->grid.spacing[across]);
        v.down[a] = -at->grid.affine[a][down] / (at->scale * at->grid.spacing[down]);
    }
    return v;
}

struct pen {
    int first, last; /* labels inside the outline */
    double colour[3];
    double width; /* pixels */
};

/* `share` has room for the view's pixels. */
static enum err draw_outline(cairo_t *cr, const struct view *v, const double at[2],
                             const struct volume *labels, const struct pen *pen, float *share)
{
    if (!labels)
        return ERR_OK;
    TRY(view_share(share, v, labels, pen->first, pen->last));
    view_outline(cr, v, share, at);
    cairo_set_source_rgb(cr, pen->colour[0], pen->colour[1], pen->colour[2]);
    cairo_set_line_width(cr, pen->width);
    cairo_stroke(cr);
    return ERR_OK;
}

/* Reference wide below, prediction narrow on top, so that both are seen where they agree; the lesion above
 * the liver. */
static enum err draw_outlines(const struct scene *s, cairo_t *cr, const struct view *v, const double at[2],
                              float *share)
{
    for (int lesion = 0; lesion < 2; lesion++) {
        int first = lesion ? s->lesion_label : 1, last = lesion ? s->lesion_label : 255;
        const struct pen wide = {first, last, REFERENCE_COLOUR, lesion ? 4.0 : 2.6};
        const struct pen narrow = {first, last, PREDICTION_COLOUR, lesion ? 1.9 : 1.2};

        TRY(draw_outline(cr, v, at, s->reference, &wide, share));
        TRY(draw_outline(cr, v, at, s->prediction, &narrow, share));
    }
    return ERR_OK;
}

static enum err draw_panel(const struct scene *s, cairo_t *cr, enum plane plane, int phase)
{
    const double at[2] = {s->at.left[phase], s->at.top[plane]};
    struct view v = view_of(&s->at, plane);
    float *pixel = mem_new((size_t)v.width * (size_t)v.height, sizeof *pixel);
    enum err err = pixel ? view_image(pixel, &v, s->p->phase[phase].image) : ERR_MEMORY;

    cairo_save(cr);
    cairo_rectangle(cr, at[0], at[1], v.width, v.height);
    cairo_clip(cr);
    if (!err)
        err = view_paint(cr, &v, pixel, s->window, at);
    if (!err)
        err = draw_outlines(s, cr, &v, at, pixel);
    if (!err)
        view_letters(cr, &v, at, 16);
    cairo_restore(cr);
    mem_free(pixel);
    return err;
}

static void draw_heads(const struct scene *s, cairo_t *cr)
{
    const struct picture_layout *at = &s->at;
    char text[64];

    canvas_text(
        cr,
        &(struct label){.x = GUTTER, .y = 27, .size = 19, .bold = true, .fit = at->total_width - GUTTER - 12},
        s->p->title ? s->p->title : "");
    for (int i = 0; i < s->p->phases; i++)
        canvas_text(
            cr, &(struct label){.x = at->left[i], .y = HEAD - 11, .size = 16, .fit = at->width[PLANE_AXIAL]},
            s->p->phase[i].name);
    for (int k = 0; k < PLANES; k++) {
        int across, down, through;
        double index[3], mm[3];

        view_axes((enum plane)k, &across, &down, &through);
        for (int a = 0; a < 3; a++)
            index[a] = (double)at->slice[a];
        grid_world(&at->grid, index, mm);
        snprintf(text, sizeof text, "%s  %c = %.1f mm", plane_name[k], "xyz"[through], mm[through]);
        canvas_text(
            cr,
            &(struct label){
                .x = 21, .y = at->top[k] + at->height[k] / 2, .size = 14, .anchor = 0.5, .upright = true},
            text);
    }
}

static void draw_key(cairo_t *cr, double x, double y, const struct pen *pen, const char *name)
{
    static const double share[2] = {1, 0.65};

    cairo_set_source_rgb(cr, pen->colour[0], pen->colour[1], pen->colour[2]);
    for (int i = 0; i < 2; i++) {
        cairo_move_to(cr, x, y - 8 + 7 * i);
        cairo_line_to(cr, x + 24, y - 8 + 7 * i);
        cairo_set_line_width(cr, pen->width * share[i]);
        cairo_stroke(cr);
    }
    canvas_text(cr, &(struct label){.x = x + 33, .y = y, .size = 15}, name);
}

static void draw_foot(const struct scene *s, cairo_t *cr)
{
    double y = s->at.total_height - FOOT + 26, x = GUTTER, bar = 50 * s->at.scale;
    char text[160];

    if (s->reference) {
        draw_key(cr, x, y, &(struct pen){.colour = REFERENCE_COLOUR, .width = 4.0}, "reference");
        x += 150;
    }
    if (s->prediction) {
        draw_key(cr, x, y, &(struct pen){.colour = PREDICTION_COLOUR, .width = 1.9}, "prediction");
        x += 150;
    }
    if (s->reference || s->prediction)
        canvas_text(cr, &(struct label){.x = x, .y = y, .size = 14}, "(thick: tumour, thin: liver)");
    cairo_set_source_rgb(cr, 0.9, 0.9, 0.9);
    cairo_rectangle(cr, s->at.total_width - bar - 74, y - 7, bar, 3);
    cairo_fill(cr);
    canvas_text(cr, &(struct label){.x = s->at.total_width - 64, .y = y, .size = 14}, "50 mm");
    snprintf(text, sizeof text,
             "Window %g to %g HU. Radiological display: the patient's right (R) is on the left. "
             "Positions in mm, RAS.",
             s->window[0], s->window[1]);
    canvas_text(cr, &(struct label){.x = GUTTER, .y = y + 28, .size = 13.5}, text);
}

static enum err draw(const struct scene *s, cairo_t *cr)
{
    cairo_set_source_rgb(cr, 0.055, 0.067, 0.086);
    cairo_paint(cr);
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
    draw_heads(s, cr);
    for (int k = 0; k < PLANES; k++)
        for (int i = 0; i < s->p->phases; i++)
            TRY(draw_panel(s, cr, (enum plane)k, i));
    draw_foot(s, cr);
    return ERR_OK;
}

enum err picture_png(const struct picture *p, struct str *png)
{
    struct scene s;
    struct canvas canvas = {0};
    enum err err;

    TRY_OR(done, scene_open(&s, p));
    TRY_OR(done, canvas_open(&canvas, s.at.total_width, s.at.total_height));
    TRY_OR(done, draw(&s, canvas.cr));
    TRY_OR(done, canvas_png(&canvas, png));
done:
    canvas_close(&canvas);
    scene_close(&s);
    return err;
}
