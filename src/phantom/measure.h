/* What truth/CASE.json tells of a rendered phase: counted and measured in its volumes. */
#ifndef D4M_PHANTOM_MEASURE_H
#define D4M_PHANTOM_MEASURE_H

#include "phantom/case.h"

/* Fills c->facts[phase]; p's labels are still PHANTOM_LESION + i. */
MUST_USE enum err phantom_measure(struct phantom_case *c, int phase, const struct phantom_phase *p);

#endif
