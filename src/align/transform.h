/* A spatial transform as a chain of elements, applied first to last: T maps a fixed world point (RAS mm) to a
 * moving world point, so images are pulled (the value at x is the moving image's at T(x)) and points are
 * pushed (a fixed point x goes to T(x)). A registration gives T(x) = A(exp(v)(x)): a velocity, then an
 * affine; inverting, composing and foreign files give other chains. */
#ifndef D4M_ALIGN_TRANSFORM_H
#define D4M_ALIGN_TRANSFORM_H

#include "align/velocity.h"

enum element_kind { ELEMENT_AFFINE, ELEMENT_VELOCITY, ELEMENT_FIELD };

struct element {
    enum element_kind kind;
    bool inverse;            /* the inverse of what is stored; never set for an affine */
    struct affine affine;    /* ELEMENT_AFFINE: mm -> mm */
    struct velocity lattice; /* ELEMENT_VELOCITY: as it says. ELEMENT_FIELD: lattice.v is the displacement
                                itself, in nodes (not the velocity); squarings is 0 */
};

struct transform {
    struct element *item; /* item[0] acts on fixed points first */
    size_t count;         /* 0 is the identity */
    struct grid fixed;    /* of the fixed and the moving image; dims 0: unknown (a foreign file) */
    struct grid moving;
};

/* The identity between two grids, NULL for an unknown one; transform_free accepts NULL. */
MUST_USE enum err transform_new(struct transform **out, const struct grid *fixed, const struct grid *moving);
void transform_free(struct transform *t);
/* Append an element. The lattice's v is copied. On failure t is unchanged. */
MUST_USE enum err transform_add_affine(struct transform *t, const struct affine *a);
MUST_USE enum err transform_add_lattice(struct transform *t, enum element_kind kind,
                                        const struct velocity *lattice, bool inverse);
/* The same without a copy: on success t owns lattice->v (a mem_new block). */
MUST_USE enum err transform_take_lattice(struct transform *t, enum element_kind kind,
                                         const struct velocity *lattice, bool inverse);
/* Appends the elements of `next`: x -> next(t(x)); t->moving becomes next's. */
MUST_USE enum err transform_append(struct transform *t, const struct transform *next);
/* A new transform, moving point -> fixed point. ERR_INPUT if an affine is singular. */
MUST_USE enum err transform_inverse(struct transform **out, const struct transform *t);

bool grid_known(const struct grid *g); /* dims are not 0 */
/* XXH3-64 over dims and the affine in single precision (as NIfTI-1 stores it): the name of a geometry. */
uint64_t grid_hash(const struct grid *g);

#endif
