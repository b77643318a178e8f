/* Progress as a callback, so that libraries report and only the command line draws. NULL is accepted and
 * reports nothing. One thread reports at a time. */
#ifndef D4M_BASE_PROGRESS_H
#define D4M_BASE_PROGRESS_H

#include "base/err.h"
#include <stdint.h>

struct progress {
    /* `done` of `total` parts of `what`; `text` is a short state such as "loss 0.41", or "". done == total
     * ends the bar. */
    void (*update)(void *ctx, const char *what, int64_t done, int64_t total, const char *text);
    /* A line that stays: one epoch's summary, a plan, a choice. */
    void (*line)(void *ctx, const char *text);
    void *ctx;
};

/* fmt may be "" */
void progress_update(const struct progress *p, const char *what, int64_t done, int64_t total, const char *fmt,
                     ...) PRINTF_LIKE(5, 6);
void progress_line(const struct progress *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
