/* Lists of points in files: CSV, and the point lists of 3D Slicer (.fcsv, .mrk.json). Only coordinates change
 * when a list is written again; every other column, comment and setting is kept as it was. */
#ifndef D4M_ALIGN_POINTS_H
#define D4M_ALIGN_POINTS_H

#include "align/transform_file.h"
#include "base/str.h"

struct points;

/* The kind follows the ending. CSV: columns x, y, z by the names in its first line, else the first three;
 * commas, semicolons or tabs; lines that are empty or begin with # are kept; RAS unless `how` says LPS.
 * Slicer's files say themselves, which `how` overrides. ERR_INPUT: a line without three finite numbers (its
 * number is told). */
MUST_USE enum err points_read(struct points **out, const char *path, enum convention how);
MUST_USE enum err points_parse(struct points **out, const char *text, size_t size, const char *what,
                               enum convention how);
void points_free(struct points *p);  /* accepts NULL */
bool points_named(const char *path); /* does this name end like a point list? */

size_t points_count(const struct points *p);
double *points_at(struct points *p, size_t i); /* x, y, z in RAS mm, to be changed in place */
/* Appends the table as it would be written; of a .mrk.json nothing. */
MUST_USE enum err points_text(const struct points *p, struct str *out);
/* In the form and convention of the file that was read, with six decimals. Atomic. */
MUST_USE enum err points_write(struct points *p, const char *path);

#endif
