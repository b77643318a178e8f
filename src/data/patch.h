/* A patch: a box of a multi-phase case as the network sees it, image channels last and one label a voxel. It
 * only points; whoever made the buffers owns them. */
#ifndef D4M_DATA_PATCH_H
#define D4M_DATA_PATCH_H

#include <stdint.h>

enum { LABEL_OUTSIDE = -1 }; /* a voxel outside the case (seg-nnunet.md section 7) */

struct patch {
    int64_t size[3]; /* (D, H, W) */
    int64_t channels;
    float *image;  /* (D, H, W, C) */
    int8_t *label; /* (D, H, W), LABEL_OUTSIDE or a class; NULL if there are no labels */
};

static inline int64_t patch_voxels(const struct patch *p)
{
    return p->size[0] * p->size[1] * p->size[2];
}

#endif
