#include "base/str.h"

#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Room for n more bytes and the NUL. */
static bool reserve(struct str *b, size_t n)
{
    size_t room = b->room ? b->room : 64;
    char *s;

    if (b->err)
        return false;
    if (n >= SIZE_MAX / 4 - b->len) {
        b->err = err_set(ERR_MEMORY, "out of memory: a text of more than %zu bytes", b->len);
        return false;
    }
    while (room <= b->len + n)
        room *= 2;
    if (room == b->room)
        return true;
    s = mem_resize(b->s, room, 1);
    if (!s) {
        b->err = ERR_MEMORY;
        return false;
    }
    b->s = s;
    b->room = room;
    return true;
}

void str_add_bytes(struct str *b, const void *p, size_t n)
{
    if (!reserve(b, n))
        return;
    if (n)
        memcpy(b->s + b->len, p, n);
    b->len += n;
    b->s[b->len] = 0;
}

void str_add(struct str *b, const char *s)
{
    str_add_bytes(b, s, strlen(s));
}

void str_addf(struct str *b, const char *fmt, ...)
{
    va_list ap, again;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    if (n >= 0 && reserve(b, (size_t)n)) {
        vsnprintf(b->s + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

enum err str_status(const struct str *b)
{
    return b->err;
}

void str_free(struct str *b)
{
    mem_free(b->s);
    *b = (struct str){0};
}

bool str_ends(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n >= m && !memcmp(s + n - m, end, m);
}

bool str_starts(const char *s, const char *start)
{
    return !strncmp(s, start, strlen(start));
}

/* Edit distance over at most 63 bytes a side, one row of the table at a time. */
int str_distance(const char *a, const char *b)
{
    enum { MAX = 63 };
    int row[MAX + 1], n = (int)strnlen(a, MAX), m = (int)strnlen(b, MAX);

    for (int j = 0; j <= m; j++)
        row[j] = j;
    for (int i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[m];
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

char *path_join(const char *folder, const char *name)
{
    size_t n = strlen(folder), m = strlen(name);
    bool slash = n && folder[n - 1] != '/';
    char *path = mem_new(n + m + 2, 1);

    if (!path)
        return NULL;
    memcpy(path, folder, n);
    if (slash)
        path[n++] = '/';
    memcpy(path + n, name, m + 1);
    return path;
}
