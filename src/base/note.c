#include "base/note.h"

#include "base/mem.h"
#include "base/str.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A note that cannot be stored is dropped: it is a warning, and the failing allocation will be met again
 * soon. */
static void append(struct notes *list, char *name, char *text)
{
    struct note *item = list->item;

    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 8;
        item = mem_resize(item, room, sizeof *item);
        if (item) {
            list->item = item;
            list->room = room;
        }
    }
    if (!item || !name || !text) {
        mem_free(name);
        mem_free(text);
        return;
    }
    item[list->count++] = (struct note){.name = name, .text = text};
}

static bool has(const struct notes *list, const char *name, const char *text)
{
    size_t i = 0;

    while (i < list->count && (strcmp(list->item[i].text, text) || strcmp(list->item[i].name, name)))
        i++;
    return i < list->count;
}

void note_add(struct notes *list, const char *name, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    if (!list)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (char *s = text; *s; s++) /* one line each, whatever the file put into it */
        if ((unsigned char)*s < 0x20)
            *s = ' ';
    if (!has(list, name, text))
        append(list, mem_str(name), mem_str(text));
}

void notes_clear(struct notes *list)
{
    for (size_t i = 0; i < list->count; i++) {
        mem_free(list->item[i].name);
        mem_free(list->item[i].text);
    }
    mem_free(list->item);
    *list = (struct notes){0};
}
