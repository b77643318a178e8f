/* Pictures of findings: the phases (one, or all side by side) on three planes through the place that a
 * finding names, with the label outlined and the offending voxels marked. */
#ifndef D4M_LAB_CHECK_PICTURE_H
#define D4M_LAB_CHECK_PICTURE_H

#include "base/str.h"
#include "data/check.h"

struct check_album {
    const char *folder;
    struct str names; /* of the pictures so far, each between newlines */
};
/* A check_options.draw whose ctx is an album: writes CASE-NAME.png into its folder (a second one of a case
 * gets -2) and sets f->picture. An image that cannot be read is left out. ERR_OUTPUT, ERR_MEMORY. */
MUST_USE enum err check_picture(void *album, struct finding *f, const struct check_scene *s);
/* index.html and check.json of the album: all findings by case, with their pictures. */
MUST_USE enum err check_album_finish(const struct check_album *a, const struct check_report *r,
                                     const char *path);

#endif
