/* What the op families share: shape rules, reference loops over broadcast operands, sample shapes. Internal
 * to src/ops. */
#ifndef D4M_OPS_ROW_H
#define D4M_OPS_ROW_H

#include "graph/op.h"
#include "ops/ops.h"

union attr attr_none(void); /* every byte zero, padding included: attributes are compared as bytes */

enum err infer_like_first(const struct graph *g, struct node *n);
enum err infer_broadcast(const struct graph *g, struct node *n); /* all inputs broadcast together */

/* ERR_SHAPE unless the value has these dims. */
enum err infer_need(const struct graph *g, val v, struct dims need, const char *what);

/* Offsets of an operand's elements as `dims` is walked in order: extents of 1 stay where they are. */
struct walk {
    struct dims dims;
    int64_t stride[DIMS_MAX], index[DIMS_MAX], at;
};
struct walk walk_over(const struct dims *dims, const struct dims *operand);
void walk_next(struct walk *w);

/* The meaning of stages, moments and gates (stage.c), for the convolutions that do them on the way. Images
 * are (N, D, H, W, C); coef is a sample's in ref_stage, all in ref_gate, which multiplies g in place. */
double ref_stage(const double *coef, int64_t channels, int64_t channel, double x);
void ref_moments(const double *x, const struct dims *d, double *out);
void ref_gate(double *g, const double *z, const double *coef, const struct dims *d, double *sums);

/* Small shapes that every pointwise and reducing row is tried on. */
enum { SHAPES = 5 };
extern const struct dims sample_shape[SHAPES];
void sample_unary(struct sampler *s);
void sample_positive(struct sampler *s);
void sample_binary(struct sampler *s);
void sample_binary_positive(struct sampler *s);

#endif
