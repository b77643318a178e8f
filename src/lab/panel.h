/* One panel of a montage: an image sampled on a plane of the label grid, and outlines of labels on it. */
#ifndef D4M_LAB_PANEL_H
#define D4M_LAB_PANEL_H

#include "base/err.h"
#include "lab/picture.h"
#include "volume/volume.h"
#include <cairo.h>

struct panel {
    const struct picture_layout *at;
    enum picture_plane plane;
    double left, top; /* pixels */
    double window[2]; /* HU shown black and white */
};

/* Paints the image (VOXEL_I16, any grid, trilinear); what lies outside its field of view is dark blue. */
MUST_USE enum err panel_image(const struct panel *p, cairo_t *cr, const struct volume *image);

struct pen {
    int first, last; /* labels inside the outline */
    double colour[3];
    double width; /* pixels */
};
/* Strokes the outline of first <= label <= last; labels are VOXEL_U8 on the layout's grid. */
void panel_outline(const struct panel *p, cairo_t *cr, const struct volume *labels, const struct pen *pen);

#endif
