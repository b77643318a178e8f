/* Affine transforms as text: ITK's file and four rows of four numbers. Inside of transform_file.h. */
#ifndef D4M_ALIGN_TRANSFORM_TEXT_H
#define D4M_ALIGN_TRANSFORM_TEXT_H

#include "align/transform_file.h"

/* Appends what the text says to t. */
MUST_USE enum err text_parse(struct transform *t, const uint8_t *p, size_t n, const char *what);

#endif
