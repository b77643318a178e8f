#include "base/utf8.h"
#include "base/mem.h"

/* Length of a sequence by its first byte, 0 if no sequence starts so (Unicode 15, table 3-7). */
static int sequence_length(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        return 2;
    if (first >= 0xE0 && first <= 0xEF)
        return 3;
    return first >= 0xF0 && first <= 0xF4 ? 4 : 0;
}

uint32_t utf8_next(const char **s)
{
    static const unsigned char mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)*s;
    int length = sequence_length(p[0]);
    uint32_t code = p[0] & mask[length];

    if (!p[0])
        return 0;
    (*s)++;
    for (int i = 1; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0xFFFD;
        code = code << 6 | (p[i] & 0x3F);
    }
    if (!length || code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return 0xFFFD;
    *s += length - 1;
    return code;
}

void str_add_utf8(struct str *b, const char *s)
{
    while (s && *s) {
        const char *start = s;
        uint32_t code = utf8_next(&s);

        if (code < 0x20 || (code >= 0x7F && code < 0xA0))
            str_add(b, " ");
        else if (code == 0xFFFD)
            str_add(b, "\xEF\xBF\xBD");
        else
            str_add_bytes(b, start, (size_t)(s - start));
    }
}

char *utf8_clean(const char *s)
{
    struct str b = {0};
    char *copy = NULL;

    str_add_utf8(&b, s);
    if (!str_status(&b))
        copy = mem_str(b.s ? b.s : "");
    str_free(&b);
    return copy;
}
