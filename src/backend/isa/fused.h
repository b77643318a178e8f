/* What the files of this folder give to the table of fused kernels. */
#ifndef D4M_BACKEND_ISA_FUSED_H
#define D4M_BACKEND_ISA_FUSED_H

#include "backend/fused.h"
#include "backend/isa/vec.h"

#define FUSED(name) KERNEL(fused_##name)

extern const map_function FUSED(map_table)[OP_COUNT];
void FUSED(stream_copy)(void *y, const void *x, int64_t n);
void FUSED(narrow)(void *y, const void *x, int64_t n);
void FUSED(widen)(void *y, const void *x, int64_t n);

void FUSED(sum_rows)(double *acc, const void *x, int64_t pitch, int64_t rows, int64_t cols);
void FUSED(max_rows)(double *acc, const void *x, int64_t pitch, int64_t rows, int64_t cols);
double FUSED(sum_run)(const void *x, int64_t n);
double FUSED(max_run)(const void *x, int64_t n);
double FUSED(square_run)(const void *x, int64_t n);
void FUSED(argmax)(void *y, const void *x, int64_t first, int64_t count, const int64_t shape[2]);
void FUSED(add_run)(void *y, const void *x, int64_t n);

int64_t FUSED(norm_fold)(int64_t channels);
void FUSED(norm_moments)(const struct norm_chunk *c, double *parts);
void FUSED(norm_moments_finish)(const struct norm_sample *s);
void FUSED(norm_finish)(const struct norm_sample *s);
void FUSED(norm_apply)(const struct norm_chunk *c);
void FUSED(norm_act_apply)(const struct norm_chunk *c);
void FUSED(norm_grad_sums)(const struct norm_chunk *c, double *parts);
void FUSED(norm_grad_finish)(const struct norm_sample *s);
void FUSED(norm_grad_apply)(const struct norm_chunk *c);
void FUSED(norm_mean_param)(const struct norm_sample *s);
void FUSED(stage)(const struct norm_chunk *c);
void FUSED(gate)(const struct norm_chunk *c, double *parts);

void FUSED(softmax)(void *y, const void *x, int64_t rows, int64_t n);
void FUSED(log_softmax)(void *y, const void *x, int64_t rows, int64_t n);
void FUSED(dice_sums)(const struct dice_chunk *c);
void FUSED(dice_grad)(const struct dice_chunk *c);

void FUSED(sgd)(const struct update_chunk *c);
void FUSED(adamw)(const struct update_chunk *c);

#endif
