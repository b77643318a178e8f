/* A flat view of patient space: images and labels on any grid sampled at the pixels of a plane, painted, and
 * outlined. Radiological display: the patient's right is on the left of the picture, front and head are on
 * top, and in sagittal views the front is on the left. Millimetres are NIfTI's world (R, A, S positive). */
#ifndef D4M_LAB_VIEW_H
#define D4M_LAB_VIEW_H

#include "base/err.h"
#include "volume/volume.h"
#include <cairo.h>

enum plane { PLANE_AXIAL, PLANE_CORONAL, PLANE_SAGITTAL, PLANES };
/* RAS axes across, down and through a plane; all of them run against the picture's x and y. */
void view_axes(enum plane plane, int *across, int *down, int *through);

struct view {
    enum plane plane;
    double corner[3];          /* mm of the upper left corner */
    double across[3], down[3]; /* mm from a pixel to the next one */
    int width, height;         /* pixels */
};

/* The plane at `through` mm that shows lo..hi (mm, by world axis) with `scale` pixels a mm. */
struct view view_make(enum plane plane, double through, const double lo[3], const double hi[3], double scale);
/* mm at a point of the picture; pixel (x, y) has its centre at (x + 0.5, y + 0.5). And back, by the picture's
 * axes alone. */
void view_mm(const struct view *v, double x, double y, double mm[3]);
void view_point(const struct view *v, const double mm[3], double *x, double *y);

/* HU of a VOXEL_I16 image at each pixel, [y*width + x], trilinear; pixels that are larger than voxels
 * average. NAN outside the image's field of view. */
MUST_USE enum err view_image(float *hu, const struct view *v, const struct volume *image);
/* Share (0..1, trilinear) of the labels first..last of a VOXEL_U8 volume at each pixel. */
MUST_USE enum err view_share(float *share, const struct view *v, const struct volume *labels, int first,
                             int last);

/* Paints HU at (left, top): grey within the window, dark blue where nothing was scanned. */
MUST_USE enum err view_paint(cairo_t *cr, const struct view *v, const float *hu, const double window[2],
                             const double at[2]);
/* Adds the line between shares below and above one half to cairo's path. */
void view_outline(cairo_t *cr, const struct view *v, const float *share, const double at[2]);

/* Adds where the patient's sides are: R, L, A, P, S, I at the borders, `size` pixels high. */
void view_letters(cairo_t *cr, const struct view *v, const double at[2], double size);

#endif
