/* Pictures shown in turn: an animated PNG (www.w3.org/TR/png-3), which repeats endlessly. Viewers that know
 * no animation show the first picture. */
#ifndef D4M_EVAL_ANIMATION_H
#define D4M_EVAL_ANIMATION_H

#include "eval/canvas.h"

/* Appends the file to png: frame[0..frames) (1 or more, all of one size), each for `seconds` (0.001 to 65).
 * ERR_MEMORY if memory ran out. */
MUST_USE enum err animation_png(struct canvas *frame, int frames, double seconds, struct str *png);

#endif
