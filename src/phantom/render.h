/* The scanner (phantom.md section 10): grids, slices, blur, noise, rounding. */
#ifndef D4M_PHANTOM_RENDER_H
#define D4M_PHANTOM_RENDER_H

#include "base/err.h"
#include "phantom/phantom.h"
#include "volume/volume.h"
#include <stdatomic.h>
#include <stdbool.h>

/* What a phase is sampled from: HU and label at sample points y of the phase's own space. `scratch` is one
 * thread's, made by `open`. */
struct subject {
    void (*sample)(const void *ctx, const struct points *y, int n, void *scratch, float *hu, uint8_t *label);
    enum err (*open)(const void *ctx, void **scratch);
    void (*close)(void *scratch);
    const void *ctx;
    /* mm: thickness of the slices it was made from, 0 for a patient that is a function. Such a one has its
     * own blur in plane, and is averaged only over thicker slices. */
    double slice;
};

struct scan {
    struct grid grid; /* RAS */
    bool lps;         /* stored with axes L, P, S */
    double thickness; /* mm; slices are spacing[2] apart */
    double noise;     /* SD at the body's centre for 3 mm slices, HU */
    double fpeak;     /* of its power, 1/mm */
    double axis[2];   /* mm: the body's middle, where noise is strongest */
    double half[2];   /* 165, 112 mm times the body's scale: noise falls towards the skin */
    int padding;      /* outside the circle: -1024, -2000, or 0 for none */
    double circle[3]; /* centre and radius, mm: through the farthest edge of the grid, seen from the axis */
};
/* What a case's four scans are, from its streams `grid/p` and `scan/p`. */
struct scan_options {
    int64_t dims[3];              /* of the portal venous grid */
    double spacing[3], centre[3]; /* mm */
    double thickness;             /* of the portal venous slices (their distance is spacing[2]) */
    bool registered;              /* all phases on the portal venous grid */
    double noise, fpeak;
    double axis[2]; /* 0, 0 in patient space */
    double scale;   /* the body's */
};
void scans_draw(struct scan out[PHANTOM_PHASES], const struct phantom_id *id, const struct scan_options *o);

struct rendered {
    struct volume *hu, *clean; /* VOXEL_I16, RAS; clean: before noise and padding */
    struct volume *label;      /* VOXEL_U8, of the middle sub-slice, with PHANTOM_LESION + i */
};
struct render {
    struct subject subject;
    const struct scan *scan;
    const struct phantom_id *id;
    int phase;                               /* stream `scan/p` */
    atomic_int *stop;                        /* or NULL: stops with ERR_STOPPED when set */
    void (*tick)(void *ctx, int64_t slices); /* or NULL: so many more are done; any thread calls it */
    void *tick_ctx;
};
/* Parallel over slabs of slices; the same bytes for any thread count. */
MUST_USE enum err render_phase(struct rendered *out, const struct render *r);
void rendered_free(struct rendered *r);
/* Bytes that render_phase holds at once. */
uint64_t render_bytes(const struct scan *s);

#endif
