/* Transforms in files (registration.md, section 8). Codes: a path that cannot be read ERR_USAGE; bytes that
 * cannot be what they begin as ERR_CORRUPT; sound but not usable here ERR_INPUT. */
#ifndef D4M_ALIGN_TRANSFORM_FILE_H
#define D4M_ALIGN_TRANSFORM_FILE_H

#include "align/transform.h"
#include "base/note.h"

/* How the numbers of a displacement field are meant: by what the file says (NiftyReg's name and the intent
 * code of displacements mean RAS, other vectors LPS as ITK writes them), or as the caller knows better. */
enum convention { CONVENTION_AUTO, CONVENTION_LPS, CONVENTION_RAS };
extern const char *const convention_names[]; /* "auto", "lps", "ras", NULL */

/* Reads any kind of transform file, known by its content: ours; ITK's text (affine, translation, composite);
 * four rows of four numbers, RAS mm, as NiftyReg and greedy write them; a displacement or deformation field
 * in NIfTI. Foreign files know no images: their grids are unknown. */
MUST_USE enum err transform_read(struct transform **out, const char *path, enum convention how,
                                 struct notes *notes);
/* The same of bytes that are no NIfTI; `what` names them in messages. */
MUST_USE enum err transform_parse(struct transform **out, const uint8_t *p, size_t n, const char *what);

/* Our own file, little-endian: "d4m-xfm1", the number of elements in 8 bytes, the fixed and the moving grid
 * (three dims of 8 bytes, 0 if unknown; the affine as 12 doubles by rows; grid_hash), then the elements. An
 * element has its kind and 0 or 1 for inverse in 4 bytes each and 12 doubles, its affine or the lattice's
 * to_world; a lattice goes on with its size (three of 8 bytes), squarings (8) and v (float32). Last the
 * checksum: XXH3-64 of each of these pieces with the sum so far as its seed. Exact: what is read maps every
 * point to the same bits. Atomic. */
MUST_USE enum err transform_write(const struct transform *t, const char *path);

/* One affine for all of t. ERR_INPUT if t has an element that is none, unless `part`: the affines alone, the
 * deformations left out. */
MUST_USE enum err transform_affine(struct affine *out, const struct transform *t, bool part);
MUST_USE enum err affine_write_itk(const struct affine *a, const char *path);      /* LPS, centre 0 */
MUST_USE enum err affine_write_niftyreg(const struct affine *a, const char *path); /* RAS */

enum field_kind { FIELD_ITK, FIELD_NIFTYREG, FIELD_PLAIN };
/* t(x) - x in mm at every voxel of `to`, a 5-D NIfTI. ITK: LPS. NiftyReg: RAS, with its marks. Plain: as
 * `how` says; RAS (which AUTO is) with the intent code of displacements, so that it is read as such. */
struct field_file {
    const struct transform *t;
    const struct grid *to;
    enum field_kind kind;
    enum convention how;
};
MUST_USE enum err field_write(const struct field_file *f, const char *path);

#endif
