/* Optimisation: learning-rate schedules as plain functions, and the update of all parameters as the end of a
 * training graph. */
#ifndef D4M_NN_OPTIM_H
#define D4M_NN_OPTIM_H

#include "nn/nn.h"

/* lr * (1 - position / length)^power; position and length in the same unit (epochs or steps). */
double schedule_poly(double lr, double position, double length, double power);
/* Linear from 0 to lr over `warmup` (the first position, 0, already gets lr / (warmup + 1)), then half a
 * cosine down to 0. */
double schedule_cosine(double lr, double position, double length, double warmup);

enum optim_kind {
    OPTIM_SGD,   /* Nesterov momentum, coupled weight decay (PyTorch's form) */
    OPTIM_ADAMW, /* decoupled weight decay; betas 0.9 and 0.999, eps 1e-8 */
};

struct optim {
    enum optim_kind kind;
    double momentum; /* SGD */
    double decay;
    double clip; /* largest global gradient norm; 0: no limit */
    val loss;    /* scalar; where it or the gradient norm is not finite nothing changes */
    val lr;      /* scalar of the graph's type */
    val step;    /* scalar, from 1: AdamW's bias correction; unused by SGD */
};

struct optim_result {
    val norm;   /* global L2 norm of the gradients, before clipping */
    val finite; /* 1 if the update is made */
};

/* Clips, updates and assigns all parameters of m and their moments (states "optim.NAME.m", "optim.NAME.v").
 * grad[i] belongs to m->param[i]; a parameter whose gradient is the null value or the constant 0 stays as it
 * is. */
void optim_step(struct nn *m, const val grad[], const struct optim *o, struct optim_result *out);

#endif
