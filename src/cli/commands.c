#include "cli/commands.h"

#include "cli/describe.h"
#include "lab/check.h"
#include "lab/doctor.h"
#include "lab/weights.h"
#include "stage/evaluate.h"
#include "stage/train_segmenter.h"

const struct command *const commands[] = {
    &cmd_check,
    &cmd_train_segmenter,
    &cmd_evaluate,
    &cmd_weights_show,
    &cmd_doctor,
    &cmd_describe,
    NULL,
};
