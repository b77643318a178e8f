/* Progress on stderr: a bar with the time left on a terminal, a plain line every few seconds otherwise. */
#ifndef D4M_CLI_BAR_H
#define D4M_CLI_BAR_H

#include "base/progress.h"
#include <stdbool.h>
#include <stdint.h>

/* One piece of work under way. Several alternate (training, validating), each with a clock of its own. */
struct bar_task {
    char what[48]; /* "" if free */
    int64_t first; /* `done` of the first report, so that resumed work does not count as speed */
    int64_t last;
    double start; /* seconds, of the first report */
};

enum { BAR_TASKS = 4 };

struct bar {
    bool terminal, drawn;
    double shown; /* seconds, of the last line or redraw */
    struct bar_task task[BAR_TASKS];
};

/* Fills a progress that draws into b; b must live as long. */
struct progress bar_progress(struct bar *b);
void bar_clear(struct bar *b); /* takes the bar off the terminal before another line is printed */

#endif
