/* Inside of the gallery: where to look (gallery_plan.c), a case sampled there (gallery_case.c), and what
 * draws it (gallery_montage.c, gallery_motion.c, gallery_sheet.c). */
#ifndef D4M_LAB_GALLERY_PARTS_H
#define D4M_LAB_GALLERY_PARTS_H

#include "eval/canvas.h"
#include "lab/gallery.h"
#include "lab/view.h"
#include "phantom/phantom.h"

/* What a label means to a picture, whatever its number in the file. */
enum role { ROLE_NONE, ROLE_LIVER, ROLE_MALIGNANT, ROLE_BENIGN, ROLE_VESSEL };
enum outline { OUTLINE_LIVER, OUTLINE_MALIGNANT, OUTLINE_BENIGN, OUTLINES };

/* Labels as roles (VOXEL_U8), cropped to what has one; *out is NULL if nothing has. truth: numbers of
 * phantom.md section 1, else 1 liver and everything above lesions. A file without geometry lies on `image`.
 */
MUST_USE enum err gallery_roles_load(struct volume **out, const char *path, bool truth,
                                     const struct grid *image);
/* Volumes and count of lesions. */
MUST_USE enum err gallery_roles_count(struct gallery_facts *f, const struct volume *roles);

/* Fills kinds and moved from truth/CASE.json; what cannot be read is noted and left out. */
MUST_USE enum err gallery_truth_read(struct gallery_facts *f, const char *path, struct notes *n);

/* An image on a view, and the shares of what is outlined on it. */
struct gallery_panel {
    struct view view;
    float *hu;
    float *share[OUTLINES]; /* NULL: not outlined */
};
void gallery_panel_free(struct gallery_panel *p);
/* roles NULL: no outlines. On failure the panel still has to be freed. */
MUST_USE enum err gallery_panel_sample(struct gallery_panel *p, const struct view *v,
                                       const struct volume *image, const struct volume *roles);
/* Share of the liver with its lesions, and of the vessels that it encloses. */
MUST_USE enum err gallery_liver_share(float *share, const struct view *v, const struct volume *roles);
/* Draws it with its upper left corner at `at`; lines of `width` pixels. */
MUST_USE enum err gallery_panel_draw(cairo_t *cr, const struct gallery_panel *p, const double window[2],
                                     const double at[2], double width);
extern const double gallery_colour[OUTLINES][3];

/* Where the pictures of a case look. Positions in mm. */
struct gallery_plan {
    double lo[3], hi[3]; /* what panels show: the body across and front to back, as much from feet to head */
    int levels;
    double level[GALLERY_LEVELS]; /* from head to feet */
    int lesion_level;             /* the one through the largest lesion, -1: there is none */
    double coronal;               /* of the montage */
    double middle[3];             /* of the animation: R, A, S of the sagittal, coronal, axial plane */
    double thumb;                 /* level on the sheet */
};
/* `image` is the reference phase; roles may be NULL; facts: which phases there are, and their grids. */
MUST_USE enum err gallery_plan_make(struct gallery_plan *out, const struct volume *image,
                                    const struct volume *roles, const struct gallery_facts *f, int levels);

/* A phase at all planes: the levels and behind them the coronal plane, the animation, the sheet. */
struct gallery_row {
    struct gallery_panel level[GALLERY_LEVELS + 1];
    struct gallery_panel motion[PLANES];
    struct gallery_panel small;
};
struct gallery_scene {
    struct gallery_facts facts;
    struct gallery_plan plan;
    double window[2];
    bool outlined; /* liver and lesions, in montage and sheet */
    int reference; /* channel that the case's label belongs to */
    struct view view[GALLERY_LEVELS + 1], motion[PLANES], small;
    struct gallery_row row[PLAN_MAX_PHASES]; /* empty where a phase is missing */
    float *fixed[PLANES]; /* share of the reference's liver on the animation's planes, NULL: none */
};

/* Reads a case and samples it; gallery_scene_close accepts a zeroed struct. */
MUST_USE enum err gallery_scene_open(struct gallery_scene *s, const struct case_list *l, size_t item,
                                     const struct gallery_look *look, struct notes *n);
void gallery_scene_close(struct gallery_scene *s);

struct gallery_thumb {
    char *name;
    int phases;
    char phase[PLAN_MAX_PHASES][32];
    struct gallery_panel panel[PLAN_MAX_PHASES]; /* hu NULL: missing */
};
enum { THUMB_WIDTH = 160, THUMB_HEIGHT = 124 }; /* pixels, most of a small panel */

/* Drawing that the pictures share. x and y of text are baselines; `size` is the text's, in pixels. */
/* clang-format off */
#define GALLERY_SOFT {0.60, 0.64, 0.69}
/* clang-format on */
void gallery_background(cairo_t *cr);
void gallery_missing(cairo_t *cr, const struct view *v, const double at[2], double size);
/* What the outlines are; returns where the keys end. */
double gallery_keys(cairo_t *cr, double x, double y, bool benign);
void gallery_scale_bar(cairo_t *cr, double x, double y, const struct view *v); /* 50 mm, ends at x */

/* Where the montage has the upper left corner of a panel. */
void gallery_montage_corner(const struct gallery_scene *s, int phase, int column, double at[2]);
/* PNG bytes appended to png; the animation is left empty with fewer than two phases. */
MUST_USE enum err gallery_montage(struct str *png, const struct gallery_scene *s);
MUST_USE enum err gallery_motion(struct str *png, const struct gallery_scene *s);

#endif
