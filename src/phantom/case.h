/* One phantom case: drawn once, then rendered phase by phase. Case k is the same alone and in a batch. */
#ifndef D4M_PHANTOM_CASE_H
#define D4M_PHANTOM_CASE_H

#include "phantom/motion.h"
#include "phantom/params.h"
#include "phantom/render.h"
#include "phantom/scene.h"
#include "phantom/semi.h"
#include "volume/volume.h"

/* What is measured in a rendered phase; one a lesion and phase. */
struct lesion_facts {
    double centre[3]; /* T(c), mm in the phase */
    double shift;     /* |T(c) - c|, mm */
    double contrast;  /* clean mean at d < -1 mm minus liver parenchyma, HU; NAN: no such voxel */
    int64_t voxels;
};
struct phase_facts {
    bool present;
    double amplitude, rotation[3], shift[3]; /* of the motion: A (mm), degrees, mm */
    double moved_mean, moved_p95;            /* |T(x) - x| in the liver, mm */
    int64_t voxels[PHANTOM_BENIGN + 1];      /* of each label */
    double voxel_ml;
    struct lesion_facts lesion[PHANTOM_LESIONS];
};

/* What cases are made of. */
struct phantom_source {
    int preset;
    const struct phantom_params *params;
    const struct semi *semi; /* a real patient instead of a painted one; NULL: none. The preset is not used
                                then, the portal venous grid is the CT's. */
};

struct phantom_case {
    struct phantom_id id;
    const struct phantom_params *params;
    const struct semi *semi;
    struct phantom_frame frame;
    double noise, fpeak;
    struct texture texture;
    struct scene scene;
    struct scan scan[PHANTOM_PHASES];
    struct liver liver;
    struct phase_facts facts[PHANTOM_PHASES]; /* of the phases rendered so far; `present` from the start */
    bool drawn[PHANTOM_LESIONS];              /* by the annotation */
};

/* What the source points to stays the caller's and lives as long as the case. */
MUST_USE enum err phantom_case_make(struct phantom_case *out, const struct phantom_id *id,
                                    const struct phantom_source *source);
void phantom_case_free(struct phantom_case *c); /* accepts a zeroed struct */

struct phantom_phase {
    struct motion motion;
    struct rendered image; /* labels with PHANTOM_LESION + i */
};
struct phantom_watch {
    atomic_int *stop;                        /* or NULL */
    void (*tick)(void *ctx, int64_t slices); /* as in struct render; or NULL */
    void *ctx;
};
/* Renders a phase and fills its facts. */
MUST_USE enum err phantom_case_render(struct phantom_phase *out, struct phantom_case *c, int phase,
                                      const struct phantom_watch *w);
void phantom_phase_free(struct phantom_phase *p); /* accepts a zeroed struct */

/* Bytes that making a case on this grid holds at once, its source (semi_bytes) apart. */
uint64_t phantom_case_bytes(const struct phantom_frame *f);

/* The annotation of the rendered portal venous phase (0, 1, 2); fills c->drawn. */
MUST_USE enum err phantom_case_annotate(struct volume **out, struct phantom_case *c,
                                        const struct phantom_phase *pvp);
/* PHANTOM_LESION + i become PHANTOM_TUMOUR or PHANTOM_BENIGN, in place. */
void phantom_case_labels(const struct phantom_case *c, struct volume *label);

#endif
