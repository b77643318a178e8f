#include "base/file.h"

#include "base/mem.h"
#include "base/par.h"
#include <libdeflate.h>
#include <string.h>

enum {
    MEMBER = 4 << 20, /* raw bytes of a member that gzip_encode writes */
    LEVEL = 6,
    MIN_MEMBER = 18, /* header and trailer */
    MAX_RATIO = 1032 /* DEFLATE cannot expand further: 258 bytes from two bits */
};

bool gzip_is(const uint8_t *in, size_t n)
{
    return n >= 2 && in[0] == 0x1f && in[1] == 0x8b;
}

/* The output while it grows. */
struct sink {
    uint8_t *data;
    size_t size, room, bound;
    bool limited; /* the caller's limit is what bounds it */
    const char *what;
};

static enum err sink_resize(struct sink *s, size_t room)
{
    uint8_t *p = mem_resize(s->data, room, 1);

    if (!p)
        return err_while(ERR_MEMORY, "decompressing %s", s->what);
    s->data = p;
    s->room = room;
    return ERR_OK;
}

static enum err sink_grow(struct sink *s)
{
    if (s->room >= s->bound && s->limited)
        return err_set(ERR_CORRUPT, "%s: decompresses to more than the %zu bytes that it may hold", s->what,
                       s->bound);
    if (s->room >= s->bound)
        return err_set(ERR_CORRUPT, "%s: gzip data are damaged; fetch or copy the file again", s->what);
    return sink_resize(s, s->room < s->bound / 2 ? 2 * s->room : s->bound);
}

/* What the trailer of the last member says, modulo 2^32. It may lie, so it only sets the first size of the
 * buffer. */
static size_t first_room(const uint8_t *in, size_t n, size_t bound)
{
    size_t hint = in[n - 4] | (size_t)in[n - 3] << 8 | (size_t)in[n - 2] << 16 | (size_t)in[n - 1] << 24;

    if (hint < n)
        hint = n > SIZE_MAX / 4 ? n : 4 * n;
    return hint < bound ? hint : bound;
}

/* One member at in; *used is its length there. Starting again after growing costs at most as much once more.
 */
static enum err decode_member(struct libdeflate_decompressor *d, struct sink *s, const uint8_t *in, size_t n,
                              size_t *used)
{
    for (;;) {
        size_t got = 0;
        enum libdeflate_result r =
            libdeflate_gzip_decompress_ex(d, in, n, s->data + s->size, s->room - s->size, used, &got);
        if (r == LIBDEFLATE_SUCCESS) {
            s->size += got;
            return ERR_OK;
        }
        if (r != LIBDEFLATE_INSUFFICIENT_SPACE)
            return err_set(
                ERR_CORRUPT,
                "%s: gzip data are truncated or damaged (data, CRC or size); fetch or copy the file again",
                s->what);
        TRY(sink_grow(s));
    }
}

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static enum err decode_all(struct libdeflate_decompressor *d, struct sink *s, const uint8_t *in, size_t n,
                           struct notes *notes)
{
    size_t at = 0, used;

    while (at < n && (!at || gzip_is(in + at, n - at))) {
        TRY(decode_member(d, s, in + at, n - at, &used));
        at += used;
    }
    if (!all_zero(in + at, n - at))
        note_add(notes, "gzip-trailing-bytes", "%s: %zu bytes behind the gzip data are ignored", s->what,
                 n - at);
    return ERR_OK;
}

enum err gzip_decode(const uint8_t *in, size_t n, uint64_t limit, const char *what, struct notes *notes,
                     uint8_t **out, size_t *size)
{
    struct libdeflate_decompressor *d = NULL;
    struct sink s = {.what = what};
    enum err err;

    if (n < MIN_MEMBER || !gzip_is(in, n))
        return err_set(ERR_CORRUPT, "%s: not gzip data, or cut off in the first %zu bytes", what, n);
    s.bound = n > SIZE_MAX / 2 / MAX_RATIO ? SIZE_MAX / 2 : n * MAX_RATIO;
    if (limit < s.bound) {
        s.bound = (size_t)limit;
        s.limited = true;
    }
    TRY_OR(done, sink_resize(&s, first_room(in, n, s.bound)));
    d = libdeflate_alloc_decompressor();
    if (!d) {
        err = err_set(ERR_MEMORY, "out of memory (while decompressing %s)", what);
        goto done;
    }
    TRY_OR(done, decode_all(d, &s, in, n, notes));
    *out = s.data;
    *size = s.size;
    s.data = NULL;
done:
    libdeflate_free_decompressor(d);
    mem_free(s.data);
    return err;
}

struct encoder {
    const uint8_t *in;
    size_t n;
    uint8_t *out; /* members at multiples of `pitch` */
    size_t pitch;
    size_t *length; /* of each member; 0: out of memory */
};

static void encode_member(void *ctx, int64_t i)
{
    struct encoder *e = ctx;
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(LEVEL);
    size_t from = (size_t)i * MEMBER, n = e->n - from < MEMBER ? e->n - from : MEMBER;

    if (!c)
        return;
    e->length[i] = libdeflate_gzip_compress(c, e->in + from, n, e->out + (size_t)i * e->pitch, e->pitch);
    libdeflate_free_compressor(c);
}

/* Moves the members together; false if one could not be made. */
static bool join_members(struct encoder *e, size_t members, size_t *total)
{
    size_t at = 0;

    for (size_t i = 0; i < members; i++) {
        if (!e->length[i])
            return false;
        memmove(e->out + at, e->out + i * e->pitch, e->length[i]);
        at += e->length[i];
    }
    *total = at;
    return true;
}

enum err gzip_encode(const uint8_t *in, size_t n, uint8_t **out, size_t *size)
{
    size_t members = n / MEMBER + (n % MEMBER || !n), total = 0;
    struct encoder e = {.in = in, .n = n, .pitch = libdeflate_gzip_compress_bound(NULL, MEMBER)};
    enum err err = ERR_MEMORY;
    uint8_t *fit;

    e.out = mem_new(members, e.pitch); /* zero pages: only what is written takes memory */
    e.length = mem_new(members, sizeof *e.length);
    if (!e.out || !e.length)
        goto done;
    par_for((int64_t)members, encode_member, &e);
    if (!join_members(&e, members, &total)) {
        err = err_set(ERR_MEMORY, "out of memory: %zu bytes could not be compressed", n);
        goto done;
    }
    fit = mem_resize(e.out, total, 1);
    *out = fit ? fit : e.out; /* a block that cannot shrink is still the result */
    *size = total;
    e.out = NULL;
    err = ERR_OK;
done:
    mem_free(e.out);
    mem_free(e.length);
    return err;
}
