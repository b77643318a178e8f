#include "base/html.h"
#include "base/utf8.h"
#include <stdint.h>
#include <string.h>

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void html_add_text(struct str *b, const char *s)
{
    struct str clean = {0};
    const char *p;

    str_add_utf8(&clean, s);
    if (clean.err && !b->err)
        b->err = clean.err;
    for (p = clean.s; p && *p; p++) {
        const char *name = entity(*p);

        if (name)
            str_add(b, name);
        else
            str_add_bytes(b, p, 1);
    }
    str_free(&clean);
}

void html_add_path(struct str *b, const char *path)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";

    for (; *path; path++)
        if (strchr(plain, *path))
            str_add_bytes(b, path, 1);
        else
            str_addf(b, "%%%02X", (unsigned)(unsigned char)*path);
}

void html_add_data(struct str *b, const char *type, const void *data, size_t size)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *in = data;

    str_addf(b, "data:%s;base64,", type);
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t v =
            (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
        char out[4] = {digit[v >> 18], digit[v >> 12 & 63], left > 1 ? digit[v >> 6 & 63] : '=',
                       left > 2 ? digit[v & 63] : '='};

        str_add_bytes(b, out, 4);
    }
}
