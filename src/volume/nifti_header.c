#include "volume/nifti_header.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "voxels and headers are written as they lie in memory: little-endian machines only"
#endif

struct place {
    uint16_t at;
    uint8_t size, count;
    bool real;
};

/* nifti1.h and nifti2.h of the NIfTI DFWG. */
static const struct place places[2][NH_FIELDS] = {
    {
        [NH_SIZE] = {0, 4, 1, false},
        [NH_DIM] = {40, 2, 8, false},
        [NH_DATATYPE] = {70, 2, 1, false},
        [NH_BITPIX] = {72, 2, 1, false},
        [NH_PIXDIM] = {76, 4, 8, true},
        [NH_OFFSET] = {108, 4, 1, true},
        [NH_SLOPE] = {112, 4, 1, true},
        [NH_INTER] = {116, 4, 1, true},
        [NH_UNITS] = {123, 1, 1, false},
        [NH_QFORM] = {252, 2, 1, false},
        [NH_SFORM] = {254, 2, 1, false},
        [NH_QUATERN] = {256, 4, 3, true},
        [NH_QOFFSET] = {268, 4, 3, true},
        [NH_SROW] = {280, 4, 12, true},
        [NH_INTENT] = {68, 2, 1, false},
        [NH_INTENT_P1] = {56, 4, 1, true},
        [NH_INTENT_NAME] = {328, 1, 16, false},
    },
    {
        [NH_SIZE] = {0, 4, 1, false},
        [NH_DIM] = {16, 8, 8, false},
        [NH_DATATYPE] = {12, 2, 1, false},
        [NH_BITPIX] = {14, 2, 1, false},
        [NH_PIXDIM] = {104, 8, 8, true},
        [NH_OFFSET] = {168, 8, 1, false},
        [NH_SLOPE] = {176, 8, 1, true},
        [NH_INTER] = {184, 8, 1, true},
        [NH_UNITS] = {500, 4, 1, false},
        [NH_QFORM] = {344, 4, 1, false},
        [NH_SFORM] = {348, 4, 1, false},
        [NH_QUATERN] = {352, 8, 3, true},
        [NH_QOFFSET] = {376, 8, 3, true},
        [NH_SROW] = {400, 8, 12, true},
        [NH_INTENT] = {504, 4, 1, false},
        [NH_INTENT_P1] = {80, 8, 1, true},
        [NH_INTENT_NAME] = {508, 1, 16, false},
    },
};

/* What a mask takes from its image. */
static const enum nifti_field carried[] = {NH_DIM,   NH_PIXDIM,  NH_UNITS,   NH_QFORM,
                                           NH_SFORM, NH_QUATERN, NH_QOFFSET, NH_SROW};

static const struct nifti_type types[] = {
    {2, 1, true, "uint8"},           {4, 2, true, "int16"},         {8, 4, true, "int32"},
    {16, 4, true, "float32"},        {64, 8, true, "float64"},      {256, 1, true, "int8"},
    {512, 2, true, "uint16"},        {768, 4, true, "uint32"},      {1024, 8, true, "int64"},
    {1280, 8, true, "uint64"},       {1, 1, false, "single bits"},  {32, 8, false, "complex64"},
    {128, 3, false, "RGB"},          {1536, 16, false, "float128"}, {1792, 16, false, "complex128"},
    {2048, 32, false, "complex256"}, {2304, 4, false, "RGBA"},
};

const struct nifti_type *nifti_type_of(int64_t code)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].code == code)
            return &types[i];
    return NULL;
}

enum err nifti_refuse(const struct nifti_context *c, enum err code, const char *name, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (c->options.reason)
        *c->options.reason = name;
    return err_set(code, "%s: %s", c->what, text);
}

static const struct place *place_of(const struct nifti_header *h, enum nifti_field f)
{
    return &places[h->version - 1][f];
}

int64_t nifti_int(const struct nifti_header *h, enum nifti_field f, int index)
{
    const struct place *p = place_of(h, f);
    const uint8_t *at = h->bytes + p->at + index * p->size;
    uint64_t u = 0;
    int shift = 64 - 8 * p->size;

    memcpy(&u, at, p->size);
    u <<= shift;
    int64_t v;
    memcpy(&v, &u, sizeof v);
    return v / ((int64_t)1 << shift); /* exact: the low bits are zero */
}

double nifti_real(const struct nifti_header *h, enum nifti_field f, int index)
{
    const struct place *p = place_of(h, f);
    const uint8_t *at = h->bytes + p->at + index * p->size;
    float single;
    double v;

    if (!p->real)
        return (double)nifti_int(h, f, index);
    if (p->size == 4) {
        memcpy(&single, at, sizeof single);
        return (double)single;
    }
    memcpy(&v, at, sizeof v);
    return v;
}

void nifti_set_int(struct nifti_header *h, enum nifti_field f, int index, int64_t v)
{
    const struct place *p = place_of(h, f);

    if (p->real)
        nifti_set_real(h, f, index, (double)v);
    else
        memcpy(h->bytes + p->at + index * p->size, &v, p->size);
}

void nifti_set_real(struct nifti_header *h, enum nifti_field f, int index, double v)
{
    const struct place *p = place_of(h, f);
    float single = (float)v;

    if (p->size == 4)
        memcpy(h->bytes + p->at + index * p->size, &single, sizeof single);
    else
        memcpy(h->bytes + p->at + index * p->size, &v, sizeof v);
}

static void copy_field(uint8_t *to, const uint8_t *from, const struct place *p, bool swap)
{
    for (int k = 0; k < p->count; k++)
        for (int b = 0; b < p->size; b++)
            to[p->at + k * p->size + b] = from[p->at + k * p->size + (swap ? p->size - 1 - b : b)];
}

static uint32_t load32(const uint8_t *p, bool big)
{
    uint32_t a = p[0], b = p[1], c = p[2], d = p[3];

    return big ? a << 24 | b << 16 | c << 8 | d : d << 24 | c << 16 | b << 8 | a;
}

static enum err not_nifti(const uint8_t *p, size_t n, const struct nifti_context *c)
{
    static const struct {
        const char *start;
        size_t at;
        const char *hint;
    } known[] = {
        {"DICM", 128, "it is DICOM: make NIfTI of it with `d4m import`"},
        {"NRRD", 0, "it is NRRD: convert it to NIfTI"},
        {"ObjectType", 0, "it is MetaImage: convert it to NIfTI"},
        {"version https://git-lfs", 0, "it is a Git LFS pointer: fetch the data with `git lfs pull`"},
        {"/annex/objects/", 0, "it is a git-annex pointer: fetch the data with `git annex get`"},
        {"<!DOCTYPE", 0, "it is a web page: the download went wrong"},
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t length = strlen(known[i].start);

        if (n >= known[i].at + length && !memcmp(p + known[i].at, known[i].start, length))
            return nifti_refuse(c, ERR_CORRUPT, "not-nifti", "not a NIfTI file; %s", known[i].hint);
    }
    return nifti_refuse(
        c, ERR_CORRUPT, "not-nifti",
        "not a NIfTI file (its first bytes are no NIfTI header); convert it, or fetch it again");
}

static enum err check_magic(struct nifti_header *h, const uint8_t *p, const struct nifti_context *c)
{
    const char *magic = (const char *)p + (h->version == 1 ? 344 : 4);

    if (magic[0] != 'n' || (magic[1] != '+' && magic[1] != 'i') || magic[2] != '0' + h->version || magic[3]) {
        if (h->version == 1 && !magic[0])
            return nifti_refuse(
                c, ERR_CORRUPT, "not-nifti",
                "an ANALYZE header without NIfTI's magic, so orientation is unknown; convert it to NIfTI");
        return nifti_refuse(
            c, ERR_CORRUPT, "not-nifti",
            "no NIfTI magic (n+%d or ni%d) in the header; it is damaged: fetch or convert it again",
            h->version, h->version);
    }
    if (h->version == 2 && memcmp(magic + 4, "\r\n\032\n", 4))
        return nifti_refuse(
            c, ERR_CORRUPT, "header-damaged",
            "line ends in the header were changed (copied as text?); copy the file again as binary");
    h->pair = magic[1] == 'i';
    return ERR_OK;
}

enum err nifti_header_parse(struct nifti_header *h, const uint8_t *p, size_t n, const struct nifti_context *c)
{
    struct nifti_header parsed = {0};
    size_t size = 0;

    for (int big = 0; n >= 4 && big < 2; big++) {
        uint32_t first = load32(p, big);

        if (first != NIFTI1_BYTES && first != NIFTI2_BYTES)
            continue;
        size = first;
        parsed.big_endian = big;
        parsed.version = first == NIFTI1_BYTES ? 1 : 2;
    }
    if (!size)
        return not_nifti(p, n, c);
    if (n < size)
        return nifti_refuse(c, ERR_CORRUPT, "header-truncated",
                            "ends inside its header (%zu of %zu bytes); fetch or copy it again", n, size);
    TRY(check_magic(&parsed, p, c));
    for (int f = 0; f < NH_FIELDS; f++)
        copy_field(parsed.bytes, p, &places[parsed.version - 1][f], parsed.big_endian);
    *h = parsed;
    return ERR_OK;
}

size_t nifti_header_write(const struct nifti_header *h, enum voxel type, uint8_t out[NIFTI2_DATA])
{
    static const int codes[] = {[VOXEL_U8] = 2, [VOXEL_I16] = 4, [VOXEL_F32] = 16};
    struct nifti_header w = {.version = h->version};
    size_t start = h->version == 1 ? NIFTI1_DATA : NIFTI2_DATA;

    for (size_t i = 0; i < sizeof carried / sizeof *carried; i++)
        copy_field(w.bytes, h->bytes, place_of(h, carried[i]), false);
    nifti_set_int(&w, NH_SIZE, 0, h->version == 1 ? NIFTI1_BYTES : NIFTI2_BYTES);
    nifti_set_int(&w, NH_DATATYPE, 0, codes[type]);
    nifti_set_int(&w, NH_BITPIX, 0, (int64_t)(8 * voxel_size(type)));
    nifti_set_int(&w, NH_OFFSET, 0, (int64_t)start);
    nifti_set_real(&w, NH_SLOPE, 0, 1);
    memset(out, 0, NIFTI2_DATA);
    memcpy(out, w.bytes, h->version == 1 ? NIFTI1_BYTES : NIFTI2_BYTES);
    if (h->version == 1) {
        out[38] = 'r'; /* "regular", which ANALYZE readers still look for */
        memcpy(out + 344, "n+1", 4);
    } else {
        memcpy(out + 4, "n+2\0\r\n\032\n", 8);
    }
    return start;
}

/* Lengths of the axes; those behind the third must be 1. */
static enum err check_dims(const struct nifti_header *h, const struct nifti_context *c, int64_t dims[3])
{
    int64_t axes = nifti_int(h, NH_DIM, 0), volumes = 1;

    if (axes < 1 || axes > 7)
        return nifti_refuse(c, ERR_CORRUPT, "dims",
                            "the header says %lld axes; 1 to 7 are possible: convert it again",
                            (long long)axes);
    for (int i = 1; i <= axes; i++) {
        int64_t n = nifti_int(h, NH_DIM, i);

        if (n < 1)
            return nifti_refuse(c, ERR_CORRUPT, "dims",
                                "the header says axis %d has length %lld; it is damaged: convert it again", i,
                                (long long)n);
        if (i > 3 && n > 1)
            volumes = n;
    }
    if (volumes > 1)
        return nifti_refuse(
            c, ERR_INPUT, "several-volumes",
            "holds several volumes (an axis behind the third has length %lld); split it into one file "
            "per volume",
            (long long)volumes);
    for (int i = 0; i < 3; i++)
        dims[i] = i < axes ? nifti_int(h, NH_DIM, i + 1) : 1;
    return ERR_OK;
}

enum err nifti_check_vectors(struct nifti_header *h, const struct nifti_context *c)
{
    int64_t axes = nifti_int(h, NH_DIM, 0), slices = nifti_int(h, NH_DIM, 3);
    int vector = axes == 4 ? 4 : 5; /* the axis of the components */
    bool good = axes >= 4 && axes <= 7 && nifti_int(h, NH_DIM, vector) == 3;

    for (int i = 4; good && i <= axes; i++)
        good = i == vector || nifti_int(h, NH_DIM, i) == 1;
    if (!good)
        return nifti_refuse(c, ERR_INPUT, "not-vectors",
                            "is no displacement field: its axes must be X, Y, Z, 1, 3");
    if (slices > (h->version == 1 ? INT16_MAX : INT32_MAX) / 3)
        return nifti_refuse(c, ERR_INPUT, "dims", "has %lld slices, too many for a displacement field",
                            (long long)slices);
    nifti_set_int(h, NH_DIM, 0, 3);
    nifti_set_int(h, NH_DIM, 3, slices < 1 ? slices : 3 * slices);
    return ERR_OK;
}

/* Float offsets of NIfTI-1 can be NaN, negative, huge or fractional. */
static enum err check_offset(const struct nifti_header *h, const struct nifti_context *c, uint64_t *out)
{
    double v = nifti_real(h, NH_OFFSET, 0);
    double least = h->pair ? 0 : h->version == 1 ? NIFTI1_BYTES : NIFTI2_BYTES;

    if (v == 0 && !h->pair) {
        note_add(c->notes, "vox-offset", "%s: vox_offset is 0; voxels are read from behind the header",
                 c->what);
        v = h->version == 1 ? NIFTI1_DATA : NIFTI2_DATA;
    }
    if (!(v >= least && v < 0x1p53 && v == floor(v)))
        return nifti_refuse(c, ERR_CORRUPT, "vox-offset",
                            "vox_offset %g is no place for voxels; the header is damaged: convert it again",
                            v);
    *out = (uint64_t)v;
    return ERR_OK;
}

enum err nifti_check_layout(const struct nifti_header *h, const struct nifti_context *c,
                            struct nifti_layout *out)
{
    struct nifti_layout at = {.count = 1, .type = nifti_type_of(nifti_int(h, NH_DATATYPE, 0))};
    int64_t bits = nifti_int(h, NH_BITPIX, 0), room;

    TRY(check_dims(h, c, at.dims));
    if (!at.type)
        return nifti_refuse(
            c, ERR_CORRUPT, "datatype",
            "voxel type %lld is not in the NIfTI standard; the header is damaged: convert it again",
            (long long)nifti_int(h, NH_DATATYPE, 0));
    if (!at.type->usable)
        return nifti_refuse(c, ERR_INPUT, "datatype", "voxels are %s; convert them to integers or float32",
                            at.type->name);
    if (bits != 8 * at.type->bytes)
        note_add(c->notes, "bitpix", "%s: bitpix %lld does not fit the voxel type %s; the type counts",
                 c->what, (long long)bits, at.type->name);
    TRY(check_offset(h, c, &at.offset));
    room = ((int64_t)1 << 61) / at.type->bytes;
    for (int i = 0; i < 3; i++) {
        if (at.dims[i] > room / at.count)
            return nifti_refuse(
                c, ERR_CORRUPT, "dims",
                "the header says %lld x %lld x %lld voxels, which no file holds; it is damaged: convert it "
                "again",
                (long long)at.dims[0], (long long)at.dims[1], (long long)at.dims[2]);
        at.count *= at.dims[i];
    }
    at.end = at.offset + (uint64_t)(at.count * at.type->bytes);
    *out = at;
    return ERR_OK;
}
