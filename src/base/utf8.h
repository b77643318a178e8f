/* File names and header texts are bytes from outside; JSON, HTML and drawn text need valid UTF-8. */
#ifndef D4M_BASE_UTF8_H
#define D4M_BASE_UTF8_H

#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

/* Decodes the sequence at *s (NUL-terminated), moves *s behind it and returns its code point. A byte that
 * starts no valid sequence (overlong, surrogate, above U+10FFFF, cut off) gives U+FFFD and moves one byte. At
 * the NUL: 0, not moved. */
uint32_t utf8_next(const char **s);
/* Appends s with U+FFFD for what is not UTF-8 and a space for every control character. NULL appends nothing.
 */
void str_add_utf8(struct str *b, const char *s);
/* A copy of s cleaned as by str_add_utf8; mem_free. NULL on exhaustion. */
char *utf8_clean(const char *s);

#endif
