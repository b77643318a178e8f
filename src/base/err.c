#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One message a thread. It is the only state of the program that is not reachable from an argument (with the
 * thread's injected allocation failure in mem.c). */
static _Thread_local char message[2048];

/* Messages are one line: whatever a file or a path put into them must not break a log. */
static void flatten(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = ' ';
}

enum err err_set(enum err code, const char *fmt, ...)
{
    char text[sizeof message]; /* an argument may be the old message */
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    flatten(text);
    memcpy(message, text, strlen(text) + 1);
    return code;
}

enum err err_while(enum err code, const char *fmt, ...)
{
    char text[sizeof message / 2];
    size_t used = strlen(message);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    flatten(text);
    snprintf(message + used, sizeof message - used, " (while %s)", text);
    return code;
}

const char *err_text(void)
{
    return message;
}

int err_exit_code(enum err code)
{
    return code >= ERR_OK && code <= ERR_STOPPED ? (int)code : 1;
}
