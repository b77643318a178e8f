#include "lab/check_picture.h"
#include "base/file.h"
#include "base/mem.h"
#include "eval/canvas.h"
#include "image/intensity.h"
#include "lab/view.h"
#include <ctype.h>
#include <math.h>
#include <string.h>

enum { LEFT = 14, TOP = 106, GAP = 6, COLUMN = 360, FOOT = 40 };
static const double liver_colour[3] = {0.16, 0.90, 0.80}, tumour_colour[3] = {1.00, 0.62, 0.10},
                    mark_colour[3] = {1.00, 0.20, 0.75};

struct drawing {
    const struct finding *finding;
    const struct check_scene *scene;
    struct volume *label, *marks; /* or NULL */
    struct view view[PLANES];
    double corner[PLANES][2]; /* pixels: planes lie below one another, or beside if there is one phase */
    double at[3];             /* mm */
    int channel[PLAN_MAX_PHASES], columns;
    int width, height;
};

/* A label that cannot be placed is shown where its own header says. */
static enum err load_label(struct drawing *d)
{
    const struct check_scene *s = d->scene;
    struct prepare_options o = *s->options;
    struct nifti_options read = {.prefer = o.prefer, .map = o.map};
    enum err err;

    if (!s->files->label)
        return ERR_OK;
    o.reason = NULL;
    err = place_label(&d->label, s->files->label, s->reference, &o, NULL);
    if (err && err != ERR_MEMORY)
        err = nifti_load_labels(&d->label, s->files->label, &read, NULL);
    return err == ERR_MEMORY ? err : ERR_OK;
}

static enum err load_marks(struct drawing *d)
{
    const struct check_marks *m = d->scene->marks;
    struct grid ras = grid_to_ras(&d->scene->reference->grid);

    if (!m->count)
        return ERR_OK;
    TRY(volume_new(&d->marks, &ras, VOXEL_U8));
    for (size_t i = 0; i < m->count; i++)
        memset((uint8_t *)d->marks->data + m->run[i][0], 1, (size_t)m->run[i][1]);
    return ERR_OK;
}

/* On the reference's grid, or where its own header says; *out stays NULL if it cannot be read. */
static enum err load_phase(struct volume **out, const struct check_scene *s, int channel)
{
    struct prepare_options o = *s->options;
    struct nifti_options read = {.prefer = o.prefer, .assume_scanner = o.assume_scanner};
    struct placed at = {0};
    enum err err;

    o.reason = NULL;
    o.training = false;
    err = place_phase(&at, s->files, channel, s->reference, &o, NULL);
    *out = at.hu;
    if (err != ERR_MEMORY && !at.hu)
        err = nifti_load_hu(out, s->files->phase[channel], &read, NULL);
    return err == ERR_MEMORY ? err : ERR_OK;
}

/* The whole reference grid on all planes, one scale for all. */
static void plan(struct drawing *d)
{
    const struct check_scene *s = d->scene;
    struct grid g = grid_to_ras(&s->reference->grid);
    double lo[3] = {INFINITY, INFINITY, INFINITY}, hi[3] = {-INFINITY, -INFINITY, -INFINITY};
    double scale, x = LEFT, y = TOP;

    for (int corner = 0; corner < 8; corner++) {
        double index[3], mm[3];

        for (int a = 0; a < 3; a++)
            index[a] = corner >> a & 1 ? (double)g.dims[a] - 0.5 : -0.5;
        grid_world(&g, index, mm);
        for (int a = 0; a < 3; a++) {
            lo[a] = fmin(lo[a], mm[a]);
            hi[a] = fmax(hi[a], mm[a]);
        }
    }
    grid_world(&g, (const double[3]){(double)s->at[0], (double)s->at[1], (double)s->at[2]}, d->at);
    scale = COLUMN / fmax(hi[0] - lo[0], fmax(hi[1] - lo[1], (hi[2] - lo[2]) / 1.5));
    for (int k = 0; k < s->phases->count; k++)
        if (s->files->phase[k] && (s->all_phases || k == s->channel))
            d->channel[d->columns++] = k;
    for (int p = 0; p < PLANES; p++) {
        int across, down, through;

        view_axes((enum plane)p, &across, &down, &through);
        d->view[p] = view_make((enum plane)p, d->at[through], lo, hi, scale);
        d->corner[p][0] = x;
        d->corner[p][1] = y;
        d->width = (int)fmax(d->width, x + d->view[p].width + (d->columns - 1) * (COLUMN + GAP) + LEFT);
        d->height = (int)fmax(d->height, y + d->view[p].height + FOOT);
        x += d->columns == 1 ? d->view[p].width + GAP : 0;
        y += d->columns == 1 ? 0 : d->view[p].height + GAP;
    }
    d->width = d->width < 2 * COLUMN ? 2 * COLUMN : d->width;
}

/* Abdominal, or where the scale is in doubt from what there is. */
static enum err choose_window(double window[2], const struct finding *f, const struct volume *image)
{
    struct histogram *h = NULL;

    window[0] = -160;
    window[1] = 240;
    if (strncmp(f->rule->name, "hu-", 3) != 0 && strcmp(f->rule->name, "air-hu") != 0)
        return ERR_OK;
    TRY(histogram_make(&h, image, NULL));
    window[0] = histogram_quantile(h, 0.01);
    window[1] = histogram_quantile(h, 0.995);
    mem_free(h);
    window[1] = window[1] > window[0] ? window[1] : window[0] + 1;
    return ERR_OK;
}

struct layer {
    const struct volume *volume;
    int first, last;
    const double *colour;
    bool fill;
};

/* Rows of pixels that are more inside than outside. */
static void fill_share(cairo_t *cr, const struct view *v, const float *share, const double at[2])
{
    for (int y = 0; y < v->height; y++)
        for (int x = 0; x < v->width; x++) {
            int from = x;

            while (x < v->width && share[(size_t)y * (size_t)v->width + (size_t)x] > 0.5F)
                x++;
            if (x > from)
                cairo_rectangle(cr, at[0] + from, at[1] + y, x - from, 1);
        }
    cairo_fill(cr);
}

static enum err draw_layer(cairo_t *cr, const struct view *v, const struct layer *l, const double at[2])
{
    float *share = mem_new((size_t)v->width * (size_t)v->height, sizeof *share);
    enum err err = share ? view_share(share, v, l->volume, l->first, l->last) : ERR_MEMORY;

    if (!err && l->fill) {
        cairo_set_source_rgba(cr, l->colour[0], l->colour[1], l->colour[2], 0.35);
        fill_share(cr, v, share, at);
    }
    if (!err) {
        cairo_set_source_rgb(cr, l->colour[0], l->colour[1], l->colour[2]);
        cairo_set_line_width(cr, l->fill ? 1.6 : 1.2);
        view_outline(cr, v, share, at);
        cairo_stroke(cr);
    }
    mem_free(share);
    return err;
}

/* Ticks at the panel's edges that meet at the place. */
static void draw_ticks(cairo_t *cr, const struct drawing *d, const struct view *v, const double at[2])
{
    double x, y;

    view_point(v, d->at, &x, &y);
    cairo_set_source_rgb(cr, 1, 0.93, 0.35);
    cairo_set_line_width(cr, 1.5);
    for (int end = 0; end < 2; end++) {
        cairo_move_to(cr, at[0] + x, at[1] + end * v->height);
        cairo_rel_line_to(cr, 0, end ? -12 : 12);
        cairo_move_to(cr, at[0] + end * v->width, at[1] + y);
        cairo_rel_line_to(cr, end ? -12 : 12, 0);
    }
    cairo_stroke(cr);
}

static enum err draw_panel(cairo_t *cr, const struct drawing *d, enum plane plane, const struct volume *image,
                           const double at[2])
{
    const struct view *v = &d->view[plane];
    const struct layer layers[] = {{d->label, 1, 255, liver_colour, false},
                                   {d->label, d->scene->tumour, d->scene->tumour, tumour_colour, false},
                                   {d->marks, 1, 1, mark_colour, true}};
    float *hu = mem_new((size_t)v->width * (size_t)v->height, sizeof *hu);
    double window[2];
    enum err err = hu ? choose_window(window, d->finding, image) : ERR_MEMORY;

    if (!err)
        err = view_image(hu, v, image);
    if (!err)
        err = view_paint(cr, v, hu, window, at);
    mem_free(hu);
    for (size_t i = 0; i < sizeof layers / sizeof *layers && !err; i++)
        if (layers[i].volume && layers[i].first > 0)
            err = draw_layer(cr, v, &layers[i], at);
    if (err)
        return err;
    draw_ticks(cr, d, v, at);
    view_letters(cr, v, at, 13);
    return ERR_OK;
}

static enum err draw_column(cairo_t *cr, const struct drawing *d, int column)
{
    const struct check_scene *s = d->scene;
    struct volume *image = NULL;
    int channel = d->channel[column];
    double x = column * (COLUMN + GAP);
    enum err err;

    canvas_text(cr, &(struct label){.x = LEFT + x, .y = TOP - 10, .size = 14, .fit = COLUMN},
                s->phases->name[channel][0] ? s->phases->name[channel] : "image");
    TRY(load_phase(&image, s, channel));
    err = ERR_OK;
    for (int p = 0; p < PLANES && image && !err; p++) {
        const double at[2] = {x + d->corner[p][0], d->corner[p][1]};

        cairo_save(cr);
        cairo_rectangle(cr, at[0], at[1], d->view[p].width, d->view[p].height);
        cairo_clip(cr);
        err = draw_panel(cr, d, (enum plane)p, image, at);
        cairo_restore(cr);
    }
    volume_free(image);
    return err;
}

static double draw_key(cairo_t *cr, double x, double y, const double colour[3], const char *name)
{
    cairo_text_extents_t extents;

    cairo_set_source_rgb(cr, colour[0], colour[1], colour[2]);
    cairo_rectangle(cr, x, y - 9, 14, 9);
    cairo_fill(cr);
    canvas_text(cr, &(struct label){.x = x + 20, .y = y, .size = 13}, name);
    cairo_set_font_size(cr, 13);
    cairo_text_extents(cr, name, &extents);
    return x + 44 + extents.x_advance;
}

/* The text in two lines, broken at a space. */
static void draw_sentence(cairo_t *cr, const struct drawing *d)
{
    char line[256];
    const char *rest = d->finding->text;

    cairo_set_font_size(cr, 13);
    for (int row = 0; row < 2 && *rest; row++) {
        cairo_text_extents_t size = {0};
        size_t n = 0, next;

        snprintf(line, sizeof line, "%s", rest);
        for (next = strcspn(rest, " "); next < sizeof line - 1 && row == 0;
             next += 1 + strcspn(rest + next + 1, " ")) {
            snprintf(line, sizeof line, "%.*s", (int)next, rest);
            cairo_text_extents(cr, line, &size);
            if (n && size.x_advance > d->width - 2 * LEFT)
                break;
            n = next;
            if (!rest[next])
                break;
        }
        if (row == 0)
            snprintf(line, sizeof line, "%.*s", (int)n, rest);
        canvas_text(
            cr, &(struct label){.x = LEFT, .y = 50 + 18 * row, .size = 13, .fit = d->width - 2 * LEFT}, line);
        rest += n + (rest[n] == ' ');
    }
}

static void draw_frame(cairo_t *cr, const struct drawing *d)
{
    double x = LEFT, y = d->height - 14;
    char place[96];
    struct str title = {0};

    cairo_set_source_rgb(cr, 0.055, 0.067, 0.086);
    cairo_paint(cr);
    str_addf(&title, "%s \xE2\x80\x93 %s: %s", d->finding->where, d->finding->rule->name,
             d->finding->rule->meaning);
    canvas_text(cr, &(struct label){.x = LEFT, .y = 28, .size = 17, .bold = true, .fit = d->width - 2 * LEFT},
                title.s ? title.s : "");
    draw_sentence(cr, d);
    str_free(&title);
    if (d->label) {
        x = draw_key(cr, x, y, liver_colour, "label");
        x = d->scene->tumour > 0 ? draw_key(cr, x, y, tumour_colour, "tumour") : x;
    }
    if (d->marks)
        x = draw_key(cr, x, y, mark_colour, "what is meant");
    snprintf(place, sizeof place, "planes through (%.0f, %.0f, %.0f) mm, RAS", d->at[0], d->at[1], d->at[2]);
    canvas_text(cr, &(struct label){.x = x, .y = y, .size = 13}, place);
}

static enum err draw(struct str *png, struct drawing *d)
{
    struct canvas canvas = {0};
    enum err err;

    TRY_OR(done, load_label(d));
    TRY_OR(done, load_marks(d));
    plan(d);
    TRY_OR(done, canvas_open(&canvas, d->width, d->height));
    draw_frame(canvas.cr, d);
    for (int i = 0; i < d->columns; i++)
        TRY_OR(done, draw_column(canvas.cr, d, i));
    TRY_OR(done, canvas_png(&canvas, png));
done:
    canvas_close(&canvas);
    volume_free(d->label);
    volume_free(d->marks);
    return err;
}

/* A file name of its own, without folders and odd characters. */
static enum err choose_name(struct str *name, struct check_album *a, const struct finding *f,
                            const struct check_scene *s)
{
    const char *base = strrchr(s->files->name, '/') ? strrchr(s->files->name, '/') + 1 : s->files->name;

    for (int copy = 1;; copy++) {
        struct str listed = {0};
        bool taken;

        str_free(name);
        for (const char *p = base; *p; p++)
            str_addf(name, "%c", isalnum((unsigned char)*p) || strchr("-_", *p) ? *p : '_');
        str_addf(name, "-%s", f->rule->name);
        if (copy > 1)
            str_addf(name, "-%d", copy);
        str_add(name, ".png");
        TRY(str_status(name));
        str_addf(&listed, "\n%s\n", name->s);
        TRY(str_status(&listed));
        taken = a->names.s && strstr(a->names.s, listed.s);
        if (!taken)
            str_add(&a->names, listed.s);
        str_free(&listed);
        if (!taken)
            return str_status(&a->names);
    }
}

enum err check_picture(void *album, struct finding *f, const struct check_scene *s)
{
    struct check_album *a = album;
    struct drawing d = {.finding = f, .scene = s};
    struct str png = {0}, name = {0};
    char *path = NULL;
    enum err err;

    TRY_OR(done, choose_name(&name, a, f, s));
    TRY_OR(done, draw(&png, &d));
    path = path_join(a->folder, name.s);
    f->picture = path ? mem_str(name.s) : NULL;
    err = f->picture ? file_write(path, png.s, png.len) : ERR_MEMORY;
done:
    mem_free(path);
    str_free(&name);
    str_free(&png);
    return err;
}
