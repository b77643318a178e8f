/* Runs an op's reference kernel inside a program: operands are widened to double in scratch, results narrowed
 * back. Every op runs this way somewhere; training and benchmarks refuse it. */
#ifndef D4M_GRAPH_REFERENCE_H
#define D4M_GRAPH_REFERENCE_H

#include "graph/kernel.h"

extern const struct kernel_class reference_class; /* accepts every step whose row has a ref */

#endif
