#include "cli/commands.h"

#include "cli/describe.h"
#include "lab/doctor.h"
#include "lab/weights.h"
#include "stage/evaluate.h"

const struct command *const commands[] = {
    &cmd_evaluate,
    &cmd_weights_show,
    &cmd_doctor,
    &cmd_describe,
    NULL,
};
