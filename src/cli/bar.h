/* Progress on stderr: a bar with the time left on a terminal, a plain line every few seconds otherwise. */
#ifndef D4M_CLI_BAR_H
#define D4M_CLI_BAR_H

#include "base/progress.h"
#include <stdbool.h>
#include <stdint.h>

struct bar {
    bool terminal, drawn;
    char what[64];
    int64_t first;       /* `done` of the first report, so that resumed work does not count as speed */
    double start, shown; /* seconds: of the first report, of the last one printed */
};

/* Fills a progress that draws into b; b must live as long. */
struct progress bar_progress(struct bar *b);
void            bar_clear(struct bar *b); /* takes the bar off the terminal before another line is printed */

#endif
