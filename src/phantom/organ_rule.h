/* What the tables of organs.c cannot say with numbers: distances and HU as functions. */
#ifndef D4M_PHANTOM_ORGAN_RULE_H
#define D4M_PHANTOM_ORGAN_RULE_H

#include "phantom/organs.h"

/* Distances, or what is added to one. */
void organ_waist(const struct part *p, struct view *v, float *d); /* of a vertebra's body */
void organ_part_of_vertebra(const struct part *p, struct view *v,
                            float *d); /* |zeta - a| < b, falling by c to the back */
void organ_food(const struct part *p, struct view *v,
                float *d); /* N10; times a number unless there is food */
void organ_haustra(const struct part *p, struct view *v, float *d);
void organ_pyramids(const struct part *p, struct view *v, float *d); /* of the kidney */
void organ_ligament(const struct part *p, struct view *v, float *d); /* slit of the round one */
void organ_plaques(const struct part *p, struct view *v, float *d);

/* HU. */
void organ_marrow(const struct paint *p, const struct organ *o, const float *d, float *hu);
void organ_lung_vessels(const struct paint *p, const struct organ *o, const float *d, float *hu);
void organ_stripes(const struct paint *p, const struct organ *o, const float *d,
                   float *hu); /* of an arterial spleen */
void organ_meal(const struct paint *p, const struct organ *o, const float *d, float *hu);
void organ_colon_gas(const struct paint *p, const struct organ *o, const float *d, float *hu);
void organ_parenchyma(const struct paint *p, const struct organ *o, const float *d, float *hu);
void organ_renal_inflow(const struct paint *p, const struct organ *o, const float *d,
                        float *hu); /* into the cava */
void organ_renal_vein(const struct paint *p, const struct organ *o, const float *d, float *hu);

#endif
