#include "cli/commands.h"

#include "cli/describe.h"
#include "lab/doctor.h"
#include "lab/weights.h"
#include "stage/evaluate.h"

const struct command *const commands[] = {
    &cmd_evaluate,
#include "stage/train_segmenter.h"

const struct command *const commands[] = {
    &cmd_train_segmenter,
    &cmd_weights_show,
    &cmd_doctor,
    &cmd_describe,
    NULL,
};
