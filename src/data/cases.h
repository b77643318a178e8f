/* Which files make a case. A case has up to PLAN_MAX_PHASES phase images (some may be missing), and in
 * training a label. The list comes from a data set in nnU-Net's raw layout (case_list_read) or from what a
 * user names for prediction (case_list_find). Everything lives in the list's arena. Rules:
 * input-rules.md, "Labels and data sets". */
#ifndef D4M_DATA_CASES_H
#define D4M_DATA_CASES_H

#include "base/note.h"
#include "data/plan.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum phase {
    PHASE_UNKNOWN = -1,
    PHASE_NONCONTRAST,
    PHASE_ARTERIAL,
    PHASE_PORTAL,
    PHASE_DELAYED,
    PHASE_KINDS
};
enum { CLASS_MAX = 255, FOLD_ALL = -1 };

/* The phase that a name means ("PVP", "portal venous", "NC", ...), PHASE_UNKNOWN if none; and the name that
 * we write. */
enum phase phase_find(const char *name);
const char *phase_text(enum phase p);

/* The channels of a data set or model, in channel order. */
struct phase_map {
    int count;
    enum phase kind[PLAN_MAX_PHASES];
    const char *name[PLAN_MAX_PHASES];
    int portal; /* the channel of the portal venous phase, which carries labels; -1 if there is none. The
                   only channel of one is taken for it whatever its name. */
};

struct case_files {
    const char *name;
    const char *folder;                 /* of the images */
    const char *phase[PLAN_MAX_PHASES]; /* path by channel, NULL where missing */
    const char *label;                  /* path or NULL */
    const char *bad;                    /* why training cannot use it, NULL if nothing is known against it */
    int reference; /* channel whose grid carries labels and results, -1 if no phase is there */
};

struct case_list {
    struct arena *arena;
    const char *folder; /* the data set, NULL for case_list_find */
    struct phase_map phases;
    int64_t classes; /* background included; 0 for case_list_find */
    const char *class_name[CLASS_MAX];
    struct case_files *item; /* sorted by name */
    size_t count;
};

enum case_part { CASES_TRAIN, CASES_TEST }; /* imagesTr with labelsTr, or imagesTs */

/* Reads dataset.json of `folder` and lists the cases of one part. Bad cases stay in the list with `bad` set.
 * ERR_USAGE: the folder cannot be read; ERR_INPUT: the data set breaks a rule; notes tell what was tolerated.
 */
MUST_USE enum err case_list_read(struct case_list **out, const char *folder, enum case_part part,
                                 struct notes *n);
/* Makes a training list strict: with bad cases (or none at all) ERR_INPUT lists them; with skip_bad they are
 * dropped and noted. */
MUST_USE enum err case_list_require(struct case_list *l, bool skip_bad, struct notes *n);
/* Copies phases, classes, phase_names and reference into the plan. */
MUST_USE enum err case_list_plan(const struct case_list *l, struct plan *p, struct arena *a);

/* Channels from a plan's comma-separated phase_names; the names live in `a`. ERR_INPUT for an unknown or
 * doubled name. */
MUST_USE enum err phase_map_parse(struct phase_map *m, struct arena *a, const char *names);

struct case_query {
    const char *const *path; /* files, case prefixes (FOLDER/CASE) or folders, in any mixture */
    size_t count;
    const char *phase; /* --phase for files without _000k, or NULL */
};
/* The cases that a user names for prediction; channels are the model's (`m`). Files of one case that are
 * named singly are put together. A data set's own channel order (dataset.json beside the images) is honoured.
 * ERR_USAGE: a path does not exist, a file's phase is unknown, or two cases have one name. */
MUST_USE enum err case_list_find(struct case_list **out, const struct phase_map *m,
                                 const struct case_query *q, struct notes *n);
void case_list_free(struct case_list *l);

/* Case name of an image file name: without folder, ending and _000k. channel: k or -1. false if the ending is
 * not an image's. */
bool case_name_split(const char *path, size_t *name_length, int *channel);

/* Indices into the case list, ascending. */
struct split {
    size_t *train, *val; /* mem_new */
    size_t trains, vals;
};
/* Fold `fold` of five (seg-nnunet.md section 6), or of `folder`/splits_final.json if that exists (folder
 * may be NULL). FOLD_ALL, and any fold below five cases without a splits file: all cases are both. */
MUST_USE enum err split_make(struct split *s, const struct case_list *l, const char *folder, int fold,
                             struct notes *n);
void split_free(struct split *s);

#endif
