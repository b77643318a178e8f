/* Warnings as data. A function that meets something worth telling appends a note; the command prints notes as
 * "warning: ..." lines and stores them in result.json. A NULL list is accepted everywhere and drops the
 * notes. */
#ifndef D4M_BASE_NOTE_H
#define D4M_BASE_NOTE_H

#include "base/err.h"
#include <stddef.h>

struct note {
    char *name; /* short kebab-case identifier, for example "gzip-in-nii" */
    char *text; /* what, where, and what was done about it */
};

struct notes {
    struct note *item;
    size_t count, room;
};

/* Nothing happens if the list has this very note. */
void note_add(struct notes *list, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
void notes_clear(struct notes *list); /* frees the items; the list may be used again */

#endif
