/* The backend that a verb's options ask for. */
#ifndef D4M_STAGE_BACKEND_H
#define D4M_STAGE_BACKEND_H

#include "base/command.h"
#include "base/cpu.h"
#include "graph/kernel.h"

/* threads 0: all that this process may use. ERR_USAGE if the CPU lacks what is asked for. */
MUST_USE enum err stage_backend(struct backend *out, const struct cli_common *c, int threads);
/* Whether enum cpu_precision `precision` means bf16 here; auto never does with --exact. */
bool stage_bf16(const struct cli_common *c, int precision);

/* The option --precision of verbs that run a network. */
#define STAGE_PRECISION(type)                                                                                \
    FIELD(type, T_CHOICE, precision, .names = cpu_precision_names,                                           \
          .help = "of convolutions; auto: bf16 with AMX, else f32; without AMX bf16 saves memory, not time")

#endif
