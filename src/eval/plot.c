#include "eval/plot.h"
#include "base/html.h"
#include "eval/canvas.h"
#include <math.h>
#include <stdio.h>

enum { LEFT = 58, RIGHT = 14, TOP = 52, BOTTOM = 38, TICKS = 5, MOST_POINTS = 800, COLOURS = 5 };

/* The eye tells these five apart, also with the common colour deficiencies. */
static const double colour_rgb[COLOURS][3] = {
    {0.12, 0.44, 0.82}, {0.85, 0.33, 0.12}, {0.07, 0.54, 0.42}, {0.54, 0.29, 0.76}, {0.54, 0.43, 0.00}};

const char *const plot_css =
    "svg.plot{width:100%;height:auto;font:12px \"DejaVu Sans\",system-ui,sans-serif}"
    ".plot text{fill:var(--ink)}.plot .t{font-weight:600;font-size:14px}.plot .a{fill:var(--soft)}"
    ".plot .g{stroke:var(--line);stroke-width:1}.plot polyline,.plot "
    ".k{fill:none;stroke-width:2;stroke-linejoin:round}"
    ".plot-0{stroke:var(--c0)}.plot-1{stroke:var(--c1)}.plot-2{stroke:var(--c2)}.plot-3{stroke:var(--c3)}"
    ".plot-4{stroke:var(--c4)}";

/* Where marks go: one of the two is set. */
struct sheet {
    cairo_t *cr;
    struct str *svg;
};

struct frame {
    double width, height;  /* of the whole plot */
    double x0, x1, y0, y1; /* data ranges */
    double step_x, step_y; /* between ticks */
};

static double place_x(const struct frame *f, double x)
{
    return LEFT + (x - f->x0) / (f->x1 - f->x0) * (f->width - LEFT - RIGHT);
}

static double place_y(const struct frame *f, double y)
{
    return f->height - BOTTOM - (y - f->y0) / (f->y1 - f->y0) * (f->height - TOP - BOTTOM);
}

/* Larger numbers are left out: ticks would no longer be distinct, and no loss worth reading is there. */
static bool shown(const struct plot_series *s, size_t i)
{
    return fabs(s->x[i]) < 1e12 && fabs(s->y[i]) < 1e12;
}

bool plot_has_data(const struct plot *p)
{
    for (int s = 0; s < p->count; s++)
        for (size_t i = 0; i < p->series[s].count; i++)
            if (shown(&p->series[s], i))
                return true;
    return false;
}

/* 1, 2 or 5 times a power of ten, so that about TICKS steps cover `range`. */
static double nice_step(double range)
{
    double raw = range / TICKS, power = pow(10, floor(log10(raw))), lead = raw / power;

    return power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
}

/* Ranges that end on ticks. */
static struct frame frame_of(const struct plot *p, double width, double height)
{
    struct frame f = {width, height, INFINITY, -INFINITY, INFINITY, -INFINITY, 1, 1};

    for (int s = 0; s < p->count; s++)
        for (size_t i = 0; i < p->series[s].count; i++) {
            double x = p->series[s].x[i], y = p->series[s].y[i];

            if (!shown(&p->series[s], i))
                continue;
            f.x0 = fmin(f.x0, x);
            f.x1 = fmax(f.x1, x);
            f.y0 = fmin(f.y0, y);
            f.y1 = fmax(f.y1, y);
        }
    if (p->low < p->high) {
        f.y0 = fmin(f.y0, p->low);
        f.y1 = fmax(f.y1, p->high);
    }
    if (!(f.x1 > f.x0))
        f.x1 = f.x0 + 1;
    if (!(f.y1 - f.y0 > 1e-9 * fabs(f.y1))) /* also where rounding would make the ticks stand still */
        f.y1 = f.y0 + fmax(1e-3, 0.1 * fabs(f.y0));
    f.step_y = nice_step(f.y1 - f.y0);
    f.y0 = f.step_y * floor(f.y0 / f.step_y + 1e-9);
    f.y1 = f.step_y * ceil(f.y1 / f.step_y - 1e-9);
    f.step_x = fmax(1, nice_step(f.x1 - f.x0));
    return f;
}

static void add_text(const struct sheet *to, const struct label *l, const char *css, const char *text)
{
    static const char *const anchor[3] = {"start", "middle", "end"};

    if (to->cr) {
        canvas_text(to->cr, l, text);
        return;
    }
    str_addf(to->svg, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", css, l->x, l->y,
             anchor[(int)(2 * l->anchor)]);
    html_add_text(to->svg, text);
    str_add(to->svg, "</text>");
}

/* colour < 0: a grid line. */
static void add_line(const struct sheet *to, const double from[2], const double end[2], int colour)
{
    if (!to->cr) {
        str_addf(to->svg, "<line class=\"%s", colour < 0 ? "g" : "k plot-");
        if (colour >= 0)
            str_addf(to->svg, "%d", colour);
        str_addf(to->svg, "\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", from[0], from[1], end[0],
                 end[1]);
        return;
    }
    if (colour < 0)
        cairo_set_source_rgb(to->cr, 0.87, 0.88, 0.9);
    else
        cairo_set_source_rgb(to->cr, colour_rgb[colour][0], colour_rgb[colour][1], colour_rgb[colour][2]);
    cairo_set_line_width(to->cr, colour < 0 ? 1 : 2);
    cairo_move_to(to->cr, from[0], from[1]);
    cairo_line_to(to->cr, end[0], end[1]);
    cairo_stroke(to->cr);
}

#define INK                                                                                                  \
    {                                                                                                        \
        0.10, 0.11, 0.13                                                                                     \
    }
#define SOFT                                                                                                 \
    {                                                                                                        \
        0.36, 0.38, 0.42                                                                                     \
    }

static void add_axes(const struct sheet *to, const struct plot *p, const struct frame *f)
{
    char text[32];
    int rows = (int)lround((f->y1 - f->y0) / f->step_y);
    double left = LEFT, right = f->width - RIGHT, foot = f->height - BOTTOM + 17;

    for (int i = 0; i <= rows; i++) {
        double v = f->y0 + i * f->step_y, y = place_y(f, v);
        const double from[2] = {left, y}, end[2] = {right, y};

        add_line(to, from, end, -1);
        snprintf(text, sizeof text, "%.4g", fabs(v) < f->step_y * 1e-6 ? 0 : v);
        add_text(to, &(struct label){.x = left - 7, .y = y + 4, .anchor = 1, .size = 12, .colour = SOFT}, "a",
                 text);
    }
    for (double v = f->step_x * ceil(f->x0 / f->step_x); v <= f->x1; v += f->step_x) {
        snprintf(text, sizeof text, "%.6g", v);
        add_text(to,
                 &(struct label){.x = place_x(f, v), .y = foot, .anchor = 0.5, .size = 12, .colour = SOFT},
                 "a", text);
    }
    add_text(
        to,
        &(struct label){.x = (left + right) / 2, .y = foot + 16, .anchor = 0.5, .size = 12, .colour = SOFT},
        "a", p->x_name);
    add_text(to, &(struct label){.x = 10, .y = 19, .size = 14, .bold = true, .colour = INK}, "t", p->title);
}

/* Name and last value of each series, side by side under the title. */
static void add_legend(const struct sheet *to, const struct plot *p, const struct frame *f)
{
    double x = 10, column = (f->width - 16) / (p->count > 3 ? p->count : 3);
    char text[64];

    for (int s = 0; s < p->count; s++, x += column) {
        const struct plot_series *line = &p->series[s];
        const double from[2] = {x, 34}, end[2] = {x + 16, 34};
        size_t last = line->count;

        while (last && !shown(line, last - 1))
            last--;
        add_line(to, from, end, s % COLOURS);
        if (last)
            snprintf(text, sizeof text, "%.30s %.3g", line->name, line->y[last - 1]);
        else
            snprintf(text, sizeof text, "%.30s", line->name);
        add_text(to, &(struct label){.x = x + 21, .y = 38, .size = 12, .fit = column - 24, .colour = INK},
                 "n", text);
    }
}

/* One run of finite points [from, to); every `stride`-th is drawn, and the last. */
static void add_run(const struct sheet *sheet, const struct frame *f, const struct plot_series *s,
                    size_t from, size_t to, int colour)
{
    size_t stride = 1 + s->count / MOST_POINTS;

    if (to - from == 1) {
        const double a[2] = {place_x(f, s->x[from]) - 2, place_y(f, s->y[from])}, b[2] = {a[0] + 4, a[1]};

        add_line(sheet, a, b, colour);
        return;
    }
    if (sheet->svg)
        str_addf(sheet->svg, "<polyline class=\"plot-%d\" points=\"", colour);
    for (size_t i = from; i < to; i = i + stride < to || i + 1 == to ? i + stride : to - 1) {
        double x = place_x(f, s->x[i]), y = place_y(f, s->y[i]);

        if (sheet->svg)
            str_addf(sheet->svg, "%s%.1f,%.1f", i == from ? "" : " ", x, y);
        else
            cairo_line_to(sheet->cr, x, y);
    }
    if (sheet->svg) {
        str_add(sheet->svg, "\"/>");
        return;
    }
    cairo_set_source_rgb(sheet->cr, colour_rgb[colour][0], colour_rgb[colour][1], colour_rgb[colour][2]);
    cairo_set_line_width(sheet->cr, 2);
    cairo_stroke(sheet->cr);
}

static void add_series(const struct sheet *to, const struct frame *f, const struct plot_series *s, int colour)
{
    size_t i = 0, start;

    while (i < s->count) {
        start = i;
        while (i < s->count && shown(s, i))
            i++;
        if (i > start)
            add_run(to, f, s, start, i, colour);
        else
            i++;
    }
}

static void add_plot(const struct sheet *to, const struct plot *p, double width, double height)
{
    struct frame f;

    if (!plot_has_data(p))
        return;
    f = frame_of(p, width, height);
    add_axes(to, p, &f);
    for (int s = 0; s < p->count; s++)
        add_series(to, &f, &p->series[s], s % COLOURS);
    add_legend(to, p, &f);
}

void plot_draw(const struct plot *p, cairo_t *cr, double width, double height)
{
    cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
    add_plot(&(struct sheet){.cr = cr}, p, width, height);
}

void plot_svg(const struct plot *p, struct str *html, double width, double height)
{
    str_addf(html, "<svg class=\"plot\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", width, height);
    html_add_text(html, p->title);
    str_add(html, "\">");
    add_plot(&(struct sheet){.svg = html}, p, width, height);
    str_add(html, "</svg>\n");
}
