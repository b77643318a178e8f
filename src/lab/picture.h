/* A montage of a case: phases across, planes down (axial, coronal, sagittal), through the largest lesion,
 * with the outlines of reference and prediction. Radiological display: the patient's right is on the left of
 * the picture, anterior on top of axial and left of sagittal views, superior on top. Drawn with cairo;
 * millimetres have one scale in all panels. */
#ifndef D4M_LAB_PICTURE_H
#define D4M_LAB_PICTURE_H

#include "base/err.h"
#include "base/str.h"
#include "lab/view.h"
#include "volume/volume.h"

enum { PICTURE_PHASES = 8 };

struct picture_phase {
    const char *name;
    const struct volume *image; /* VOXEL_I16, any grid: sampled at the world positions of the label grid */
};

struct picture {
    const char *title; /* case name; may be NULL */
    struct picture_phase phase[PICTURE_PHASES];
    int phases; /* 1..PICTURE_PHASES */
    const struct volume *reference,
        *prediction;  /* VOXEL_U8 on one physical grid, or NULL; without both: phase 0's grid */
    int lesion_label; /* 0: 2 */
    double window[2]; /* HU; both 0: [-100, 240] */
    double panel;     /* pixels of the longest panel side; 0: 420 */
};

/* Where a montage puts its panels. A panel shows the plane through `slice` of the axis behind it; the pixel
 * (x, y) of the picture has the index hi + 0.5 - (x - left) / (scale * spacing) on the axis across, and
 * likewise down. */
struct picture_layout {
    struct grid grid;    /* of the labels, in RAS order */
    int64_t slice[3];    /* R, A, S index */
    double lo[3], hi[3]; /* shown range of indices, inclusive */
    double scale;        /* pixels per mm */
    double left[PICTURE_PHASES], top[PLANES];
    double width[PLANES], height[PLANES]; /* pixels */
    int total_width, total_height;
};

MUST_USE enum err picture_plan(struct picture_layout *out, const struct picture *p);
/* The montage as PNG bytes appended to png. ERR_INPUT if reference and prediction lie on different grids. */
MUST_USE enum err picture_png(const struct picture *p, struct str *png);

#endif
