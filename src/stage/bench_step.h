/* d4m bench step: what a training step costs on this machine. Steps that only a reference kernel would take
 * are refused. */
#ifndef D4M_STAGE_BENCH_STEP_H
#define D4M_STAGE_BENCH_STEP_H

#include "base/command.h"

extern const struct command cmd_bench_step;

#endif
