/* One plane of a registration, sampled: what the pictures are painted from. */
#ifndef D4M_STAGE_REGISTER_PLANE_H
#define D4M_STAGE_REGISTER_PLANE_H

#include "stage/register_picture.h"

enum { PLANE_SIDE = 300 /* most pixels of a side */ };

/* The centre of the picture's three planes (of the liver, else of the body that both images show): index on
 * the fixed image's grid in RAS order. */
MUST_USE enum err register_centre(const struct register_picture *p, const struct grid *ras, double index[3]);

struct register_plane {
    int width, height;
    double mm;             /* of a pixel */
    float *fixed;          /* HU, NAN outside; [y*width + x], as are all */
    float *before, *after; /* moving image by the header, by the transform */
    float *det;            /* of the transform's Jacobian */
    float *moved;          /* |T(x) - x|, mm */
    float *to;             /* T(x) across and down the plane, mm in the fixed image's axes; 2 a pixel */
    uint8_t *liver;        /* mask, NULL without one */
};
/* Plane 0 to 2: axial, coronal, sagittal. register_plane_free accepts a zeroed struct. */
MUST_USE enum err register_plane_make(struct register_plane *out, const struct register_picture *p,
                                      int plane);
void register_plane_free(struct register_plane *s);

#endif
