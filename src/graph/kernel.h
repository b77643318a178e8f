/* How a backend offers kernels to the program. A kernel class says what it accepts, is prepared once (tiles,
 * scratch) and then runs without allocating, choosing or failing. The first class of an op that accepts wins;
 * the last one is the reference. */
#ifndef D4M_GRAPH_KERNEL_H
#define D4M_GRAPH_KERNEL_H

#include "graph/op.h"
#include "tensor/dims.h"
#include <stddef.h>

struct kernel_table; /* the backend's functions for one element type */

/* One step of a program as kernels see it. Sizes are the node's. */
struct step {
    const struct node *node;
    const struct dims *in_dims, *out_dims;
    const enum dtype *in_type, *out_type;
    enum dtype type; /* of the work: the first real input's or output's */
    int threads;
    bool exact;                       /* as the backend's */
    const struct kernel_table *table; /* for `type` and the chosen instruction set */
    size_t work;                      /* set by prepare: bytes of scratch */
    bool fixed;                       /* set by the program: runs once, its output lies beside the arena */
    size_t out_bytes;                 /* set by prepare: of output 0 of an OP_OPAQUE row; else 0 */
    unsigned spare; /* set by prepare: bit k: output k need not be made; NULL if nobody reads it */
    /* set by prepare: bit k: input (output) k may be a window of the last axis of a wider buffer */
    unsigned pitch_in, pitch_out;
    double
        seconds; /* may be set by prepare: estimate for one core with AVX-512; 0: cost.h counts operations */
    char choice[48]; /* set by prepare: what was chosen and why, for dumps */
};

struct run {
    const struct step *step;
    const void *const *in;
    void *const *out;
    void *work; /* 64-byte aligned */
    /* elements from row to row of the last axis; 0, or no list: dense */
    const int64_t *in_pitch, *out_pitch;
};

static inline int64_t run_pitch(const int64_t *pitch, int k, const struct dims *d)
{
    return pitch && pitch[k] ? pitch[k] : d->rank ? d->n[d->rank - 1] : 1;
}

/* Elements from row to row of the last axis of input (output) k. */
static inline int64_t run_in_pitch(const struct run *r, int k)
{
    return run_pitch(r->in_pitch, k, &r->step->in_dims[k]);
}

static inline int64_t run_out_pitch(const struct run *r, int k)
{
    return run_pitch(r->out_pitch, k, &r->step->out_dims[k]);
}

struct kernel_class {
    const char *name;
    int op; /* enum op_id */
    bool (*accepts)(const struct step *s);
    void (*prepare)(struct step *s); /* sets s->work and s->spare; may be NULL */
    void (*run)(const struct run *r);
};

struct backend {
    const char *name;
    const struct kernel_class *const *classes; /* NULL-terminated, in order of preference per op */
    const struct kernel_table *f32, *f64, *bf16;
    int threads;
    bool exact; /* sums of plain products only, no Winograd: for comparisons with other programs */
};

#endif
