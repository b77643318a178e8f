/* Painting a block: what a row of the painting order works with, and the rows that are painted by hand. */
#ifndef D4M_PHANTOM_SCENE_PAINT_H
#define D4M_PHANTOM_SCENE_PAINT_H

#include "phantom/organs.h"
#include "phantom/scene.h"

struct paint {
    const struct scene *scene;
    int phase, n;
    struct layers layers;
    const struct points *p; /* visceral, mm */
    float unit;             /* unit millimetres a millimetre: 1/k */
    float least;            /* least half width of an edge, mm */
    const float *liver;     /* its distance in the block, unit mm; NULL: not near */
    float *hu;              /* what is painted so far */
    uint8_t *label;
};

/* HU of a tissue in this phase. */
float scene_tissue(const struct paint *p, enum tissue t);
/* Half width of an edge, unit mm. */
float scene_edge(const struct paint *p, float width);
/* Paints hu where d + inset < 0 (unit mm). width: scene_edge. */
void scene_blend(struct paint *p, const float *d, float inset, float width, const float *hu);
void scene_label(struct paint *p, const float *d, float inset, enum phantom_label label);
void scene_rule(const struct paint *p, const struct organ *o, const float *d, float *hu);

bool scene_couch_near(const struct shape_box *wall);
void scene_couch(struct paint *p);
void scene_wall(struct paint *p); /* skin, fat, muscle, cavity */
void scene_mesenteric(struct paint *p);
void scene_bowel(struct paint *p);
void scene_trees(struct paint *p);
void scene_lesions(struct paint *p);
void scene_ribs(struct paint *p);

#endif
