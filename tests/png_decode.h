/* PNG bytes back into pixels, for tests of pictures. */
#ifndef D4M_TEST_PNG_DECODE_H
#define D4M_TEST_PNG_DECODE_H

#include "test.h"

#include "base/str.h"
#include <cairo.h>

struct png_reading {
    const struct str *png;
    size_t at;
};

static inline cairo_status_t png_read(void *closure, unsigned char *to, unsigned int n)
{
    struct png_reading *r = closure;

    if (n > r->png->len - r->at)
        return CAIRO_STATUS_READ_ERROR;
    memcpy(to, r->png->s + r->at, n);
    r->at += n;
    return CAIRO_STATUS_SUCCESS;
}

/* The caller destroys it. */
static inline cairo_surface_t *png_decode(const struct str *png)
{
    struct png_reading r = {png, 0};
    cairo_surface_t *s = cairo_image_surface_create_from_png_stream(png_read, &r);

    assert_int_equal(cairo_surface_status(s), CAIRO_STATUS_SUCCESS);
    return s;
}

#endif
