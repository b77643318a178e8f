#include "stage/register_picture.h"
#include "eval/animation.h"
#include "eval/canvas.h"
#include <math.h>

const char *const register_plane_names[] = {"axial", "coronal", "sagittal", NULL};

static const double window[2] = {-160, 240}; /* HU */
enum { GAP = 8, HEAD = 74, COLUMNS = 8, OUTSIDE = 0x1B2332 };
enum column { CHECKER, COLOURS = 2, CONTOUR = 4, DET = 6, MOVED };
static const char *const column_names[COLUMNS] = {"checkerboard, before",
                                                  "after",
                                                  "fixed cyan, moving red, before",
                                                  "after",
                                                  "fixed liver on moving, before",
                                                  "after",
                                                  "volume change 0.5 to 2, folds magenta",
                                                  "displacement 0 to 30 mm, 10 mm grid"};

static uint32_t grey(float hu)
{
    double level = ((double)hu - window[0]) / (window[1] - window[0]);

    return isnan(hu) ? 0 : (uint32_t)lround(255 * fmin(1, fmax(0, level)));
}

static uint32_t rgb(uint32_t r, uint32_t g, uint32_t b)
{
    return r << 16 | g << 8 | b;
}

static uint32_t shade(float hu)
{
    return isnan(hu) ? OUTSIDE : rgb(grey(hu), grey(hu), grey(hu));
}

/* Black to red to yellow to white over 0..1. */
static uint32_t heat(double v)
{
    double t = 3 * fmin(1, fmax(0, v));

    return rgb((uint32_t)lround(255 * fmin(1, t)), (uint32_t)lround(255 * fmin(1, fmax(0, t - 1))),
               (uint32_t)lround(255 * fmin(1, fmax(0, t - 2))));
}

/* Blue shrinks, white keeps, red grows: log2 of the determinant from -1 to 1. */
static uint32_t change(float det)
{
    double v = fmin(1, fmax(-1, log2(fmax((double)det, 1e-6))));
    uint32_t less = (uint32_t)lround(255 * (1 - fabs(v)));

    if (det <= 0)
        return rgb(255, 0, 255);
    return v < 0 ? rgb(less, less, 255) : rgb(255, less, less);
}

static bool on_border(const struct register_plane *s, int x, int y)
{
    size_t i = (size_t)y * (size_t)s->width + (size_t)x;

    return s->liver[i] &&
           (x == 0 || y == 0 || x + 1 == s->width || y + 1 == s->height || !s->liver[i - 1] ||
            !s->liver[i + 1] || !s->liver[i - (size_t)s->width] || !s->liver[i + (size_t)s->width]);
}

/* Whether a line of the moving image's 10 mm grid passes between this pixel and the next one. */
static bool on_grid(const struct register_plane *s, int x, int y)
{
    size_t i = (size_t)y * (size_t)s->width + (size_t)x;

    for (size_t j = 0; j < 2; j++) {
        float here = floorf(s->to[2 * i + j] / 10);

        if ((x + 1 < s->width && floorf(s->to[2 * (i + 1) + j] / 10) != here) ||
            (y + 1 < s->height && floorf(s->to[2 * (i + (size_t)s->width) + j] / 10) != here))
            return true;
    }
    return false;
}

static uint32_t colour(const struct register_plane *s, int column, int x, int y)
{
    size_t i = (size_t)y * (size_t)s->width + (size_t)x;
    float moving = column & 1 ? s->after[i] : s->before[i];
    int squares = (int)((x + 0.5) * s->mm / 16) + (int)((y + 0.5) * s->mm / 16);

    switch (column) {
    case CHECKER:
    case CHECKER + 1:
        return shade(squares & 1 ? moving : s->fixed[i]);
    case COLOURS:
    case COLOURS + 1:
        return rgb(grey(moving), grey(s->fixed[i]), grey(s->fixed[i]));
    case CONTOUR:
    case CONTOUR + 1:
        return on_border(s, x, y) ? rgb(255, 220, 0) : shade(moving);
    case DET:
        return change(s->det[i]);
    default:
        return on_grid(s, x, y) ? rgb(90, 200, 255) : heat((double)s->moved[i] / 30);
    }
}

typedef uint32_t paint(const struct register_plane *s, int what, int x, int y);

static enum err panel(cairo_t *cr, const struct register_plane *s, paint *how, int what, const double at[2])
{
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, s->width, s->height);
    unsigned char *pixels = cairo_image_surface_get_data(surface);
    int stride = cairo_image_surface_get_stride(surface);

    if (cairo_surface_status(surface)) {
        cairo_surface_destroy(surface);
        return err_set(ERR_MEMORY, "picture: no memory for a panel of %d x %d pixels", s->width, s->height);
    }
    cairo_surface_flush(surface);
    for (int y = 0; y < s->height; y++)
        for (int x = 0; x < s->width; x++)
            ((uint32_t *)(void *)(pixels + (ptrdiff_t)y * stride))[x] = how(s, what, x, y);
    cairo_surface_mark_dirty(surface);
    cairo_set_source_surface(cr, surface, at[0], at[1]);
    cairo_paint(cr);
    cairo_surface_destroy(surface);
    return ERR_OK;
}

/* The columns that there are: without a mask no contour. */
static int columns_of(const struct register_picture *p, int column[COLUMNS])
{
    int n = 0;

    for (int i = 0; i < COLUMNS; i++)
        if (p->liver || (i != CONTOUR && i != CONTOUR + 1))
            column[n++] = i;
    return n;
}

static enum err draw(cairo_t *cr, const struct register_picture *p, const struct register_plane *s)
{
    int column[COLUMNS], n = columns_of(p, column);
    double y = HEAD, wide = n * (double)(PLANE_SIDE + GAP);

    canvas_text(cr, &(struct label){.x = GAP, .y = 20, .size = 16, .bold = true, .fit = wide}, p->title);
    canvas_text(cr, &(struct label){.x = GAP, .y = 42, .size = 13, .fit = wide}, p->text);
    for (int i = 0; i < n; i++)
        canvas_text(cr,
                    &(struct label){
                        .x = GAP + i * (double)(PLANE_SIDE + GAP), .y = 66, .size = 12, .fit = PLANE_SIDE},
                    column_names[column[i]]);
    for (int k = 0; k < REGISTER_PLANES; k++) {
        for (int i = 0; i < n; i++) {
            const double at[2] = {GAP + i * (double)(PLANE_SIDE + GAP), y};

            TRY(panel(cr, &s[k], colour, column[i], at));
        }
        y += s[k].height + GAP;
    }
    return ERR_OK;
}

enum err register_montage(const struct register_picture *p, const struct register_plane s[REGISTER_PLANES],
                          struct str *png)
{
    struct canvas c = {0};
    int column[COLUMNS], height = HEAD;
    enum err err;

    for (int k = 0; k < REGISTER_PLANES; k++)
        height += s[k].height + GAP;
    TRY_OR(done, canvas_open(&c, GAP + columns_of(p, column) * (PLANE_SIDE + GAP), height));
    cairo_set_source_rgb(c.cr, 0.07, 0.08, 0.1);
    cairo_paint(c.cr);
    TRY_OR(done, draw(c.cr, p, s));
    err = canvas_png(&c, png);
done:
    canvas_close(&c);
    return err;
}

static uint32_t frame_colour(const struct register_plane *s, int frame, int x, int y)
{
    size_t i = (size_t)y * (size_t)s->width + (size_t)x;

    return shade(frame ? s->after[i] : s->fixed[i]);
}

static enum err draw_frame(struct canvas *c, const struct register_plane *s, int frame)
{
    static const double at[2] = {0, 0};

    TRY(canvas_open(c, s->width, s->height));
    TRY(panel(c->cr, s, frame_colour, frame, at));
    canvas_halo_text(c->cr, &(struct label){.x = 6, .y = 16, .size = 12}, frame ? "registered" : "fixed");
    return ERR_OK;
}

enum err register_flicker(const struct register_plane *s, struct str *png)
{
    struct canvas frame[2] = {{0}, {0}};
    enum err err;

    TRY_OR(done, draw_frame(&frame[0], s, 0));
    TRY_OR(done, draw_frame(&frame[1], s, 1));
    err = animation_png(frame, 2, 0.5, png);
done:
    canvas_close(&frame[0]);
    canvas_close(&frame[1]);
    return err;
}
