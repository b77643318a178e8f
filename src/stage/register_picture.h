/* Pictures of a registration (registration.md section 11): what a reader looks at to believe or doubt a
 * verdict. */
#ifndef D4M_STAGE_REGISTER_PICTURE_H
#define D4M_STAGE_REGISTER_PICTURE_H

#include "base/str.h"
#include "stage/register_plane.h"

/* The planes of p below each other, radiological display:
 * before | after as checkerboards of 16 mm, as fixed in cyan and moving in red, and as the liver's contour on
 * the moving phase (with a mask); then the Jacobian's determinant (0.5 to 2, logarithmic; folds in magenta)
 * and |T(x) - x| under the moving image's 10 mm grid. PNG bytes are appended. */
MUST_USE enum err register_montage(const struct register_picture *p,
                                   const struct register_plane s[REGISTER_PLANES], struct str *png);

extern const char *const register_plane_names[]; /* "axial", "coronal", "sagittal", NULL */
/* Fixed and registered image in turn, half a second each: an animated PNG, whose first frame any viewer
 * shows.
 */
MUST_USE enum err register_flicker(const struct register_plane *s, struct str *png);

#endif
