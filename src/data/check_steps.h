/* Inside of check: what looks, and the case that is looked at. A step appends findings; only exhaustion and
 * what is our own fault make it fail. */
#ifndef D4M_DATA_CHECK_STEPS_H
#define D4M_DATA_CHECK_STEPS_H

#include "data/alike.h"
#include "data/check.h"
#include "data/contrast.h"
#include "data/sketch.h"

/* What a picture of a finding would show. */
struct check_view {
    size_t finding; /* its index in the report */
    bool all_phases;
    int channel;
    int64_t at[3];
    struct check_marks marks;
};

struct check_case {
    const struct case_list *list; /* NULL: a file alone */
    const struct case_files *files;
    const struct phase_map *phases;
    struct volume *reference; /* header and stored grid */
    struct volume *label;     /* uint8 on the reference's grid in RAS order, or NULL */
    struct volume *hu;        /* the reference phase likewise, while labels are looked at */
    int64_t middle[3];        /* of the label, else of the grid: voxel in RAS order */
    int64_t voxels[256];      /* of the label's values */
    double mean[3];           /* voxel index of the labelled liver's middle, RAS order */
    int liver, tumour;        /* label values, -1 if the data set has none */
    struct sketch sketch[PLAN_MAX_PHASES];
    struct alike_sample sample[PLAN_MAX_PHASES];
    struct check_view view[16]; /* of findings to draw */
    int views;
};

struct check_seen {
    uint64_t file, voxels; /* hashes */
    const char *where, *path;
    enum case_part part;
};

struct checker {
    struct check_report *report;
    struct check_options asked;
    struct prepare_options options;
    struct arena *names;
    const char *folder; /* the data set, or NULL */
    const char *ending; /* what dataset.json promises, or NULL */
    bool phantom;       /* dataset.json says that its cases are computer-made */
    enum case_part part;
    const char *where;       /* case or file that is looked at */
    const char *reason;      /* of the last refusal */
    struct check_seen *seen; /* images so far */
    size_t count, room;
    bool used[256]; /* label values met in the training cases */
    size_t labels;  /* labels that were read there */
};

/* Appends a finding by its name. */
MUST_USE enum err check_add(struct checker *c, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
MUST_USE enum err check_notes(struct checker *c, struct notes *n); /* and clears them */
/* A refusal becomes a finding; exhaustion stays a failure. `fallback` names it if its rule gave no name. */
MUST_USE enum err check_failure(struct checker *c, enum err err, const char *fallback);

/* A view of the finding that was added last, at the middle of the label; NULL if there is no room or nobody
 * draws. */
struct check_view *check_show(struct checker *c, struct check_case *k);
/* Appends a voxel; indices must rise. Stops at a million runs. */
MUST_USE enum err check_mark(struct check_marks *m, int64_t voxel);
/* `at` becomes the middle of the marked voxels in the axial slice that has most of them. */
void check_look_at_marks(struct check_view *v, const struct grid *g);

/* check_case.c */
MUST_USE enum err check_case(struct checker *c, const struct case_list *l, const struct case_files *f);
MUST_USE enum err check_file(struct checker *c, const char *path);
/* check_files.c: of the whole data set */
MUST_USE enum err check_description(struct checker *c); /* reads dataset.json for the others */
MUST_USE enum err check_names(struct checker *c, const struct case_list *l);
MUST_USE enum err check_links(struct checker *c, const struct case_list *l);
MUST_USE enum err check_room(struct checker *c, const struct case_list *l);
/* check_values.c: of one phase */
MUST_USE enum err check_values(struct checker *c, struct check_case *k, int channel, const struct volume *hu);
/* if the body is seen as a whole */
MUST_USE enum err check_air(struct checker *c, struct check_case *k, int channel);
/* check_geometry.c */
MUST_USE enum err check_geometry(struct checker *c, struct check_case *k, int channel);
MUST_USE enum err check_posture(struct checker *c, struct check_case *k, const struct posture *p);
/* check_phases.c */
MUST_USE enum err check_copies(struct checker *c, const struct case_files *f, int channel,
                               const struct volume *hu);
MUST_USE enum err check_missing(struct checker *c, const struct check_case *k);
MUST_USE enum err check_alike(struct checker *c, struct check_case *k);
MUST_USE enum err check_field_of_view(struct checker *c, struct check_case *k, int channel,
                                      const struct volume *hu);
MUST_USE enum err check_contrast(struct checker *c, struct check_case *k, const struct sketch *least,
                                 const struct posture *p);
/* check_label.c, check_lesion.c: the label, on the reference phase k->hu if that is there */
MUST_USE enum err check_label_read(struct checker *c, struct check_case *k);
/* Sets the blocks of a sketch that lie in the labelled liver (or all that is labelled) as a whole. */
MUST_USE enum err check_liver_blocks(struct volume **out, const struct check_case *k, const struct sketch *s);
MUST_USE enum err check_label(struct checker *c, struct check_case *k);
MUST_USE enum err check_lesions(struct checker *c, struct check_case *k);
/* check_truth.c: truth/ of a phantom */
MUST_USE enum err check_truth(struct checker *c, const struct check_case *k);

#endif
