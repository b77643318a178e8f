#include "base/progress.h"

#include <stdarg.h>
#include <stdio.h>

void progress_update(const struct progress *p, const char *what, int64_t done, int64_t total, const char *fmt,
                     ...)
{
    char text[256];
    va_list ap;

    if (!p || !p->update)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    p->update(p->ctx, what, done, total, text);
}

void progress_line(const struct progress *p, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    if (!p || !p->line)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    p->line(p->ctx, text);
}
