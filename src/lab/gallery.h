/* Pictures of data sets, made to be looked at: a montage of each case (phases down, levels across), a contact
 * sheet over cases, and an animation that shows how far the phases of a case lie apart. All phases are shown
 * at the same positions in patient space (mm), whatever their grids, by their headers alone: what moved
 * between two breath-holds is seen to move. One image is in memory at a time. */
#ifndef D4M_LAB_GALLERY_H
#define D4M_LAB_GALLERY_H

#include "base/command.h"
#include "base/str.h"
#include "data/cases.h"
#include "volume/volume.h"

enum { GALLERY_LEVELS = 12, GALLERY_PANEL = 300, GALLERY_SHEET_CASES = 40 };

struct gallery_look {
    double window[2];  /* HU shown black and white; both 0: [-140, 220] */
    int levels;        /* axial levels of a montage, 1..GALLERY_LEVELS; 0: 6 */
    int panel;         /* pixels across a panel; 0: GALLERY_PANEL */
    bool lesions;      /* outline liver and lesions in montage and sheet */
    bool plain_motion; /* no fixed outline of the liver in the animation */
};

/* What a case is, for captions. */
struct gallery_facts {
    char *name;
    int phases;                      /* channels of the data set */
    char phase[PLAN_MAX_PHASES][32]; /* names to be read */
    bool present[PLAN_MAX_PHASES];
    struct grid grid[PLAN_MAX_PHASES];
    bool labelled;              /* the numbers below are known */
    bool truth;                 /* every phase has labels of its own */
    double liver_ml, lesion_ml; /* of the label; liver with lesions */
    int lesions;                /* components (26 neighbours) */
    double largest_ml;          /* volume of the largest one */
    struct str kinds, moved;    /* a phantom's lesions, misalignment and noise in words, else empty */
};

struct gallery_thumb; /* small panels of one case, for the sheet */

struct gallery_pictures {
    struct str montage, motion; /* PNG files; motion is empty with fewer than two phases */
    struct gallery_thumb *thumb;
    struct gallery_facts facts;
};
/* Draws one case of a list. A phantom's truth/CASE_labels_000k beside its image folder (phantom.md section 1)
 * says where to look and gives every phase its own outlines; else the case's label does, at the same place in
 * every phase. Notes tell what was left out. Codes of nifti_load_hu; ERR_INPUT: no phase is there. */
MUST_USE enum err gallery_case(struct gallery_pictures *out, const struct case_list *l, size_t item,
                               const struct gallery_look *look, struct notes *n);
void gallery_facts_free(struct gallery_facts *f);
void gallery_pictures_free(struct gallery_pictures *p); /* accepts a zeroed struct */

void gallery_thumb_free(struct gallery_thumb *t);

struct gallery_page {
    const struct gallery_thumb *const *thumb;
    size_t count; /* 1..GALLERY_SHEET_CASES */
    const char *title;
};
/* One page of the contact sheet as PNG bytes appended to png: per case its phases at the level of the largest
 * lesion, else of the liver's middle, name below. */
MUST_USE enum err gallery_sheet(struct str *png, const struct gallery_page *page,
                                const struct gallery_look *look);

struct gallery_job {
    const char *dataset, *output;
    struct gallery_look look;
    const char *const *only; /* names of cases, NULL: all */
    size_t only_count;
    const char *command_line; /* for the foot of the page; may be NULL */
    const struct progress *progress;
    atomic_int *stop;
    struct notes *notes;
};
struct gallery_result {
    size_t cases, failed;
    int pages;
    struct str failures; /* "NAME: why; ..." */
};
/* The whole gallery of a data set (nnU-Net raw; imagesTr and imagesTs): output/index.html, sheet_NN.png,
 * CASE_montage.png, CASE_motion.png. Cases that cannot be drawn are told on the page and counted.
 * ERR_USAGE: the folder cannot be read, or `only` names no case; ERR_INPUT: no cases; ERR_OUTPUT. */
MUST_USE enum err gallery_write(struct gallery_result *out, const struct gallery_job *job);

extern const struct command cmd_gallery;

#endif
