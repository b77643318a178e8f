/* One plane of a registration, sampled: what the pictures are painted from. */
#ifndef D4M_STAGE_REGISTER_PLANE_H
#define D4M_STAGE_REGISTER_PLANE_H

#include "align/transform.h"

enum { REGISTER_PLANES = 3, PLANE_SIDE = 300 /* most pixels of a side */ };

struct register_picture {
    const struct volume *fixed, *moving; /* VOXEL_I16 */
    const struct volume *liver;          /* VOXEL_U8 on any grid, fixed image's liver; or NULL */
    const struct transform *t;           /* fixed -> moving */
    const char *title, *text;            /* what was registered, and the verdict */
};

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
/* Axial, coronal and sagittal, through the centre of the liver, else of the body that both images show.
 * register_planes_free accepts zeroed structs. */
MUST_USE enum err register_planes_make(struct register_plane out[REGISTER_PLANES],
                                       const struct register_picture *p);
void register_planes_free(struct register_plane s[REGISTER_PLANES]);

#endif
