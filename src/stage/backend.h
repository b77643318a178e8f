/* The backend that a verb's options ask for. */
#ifndef D4M_STAGE_BACKEND_H
#define D4M_STAGE_BACKEND_H

#include "base/command.h"
#include "graph/kernel.h"

/* threads 0: all that this process may use. ERR_USAGE if the CPU lacks what is asked for. */
MUST_USE enum err stage_backend(struct backend *out, const struct cli_common *c, int threads);

#endif
