#include "lab/view.h"
#include "eval/canvas.h"
#include "image/resample.h"
#include <math.h>

/* The share that is outlined. On a plane half-way between two slices many shares are one half up to rounding:
 * a little less takes what either slice has. */
#define OUTLINED 0.499
#define OUTSIDE 0x1B2332U /* colour of what was not scanned */
enum { FINEST = 8 /* samples a pixel and axis */, SMALL = 20000 /* pixels: not worth a team of threads */ };

void view_axes(enum plane plane, int *across, int *down, int *through)
{
    static const int axes[PLANES][3] = {{0, 1, 2}, {0, 2, 1}, {1, 2, 0}};

    *across = axes[plane][0];
    *down = axes[plane][1];
    *through = axes[plane][2];
}

struct view view_make(enum plane plane, double through, const double lo[3], const double hi[3], double scale)
{
    struct view v = {.plane = plane};
    int across, down, behind;

    view_axes(plane, &across, &down, &behind);
    v.width = (int)fmax(1, round((hi[across] - lo[across]) * scale));
    v.height = (int)fmax(1, round((hi[down] - lo[down]) * scale));
    v.corner[across] = hi[across];
    v.corner[down] = hi[down];
    v.corner[behind] = through;
    v.across[across] = -(hi[across] - lo[across]) / v.width;
    v.down[down] = -(hi[down] - lo[down]) / v.height;
    return v;
}

void view_mm(const struct view *v, double x, double y, double mm[3])
{
    for (int a = 0; a < 3; a++)
        mm[a] = v->corner[a] + x * v->across[a] + y * v->down[a];
}

void view_point(const struct view *v, const double mm[3], double *x, double *y)
{
    double along[2] = {0, 0}, length[2] = {0, 0};

    for (int a = 0; a < 3; a++) {
        along[0] += (mm[a] - v->corner[a]) * v->across[a];
        along[1] += (mm[a] - v->corner[a]) * v->down[a];
        length[0] += v->across[a] * v->across[a];
        length[1] += v->down[a] * v->down[a];
    }
    *x = along[0] / length[0];
    *y = along[1] / length[1];
}

/* Pixels as indices of a grid. */
struct walk {
    double start[3], across[3], down[3]; /* of the upper left corner, and a pixel further */
    int fine;                            /* samples a pixel and axis */
};

static enum err walk_make(struct walk *w, const struct view *v, const struct grid *g)
{
    double inverse[3][4], longest = 0;

    TRY(grid_invert(g, inverse));
    for (int a = 0; a < 3; a++) {
        const double *row = inverse[a];

        w->start[a] = row[0] * v->corner[0] + row[1] * v->corner[1] + row[2] * v->corner[2] + row[3];
        w->across[a] = row[0] * v->across[0] + row[1] * v->across[1] + row[2] * v->across[2];
        w->down[a] = row[0] * v->down[0] + row[1] * v->down[1] + row[2] * v->down[2];
        longest = fmax(longest, fmax(fabs(w->across[a]), fabs(w->down[a])));
    }
    w->fine = (int)fmin(FINEST, fmax(1, ceil(longest - 0.25)));
    return ERR_OK;
}

static void walk_index(const struct walk *w, double x, double y, double index[3])
{
    for (int a = 0; a < 3; a++)
        index[a] = w->start[a] + x * w->across[a] + y * w->down[a];
}

static float pixel_hu(const struct walk *w, const struct volume *image, int x, int y)
{
    double sum = 0, index[3];
    int inside = 0;

    for (int j = 0; j < w->fine; j++)
        for (int i = 0; i < w->fine; i++) {
            double hu;

            walk_index(w, x + (i + 0.5) / w->fine, y + (j + 0.5) / w->fine, index);
            hu = resample_at(image, index);
            if (!isnan(hu)) {
                sum += hu;
                inside++;
            }
        }
    return inside ? (float)(sum / inside) : NAN;
}

enum err view_image(float *hu, const struct view *v, const struct volume *image)
{
    struct walk w;

    TRY(walk_make(&w, v, &image->grid));
#pragma omp parallel for schedule(dynamic, 8) if (v->width * v->height > SMALL)
    for (int y = 0; y < v->height; y++)
        for (int x = 0; x < v->width; x++)
            hu[(size_t)y * (size_t)v->width + (size_t)x] = pixel_hu(&w, image, x, y);
    return ERR_OK;
}

/* What lies outside the grid has no label. */
static bool is_set(const struct volume *labels, const int64_t at[3], int first, int last)
{
    const int64_t *n = labels->grid.dims;
    int label;

    if (at[0] < 0 || at[1] < 0 || at[2] < 0 || at[0] >= n[0] || at[1] >= n[1] || at[2] >= n[2])
        return false;
    label = ((const uint8_t *)labels->data)[at[0] + n[0] * (at[1] + n[1] * at[2])];
    return label >= first && label <= last;
}

static double share_at(const struct volume *labels, const double at[3], int first, int last)
{
    int64_t from[3];
    double up[3], sum = 0;
    int set = 0;

    for (int a = 0; a < 3; a++) {
        double floored = floor(at[a]);

        if (!(floored >= -1 && floored < (double)labels->grid.dims[a]))
            return 0;
        from[a] = (int64_t)floored;
        up[a] = at[a] - floored;
    }
    for (int c = 0; c < 8; c++) {
        const int64_t corner[3] = {from[0] + (c & 1), from[1] + (c >> 1 & 1), from[2] + (c >> 2)};

        set |= is_set(labels, corner, first, last) ? 1 << c : 0;
    }
    if (set == 0 || set == 255)
        return set ? 1 : 0;
    for (int c = 0; c < 8; c++)
        if (set >> c & 1)
            sum += (c & 1 ? up[0] : 1 - up[0]) * (c & 2 ? up[1] : 1 - up[1]) * (c & 4 ? up[2] : 1 - up[2]);
    return sum;
}

enum err view_share(float *share, const struct view *v, const struct volume *labels, int first, int last)
{
    struct walk w;

    TRY(walk_make(&w, v, &labels->grid));
#pragma omp parallel for schedule(dynamic, 8) if (v->width * v->height > SMALL)
    for (int y = 0; y < v->height; y++)
        for (int x = 0; x < v->width; x++) {
            double index[3];

            walk_index(&w, x + 0.5, y + 0.5, index);
            share[(size_t)y * (size_t)v->width + (size_t)x] = (float)share_at(labels, index, first, last);
        }
    return ERR_OK;
}

static uint32_t colour_of(float hu, const double window[2])
{
    double level = ((double)hu - window[0]) / (window[1] - window[0]);
    uint32_t g;

    if (isnan(hu))
        return OUTSIDE;
    g = (uint32_t)lround(255 * fmin(1, fmax(0, level)));
    return g << 16 | g << 8 | g;
}

enum err view_paint(cairo_t *cr, const struct view *v, const float *hu, const double window[2],
                    const double at[2])
{
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, v->width, v->height);
    unsigned char *pixels = cairo_image_surface_get_data(surface);
    int stride = cairo_image_surface_get_stride(surface);

    if (cairo_surface_status(surface)) {
        cairo_surface_destroy(surface);
        return err_set(ERR_MEMORY, "picture: no memory for a panel of %d x %d pixels", v->width, v->height);
    }
    cairo_surface_flush(surface);
    for (int y = 0; y < v->height; y++)
        for (int x = 0; x < v->width; x++)
            ((uint32_t *)(void *)(pixels + (ptrdiff_t)y * stride))[x] = colour_of(*hu++, window);
    cairo_surface_mark_dirty(surface);
    cairo_set_source_surface(cr, surface, at[0], at[1]);
    cairo_paint(cr);
    cairo_surface_destroy(surface);
    return ERR_OK;
}

/* One cell of marching squares between the pixel centres (x, y) and (x+1, y+1). Corners run clockwise from
 * the upper left one, edge e joins corners e and e + 1. Saddles keep the corners apart. */
static void trace_cell(cairo_t *cr, const float share[4], double x, double y)
{
    static const signed char pairs[16][4] = {
        {-1, -1, -1, -1}, {3, 0, -1, -1}, {0, 1, -1, -1}, {3, 1, -1, -1},  {1, 2, -1, -1}, {3, 0, 1, 2},
        {0, 2, -1, -1},   {3, 2, -1, -1}, {2, 3, -1, -1}, {0, 2, -1, -1},  {0, 1, 2, 3},   {1, 2, -1, -1},
        {1, 3, -1, -1},   {0, 1, -1, -1}, {0, 3, -1, -1}, {-1, -1, -1, -1}};
    static const double corner[4][2] = {{0, 0}, {1, 0}, {1, 1}, {0, 1}};
    int pattern = 0;

    for (int c = 0; c < 4; c++)
        pattern |= (double)share[c] > OUTLINED ? 1 << c : 0;
    for (int k = 0; k < 4 && pairs[pattern][k] >= 0; k++) {
        int a = pairs[pattern][k], b = (a + 1) % 4;
        double t = (OUTLINED - (double)share[a]) / ((double)share[b] - (double)share[a]);
        double px = x + corner[a][0] + t * (corner[b][0] - corner[a][0]);
        double py = y + corner[a][1] + t * (corner[b][1] - corner[a][1]);

        if (k % 2)
            cairo_line_to(cr, px, py);
        else
            cairo_move_to(cr, px, py);
    }
}

void view_outline(cairo_t *cr, const struct view *v, const float *share, const double at[2])
{
    size_t row = (size_t)v->width;

    for (int y = 0; y + 1 < v->height; y++)
        for (int x = 0; x + 1 < v->width; x++) {
            const float *s = share + (size_t)y * row + (size_t)x;

            trace_cell(cr, (const float[4]){s[0], s[1], s[row + 1], s[row]}, at[0] + x + 0.5,
                       at[1] + y + 0.5);
        }
}

void view_letters(cairo_t *cr, const struct view *v, const double at[2], double size)
{
    static const char *const letters[PLANES] = {"RLAP", "RLSI", "APSI"};
    double w = v->width, h = v->height, gap = size / 3;
    const double place[4][3] = {
        {gap, h / 2 + gap, 0}, {w - gap, h / 2 + gap, 1}, {w / 2, size + 1, 0.5}, {w / 2, h - gap, 0.5}};

    for (int i = 0; i < 4; i++) {
        const char letter[2] = {letters[v->plane][i], 0};

        canvas_halo_text(cr,
                         &(struct label){.x = at[0] + place[i][0],
                                         .y = at[1] + place[i][1],
                                         .anchor = place[i][2],
                                         .size = size,
                                         .bold = true},
                         letter);
    }
}
