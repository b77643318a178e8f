/* An evaluation is the scores of a set of cases: counts per region and case, and what follows from them. The
 * caller owns it (evaluation_free); names live in its arena. It is written as summary.json in nnU-Net's
 * shape, with our additions under keys "d4m", and read back from them. */
#ifndef D4M_EVAL_SCORE_H
#define D4M_EVAL_SCORE_H

#include "base/mem.h"
#include "base/str.h"
#include "eval/lesions.h"
#include "eval/metrics.h"
#include "eval/stats.h"
#include <jansson.h>
#include <stdbool.h>

/* What every evaluation on phantoms says (phantom.md section 16). */
#define PHANTOM_SENTENCE                                                                                     \
    "Phantoms: nothing about patients. A Dice here says which training copes better with this misalignment."

enum score { SCORE_DSC, SCORE_JAC, SCORE_SE, SCORE_PRE, SCORE_COUNT };
extern const char *const score_names[SCORE_COUNT]; /* "DSC", "JAC", "SE", "PRE" */

/* A region is a range of labels. Region 0 is `liver` (labels >= 1) where there are several labels; then one
 * per label. */
struct region {
    const char *key;  /* in summary.json: "liver", or the label's number */
    const char *name; /* for people: "liver", "liver only", "tumour" */
    int first, last;  /* labels, inclusive */
};

struct case_score {
    const char *name;
    const char *prediction, *reference; /* files; prediction NULL if missing */
    struct counts *region;              /* one per region of the evaluation */
    struct lesion_counts lesions;
    double voxel_ml; /* volume of a voxel */
};

struct evaluation {
    struct arena *arena;
    int labels;                            /* foreground labels 1..labels; the last is the lesion's */
    const char *label_name[LABEL_MAX + 1]; /* [1..labels] */
    int regions;
    struct region region[LABEL_MAX + 1];
    enum empty_policy policy;
    bool phantom; /* the cases are phantoms: PHANTOM_SENTENCE goes with the numbers */
    struct case_score *item;
    size_t count, room;
};

/* label_name[1..labels] are copied. ERR_INPUT unless 1 <= labels <= LABEL_MAX. */
MUST_USE enum err evaluation_new(struct evaluation **out, int labels, const char *const label_name[],
                                 enum empty_policy policy);
void evaluation_free(struct evaluation *e);

/* Files of a case; strings are copied. prediction is NULL if there is none. */
struct score_files {
    const char *name, *reference, *prediction;
};
/* Scores a case and appends it. Both volumes are VOXEL_U8 with the same dims and storage order; a NULL
 * prediction is scored as empty. ERR_INPUT for a label above e->labels. */
MUST_USE enum err evaluation_add(struct evaluation *e, const struct score_files *files,
                                 const struct volume *reference, const struct volume *prediction);

/* Appends a case with zero counts for the caller to fill; *out is valid until the next append. */
MUST_USE enum err evaluation_append(struct evaluation *e, const struct score_files *files,
                                    struct case_score **out);

/* Scores of one case in one region. */
struct overlap evaluation_overlap(const struct evaluation *e, size_t item, int region);
double overlap_get(const struct overlap *o, enum score which);

struct region_summary {
    struct summary score[SCORE_COUNT]; /* over cases */
    struct counts pooled;              /* summed over cases */
    struct overlap pooled_overlap;
};
MUST_USE enum err evaluation_region(const struct evaluation *e, int region, struct region_summary *out);
struct lesion_counts evaluation_lesions(const struct evaluation *e); /* summed over cases */
size_t evaluation_missing(const struct evaluation *e);               /* cases without a prediction */
int evaluation_lesion_region(const struct evaluation *e);            /* index of the last label's region */

/* The region as a person names it with its labels, for example "liver (labels 1-2)"; mem_free, NULL on
 * exhaustion. */
char *region_title(const struct region *r);

/* summary.json as a new reference; `extra` names predictions without a reference. NULL on exhaustion. */
json_t *evaluation_json(const struct evaluation *e, char *const *extra, size_t extras);
/* Reads what evaluation_json wrote: counts, lesions and names; scores follow from the counts. */
MUST_USE enum err evaluation_read(struct evaluation **out, const char *path);
MUST_USE enum err evaluation_from_json(struct evaluation **out, const json_t *j, const char *what);
/* The table for a terminal: per case and region; over cases mean +- sd, its interval, range, median, pooled;
 * n and the policy. */
MUST_USE enum err evaluation_table(const struct evaluation *e, struct str *out);

#endif
