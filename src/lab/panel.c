#include "lab/panel.h"
#include "image/resample.h"
#include <math.h>

#define OUTSIDE 0x1B2332U /* colour of what the phase did not scan */

/* Index on RAS axis a shown at the offset (pixels) from the panel's left or top edge. */
static double index_at(const struct picture_layout *at, int a, double offset)
{
    return at->hi[a] + 0.5 - offset / (at->scale * at->grid.spacing[a]);
}

/* The inverse of index_at. */
static double offset_of(const struct picture_layout *at, int a, double index)
{
    return (at->hi[a] + 0.5 - index) * at->grid.spacing[a] * at->scale;
}

static uint32_t colour_of(const struct panel *p, double hu)
{
    double level = (hu - p->window[0]) / (p->window[1] - p->window[0]);
    uint32_t g;

    if (isnan(hu))
        return OUTSIDE;
    g = (uint32_t)lround(255 * fmin(1, fmax(0, level)));
    return g << 16 | g << 8 | g;
}

static void fill(const struct panel *p, const struct volume *image, double inverse[3][4],
                 cairo_surface_t *surface)
{
    int across, down, through, stride = cairo_image_surface_get_stride(surface);
    unsigned char *pixels = cairo_image_surface_get_data(surface);
    double index[3], mm[3], at[3];

    picture_axes(p->plane, &across, &down, &through);
    index[through] = (double)p->at->slice[through];
    for (int y = 0; y < cairo_image_surface_get_height(surface); y++) {
        uint32_t *row = (uint32_t *)(void *)(pixels + (ptrdiff_t)y * stride);

        for (int x = 0; x < cairo_image_surface_get_width(surface); x++) {
            index[across] = index_at(p->at, across, x + 0.5);
            index[down] = index_at(p->at, down, y + 0.5);
            grid_world(&p->at->grid, index, mm);
            for (int a = 0; a < 3; a++)
                at[a] = inverse[a][0] * mm[0] + inverse[a][1] * mm[1] + inverse[a][2] * mm[2] + inverse[a][3];
            row[x] = colour_of(p, resample_at(image, at));
        }
    }
}

enum err panel_image(const struct panel *p, cairo_t *cr, const struct volume *image)
{
    int w = (int)p->at->width[p->plane], h = (int)p->at->height[p->plane];
    cairo_surface_t *surface;
    double inverse[3][4];
    enum err err = ERR_OK;

    TRY(grid_invert(&image->grid, inverse));
    surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, w, h);
    if (cairo_surface_status(surface)) {
        err = err_set(ERR_MEMORY, "picture: no memory for a panel of %d x %d pixels", w, h);
    } else {
        cairo_surface_flush(surface);
        fill(p, image, inverse, surface);
        cairo_surface_mark_dirty(surface);
        cairo_set_source_surface(cr, surface, p->left, p->top);
        cairo_paint(cr);
    }
    cairo_surface_destroy(surface);
    return err;
}

struct outline {
    const struct panel *panel;
    const struct volume *labels;
    int across, down, through;
    int first, last;
};

static bool inside(const struct outline *o, int64_t i, int64_t j)
{
    const int64_t *n = o->labels->grid.dims;
    int64_t at[3];
    int label;

    if (i < 0 || j < 0 || i >= n[o->across] || j >= n[o->down])
        return false;
    at[o->across] = i;
    at[o->down] = j;
    at[o->through] = o->panel->at->slice[o->through];
    label = ((const uint8_t *)o->labels->data)[at[0] + n[0] * (at[1] + n[1] * at[2])];
    return label >= o->first && label <= o->last;
}

/* One cell of marching squares between the voxel centres (i, j) and (i+1, j+1); the outline crosses its edges
 * half-way. Edges: 0 between the two corners of row j, 1 at i+1, 2 of row j+1, 3 at i. Saddles keep the
 * corners apart. */
static void trace_cell(const struct outline *o, cairo_t *cr, int64_t i, int64_t j)
{
    static const signed char pairs[16][4] = {
        {-1, -1, -1, -1}, {3, 0, -1, -1}, {0, 1, -1, -1}, {3, 1, -1, -1},  {1, 2, -1, -1}, {3, 0, 1, 2},
        {0, 2, -1, -1},   {3, 2, -1, -1}, {2, 3, -1, -1}, {0, 2, -1, -1},  {0, 1, 2, 3},   {1, 2, -1, -1},
        {1, 3, -1, -1},   {0, 1, -1, -1}, {0, 3, -1, -1}, {-1, -1, -1, -1}};
    static const double edge[4][2] = {{0.5, 0}, {1, 0.5}, {0.5, 1}, {0, 0.5}};
    const struct panel *p = o->panel;
    int pattern = (inside(o, i, j) ? 1 : 0) | (inside(o, i + 1, j) ? 2 : 0) |
                  (inside(o, i + 1, j + 1) ? 4 : 0) | (inside(o, i, j + 1) ? 8 : 0);

    for (int k = 0; k < 4 && pairs[pattern][k] >= 0; k++) {
        const double *e = edge[pairs[pattern][k]];
        double x = p->left + offset_of(p->at, o->across, (double)i + e[0]);
        double y = p->top + offset_of(p->at, o->down, (double)j + e[1]);

        if (k % 2)
            cairo_line_to(cr, x, y);
        else
            cairo_move_to(cr, x, y);
    }
}

void panel_outline(const struct panel *p, cairo_t *cr, const struct volume *labels, const struct pen *pen)
{
    struct outline o = {.panel = p, .labels = labels, .first = pen->first, .last = pen->last};

    picture_axes(p->plane, &o.across, &o.down, &o.through);
    for (int64_t j = (int64_t)p->at->lo[o.down] - 1; j <= (int64_t)p->at->hi[o.down]; j++)
        for (int64_t i = (int64_t)p->at->lo[o.across] - 1; i <= (int64_t)p->at->hi[o.across]; i++)
            trace_cell(&o, cr, i, j);
    cairo_set_source_rgb(cr, pen->colour[0], pen->colour[1], pen->colour[2]);
    cairo_set_line_width(cr, pen->width);
    cairo_stroke(cr);
}
