#include "cli/commands.h"

#include "cli/describe.h"
#include "lab/check.h"
#include "lab/doctor.h"
#include "lab/evaluate_registration.h"
#include "lab/gallery.h"
#include "lab/report_command.h"
#include "lab/weights.h"
#include "stage/bench.h"
#include "stage/evaluate.h"
#include "stage/net_forward.h"
#include "stage/phantom.h"
#include "stage/predict.h"
#include "stage/register.h"
#include "stage/train_segmenter.h"
#include "stage/transform.h"

const struct command *const commands[] = {
    &cmd_phantom,
    &cmd_check,
    &cmd_gallery,
    &cmd_register,
    &cmd_train_segmenter,
    &cmd_predict,
    &cmd_evaluate_registration, /* before the verb that is its first word */
    &cmd_evaluate,
    &cmd_report,
    &cmd_transform_apply,
    &cmd_transform_invert,
    &cmd_transform_compose,
    &cmd_transform_jacobian,
    &cmd_transform_convert,
    &cmd_net_forward,
    &cmd_bench_op,
    &cmd_bench_step,
    &cmd_bench_predict,
    &cmd_bench_prepare,
    &cmd_bench_augment,
    &cmd_weights_show,
    &cmd_doctor,
    &cmd_describe,
    NULL,
};
