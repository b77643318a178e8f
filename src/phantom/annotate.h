/* What a simulated radiologist drew on the portal venous phase (phantom.md section 11). */
#ifndef D4M_PHANTOM_ANNOTATE_H
#define D4M_PHANTOM_ANNOTATE_H

#include "base/err.h"
#include "phantom/body.h"
#include "phantom/lesion.h"
#include "volume/volume.h"

struct annotation {
    const struct phantom_id *id;
    const struct lesions *lesions;
    const struct texture *texture;
    struct liver liver;
    const double *contrast; /* HU in PVP, per lesion */
    double oversize;        /* mm */
    bool off;               /* labels as they are */
    bool benign_is_tumour;  /* benign lesions but cysts are labelled 2 as well */
};
/* truth: the portal venous labels with PHANTOM_LESION + i. *out: 0, 1 liver (with its vessels and benign
 * lesions), 2 tumour on the same grid; drawn[i]: whether lesion i was. Stream `annotation`. */
MUST_USE enum err annotate(struct volume **out, bool drawn[PHANTOM_LESIONS], const struct volume *truth,
                           const struct annotation *a);

#endif
