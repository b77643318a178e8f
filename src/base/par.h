/* Parallel loops over a partition fixed by the shape. Work is cut by the caller, never by the
 * thread count, so results do not depend on it. */
#ifndef D4M_BASE_PAR_H
#define D4M_BASE_PAR_H

#include "base/err.h"
#include <stdint.h>

int par_threads(void);       /* threads a parallel loop uses now */
void par_set_threads(int n); /* 0: from affinity mask and cgroup quota */
int par_cpus(void);          /* what 0 means */
/* body(ctx, i) for i in 0..n-1 on the team, dynamic schedule. Inside a parallel region it runs serially.
 * The error message belongs to a thread, so body records failures in ctx and the caller reports them after
 * the loop. */
void par_for(int64_t n, void (*body)(void *ctx, int64_t i), void *ctx);

#endif
