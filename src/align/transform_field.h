/* Displacement fields in NIfTI. Inside of transform_file.h. */
#ifndef D4M_ALIGN_TRANSFORM_FIELD_H
#define D4M_ALIGN_TRANSFORM_FIELD_H

#include "align/transform_file.h"

/* The file as a transform of one element on the file's own grid; the images' grids are unknown. */
MUST_USE enum err field_read(struct transform **out, const char *path, enum convention how,
                             struct notes *notes);

#endif
