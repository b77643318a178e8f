/* Registration of one phase onto the portal venous one (registration.md): the map, its figures and the
 * verdict, in memory and as files. */
#ifndef D4M_STAGE_REGISTER_H
#define D4M_STAGE_REGISTER_H

#include "align/transform.h"
#include "align/verdict.h"
#include "align/warp.h"
#include "base/command.h"
#include "data/place.h"

struct register_images {
    const struct volume *fixed, *moving;             /* VOXEL_I16, any orientation */
    const struct volume *fixed_liver, *moving_liver; /* VOXEL_U8, not 0 in the liver, on any grid; or NULL */
    const struct volume *lesion;                     /* VOXEL_U8 on any grid: no data there; or NULL */
};

struct register_options {
    enum refine_preset preset;
    double spacing;                  /* of the working grid, mm; 0: 2 */
    uint64_t memory;                 /* bytes that may be used; 0: what the machine offers */
    const struct progress *progress; /* may be NULL */
    atomic_int *stop;                /* may be NULL */
};

struct registration {
    struct transform *transform; /* fixed -> moving; no elements if `identity` */
    struct alignment alignment;
    struct figures figures; /* of the map that was found, kept or not */
    struct liver_overlap liver;
    struct judgement judgement;
    const char *identity; /* why the header's position was kept (a constant), or NULL */
};

/* ERR_INPUT with the reason if the images cannot be registered; a map that does not fit is no error but a
 * verdict. registration_free accepts a zeroed struct. */
MUST_USE enum err register_images(struct registration *out, const struct register_images *in,
                                  const struct register_options *o);
void registration_free(struct registration *r);
/* Fills r->liver: masks of both images under the map. */
MUST_USE enum err register_liver(struct registration *r, const struct register_images *in);
/* Most bytes that registering and resampling take, the images included, from the headers (nifti_load_grid).
 */
uint64_t register_bytes(const struct volume *fixed, const struct volume *moving, double spacing);
/* Notes on a phase that was dropped, and on one that keeps its header's position, with the reason. */
void register_note_dropped(struct notes *n, const char *path, const char *why);
void register_note_unfit(struct notes *n, const char *path, const char *why);
/* The figures, limits and what was done, as verdict.json has them; new reference. */
MUST_USE enum err registration_json(json_t **out, const struct registration *r);
/* "pass", or "fail: " and the reasons. */
void registration_line(struct str *out, const struct registration *r);

/* One pair in files. */
struct register_job {
    const char *fixed, *moving;             /* images */
    const char *fixed_liver, *moving_liver; /* masks, or NULL */
    const char *lesion;
    int lesion_value; /* of the mask's voxels that count; 0: all but 0 */
    struct nifti_options read;
    struct register_options options;
    bool force;                               /* write the image on `fail` too */
    enum warp_how how;                        /* WARP_LINEAR or WARP_CUBIC */
    const char *image, *valid, *map, *record; /* where results go: registered.nii.gz, valid.nii.gz,
                                                 transform.d4m, verdict.json */
    const char *picture; /* start of the pictures' names: + ".png", "_axial.png", ...; NULL: none */
    const char *command_line;
    const char *key; /* kept in the record, or NULL */
};
/* Removes what an earlier run left, registers, writes; the record comes last, and a run that fails leaves
 * nothing. ERR_MEMORY, with both numbers, if the geometry alone says that it would not fit. *verdict: of the
 * pair. */
MUST_USE enum err register_pair(enum verdict *verdict, json_t **record, const struct register_job *job,
                                struct notes *notes);

/* Every phase of every case of a data set, into WORK/registered: imagesTr/CASE_000k.nii.gz, valid/,
 * transforms/ (CASE_000k.d4m and its record CASE_000k.json) and verdict.json over all. A liver mask comes
 * from the case's label, whose last class (if it has more than one) is the lesion mask. */
struct register_set {
    const char *work;
    const struct prepare_options *read; /* forms, --map, --resample-labels */
    struct register_options options;    /* its progress shows one bar over all phases */
    enum warp_how how;
    bool force; /* redo what is up to date; write images on `fail` too */
    bool whole; /* also the reference phase, the labels and dataset.json: nnU-Net's layout */
    bool apply; /* the list's phases become the registered ones: one that failed is missing, with a note; one
                   that could not be registered stays as it is, with a note */
    const char *command_line;
};
struct register_tally {
    size_t verdict[VERDICT_FAIL + 1], unfit /* could not be registered */, kept /* were up to date */;
    struct str failures; /* what failed or was unfit, and why; str_free */
};
/* Bad cases are left out. A phase that fails does not stop the others. Up to date means: same bytes of images
 * and label, same options. ERR_STOPPED, output and memory errors end it; the same call goes on. */
MUST_USE enum err register_dataset(struct register_tally *tally, struct case_list *l,
                                   const struct register_set *s, struct notes *n);

extern const struct command cmd_register;

#endif
