/* A still PNG becomes a frame: acTL tells their number, fcTL stands before each, and the data chunks of all
 * but the first are fdAT instead of IDAT. */
#include "eval/animation.h"
#include <libdeflate.h>
#include <math.h>
#include <string.h>

enum { SIGNATURE = 8, CHUNK = 12, HEADER = 13 };

static void add_u32(struct str *s, uint32_t v)
{
    const unsigned char b[4] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16), (unsigned char)(v >> 8),
                                (unsigned char)v};

    str_add_bytes(s, b, 4);
}

static uint32_t get_u32(const char *s)
{
    const unsigned char *b = (const unsigned char *)s;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Frees the body, whose failure becomes out's. */
static void add_chunk(struct str *out, const char *type, struct str *body)
{
    uint32_t crc = libdeflate_crc32(0, type, 4);

    if (body->err && !out->err)
        out->err = body->err;
    add_u32(out, (uint32_t)body->len);
    str_add(out, type);
    if (body->len) {
        crc = libdeflate_crc32(crc, body->s, body->len);
        str_add_bytes(out, body->s, body->len);
    }
    add_u32(out, crc);
    str_free(body);
}

/* A frame that covers the whole picture and replaces it. */
static void add_frame_control(struct str *out, uint32_t sequence, const struct canvas *c, double seconds)
{
    uint32_t ms = (uint32_t)lround(fmin(65.0, fmax(0.001, seconds)) * 1000);
    struct str body = {0};

    add_u32(&body, sequence);
    add_u32(&body, (uint32_t)cairo_image_surface_get_width(c->surface));
    add_u32(&body, (uint32_t)cairo_image_surface_get_height(c->surface));
    add_u32(&body, 0);
    add_u32(&body, 0);
    add_u32(&body, ms << 16 | 1000); /* delay: numerator, denominator */
    str_add_bytes(&body, "\0\0", 2); /* dispose: keep; blend: overwrite */
    add_chunk(out, "fcTL", &body);
}

/* The IDAT chunks of a PNG file that cairo wrote: as they are, or as fdAT with sequence numbers from
 * *sequence, which moves on. */
static void add_data(struct str *out, const struct str *png, bool first, uint32_t *sequence)
{
    for (size_t at = SIGNATURE; at + CHUNK <= png->len;) {
        size_t length = get_u32(png->s + at);
        struct str body = {0};

        if (length > png->len - at - CHUNK)
            return;
        if (!memcmp(png->s + at + 4, "IDAT", 4)) {
            if (!first)
                add_u32(&body, (*sequence)++);
            str_add_bytes(&body, png->s + at + 8, length);
            add_chunk(out, first ? "IDAT" : "fdAT", &body);
        }
        at += length + CHUNK;
    }
}

enum err animation_png(struct canvas *frame, int frames, double seconds, struct str *png)
{
    struct str control = {0}, end = {0};
    uint32_t sequence = 0;

    for (int i = 0; i < frames; i++) {
        struct str still = {0};
        enum err err = canvas_png(&frame[i], &still);

        if (!err && i == 0) {
            add_u32(&control, (uint32_t)frames);
            add_u32(&control, 0); /* endless */
            str_add_bytes(png, still.s, SIGNATURE + CHUNK + HEADER);
            add_chunk(png, "acTL", &control);
        }
        if (!err) {
            add_frame_control(png, sequence++, &frame[i], seconds);
            add_data(png, &still, i == 0, &sequence);
        }
        str_free(&still);
        TRY(err);
    }
    add_chunk(png, "IEND", &end);
    return str_status(png);
}
