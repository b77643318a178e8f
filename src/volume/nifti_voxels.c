/* Stored voxels of any type and byte order -> HU, labels or floats, in blocks of doubles that stay in cache.
 */
#include "volume/nifti_header.h"
#include "base/str.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 2048,
    FOUND_MOST = 16,
    MAP_MOST = 64,
    LABEL_MOST = 254,
    HU_LEAST = -1024,
    HU_MOST = 3071,
    PADDING_MOST = -1100
};

static uint16_t swap16(uint16_t v)
{
    return (uint16_t)(v << 8 | v >> 8);
}

static uint32_t swap32(uint32_t v)
{
    return (v & 0xff) << 24 | (v & 0xff00) << 8 | (v >> 8 & 0xff00) | v >> 24;
}

static uint64_t swap64(uint64_t v)
{
    return (uint64_t)swap32((uint32_t)v) << 32 | swap32((uint32_t)(v >> 32));
}

#define DECODE(type, bits)                                                                                   \
    static void decode_##type(const uint8_t *raw, int64_t n, bool swap, double *out)                         \
    {                                                                                                        \
        for (int64_t i = 0; i < n; i++) {                                                                    \
            uint##bits##_t u;                                                                                \
            type v;                                                                                          \
            memcpy(&u, raw + i * (bits / 8), sizeof u);                                                      \
            u = swap ? swap##bits(u) : u;                                                                    \
            memcpy(&v, &u, sizeof v);                                                                        \
            out[i] = (double)v;                                                                              \
        }                                                                                                    \
    }
#define DECODE_BYTE(type)                                                                                    \
    static void decode_##type(const uint8_t *raw, int64_t n, bool swap, double *out)                         \
    {                                                                                                        \
        (void)swap;                                                                                          \
        for (int64_t i = 0; i < n; i++)                                                                      \
            out[i] = (type)raw[i];                                                                           \
    }
DECODE_BYTE(uint8_t)
DECODE_BYTE(int8_t)
DECODE(int16_t, 16)
DECODE(uint16_t, 16)
DECODE(int32_t, 32)
DECODE(uint32_t, 32)
DECODE(int64_t, 64)
DECODE(uint64_t, 64)
DECODE(float, 32)
DECODE(double, 64)

/* Voxels first .. first+n-1, scaled. */
static void read_block(const struct nifti_voxels *v, int64_t first, int64_t n, double out[BLOCK])
{
    static const struct {
        int code;
        void (*decode)(const uint8_t *raw, int64_t n, bool swap, double *out);
    } decoders[] = {{2, decode_uint8_t},    {4, decode_int16_t},    {8, decode_int32_t},
                    {16, decode_float},     {64, decode_double},    {256, decode_int8_t},
                    {512, decode_uint16_t}, {768, decode_uint32_t}, {1024, decode_int64_t},
                    {1280, decode_uint64_t}};

    for (size_t k = 0; k < sizeof decoders / sizeof *decoders; k++)
        if (decoders[k].code == v->type->code)
            decoders[k].decode(v->raw + first * v->type->bytes, n, v->swap, out);
    if (v->scaled)
        for (int64_t i = 0; i < n; i++)
            out[i] = out[i] * v->slope + v->inter;
}

static int64_t block_length(const struct nifti_voxels *v, int64_t first)
{
    return v->count - first < BLOCK ? v->count - first : BLOCK;
}

struct nifti_voxels nifti_voxels_of(const struct nifti_header *h, const struct nifti_context *c,
                                    const struct nifti_layout *at, const uint8_t *file)
{
    struct nifti_voxels v = {
        .raw = file + at->offset, .type = at->type, .swap = h->big_endian, .count = at->count};

    v.slope = nifti_real(h, NH_SLOPE, 0);
    v.inter = nifti_real(h, NH_INTER, 0);
    if (v.slope == 0)
        return v;
    if (!isfinite(v.slope) || !isfinite(v.inter)) {
        note_add(c->notes, "slope-nan",
                 "%s: scl_slope %g, scl_inter %g are no numbers; voxels are taken as stored", c->what,
                 v.slope, v.inter);
        return v;
    }
    if (v.slope < 0)
        note_add(c->notes, "slope-negative", "%s: scl_slope %g is negative; it is applied", c->what, v.slope);
    v.scaled = v.slope != 1 || v.inter != 0;
    return v;
}

struct hu_count {
    int64_t outside, nonfinite;
    double low, high; /* of the finite voxels */
    int64_t padded;   /* voxels at `low`, if they lie outside */
};

/* Clamping first makes rounding by the magic constant exact (ties to even). */
static void hu_block(const double *in, int64_t n, int16_t *out, struct hu_count *count)
{
    for (int64_t i = 0; i < n; i++) {
        double x = in[i], y = x < HU_LEAST ? HU_LEAST : x > HU_MOST ? HU_MOST : x;

        if (!isfinite(x)) {
            count->nonfinite++;
            y = HU_LEAST;
        } else {
            if (x < count->low) {
                count->low = x;
                count->padded = 0;
            }
            count->padded += x == count->low;
            count->high = x > count->high ? x : count->high;
            count->outside += x <= HU_LEAST - 0.5 || x >= HU_MOST + 0.5;
        }
        out[i] = (int16_t)(y + 0x1.8p52 - 0x1.8p52);
    }
}

enum err nifti_to_hu(const struct nifti_voxels *v, const struct nifti_context *c, int16_t *out)
{
    struct hu_count count = {.low = INFINITY, .high = -INFINITY};
    double block[BLOCK];
    int16_t done[BLOCK];

    for (int64_t first = 0; first < v->count; first += BLOCK) {
        int64_t n = block_length(v, first);

        read_block(v, first, n, block);
        hu_block(block, n, done, &count);
        memcpy(out + first, done, (size_t)n * sizeof *out);
    }
    if (count.nonfinite > v->count / 2)
        return nifti_refuse(c, ERR_INPUT, "nonfinite-voxels",
                            "%lld of %lld voxels are NaN or infinite; write it again",
                            (long long)count.nonfinite, (long long)v->count);
    if (count.nonfinite)
        note_add(c->notes, "nonfinite-voxels",
                 "%s: %lld of %lld voxels are NaN or infinite and count as %d HU", c->what,
                 (long long)count.nonfinite, (long long)v->count, HU_LEAST);
    if (count.outside && count.padded == count.outside && count.low <= PADDING_MOST)
        note_add(c->notes, "padding",
                 "%s: %lld of %lld voxels are %.6g, which is padding; they count as %d HU", c->what,
                 (long long)count.padded, (long long)v->count, count.low, HU_LEAST);
    else if (count.outside)
        note_add(c->notes, "hu-clamped",
                 "%s: %lld of %lld voxels (values from %.6g to %.6g) were clamped to %d..%d HU", c->what,
                 (long long)count.outside, (long long)v->count, count.low, count.high, HU_LEAST, HU_MOST);
    return ERR_OK;
}

void nifti_to_float(const struct nifti_voxels *v, float *out)
{
    double block[BLOCK];

    for (int64_t first = 0; first < v->count; first += BLOCK) {
        int64_t n = block_length(v, first);

        read_block(v, first, n, block);
        for (int64_t i = 0; i < n; i++)
            out[first + i] = (float)block[i];
    }
}

struct label_map {
    double from[MAP_MOST];
    int to[MAP_MOST], count;
};

/* "255=2,3=2"; the left side may be any number, the right side a label. */
static enum err map_read(const struct nifti_context *c, struct label_map *m)
{
    const char *p = c->options.map;

    while (p && *p) {
        char *end;
        double from = strtod(p, &end);
        const char *right = end + 1;
        long to = -1;
        bool good = end != p && *end == '=' && isfinite(from);

        if (good) {
            to = strtol(right, &end, 10);
            good = end != right && (*end == ',' || !*end) && to >= 0 && to <= LABEL_MOST;
        }
        if (!good || m->count == MAP_MOST)
            return nifti_refuse(
                c, ERR_USAGE, "label-map",
                "label map '%s' is not of the form 255=2,3=2 (at most %d pairs, labels 0 to %d)",
                c->options.map, MAP_MOST, LABEL_MOST);
        m->from[m->count] = from;
        m->to[m->count++] = (int)to;
        p = *end ? end + 1 : end;
    }
    return ERR_OK;
}

/* Distinct values, in order of appearance. */
struct found {
    double value[FOUND_MOST];
    int count;
    bool more;
};

static void found_add(struct found *f, double x)
{
    for (int i = 0; i < f->count; i++)
        if (f->value[i] == x || (isnan(x) && isnan(f->value[i])))
            return;
    if (f->count < FOUND_MOST)
        f->value[f->count++] = x;
    else
        f->more = true;
}

/* The label of x, or -1. */
static int label_of(double x, const struct label_map *m)
{
    double whole = floor(x + 0.5);

    for (int i = 0; i < m->count; i++)
        if (fabs(x - m->from[i]) <= 1e-3)
            return m->to[i];
    if (!(whole >= 0 && whole <= LABEL_MOST) || fabs(x - whole) > 1e-3)
        return -1;
    return (int)whole;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    if (isnan(x) || isnan(y))
        return isnan(x) - isnan(y);
    return (x > y) - (x < y);
}

static void found_print(struct found *f, char *out, size_t size)
{
    size_t at = 0;

    qsort(f->value, (size_t)f->count, sizeof *f->value, by_value);
    out[0] = 0;
    for (int i = 0; i < f->count && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%.7g", i ? ", " : "", f->value[i]);
    if (f->more && at < size)
        snprintf(out + at, size - at, ", ...");
}

static enum err refuse_labels(const struct nifti_context *c, struct found *good, struct found *bad)
{
    char others[400], labels[400];
    double first;

    found_print(bad, others, sizeof others);
    found_print(good, labels, sizeof labels);
    first = bad->value[0];
    if (isnan(first))
        return nifti_refuse(c, ERR_INPUT, "label-values", "voxels that are not a number are no labels");
    return nifti_refuse(c, ERR_INPUT, "label-values",
                        "values that are no labels: %s%s%s; say what they mean, for example --map %.7g=%d",
                        others, good->count ? ", beside labels " : "", good->count ? labels : "", first,
                        first < 0 ? 0 : 2);
}

enum err nifti_to_labels(const struct nifti_voxels *v, const struct nifti_context *c, uint8_t *out)
{
    struct label_map map = {0};
    struct found good = {0}, bad = {0};
    bool seen[LABEL_MOST + 1] = {0};
    double block[BLOCK];
    uint8_t done[BLOCK];

    TRY(map_read(c, &map));
    for (int64_t first = 0; first < v->count; first += BLOCK) {
        int64_t n = block_length(v, first);
        int label = -1;

        read_block(v, first, n, block);
        for (int64_t i = 0; i < n; i++) {
            if (i == 0 || block[i] != block[i - 1]) { /* masks are mostly runs */
                label = label_of(block[i], &map);
                if (label < 0)
                    found_add(&bad, block[i]);
                else
                    seen[label] = true;
            }
            done[i] = label < 0 ? 0 : (uint8_t)label;
        }
        memcpy(out + first, done, (size_t)n);
    }
    if (!bad.count)
        return ERR_OK;
    for (int label = 0; label <= LABEL_MOST; label++)
        if (seen[label])
            found_add(&good, label);
    return refuse_labels(c, &good, &bad);
}
