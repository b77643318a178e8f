/* Text and bytes inside HTML and SVG. File names and notes are hostile: everything that is not markup goes
 * through here. */
#ifndef D4M_BASE_HTML_H
#define D4M_BASE_HTML_H

#include "base/str.h"
#include <stddef.h>

/* Appends s as text that is safe in elements and in quoted attributes; invalid UTF-8 is replaced. NULL
 * appends nothing. */
void html_add_text(struct str *b, const char *s);
/* Appends a relative path as a URL (RFC 3986): what is not a letter, a digit or one of -._~/ as %XX. */
void html_add_path(struct str *b, const char *path);
/* Appends "data:TYPE;base64,..." (RFC 2397); type is a literal such as "image/png". */
void html_add_data(struct str *b, const char *type, const void *data, size_t size);

#endif
