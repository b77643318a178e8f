/* The organs of section 5: their shapes as tables of parts, and the order in which they are painted. */
#ifndef D4M_PHANTOM_ORGANS_H
#define D4M_PHANTOM_ORGANS_H

#include "phantom/organ.h"

extern const struct part organ_liver[];

#endif
