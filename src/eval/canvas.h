/* A cairo image to draw on, text on it, and its PNG bytes. */
#ifndef D4M_EVAL_CANVAS_H
#define D4M_EVAL_CANVAS_H

#include "base/err.h"
#include "base/str.h"
#include <cairo.h>
#include <stdbool.h>

struct canvas {
    cairo_surface_t *surface;
    cairo_t *cr;
};
MUST_USE enum err canvas_open(struct canvas *c, int width, int height); /* pixels, RGB */
void canvas_close(struct canvas *c);                                    /* accepts a zeroed struct */
/* Appends the PNG file to png. ERR_MEMORY if cairo or the string ran out. */
MUST_USE enum err canvas_png(struct canvas *c, struct str *png);

/* A line of text in DejaVu Sans. */
struct label {
    double x, y;        /* baseline */
    double anchor;      /* share of the text's width left of x: 0 starts, 0.5 centres, 1 ends there */
    double size;        /* pixels */
    double fit;         /* most pixels it may take; longer text ends in an ellipsis; 0: no limit */
    double colour[3];   /* all 0: light grey */
    bool bold, upright; /* upright: turned a quarter, reading upwards */
};
void canvas_text(cairo_t *cr, const struct label *l, const char *text);
void canvas_halo_text(cairo_t *cr, const struct label *l, const char *text); /* light on a dark rim */

#endif
