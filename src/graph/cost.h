/* What a step costs: operations of the direct algorithm, bytes if every operand moves once, and an estimate
 * of the time from both. The estimate only ranks steps against each other; its constants are compiled in. */
#ifndef D4M_GRAPH_COST_H
#define D4M_GRAPH_COST_H

#include "graph/kernel.h"

double step_flops(const struct step *s);
double step_bytes(const struct step *s);
double step_seconds(const struct step *s);

#endif
