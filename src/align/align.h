/* Registration of one phase onto another: from two CTs to an invertible map with figures of how well they
 * fit (registration.md). T(x) = A(exp(v)(x)) maps fixed world points to moving ones (RAS mm). */
#ifndef D4M_ALIGN_ALIGN_H
#define D4M_ALIGN_ALIGN_H

#include "align/expect.h"
#include "align/match.h"
#include "align/refine.h"
#include "align/search.h"
#include "volume/volume.h"

struct align_options {
    double spacing; /* mm, h; 0: ALIGN_SPACING */
    enum refine_preset preset;
    const struct volume *lesion;     /* VOXEL_U8 on the fixed grid: where it is set data do not count
                                        (section 16); or NULL */
    const struct progress *progress; /* may be NULL */
    atomic_int *stop;                /* may be NULL */
};

enum { ALIGN_LEVELS = 4, ALIGN_SPACING = 2 };

/* One image on its working lattices; node i of level L is node 2i of level L-1. */
struct align_image {
    struct features level[ALIGN_LEVELS];
    int64_t size[3]; /* of level 0, whose features are freed once the field is found */
    uint8_t *body;   /* level 0 */
    uint8_t *tissue; /* level 0: where data count (body_counts) */
    double sigma;    /* HU */
};

struct alignment {
    struct align_image fixed, moving;
    struct affine affine;
    struct velocity velocity;
    double sigma;             /* root of the mean of both variances, HU */
    struct expectation noise; /* what noise of this sigma alone would give */
    double half_width[2][3];  /* of the tents, mm: fixed, moving */
    struct search_result search;
    struct match_report match;
    struct refine_report refine;
    double seconds[4]; /* features, affine, field, all */
};

/* Both VOXEL_I16, any orientation. ERR_INPUT if one cannot be registered (fewer than 8 slices, no body), with
 * the reason; ERR_STOPPED if *stop is set. */
MUST_USE enum err align_run(struct alignment *out, const struct volume *fixed, const struct volume *moving,
                            const struct align_options *o);
/* Most bytes that align_run takes beside its images, and what the map that it finds keeps, from the geometry
 * alone. spacing as in the options. */
struct align_bytes {
    uint64_t peak, map;
};
struct align_bytes align_memory(const struct grid *fixed, const struct grid *moving, double spacing);
/* Every 2^level-th node of a mask along each axis; *out is freed with mem_free. */
MUST_USE enum err align_coarse_mask(uint8_t **out, const uint8_t *mask, const int64_t size[3], int level);
void alignment_free(struct alignment *a); /* accepts a zeroed struct */

#endif
