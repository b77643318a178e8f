#include "volume/nifti_header.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include <string.h>
#include <zlib.h>

enum {
    GZIP_RATIO = 1032,  /* deflate cannot do better, so a gzip file of n bytes holds at most 1032 n */
    TRAILING = 1 << 20, /* decoded bytes behind the voxels that are tolerated */
    SLICES_FEW = 5,
};

static struct nifti_context context_of(const char *what, const struct nifti_options *o, struct notes *n)
{
    struct nifti_context c = {.what = what, .notes = n};

    if (o)
        c.options = *o;
    return c;
}

/* Passes an error of a lower module on, under our name for it. */
static enum err reason(const struct nifti_context *c, enum err code, const char *name)
{
    if (c->options.reason)
        *c->options.reason = code == ERR_MEMORY ? "memory" : name;
    return code;
}

/* The first bytes of gzip members; fewer than asked for at the end of the data or where they are damaged. */
static enum err gzip_head(const uint8_t *in, size_t n, uint8_t *out, size_t want, size_t *got)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in,
                  .avail_in = n < (1u << 30) ? (uInt)n : 1u << 30,
                  .next_out = out,
                  .avail_out = (uInt)want};
    int status;

    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return err_set(ERR_MEMORY, "out of memory for decoding gzip");
    do {
        status = inflate(&z, Z_NO_FLUSH);
        if (status == Z_STREAM_END && z.avail_out && z.avail_in)
            status = inflateReset(&z);
    } while (status == Z_OK && z.avail_out && z.avail_in);
    *got = want - z.avail_out;
    inflateEnd(&z);
    return ERR_OK;
}

static enum err read_header(struct nifti_header *h, const struct nifti_bytes *b,
                            const struct nifti_context *c)
{
    uint8_t head[NIFTI2_BYTES];
    size_t got = 0;
    enum err err;

    if (!b->size)
        return nifti_refuse(c, ERR_CORRUPT, "not-nifti", "the file is empty; fetch or copy it again");
    if (!gzip_is(b->file, b->size))
        return nifti_header_parse(h, b->file, b->size, c);
    err = gzip_head(b->file, b->size, head, sizeof head, &got);
    if (err)
        return reason(c, err, "gzip");
    if (!got)
        return nifti_refuse(c, ERR_CORRUPT, "gzip",
                            "damaged gzip data: nothing can be decoded; copy the file again");
    return nifti_header_parse(h, head, got, c);
}

/* The file that holds the voxels, and whether it can be as long as the header says: known before anything is
 * allocated. */
static enum err find_voxels(const struct nifti_header *h, const struct nifti_bytes *b,
                            const struct nifti_context *c, const struct nifti_layout *at,
                            struct nifti_bytes *out)
{
    struct nifti_bytes f = {
        .what = b->what, .file = h->pair ? b->img : b->file, .size = h->pair ? b->img_size : b->size};
    uint64_t most;

    if (!f.file)
        return nifti_refuse(
            c, ERR_INPUT, "pair-missing",
            "is the header of a .hdr/.img pair whose .img is not beside it; put both into one folder");
    most = gzip_is(f.file, f.size) ? (uint64_t)f.size * GZIP_RATIO : f.size;
    if (at->end > most)
        return nifti_refuse(
            c, ERR_CORRUPT, "truncated",
            "truncated: the header says %lld x %lld x %lld %s voxels, %llu bytes, and the file holds %s%llu; "
            "fetch or copy it again",
            (long long)at->dims[0], (long long)at->dims[1], (long long)at->dims[2], at->type->name,
            (unsigned long long)at->end, most == f.size ? "" : "at most ", (unsigned long long)most);
    *out = f;
    return ERR_OK;
}

static enum err convert(struct volume *v, const struct nifti_voxels *raw, enum nifti_kind kind,
                        const struct nifti_context *c)
{
    if (kind == NIFTI_HU)
        return nifti_to_hu(raw, c, v->data);
    if (kind == NIFTI_LABELS)
        return nifti_to_labels(raw, c, v->data);
    nifti_to_float(raw, v->data);
    return ERR_OK;
}

/* Converts into v->data. Decoded bytes (`owned`, taken) are reused in place unless the new voxels are larger.
 */
static enum err take_voxels(struct volume *v, uint8_t *owned, const struct nifti_voxels *raw,
                            enum nifti_kind kind, const struct nifti_context *c)
{
    size_t size = voxel_size(v->type), count = (size_t)raw->count;
    bool in_place = owned && size <= (size_t)raw->type->bytes;
    void *shrunk;
    enum err err;

    v->data = in_place ? owned : mem_new(count, size);
    if (!v->data) {
        mem_free(owned);
        return reason(c, ERR_MEMORY, "memory");
    }
    err = convert(v, raw, kind, c);
    if (!in_place)
        mem_free(owned);
    if (err || !in_place)
        return err;
    shrunk = mem_resize(owned, count, size);
    if (!shrunk)
        return reason(c, ERR_MEMORY, "memory");
    v->data = shrunk;
    return ERR_OK;
}

static enum err read_voxels(struct volume *v, const struct nifti_bytes *f, const struct nifti_layout *at,
                            enum nifti_kind kind, const struct nifti_context *c)
{
    const uint8_t *data = f->file;
    size_t size = f->size;
    uint8_t *owned = NULL;
    struct nifti_voxels raw;

    if (gzip_is(f->file, f->size)) {
        enum err err = gzip_decode(f->file, f->size, at->end + TRAILING, c->what, c->notes, &owned, &size);

        if (err)
            return reason(c, err, "gzip");
        data = owned;
    }
    if (size < at->end) {
        mem_free(owned);
        return nifti_refuse(c, ERR_CORRUPT, "truncated",
                            "truncated: %llu bytes are needed for what its header says, %zu are there",
                            (unsigned long long)at->end, size);
    }
    if (size > at->end)
        note_add(c->notes, "trailing-data", "%s: %llu bytes behind the last voxel are ignored", c->what,
                 (unsigned long long)(size - at->end));
    raw = nifti_voxels_of(v->header, c, at, data);
    return take_voxels(v, owned, &raw, kind, c);
}

static void note_thin(const struct nifti_layout *at, const struct nifti_context *c)
{
    int64_t least = at->dims[0];

    for (int i = 1; i < 3; i++)
        least = at->dims[i] < least ? at->dims[i] : least;
    if (least < SLICES_FEW)
        note_add(c->notes, "thin-volume", "%s: only %lld slice%s; results will be poor", c->what,
                 (long long)least, least == 1 ? "" : "s");
}

static enum err parse(struct volume *v, const struct nifti_bytes *b, enum nifti_kind kind,
                      const struct nifti_context *c)
{
    static const enum voxel types[] = {VOXEL_I16, VOXEL_I16, VOXEL_U8, VOXEL_F32, VOXEL_F32};
    struct nifti_layout at;
    struct nifti_bytes file;

    TRY(read_header(v->header, b, c));
    if (kind == NIFTI_VECTORS)
        TRY(nifti_check_vectors(v->header, c));
    TRY(nifti_check_layout(v->header, c, &at));
    TRY(find_voxels(v->header, b, c, &at, &file));
    if (kind == NIFTI_VECTORS)
        at.dims[2] /= 3;
    TRY(nifti_check_grid(v->header, c, at.dims, &v->grid));
    if (kind != NIFTI_VECTORS)
        note_thin(&at, c);
    v->type = types[kind];
    v->header->file = file.size;
    v->header->decoded = gzip_is(file.file, file.size) ? at.end : 0;
    v->header->stored = at.type->bytes;
    return kind == NIFTI_GRID ? ERR_OK : read_voxels(v, &file, &at, kind, c);
}

/* A volume with room for a header and no voxels. */
static struct volume *volume_empty(void)
{
    struct volume *v = mem_new(1, sizeof *v);

    if (v)
        v->header = mem_new(1, sizeof *v->header);
    if (v && v->header)
        return v;
    volume_free(v);
    return NULL;
}

enum err nifti_parse(struct volume **out, const struct nifti_bytes *b, enum nifti_kind kind,
                     const struct nifti_options *o, struct notes *n)
{
    struct nifti_context c = context_of(b->what, o, n);
    struct volume *v = volume_empty();
    enum err err;

    if (!v)
        return reason(&c, ERR_MEMORY, "memory");
    err = parse(v, b, kind, &c);
    if (err == ERR_MEMORY)
        err = err_while(err, "reading %s", b->what);
    if (err) {
        volume_free(v);
        return err;
    }
    *out = v;
    return ERR_OK;
}

/* stem.ext or stem.ext.gz, whichever is there; NULL in *out if neither is. */
static enum err find_partner(char **out, const char *stem, size_t length, const char *ext)
{
    static const char *const ends[] = {"", ".gz"};

    for (int k = 0; k < 2; k++) {
        struct str s = {0};

        str_add_bytes(&s, stem, length);
        str_addf(&s, "%s%s", ext, ends[k]);
        if (str_status(&s)) {
            str_free(&s);
            return ERR_MEMORY;
        }
        if (file_exists(s.s)) {
            *out = s.s;
            return ERR_OK;
        }
        str_free(&s);
    }
    return ERR_OK;
}

/* For a path of a pair, by its ending: the header's and the image's path, each NULL if not found. */
static enum err find_pair(const char *path, char **header, char **image)
{
    static const char *const ends[] = {".hdr", ".img", ".hdr.gz", ".img.gz"};

    for (size_t k = 0; k < 4; k++) {
        size_t length = strlen(path);

        if (!str_ends(path, ends[k]) || !file_exists(path))
            continue;
        length -= strlen(ends[k]);
        TRY(find_partner(header, path, length, ".hdr"));
        return find_partner(image, path, length, ".img");
    }
    return ERR_OK;
}

static enum err map_file(struct file_map *m, const char *path, const struct nifti_context *c)
{
    enum err err = file_map(m, path);
    bool gzip, named;

    if (err)
        return reason(c, err, "unreadable");
    gzip = gzip_is(m->data, m->size);
    named = str_ends(path, ".gz");
    if (gzip && !named)
        note_add(c->notes, "gzip-in-nii",
                 "%s: compressed although its name does not end in .gz; read as gzip", path);
    if (!gzip && named)
        note_add(c->notes, "plain-in-gz", "%s: not compressed although its name ends in .gz; read as it is",
                 path);
    return ERR_OK;
}

static enum err load(struct volume **out, const char *path, enum nifti_kind kind,
                     const struct nifti_options *o, struct notes *n)
{
    struct nifti_context c = context_of(path, o, n);
    struct nifti_bytes b = {.what = path};
    struct file_map file = {0}, image = {0};
    char *header_path = NULL, *image_path = NULL;
    enum err err;

    TRY_OR(done, find_pair(path, &header_path, &image_path));
    if (image_path && !header_path) {
        err = nifti_refuse(
            &c, ERR_INPUT, "pair-missing",
            "is the image of a .hdr/.img pair whose .hdr is not beside it; put both into one folder");
        goto done;
    }
    TRY_OR(done, map_file(&file, header_path ? header_path : path, &c));
    if (image_path)
        TRY_OR(done, map_file(&image, image_path, &c));
    b.file = file.data;
    b.size = file.size;
    b.img = image.data;
    b.img_size = image.size;
    TRY_OR(done, nifti_parse(out, &b, kind, o, n));
done:
    file_unmap(&file);
    file_unmap(&image);
    mem_free(header_path);
    mem_free(image_path);
    return err;
}

enum err nifti_load_hu(struct volume **out, const char *path, const struct nifti_options *o, struct notes *n)
{
    return load(out, path, NIFTI_HU, o, n);
}

enum err nifti_load_labels(struct volume **out, const char *path, const struct nifti_options *o,
                           struct notes *n)
{
    return load(out, path, NIFTI_LABELS, o, n);
}

enum err nifti_load_grid(struct volume **out, const char *path, const struct nifti_options *o,
                         struct notes *n)
{
    return load(out, path, NIFTI_GRID, o, n);
}

uint64_t nifti_load_bytes(const struct volume *v, enum voxel type)
{
    const struct nifti_header *h = v->header;
    bool in_place = h->decoded && voxel_size(type) <= (size_t)h->stored;

    return h->file + h->decoded + (in_place ? 0 : (uint64_t)grid_count(&v->grid) * voxel_size(type));
}

struct nifti_intent nifti_intent_of(const struct volume *v)
{
    struct nifti_intent intent = {.code = nifti_int(v->header, NH_INTENT, 0),
                                  .p1 = nifti_real(v->header, NH_INTENT_P1, 0)};

    for (int i = 0; i < 16; i++)
        intent.name[i] = (char)nifti_int(v->header, NH_INTENT_NAME, i);
    return intent;
}

enum err nifti_load_vectors(struct volume **out, const char *path, const struct nifti_options *o,
                            struct notes *n)
{
    return load(out, path, NIFTI_VECTORS, o, n);
}

enum nifti_form nifti_form_used(const struct volume *v)
{
    return v->header ? v->header->used : NIFTI_AUTO;
}

struct nifti_storage nifti_storage_of(const struct volume *v)
{
    const struct nifti_type *type = v->header ? nifti_type_of(nifti_int(v->header, NH_DATATYPE, 0)) : NULL;

    if (!type)
        return (struct nifti_storage){.type = "", .slope = 1};
    return (struct nifti_storage){type->name, nifti_real(v->header, NH_SLOPE, 0),
                                  nifti_real(v->header, NH_INTER, 0)};
}

/* Plain, one file, our byte order, uint8 or int16 as stored, aligned: what a pointer into the file can stand
 * for. */
static bool mappable(const struct nifti_header *h, const struct nifti_layout *at)
{
    double slope = nifti_real(h, NH_SLOPE, 0);
    bool as_stored = slope == 0 || (slope == 1 && nifti_real(h, NH_INTER, 0) == 0);

    return !h->pair && !h->big_endian && as_stored && (at->type->code == 2 || at->type->code == 4) &&
           at->offset % (uint64_t)at->type->bytes == 0;
}

static enum err map_parse(struct volume *v, const struct file_map *m, const struct nifti_context *c)
{
    struct nifti_bytes b = {.what = c->what, .file = m->data, .size = m->size}, file;
    struct nifti_layout at;

    if (gzip_is(m->data, m->size))
        return nifti_refuse(c, ERR_INPUT, "not-prepared",
                            "is compressed, so it cannot be mapped; prepare it again");
    TRY(read_header(v->header, &b, c));
    TRY(nifti_check_layout(v->header, c, &at));
    if (!mappable(v->header, &at))
        return nifti_refuse(
            c, ERR_INPUT, "not-prepared",
            "is not int16 or uint8 as stored (no pair, no scaling, little-endian), so it cannot be "
            "mapped; prepare it again");
    TRY(find_voxels(v->header, &b, c, &at, &file));
    TRY(nifti_check_grid(v->header, c, at.dims, &v->grid));
    v->type = at.type->code == 2 ? VOXEL_U8 : VOXEL_I16;
    v->data = (void *)(uintptr_t)(m->data + at.offset);
    return ERR_OK;
}

enum err nifti_map(struct volume **out, const char *path)
{
    struct nifti_context c = context_of(path, NULL, NULL);
    struct volume *v = volume_empty();
    struct file_map m = {0};
    enum err err;

    if (!v)
        return ERR_MEMORY;
    TRY_OR(failed, file_map(&m, path));
    TRY_OR(failed, map_parse(v, &m, &c));
    v->map = (void *)(uintptr_t)m.data;
    v->map_size = m.size;
    *out = v;
    return ERR_OK;
failed:
    file_unmap(&m);
    volume_free(v);
    return err;
}

enum err nifti_hash(uint64_t *key, const char *path)
{
    static const char *const others[] = {".img", ".img.gz"};
    size_t n = strlen(path);
    uint64_t h;

    TRY(file_hash(path, &h));
    *key = bytes_hash(&h, sizeof h, *key);
    for (size_t i = 0; str_ends(path, ".hdr") && i < 2; i++) {
        struct str image = {0};
        enum err err;

        str_add_bytes(&image, path, n - 4);
        str_add(&image, others[i]);
        err = str_status(&image);
        if (!err && file_exists(image.s)) {
            err = file_hash(image.s, &h);
            *key = bytes_hash(&h, sizeof h, *key);
        }
        str_free(&image);
        TRY(err);
    }
    return ERR_OK;
}
