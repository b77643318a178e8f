/* The order of steps that does not depend on data: neighbours change places where less has to live at once,
 * so that what frees memory comes early and what takes it late. */
#ifndef D4M_GRAPH_REORDER_H
#define D4M_GRAPH_REORDER_H

#include "graph/recompute.h"

/* Changes the order unless the peak of its plan would rise. Every step is in it once. */
MUST_USE enum err reorder(struct order *o, const struct graph *g, const struct step *steps);

#endif
