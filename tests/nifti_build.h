/* Builds NIfTI files byte by byte for tests, from the offsets of nifti1.h and nifti2.h and independently of
 * src/volume. */
#ifndef D4M_TESTS_NIFTI_BUILD_H
#define D4M_TESTS_NIFTI_BUILD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct build {
    int version; /* 1 or 2 */
    bool big, pair;
    int64_t dim[8];
    double pixdim[8], offset, slope, inter, quatern[3], qoffset[3], srow[12];
    int type, bits, units, qform, sform;
};

struct built {
    uint8_t *data;
    size_t size;
};

/* Stores the low `n` bytes of a little-endian number, swapped for a big-endian file. */
static inline void build_put(uint8_t *at, const void *v, size_t n, bool big)
{
    const uint8_t *p = v;

    for (size_t i = 0; i < n; i++)
        at[i] = p[big ? n - 1 - i : i];
}

static inline void build_int(const struct build *b, uint8_t *at, size_t n, int64_t v)
{
    build_put(at, &v, n, b->big);
}

static inline void build_real(const struct build *b, uint8_t *at, double v)
{
    float f = (float)v;

    if (b->version == 1)
        build_put(at, &f, 4, b->big);
    else
        build_put(at, &v, 8, b->big);
}

/* 5 x 6 x 7 int16 on a regular grid of 2 x 1.5 x 3 mm in both forms. */
static inline struct build build_default(void)
{
    return (struct build){.version = 1,
                          .dim = {3, 5, 6, 7, 1, 1, 1, 1},
                          .pixdim = {1, 2, 1.5, 3},
                          .type = 4,
                          .bits = 16,
                          .units = 2,
                          .slope = 1,
                          .qform = 1,
                          .sform = 1,
                          .qoffset = {-10, -20, 30},
                          .srow = {2, 0, 0, -10, 0, 1.5, 0, -20, 0, 0, 3, 30}};
}

static inline void build_header1(const struct build *b, uint8_t *h)
{
    build_int(b, h, 4, 348);
    for (int i = 0; i < 8; i++) {
        build_int(b, h + 40 + 2 * i, 2, b->dim[i]);
        build_real(b, h + 76 + 4 * i, b->pixdim[i]);
    }
    build_int(b, h + 70, 2, b->type);
    build_int(b, h + 72, 2, b->bits);
    build_real(b, h + 108, b->offset);
    build_real(b, h + 112, b->slope);
    build_real(b, h + 116, b->inter);
    h[123] = (uint8_t)b->units;
    memcpy(h + 148, "NAME^OF PATIENT 1970-01-01", 26); /* descrip, which must never get out */
    build_int(b, h + 252, 2, b->qform);
    build_int(b, h + 254, 2, b->sform);
    for (int i = 0; i < 3; i++) {
        build_real(b, h + 256 + 4 * i, b->quatern[i]);
        build_real(b, h + 268 + 4 * i, b->qoffset[i]);
    }
    for (int i = 0; i < 12; i++)
        build_real(b, h + 280 + 4 * i, b->srow[i]);
    memcpy(h + 344, b->pair ? "ni1" : "n+1", 4);
}

static inline void build_header2(const struct build *b, uint8_t *h)
{
    build_int(b, h, 4, 540);
    memcpy(h + 4, b->pair ? "ni2\0\r\n\032\n" : "n+2\0\r\n\032\n", 8);
    build_int(b, h + 12, 2, b->type);
    build_int(b, h + 14, 2, b->bits);
    for (int i = 0; i < 8; i++) {
        build_int(b, h + 16 + 8 * i, 8, b->dim[i]);
        build_real(b, h + 104 + 8 * i, b->pixdim[i]);
    }
    build_int(b, h + 168, 8, (int64_t)b->offset);
    build_real(b, h + 176, b->slope);
    build_real(b, h + 184, b->inter);
    memcpy(h + 240, "NAME^OF PATIENT 1970-01-01", 26);
    build_int(b, h + 344, 4, b->qform);
    build_int(b, h + 348, 4, b->sform);
    for (int i = 0; i < 3; i++) {
        build_real(b, h + 352 + 8 * i, b->quatern[i]);
        build_real(b, h + 376 + 8 * i, b->qoffset[i]);
    }
    for (int i = 0; i < 12; i++)
        build_real(b, h + 400 + 8 * i, b->srow[i]);
    build_int(b, h + 500, 4, b->units);
}

/* Header and voxels (n bytes as they shall lie in the file) in one block: offset 0 means the usual 352 or
 * 544. A pair has its header at 0 and its image behind it at 348 or 540. */
static inline struct built build_file(const struct build *b, const void *voxels, size_t n)
{
    struct build c = *b;
    size_t header = c.version == 1 ? 348 : 540, at;
    struct built f;

    if (c.offset == 0 && !c.pair)
        c.offset = (double)header + 4;
    at = c.pair ? header : c.offset >= (double)header && c.offset < 1e6 ? (size_t)c.offset : header + 4;
    f.size = at + n;
    f.data = calloc(f.size, 1);
    if (c.version == 1)
        build_header1(&c, f.data);
    else
        build_header2(&c, f.data);
    if (n)
        memcpy(f.data + at, voxels, n);
    return f;
}

/* One voxel of a NIfTI type; returns its size. */
static inline size_t build_voxel(int type, double v, bool big, uint8_t *at)
{
    int64_t i = type == 16 || type == 64 ? 0 : type == 1280 ? (int64_t)(uint64_t)v : (int64_t)v;
    float f = (float)v;
    size_t size = type == 2 || type == 256   ? 1
                  : type == 4 || type == 512 ? 2
                  : type == 8 || type == 768 ? 4
                                             : 8;

    if (type == 16) {
        build_put(at, &f, 4, big);
        return 4;
    }
    if (type == 64)
        build_put(at, &v, 8, big);
    else
        build_put(at, &i, size, big);
    return size;
}

static inline struct built build_values(struct build b, const double *v, size_t n)
{
    uint8_t *raw = calloc(n ? n : 1, 8);
    size_t at = 0;
    struct built f;

    for (size_t i = 0; i < n; i++)
        at += build_voxel(b.type, v[i], b.big, raw + at);
    if (b.bits == 0 || b.type != 4)
        b.bits = n ? (int)(8 * at / n) : b.bits;
    f = build_file(&b, raw, at);
    free(raw);
    return f;
}

#endif
