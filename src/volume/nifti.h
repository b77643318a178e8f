/* NIfTI-1 and NIfTI-2 files, single (.nii, .nii.gz) and pair (.hdr/.img), both byte orders. Strict: sizes are checked before
 * allocation and every rule of input-rules.md ("Bytes and containers", "Geometry", "Labels") is applied here. */
#ifndef D4M_VOLUME_NIFTI_H
#define D4M_VOLUME_NIFTI_H

#include "base/note.h"
#include "volume/volume.h"

enum nifti_form { NIFTI_AUTO, NIFTI_QFORM, NIFTI_SFORM };

struct nifti_options {
    enum nifti_form prefer; /* --prefer */
    bool assume_scanner;    /* --assume-scanner: neither form usable, take pixdim along scanner axes */
    bool positions_matter;  /* false: only spacing matters, so missing forms and shear are warnings */
    const char *map;        /* labels: "255=2,3=2" or NULL */
};

/* HU: int16, slope applied, clamped to [-1024, 3071] with a note, NaN/Inf -> -1024. */
MUST_USE enum err nifti_load_hu(struct volume **out, const char *path, const struct nifti_options *o, struct notes *n);
/* Labels: uint8; non-integers and values over 254 refused, listing the values found. */
MUST_USE enum err nifti_load_labels(struct volume **out, const char *path, const struct nifti_options *o, struct notes *n);
/* Header only: data stays NULL, type is what nifti_load_hu would give. */
MUST_USE enum err nifti_load_grid(struct volume **out, const char *path, const struct nifti_options *o, struct notes *n);
/* Maps an uncompressed int16 or uint8 little-endian file that nifti_save wrote; voxels are read-only. */
MUST_USE enum err nifti_map(struct volume **out, const char *path);
/* Parses a file image in memory (fuzz target and tests); img is the pair's second file or NULL. Float voxels. */
MUST_USE enum err nifti_parse(struct volume **out, const uint8_t *file, size_t size, const char *what,
                              const struct nifti_options *o, struct notes *n);
/* Writes v atomically, gzip if path ends in .gz. With `like` (a volume that was loaded) the geometry fields - dims, pixdim,
 * units, both forms and codes, NIfTI version - are its values; descrip, aux_file, db_name, intent, extensions are not carried. */
MUST_USE enum err nifti_save(const struct volume *v, const struct volume *like, const char *path);

#endif
