/* A growable byte string and path helpers. A failed append is latched: str_status tells, so callers check
 * once. */
#ifndef D4M_BASE_STR_H
#define D4M_BASE_STR_H

#include "base/err.h"
#include <stddef.h>
#include <stdbool.h>

struct str {
    char *s; /* NUL-terminated; NULL while empty */
    size_t len, room;
    enum err err;
};

void str_add(struct str *b, const char *s);
void str_add_bytes(struct str *b, const void *p, size_t n);
void str_addf(struct str *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
MUST_USE enum err str_status(const struct str *b);
void str_free(struct str *b);

bool str_ends(const char *s, const char *end);
bool str_starts(const char *s, const char *start);
int str_distance(const char *a, const char *b); /* insertions, deletions and replacements from a to b */
const char *path_base(const char *path);        /* points into path, behind the last '/' */
char *path_join(const char *folder, const char *name); /* new string, mem_free; NULL on exhaustion */

#endif
