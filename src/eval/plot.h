/* Line plots, described once and drawn twice: with cairo (progress.png) and as inline SVG that follows the
 * page's light or dark theme (classes plot-0 ... of plot_css). The caller owns all data. */
#ifndef D4M_EVAL_PLOT_H
#define D4M_EVAL_PLOT_H

#include "base/str.h"
#include <cairo.h>
#include <stdbool.h>
#include <stddef.h>

enum { PLOT_SERIES = 10 };

struct plot_series {
    const char *name;
    const double *x, *y; /* count values each; NAN, or anything of 1e12 and more, leaves a gap */
    size_t count;
};

struct plot {
    const char *title, *x_name;
    struct plot_series series[PLOT_SERIES];
    int count;
    double low, high; /* range of y that is shown at least; both 0: from the data */
};

/* Whether a series has a value that is shown. */
bool plot_has_data(const struct plot *p);
void plot_draw(const struct plot *p, cairo_t *cr, double width,
               double height); /* at the origin, light theme */
void plot_svg(const struct plot *p, struct str *html, double width, double height); /* one <svg> element */
extern const char *const plot_css; /* rules for the classes that plot_svg uses */

#endif
