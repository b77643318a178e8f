/* A symbolic graph: append-only, single assignment. A node is an op, its attributes and its inputs; equal
 * nodes are the same node. The graph owns its nodes (one arena, they never move) and latches the first error
 * of any builder call; later calls return the null value, so model code checks once, with graph_status. */
#ifndef D4M_GRAPH_GRAPH_H
#define D4M_GRAPH_GRAPH_H

#include "base/err.h"
#include "tensor/dims.h"
#include <stdint.h>

typedef struct {
    uint32_t id;
} val; /* one output of one node; 0 is the null value */

/* What a convolution reads outside its image, in PyTorch's names: zeros; the image mirrored at its border
 * voxels, which are not repeated; the nearest voxel. Reflecting takes paddings below the image's size. */
enum pad_mode { PAD_ZERO, PAD_REFLECT, PAD_REPLICATE };

/* Geometry of a convolution; D, H, W order. All zero means kernel 1, stride 1, no padding, dilation 1, one
 * group. */
struct conv {
    int64_t out; /* output channels (layers only) */
    int64_t kernel[3], stride[3], pad[3], dilation[3];
    int64_t groups;
    int64_t size[3];  /* conv_dx: spatial size of its output; 0: the smallest that fits */
    int64_t no_bias;  /* 1: without bias (layers only) */
    int64_t hooks;    /* bits of enum hook: set by pass_fuse only */
    int64_t pad_mode; /* enum pad_mode; PAD_ZERO where nothing is padded */
};

/* Coefficients of a stage leaky(scale x + shift), leaky(v) = max(v, slope v), per sample and channel: (N,
 * COEF_ROWS, C). The centre is the mean of x, around which gradients are summed. */
enum { COEF_SCALE, COEF_SHIFT, COEF_SLOPE, COEF_CENTRE, COEF_ROWS };

/* What a convolution does on the way, so that no pass of its own is needed. Inputs are appended in this
 * order: coefficients of x, of y, then z and its coefficients. In conv x is input 0; in conv_dx y is; in
 * conv_dw y is input 0 and x input 1. */
enum hook {
    HOOK_X_STAGE = 1, /* x is read through a stage; zero padding stays zero, a mirrored voxel is staged */
    HOOK_Y_STAGE = 2, /* y is */
    HOOK_MOMENTS = 4, /* output 1: the row `moments` of the result, (N, 2, C) */
    HOOK_GATE = 8,    /* outputs 0 and 1: those of the row `gate` on the result, z and its coefficients */
    HOOK_PACKED = 16, /* input 1 is what `conv_weights` made of the weights; set by pass_pack only */
};
/* clang-format off */
#define CUBE(k) {k, k, k}
/* clang-format on */

union attr {
    const char *name; /* input, state: interned */
    double scalar;    /* slopes */
    struct {
        double lo, hi;
    } clamp;
    unsigned axes;    /* reductions, concat, argmax */
    struct dims dims; /* reshape, broadcast, constant's shape */
    struct {
        double value;
        struct dims dims;
    } fill;
    struct {
        int perm[DIMS_MAX];
    } transpose;
    struct {
        int64_t start[DIMS_MAX], size[DIMS_MAX]; /* slice: window; pad: zeros before, output size */
    } box;
    struct conv conv;
    struct {
        struct conv conv; /* of the convolution that reads the weights; size: of its x */
        int64_t batch;
        int64_t by_data; /* 1: conv_dx reads them */
    } pack;
    struct {
        bool transpose_a, transpose_b;
    } matmul;
    struct {
        int64_t groups;    /* 0: one per channel (instance norm) */
        double eps, slope; /* slope of the leaky ReLU of norm_act, norm_coef */
    } norm;
    struct {
        int squared; /* 0: nnU-Net's Dice (seg-nnunet.md section 9); 1: squared denominators, all classes */
        double ce_weight;
        int batch; /* sums over the batch too */
    } loss;
    struct {
        uint64_t stream; /* of the scope path and call index */
        struct dims dims;
    } random;
    struct {
        double momentum, decay, beta1, beta2, eps;
        int64_t count; /* parameter tensors */
    } update;
    enum dtype type; /* cast */
    int64_t count;   /* one_hot: classes */
};

struct op;
struct node {
    const struct op *op;
    int id;    /* enum op_id */
    int index; /* position in the graph: inputs come from smaller ones */
    union attr attr;
    const char *scope; /* "encoder.stages.0" at the time of building */
    int n_in, n_out;
    const val *in;
    uint32_t first_out; /* value ids first_out .. first_out + n_out - 1 */
    struct dims *out_dims;
    enum dtype *out_type;
};

struct graph;

/* A graph whose real numbers are `real` (DT_F32 or DT_F64). NULL on exhaustion. */
struct graph *graph_new(enum dtype real);
void graph_free(struct graph *g);
enum err graph_status(const struct graph *g);
void graph_fail(struct graph *g, enum err err); /* latches err, whose message err_set has recorded */
enum dtype graph_real(const struct graph *g);

/* Generic builder: what every op_* function ends in. Returns output 0; graph_out gives the others. */
val graph_node(struct graph *g, int op, const union attr *attr, int n_in, const val in[]);
val graph_out(const struct graph *g, val first, int index);

const struct node *graph_node_of(const struct graph *g, val v);
struct dims graph_dims(const struct graph *g, val v); /* of the null value: rank 0 */
enum dtype graph_type(const struct graph *g, val v);
uint32_t graph_values(const struct graph *g); /* ids are 1 .. this */

val graph_input(struct graph *g, const char *name, enum dtype type, struct dims dims);
/* a named tensor of the store */
val graph_state(struct graph *g, const char *name, enum dtype type, struct dims dims);
void graph_output(struct graph *g, const char *name, val v);
/* After every read of the old value, last in the program, only if `when` (a scalar; null: always) is not
 * zero. */
void graph_assign(struct graph *g, val state, val value, val when);

/* The null value for builders that failed. */
static inline bool graph_null(val v)
{
    return v.id == 0;
}

/* grad[i] = d sum(y) / d wrt[i], as graph. An op without derivative on the way is an error that names it and
 * its scope. */
void graph_grad(struct graph *g, val y, int n, const val wrt[], val grad[]);

/* dx[i] = sum over j of dy[j] * d y[j] / d x[i], with the x held as independent leaves (what a row's expand
 * needs). A null dy[j] counts as zero; dx[i] is null where x[i] has no influence. */
void graph_vjp(struct graph *g, int n_y, const val y[], const val dy[], int n_x, const val x[], val dx[]);

void graph_enter(struct graph *g, const char *fmt, ...) PRINTF_LIKE(2, 3); /* scope, for names and messages */
void graph_leave(struct graph *g);
const char *graph_scope(const struct graph *g);

/* Visits for the compiler. */
int graph_count(const struct graph *g); /* nodes */
const struct node *graph_at(const struct graph *g, int index);
void graph_scope_set(struct graph *g, const char *path); /* the whole path at once (rebuilding passes) */
struct graph_named {
    const char *name;
    val v;
};
struct graph_assignment {
    val state, value, when;
};
int graph_outputs(const struct graph *g, const struct graph_named **list);
int graph_assignments(const struct graph *g, const struct graph_assignment **list);

#endif
