/* Inside of the NIfTI reader and writer; other folders use nifti.h. A parsed header keeps only the fields we
 * understand: descrip, aux_file, db_name, calibration and extensions (names, dates) are never copied out of
 * the file; the intent says how a vector image is meant and is not carried into outputs. Fields hold what the
 * file says, unchecked; nifti_check_* turn them into sizes and a grid, or refuse them. */
#ifndef D4M_VOLUME_NIFTI_HEADER_H
#define D4M_VOLUME_NIFTI_HEADER_H

#include "volume/nifti.h"

enum { NIFTI1_BYTES = 348, NIFTI2_BYTES = 540, NIFTI1_DATA = 352, NIFTI2_DATA = 544 };

enum nifti_field {
    NH_SIZE,
    NH_DIM, /* [8] */
    NH_DATATYPE,
    NH_BITPIX,
    NH_PIXDIM, /* [8]; [0] is the sign of the qform's third column */
    NH_OFFSET,
    NH_SLOPE,
    NH_INTER,
    NH_UNITS,
    NH_QFORM,
    NH_SFORM,
    NH_QUATERN, /* [3] b, c, d */
    NH_QOFFSET, /* [3] */
    NH_SROW,    /* [12] rows of the sform */
    NH_INTENT,
    NH_INTENT_P1,
    NH_INTENT_NAME, /* [16] bytes */
    NH_FIELDS
};

struct nifti_header {
    int version;     /* 1 or 2 */
    bool big_endian; /* how voxels are stored; bytes[] is little-endian */
    bool pair;       /* voxels are in a second file */
    uint64_t file,
        decoded;          /* bytes of the file with the voxels, and of what is decoded (0: not compressed) */
    int stored;           /* bytes of a voxel there */
    enum nifti_form used; /* which form gave the grid; NIFTI_AUTO: neither */
    uint8_t bytes[NIFTI2_BYTES]; /* the known fields in NIfTI's layout of `version`, little-endian; zero
                                    elsewhere */
};

/* What a voxel type is called and how it is stored; the table is in nifti_header.c. */
struct nifti_type {
    int code, bytes;
    bool usable; /* false: RGB, complex, float128, bits */
    const char *name;
};
const struct nifti_type *nifti_type_of(int64_t code); /* NULL: not in the standard */

/* Where a message belongs: every refusal and note goes through it. */
struct nifti_context {
    const char *what; /* file name */
    struct nifti_options options;
    struct notes *notes;
};
/* Records "what: message", puts `name` into options.reason and returns code. */
MUST_USE enum err nifti_refuse(const struct nifti_context *c, enum err code, const char *name,
                               const char *fmt, ...) PRINTF_LIKE(4, 5);

int64_t nifti_int(const struct nifti_header *h, enum nifti_field f, int index);
double nifti_real(const struct nifti_header *h, enum nifti_field f, int index); /* any field as a number */
void nifti_set_int(struct nifti_header *h, enum nifti_field f, int index, int64_t v);
void nifti_set_real(struct nifti_header *h, enum nifti_field f, int index, double v);

/* Recognises version and byte order in the first n bytes of a file and copies the known fields. ERR_CORRUPT
 * if it is none. */
MUST_USE enum err nifti_header_parse(struct nifti_header *h, const uint8_t *p, size_t n,
                                     const struct nifti_context *c);
/* Writes a header of h's version for a single file of `type`, with h's geometry fields; returns its size with
 * the four bytes that say "no extension": 352 or 544, where voxels begin. */
size_t nifti_header_write(const struct nifti_header *h, enum voxel type, uint8_t out[NIFTI2_DATA]);

/* dims[3] and the place of the voxels, checked: the number of axes, every length, one volume only, voxel
 * type, offset. */
struct nifti_layout {
    int64_t dims[3], count; /* count = product of dims */
    const struct nifti_type *type;
    uint64_t offset, end; /* bytes of the decoded voxel file; end = offset + count*type->bytes, below 2^62 */
};
MUST_USE enum err nifti_check_layout(const struct nifti_header *h, const struct nifti_context *c,
                                     struct nifti_layout *out);
/* Turns the header of a vector image (X, Y, Z, 1, 3; also X, Y, Z, 3) into that of a volume of 3 Z slices,
 * which is how its components lie in the file; refuses one that is none. */
MUST_USE enum err nifti_check_vectors(struct nifti_header *h, const struct nifti_context *c);
/* The grid by the rules of input-rules.md, "Geometry"; sets h->used. */
MUST_USE enum err nifti_check_grid(struct nifti_header *h, const struct nifti_context *c,
                                   const int64_t dims[3], struct grid *out);
/* Fills units, pixdim, dim, both forms (codes 1) of h from g; the qform is the nearest rotation. */
void nifti_describe_grid(struct nifti_header *h, const struct grid *g);

/* Voxels of a decoded file, and what they mean. */
struct nifti_voxels {
    const uint8_t *raw;
    const struct nifti_type *type;
    bool swap;
    bool scaled; /* false: values as stored */
    double slope, inter;
    int64_t count;
};
struct nifti_voxels nifti_voxels_of(const struct nifti_header *h, const struct nifti_context *c,
                                    const struct nifti_layout *at, const uint8_t *file);
/* Converts into out, which may start at or before v->raw in the same block if the new voxels are not larger.
 */
MUST_USE enum err nifti_to_hu(const struct nifti_voxels *v, const struct nifti_context *c, int16_t *out);
MUST_USE enum err nifti_to_labels(const struct nifti_voxels *v, const struct nifti_context *c, uint8_t *out);
void nifti_to_float(const struct nifti_voxels *v, float *out);

#endif
