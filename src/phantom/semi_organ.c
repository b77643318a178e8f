#include "phantom/semi.h"

/* Hollow organs, the lungs and bone have no tissue that a table could raise: they look the same in all
 * phases. */
const struct semi_organ semi_organs[] = {
    {0, 0, PHANTOM_OUTSIDE, SEMI_NONE},
    {1, 1, PHANTOM_SPLEEN, TISSUE_SPLEEN},
    {2, 2, PHANTOM_KIDNEY_R, TISSUE_MEDULLA}, /* its outer SEMI_CORTEX_MM as cortex */
    {3, 3, PHANTOM_KIDNEY_L, TISSUE_MEDULLA},
    {4, 4, PHANTOM_GALLBLADDER, TISSUE_BILE},
    {5, 5, PHANTOM_BODY, SEMI_NONE}, /* the liver: that is the mask's business */
    {6, 6, PHANTOM_STOMACH, SEMI_NONE},
    {7, 7, PHANTOM_PANCREAS, TISSUE_PANCREAS},
    {8, 9, PHANTOM_BODY, TISSUE_MUSCLE}, /* adrenals */
    {10, 14, PHANTOM_LUNG, SEMI_NONE},
    {15, 24, PHANTOM_BODY, SEMI_NONE}, /* oesophagus to kidney cysts */
    {25, 50, PHANTOM_BONE, SEMI_NONE}, /* sacrum, vertebrae */
    {51, 51, PHANTOM_BODY, TISSUE_HEART},
    {52, 52, PHANTOM_AORTA, TISSUE_AORTA},
    {53, 53, PHANTOM_BODY, TISSUE_HEART},  /* pulmonary veins */
    {54, 58, PHANTOM_AORTA, TISSUE_AORTA}, /* its branches in the chest */
    {59, 60, PHANTOM_CAVA, TISSUE_CAVA},   /* brachiocephalic veins */
    {61, 61, PHANTOM_BODY, TISSUE_HEART},
    {62, 63, PHANTOM_CAVA, TISSUE_CAVA},
    {64, 64, PHANTOM_PORTAL, TISSUE_PORTAL},
    {65, 66, PHANTOM_AORTA, TISSUE_AORTA}, /* iliac arteries */
    {67, 68, PHANTOM_CAVA, TISSUE_CAVA},   /* iliac veins */
    {69, 78, PHANTOM_BONE, SEMI_NONE},
    {79, 79, PHANTOM_BODY, SEMI_NONE}, /* spinal cord */
    {80, 89, PHANTOM_BODY, TISSUE_MUSCLE},
    {90, 90, PHANTOM_BODY, SEMI_NONE},
    {91, 117, PHANTOM_BONE, SEMI_NONE}, /* skull, ribs, sternum, cartilages */
    /* not numbers of a file: the kidneys' cortex */
    {1002, 1002, PHANTOM_KIDNEY_R, TISSUE_CORTEX},
    {1003, 1003, PHANTOM_KIDNEY_L, TISSUE_CORTEX},
    {-1, -1, 0, 0},
};
