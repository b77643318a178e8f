/* A program's last run as a trace in Chrome's trace-event format, which ui.perfetto.dev and chrome://tracing
 * open: one track of steps (op, kernel, shape, scope, bytes, speeds), one of the scopes they belong to, and
 * counters. */
#ifndef D4M_STAGE_BENCH_TRACE_H
#define D4M_STAGE_BENCH_TRACE_H

#include "graph/program.h"

/* The program must have run with timing on. Written in whole or not at all. */
MUST_USE enum err bench_trace_write(const struct program *p, const char *title, const char *path);

#endif
