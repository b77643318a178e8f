/* Synthetic cases for the bench verbs: a body with a liver and a tumour in it, HU with noise. A function of
 * the grid and the phase alone. */
#ifndef D4M_STAGE_BENCH_VOLUME_H
#define D4M_STAGE_BENCH_VOLUME_H

#include "volume/volume.h"

MUST_USE enum err bench_volume_hu(struct volume **out, const struct grid *g, int phase);
MUST_USE enum err bench_volume_label(struct volume **out, const struct grid *g); /* 0, 1 liver, 2 tumour */

#endif
