/* The spatial augmentation of nnU-Net (seg-nnunet.md section 8, row 1): rotation and scaling of a patch about
 * its centre, read from a larger sample. Positions are (z, y, x). */
#ifndef D4M_DATA_SPATIAL_H
#define D4M_DATA_SPATIAL_H

#include "data/patch.h"
#include <stdbool.h>

struct spatial {
    bool identity;       /* neither rotation nor scaling: the centre crop, no interpolation */
    int64_t patch[3];    /* size of the result */
    int64_t sample[3];   /* size of the sample that it is read from */
    double matrix[3][3]; /* A: centred sample position = A * centred patch position */
    double limit[3]; /* labels beyond this |A u| are LABEL_OUTSIDE (the hull of the sample's voxel centres) */
};

/* A = R_z R_y R_x S for the angles (radians) about axes 0, 1, 2 and one factor for all axes. `flat` keeps
 * axis 0 as it is (dummy 2D: only angle[0] may differ from 0, and the factor is for axes 1 and 2). */
struct spatial spatial_make(const int64_t patch[3], const int64_t sample[3], const double angle[3],
                            double factor, bool flat);
/* The centre crop: start = sample/2 - patch/2. */
struct spatial spatial_identity(const int64_t patch[3], const int64_t sample[3]);
/* The part [lo, hi) of the sample that the transform reads; always inside the sample, at least one voxel. */
void spatial_box(const struct spatial *s, int64_t lo[3], int64_t hi[3]);
/* Position in the sample, in voxels, of a patch voxel. */
void spatial_position(const struct spatial *s, const int64_t index[3], double position[3]);
/* out (s->patch) from box, the sample's part that starts at lo: trilinear with zeros outside for the image;
 * the label with the largest interpolated weight, ties to the lower one. */
void spatial_apply(const struct spatial *s, const struct patch *box, const int64_t lo[3], struct patch *out);

#endif
