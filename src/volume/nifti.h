/* NIfTI-1 and NIfTI-2 files, single (.nii, .nii.gz) and pair (.hdr/.img), both byte orders. Strict: sizes are
 * checked before allocation and every rule of input-rules.md ("Bytes and containers", "Geometry", "Labels")
 * is applied here.
 *
 * Codes: the named path is missing or unreadable ERR_USAGE; bytes that cannot be NIfTI, truncated or damaged
 * ERR_CORRUPT; sound but not usable here ERR_INPUT. Names of what is tolerated (notes), for `check`:
 *
 * - bytes: gzip-in-nii, plain-in-gz, trailing-data, vox-offset, bitpix, and those of gzip_decode
 * - values: slope-nan, slope-negative, hu-clamped, padding, nonfinite-voxels
 * - geometry: thin-volume, units-unknown, sform-unusable, qform-unusable, qform-used, sform-used,
 * form-conflict, shear, pixdim-differs, pixdim-negative, no-slice-spacing, no-orientation
 *
 * and of what is refused (nifti_options.reason):
 *
 * - bytes: unreadable, not-nifti, header-truncated, header-damaged, truncated, gzip, vox-offset, pair-missing
 * - kind: datatype, dims, several-volumes, not-vectors, not-prepared; memory
 * - values: nonfinite-voxels, label-values, label-map
 * - geometry: form-conflict, shear, no-orientation, no-spacing */
#ifndef D4M_VOLUME_NIFTI_H
#define D4M_VOLUME_NIFTI_H

#include "base/note.h"
#include "volume/volume.h"

enum nifti_form { NIFTI_AUTO, NIFTI_QFORM, NIFTI_SFORM };
extern const char *const nifti_form_names[]; /* "auto", "qform", "sform", NULL */

struct nifti_options {
    enum nifti_form prefer; /* --prefer */
    bool assume_scanner;    /* --assume-scanner: neither form usable, take pixdim along scanner axes */
    bool positions_matter;  /* false: only spacing matters, so missing forms and shear are warnings */
    const char *map;        /* labels: "255=2,3=2" or NULL */
    const char **reason; /* if set, receives the name of the rule behind a failure (a constant); see above */
};

/* HU: int16, slope applied, clamped to [-1024, 3071] with a note, NaN/Inf -> -1024. */
MUST_USE enum err nifti_load_hu(struct volume **out, const char *path, const struct nifti_options *o,
                                struct notes *n);
/* Labels: uint8; non-integers and values over 254 refused, listing the values found. */
MUST_USE enum err nifti_load_labels(struct volume **out, const char *path, const struct nifti_options *o,
                                    struct notes *n);
/* Header only: data stays NULL, type is what nifti_load_hu would give. Of a gzip file only the first bytes
 * are decoded, so that damage further on stays unseen. */
MUST_USE enum err nifti_load_grid(struct volume **out, const char *path, const struct nifti_options *o,
                                  struct notes *n);
/* Most bytes that loading the file of a nifti_load_grid volume takes, as HU (VOXEL_I16) or labels (VOXEL_U8):
 * the mapped file, its decoded data and the new voxels, as far as they are there together. */
uint64_t nifti_load_bytes(const struct volume *v, enum voxel type);
/* Maps an uncompressed int16 or uint8 little-endian file that nifti_save wrote; voxels are read-only. */
MUST_USE enum err nifti_map(struct volume **out, const char *path);
/* The form that gave a loaded volume its grid; NIFTI_AUTO: neither (the file had none), or not loaded from a
 * file. */
enum nifti_form nifti_form_used(const struct volume *v);
/* How the file of a loaded volume stores voxels; type is "" if it was not loaded from a file. */
struct nifti_storage {
    const char *type; /* "int16", "float32", ... */
    double slope, inter;
};
struct nifti_storage nifti_storage_of(const struct volume *v);

/* A file image in memory, decoded or not; img is the second file of a pair, or NULL. */
struct nifti_bytes {
    const char *what; /* for messages */
    const uint8_t *file, *img;
    size_t size, img_size;
};
/* What the voxels become; NIFTI_FLOAT: float32, scaled, nothing replaced; NIFTI_VECTORS: the same of a vector
 * image with axes X, Y, Z, 1, 3, whose data are three times grid_count floats, component by component. */
enum nifti_kind { NIFTI_GRID, NIFTI_HU, NIFTI_LABELS, NIFTI_FLOAT, NIFTI_VECTORS };
MUST_USE enum err nifti_parse(struct volume **out, const struct nifti_bytes *b, enum nifti_kind kind,
                              const struct nifti_options *o, struct notes *n);

/* A vector image as NIFTI_VECTORS says (with header, for nifti_intent_of). */
MUST_USE enum err nifti_load_vectors(struct volume **out, const char *path, const struct nifti_options *o,
                                     struct notes *n);
/* What a file says about the meaning of its vectors; name is NUL-terminated. */
struct nifti_intent {
    int64_t code;
    double p1;
    char name[17];
};
struct nifti_intent nifti_intent_of(const struct volume *v);
/* Writes a vector image (X, Y, Z, 1, 3), float32, atomically, piece by piece: fill puts component c of slices
 * z .. z+count-1 into out, and its error ends the writing. */
struct nifti_vectors {
    const struct grid *grid;
    struct nifti_intent intent;
    enum err (*fill)(void *ctx, int c, int64_t z, int64_t count, float *out);
    void *ctx;
};
MUST_USE enum err nifti_save_vectors(const struct nifti_vectors *v, const char *path);

/* Writes v atomically, gzip if path ends in .gz. With `like` (a volume that was loaded) the geometry fields -
 * dims, pixdim, units, both forms and codes, NIfTI version - are its values; descrip, aux_file, db_name,
 * intent, extensions are not carried. Without, NIfTI-1 from v's grid (NIfTI-2 if an axis is over 32767). */
MUST_USE enum err nifti_save(const struct volume *v, const struct volume *like, const char *path);

/* Mixes an image file's bytes into *key; both files of a .hdr/.img pair count. */
MUST_USE enum err nifti_hash(uint64_t *key, const char *path);

#endif
