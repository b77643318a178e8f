/* The op row: everything the compiler, the differentiator and the tests know about an op. Rows live in
 * src/ops, one file a family; src/ops/ops.def lists them. */
#ifndef D4M_GRAPH_OP_H
#define D4M_GRAPH_OP_H

#include "graph/graph.h"

enum op_id {
    OP_NONE,
#define OP(NAME, name) OP_##NAME,
#include "ops/ops.def"
#undef OP
    OP_COUNT
};

enum {
    OP_POINTWISE = 1, /* out[i] depends on in[k][i] only (with broadcasting) */
    /* output 0 may share the buffer of an input of its shape that dies here */
    OP_INPLACE = 2,
    OP_FLAT = 4,       /* derivative zero almost everywhere */
    OP_LINEAR = 8,     /* linear in all its differentiable inputs together */
    OP_BILINEAR = 16,  /* linear in each of its first two inputs */
    OP_VIEW = 32,      /* output 0 is input 0's bytes under other dims */
    OP_SOURCE = 64,    /* input, state or constant: bound or filled by the program, never run */
    OP_BACKWARD = 128, /* a fused gradient: tested through the row that emits it */
    OP_UPDATE = 256,   /* takes its predicate itself and may write its outputs over the states it reads */
    OP_OPAQUE = 512,   /* kernels store output 0 in a form of their own, of step.out_bytes bytes */
};

/* Arguments of a reference kernel: dense double arrays, whatever the program's type. */
struct ref_args {
    const struct node *node;
    const double *const *in;
    double *const *out;
    const struct dims *in_dims, *out_dims;
};

struct sampler;

struct op {
    const char *name;
    int arity; /* inputs; -1: any number */
    unsigned flags;
    /* Sets n->n_out and out_dims/out_type; errors are ERR_SHAPE with both shapes in the message. */
    enum err (*infer)(const struct graph *g, struct node *n);
    void (*expand)(struct graph *g, const struct node *n, val y[]); /* same outputs from simpler ops */
    bool (*expands)(const struct node *n);                          /* whether expand applies; NULL: always */
    /* dy[k] may be null (zero); leave dx[k] null for none */
    void (*vjp)(struct graph *g, const struct node *n, const val dy[], val dx[]);
    void (*ref)(const struct ref_args *a);      /* the meaning, in double */
    void (*sample)(struct sampler *s);          /* cases for tests and bench */
    int (*slot)(const struct node *n, int out); /* OP_UPDATE: the input whose storage output `out` may take */
};

/* Value id of output i of a node. */
static inline val node_out(const struct node *n, int i)
{
    return (val){n->first_out + (uint32_t)i};
}

static inline bool op_expands(const struct node *n)
{
    return n->op->expand && (!n->op->expands || n->op->expands(n));
}

/* Which input of a convolution is what; -1: it has none. */
struct conv_inputs {
    int bias, x_coef, y_coef, z, z_coef;
};

static inline struct conv_inputs conv_inputs_of(const struct node *n)
{
    const int64_t h = n->attr.conv.hooks;
    struct conv_inputs i = {-1, -1, -1, -1, -1};
    int at = n->n_in - !!(h & HOOK_X_STAGE) - !!(h & HOOK_Y_STAGE) - 2 * !!(h & HOOK_GATE);

    if (at > 2)
        i.bias = 2;
    if (h & HOOK_X_STAGE)
        i.x_coef = at++;
    if (h & HOOK_Y_STAGE)
        i.y_coef = at++;
    if (h & HOOK_GATE)
        i.z = at, i.z_coef = at + 1;
    return i;
}

/* Differentiates a node through its expansion: what rows without vjp get, for rows that need it in some
 * cases. */
void graph_vjp_by_expand(struct graph *g, const struct node *n, const val dy[], val dx[]);

extern const struct op *const op_rows[OP_COUNT]; /* src/ops/table.c */

/* What an input of a sample holds. */
enum fill {
    FILL_REAL,     /* N(0,1)-like, kept away from 0 by 0.05 so that kinks are not straddled */
    FILL_POSITIVE, /* 0.5 .. 2 */
    FILL_CLASS,    /* integers 0 .. classes-1, not differentiable */
    FILL_KEY,      /* an I64 random key */
    FILL_BOOL,     /* 0 or 1, not differentiable */
};

struct sample {
    union attr attr;
    int n_in;
    struct dims in[12];
    enum fill fill[12];
    int64_t classes;
};

/* A caller's list for op.sample to fill. */
struct sampler {
    struct sample *item;
    int count, room; /* what does not fit is counted only */
};

void sampler_add(struct sampler *s, const struct sample *c);

#endif
