#include "backend/isa/fused.h"

#ifdef ISA_AVX512
#define ISA_NAME "avx512"
#else
#define ISA_NAME "avx2"
#endif

extern const struct fused_table FUSED(table);
const struct fused_table FUSED(table) = {
    .isa = ISA_NAME,
    .real_bytes = sizeof(REAL),
    .map = FUSED(map_table),
    .stream_copy = FUSED(stream_copy),
    .narrow = FUSED(narrow),
    .widen = FUSED(widen),
    .sum_rows = FUSED(sum_rows),
    .max_rows = FUSED(max_rows),
    .sum_run = FUSED(sum_run),
    .max_run = FUSED(max_run),
    .square_run = FUSED(square_run),
    .argmax = FUSED(argmax),
    .add = FUSED(add_run),
    .norm_fold = FUSED(norm_fold),
    .norm_moments = FUSED(norm_moments),
    .norm_moments_finish = FUSED(norm_moments_finish),
    .norm_finish = FUSED(norm_finish),
    .norm_apply = FUSED(norm_apply),
    .norm_act_apply = FUSED(norm_act_apply),
    .norm_mean_param = FUSED(norm_mean_param),
    .norm_grad_sums = FUSED(norm_grad_sums),
    .norm_grad_finish = FUSED(norm_grad_finish),
    .norm_grad_apply = FUSED(norm_grad_apply),
    .stage = FUSED(stage),
    .gate = FUSED(gate),
    .softmax = FUSED(softmax),
    .log_softmax = FUSED(log_softmax),
    .dice_sums = FUSED(dice_sums),
    .dice_grad = FUSED(dice_grad),
    .sgd = FUSED(sgd),
    .adamw = FUSED(adamw),
};
