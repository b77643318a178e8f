/* The CPU as a backend: its kernel classes and the tables of the best instruction set it has. */
#ifndef D4M_BACKEND_BACKEND_H
#define D4M_BACKEND_BACKEND_H

#include "base/err.h"
#include "graph/kernel.h"

/* Fills `out`, which points into static data and owns nothing. isa: "avx2", "avx512" or NULL for the best;
 * threads: 0 for the default of par_threads(). ERR_USAGE if this CPU lacks the instruction set or there is no
 * such name. */
MUST_USE enum err backend_cpu(struct backend *out, const char *isa, int threads);

#endif
