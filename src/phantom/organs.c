#include "phantom/organs.h"
#include "phantom/organ_rule.h"
#include "phantom/scene_paint.h"

/* Section 5 as tables. What their rows are made of: */
#define ELL(x, y, z, rx, ry, rz) .what = PART_ELLIPSOID, .ellipsoid = {{x, y, z}, {rx, ry, rz}, 0, 0}
#define TURNED(x, y, z, rx, ry, rz, yw, pt)                                                                  \
    .what = PART_ELLIPSOID, .ellipsoid = {{x, y, z}, {rx, ry, rz}, yw, pt}
#define CHAIN(name) .what = PART_CHAIN, .chain = name, .beads = sizeof name / sizeof *name
#define FIELD(f) .what = PART_FIELD, .field = FIELD_##f
#define ORGAN(name) .what = PART_ORGAN, .organ = name
#define FUNCTION(name, ...) .what = PART_FUNCTION, .function = name, .number = {__VA_ARGS__}
#define END                                                                                                  \
    {                                                                                                        \
        0                                                                                                    \
    }

/* ---- 3, 4: muscles of the back, vertebrae: in the wall's layer ---- */

static const struct part erector[] = {
    {PART_IS, 0, ELL(36, 0, 0, 31, 17, 400), .spine = 1.72f, .both = true, .wall = true}, END};
static const struct part quadratus[] = {
    {PART_IS, 0, TURNED(68, -70, -90, 15, 9, 80, -.5f, 0), .both = true, .wall = true}, END};
static const struct part psoas[] = {{PART_IS, 0, ELL(37, -50, -120, 17, 19, 105), .both = true, .wall = true},
                                    END};
static const struct part crus[] = {
    {PART_IS, 0, TURNED(15, -30, -30, 6, 13, 75, .5f, 0), .both = true, .wall = true}, END};

static const struct part vertebra[] = {
    {PART_IS, 0, ELL(0, 0, 0, 23, 17.5f, SHAPE_LONG), .spine = 1, .wall = true},
    {PART_ADD, 1.2f, FUNCTION(organ_waist, 0), .wall = true},
    END,
};
static const struct part arch[] = {
    {PART_IS, 0, ELL(0, -27, 0, 15, 12, SHAPE_LONG), .spine = 1, .wall = true},
    {PART_ADD, 1.5f, FUNCTION(organ_waist, 0), .wall = true}, /* beyond section 5: joints, not a pipe */
    END,
};
static const struct part canal[] = {
    {PART_IS, 0, ELL(0, -25, 0, 9.5f, 8.5f, SHAPE_LONG), .spine = 1, .wall = true}, END};
static const struct part cord[] = {{PART_IS, 0, ELL(0, -25, 0, 6, 5, SHAPE_LONG), .spine = 1, .wall = true},
                                   END};
static const struct part spinous[] = {
    {PART_IS, 0, ELL(0, -46, 0, 3.5f, 13, SHAPE_LONG), .spine = 1, .wall = true},
    {PART_INTER, 4, FUNCTION(organ_part_of_vertebra, -6, 11, .4f),
     .wall = true}, /* rounded, falling to the back */
    {PART_INTER, 0, FIELD(DEPTH), .negative = true, .add = 5, .wall = true}, /* under the skin */
    END,
};
static const struct part transverse[] = {
    {PART_IS, 0, TURNED(26, -22, 0, 17, 4.2f, SHAPE_LONG, .35f, 0), .spine = 1, .both = true, .wall = true},
    {PART_INTER, 0, FUNCTION(organ_part_of_vertebra, 2, 8), .wall = true},
    END,
};

/* ---- 5, 6: lungs, heart, oesophagus ---- */

static const struct bead mediastinum[] = {{{-2, -14, 0}, 30}, {{-2, -10, 200}, 30}};
static const struct part lung[] = {
    {PART_IS, 0, FIELD(DIAPHRAGM), .negative = true},
    {PART_INTER, 2, FIELD(CAVITY), .add = 1.5f, .wall = true},
    {PART_SUB, 0, TURNED(-22, 28, 98, 67, 48, 58, .25f, 0)},
    {PART_SUB, 0, CHAIN(mediastinum)},
    {PART_SUB, 0, ELL(0, -12, 0, 36, 36, SHAPE_LONG), .spine = 1, .wall = true},
    {PART_SUB, 0, ORGAN(erector), .add = -2},    /* beyond section 5: no air in muscle */
    {PART_SUB, 0, ORGAN(transverse), .add = -2}, /* and bone */
    END,
};
static const struct part heart[] = {{PART_IS, 0, TURNED(-24, 28, 98, 60, 43, 56, .25f, 0)}, END};
static const struct part ventricle_l[] = {{PART_IS, 0, TURNED(-44, 24, 100, 27, 22, 42, .6f, 0)}, END};
static const struct part ventricle_r[] = {{PART_IS, 0, ELL(2, 36, 100, 27, 25, 46)}, END};
static const struct bead gullet[] = {{{-10, -14, 45}, 8}, {{-8, -16, 200}, 8}};
static const struct part oesophagus[] = {{PART_IS, 0, CHAIN(gullet)}, END};

/* ---- 7, 8, 9: spleen, stomach, colon ---- */

static const struct part spleen[] = {
    {PART_IS, 0, TURNED(-102, -36, 22, 37, 50, 54, .3f, 0), .shift = SHIFT_SPLEEN},
    {PART_SUB, 8, ELL(-60, 8, 26, 40, 48, 66)},
    {PART_INTER, 5, FIELD(CAVITY), .add = 4},
    {PART_INTER, 4, FIELD(DIAPHRAGM), .add = 2},
    {PART_ADD, .8f, FIELD(N24)},
    END,
};
static const struct bead head_to_tail[] = {
    {{36, 10, -30}, 15}, {{20, 22, -12}, 12}, {{-4, 26, -2}, 10}, {{-40, 10, 10}, 11}, {{-78, -14, 20}, 10}};
static const struct bead antrum[] = {
    {{-58, 42, -12}, 28}, {{-28, 56, -36}, 24}, {{12, 48, -32}, 20}, {{34, 32, -24}, 13}};
static const struct part stomach[] = {
    {PART_IS, 0, ELL(-62, 32, 20, 44, 40, 50), .shift = SHIFT_STOMACH, .front = true},
    {PART_UNION, 14, CHAIN(antrum), .front = true},
    /* beyond section 5: it lies before the pancreas, whose vessels would end in the meal */
    {PART_SUB, 6, CHAIN(head_to_tail), .add = -5, .shift = SHIFT_PANCREAS},
    {PART_ADD, 1.5f, FUNCTION(organ_food, .4f)},
    {PART_INTER, 5, FIELD(CAVITY), .add = 2.5f},
    END,
};
/* The transverse colon lies 22 mm further back than in section 5, where the front wall takes its upper half
 * and leaves air that seems free, so 24 mm lower, and over the loops of the small bowel. */
static const struct bead colon_r[] = {{{92, 2, -160}, 22},  {{98, 18, -92}, 24},  {{80, 52, -76}, 20},
                                      {{20, 60, -100}, 17}, {{-50, 60, -86}, 17}, {{-104, 40, -26}, 19}};
static const struct bead colon_l[] = {{{-104, 40, -26}, 18}, {{-118, 0, -60}, 16}, {{-112, -8, -160}, 15}};
static const struct part ascending[] = {
    {PART_IS, 0, CHAIN(colon_r), .front = true},
    {PART_ADD, 2.6f, FUNCTION(organ_haustra, 0)},
    {PART_ADD, 1, FIELD(N10)},
    {PART_INTER, 5, FIELD(CAVITY), .add = 3, .wall = true},
    END,
};
static const struct part descending[] = {
    {PART_IS, 0, CHAIN(colon_l), .front = true},
    {PART_ADD, 2.6f, FUNCTION(organ_haustra, 0)},
    {PART_ADD, 1, FIELD(N10)},
    {PART_INTER, 5, FIELD(CAVITY), .add = 3, .wall = true},
    END,
};

/* ---- 10, 11: kidneys, pancreas, duodenum, adrenals ---- */

/* Beyond section 5, kidneys keep to the spine in flat and deep patients (y -49 where the body's half depth is
 * 110 mm) and end at the back's muscle: the ribs would cut into them, which stay where they are when organs
 * move. */
#define KIDNEY_R TURNED(64, 0, -62, 28, 25, 56, -.45f, .16f), .spine = .98f, .shift = SHIFT_KIDNEY_R
#define KIDNEY_L TURNED(-62, 0, -46, 28, 25, 56, .45f, -.16f), .spine = .98f, .shift = SHIFT_KIDNEY_L
#define KIDNEY_SURFACE                                                                                       \
    {PART_ADD, .5f, FIELD(N10)},                                                                             \
    {                                                                                                        \
        PART_INTER, 5, FIELD(CAVITY), .add = 2.5f                                                            \
    }
#define MEDULLA(kidney)                                                                                      \
    {PART_IS, 0, ORGAN(kidney), .add = 7}, {PART_ADD, 2.2f, FIELD(N10)},                                     \
    {                                                                                                        \
        PART_INTER, 0, FUNCTION(organ_pyramids, 0)                                                           \
    }
static const struct part kidney_r_smooth[] = {{PART_IS, 0, KIDNEY_R}, END};
static const struct part kidney_r[] = {{PART_IS, 0, KIDNEY_R}, KIDNEY_SURFACE, END};
static const struct part kidney_l[] = {{PART_IS, 0, KIDNEY_L}, KIDNEY_SURFACE, END};
static const struct part medulla_r[] = {MEDULLA(kidney_r), END};
static const struct part medulla_l[] = {MEDULLA(kidney_l), END};
/* Uneven, beyond section 5: a smooth one is an eye. */
#define SINUS_SURFACE                                                                                        \
    {PART_ADD, 2.2f, FIELD(N10)},                                                                            \
    {                                                                                                        \
        PART_ADD, 1.8f, FIELD(N4)                                                                            \
    }
static const struct part sinus_r[] = {
    {PART_IS, 0, ELL(47, 0, -62, 16, 12, 30), .spine = .86f, .shift = SHIFT_KIDNEY_R}, SINUS_SURFACE, END};
static const struct part sinus_l[] = {
    {PART_IS, 0, ELL(-47, 0, -46, 16, 12, 30), .spine = .86f, .shift = SHIFT_KIDNEY_L}, SINUS_SURFACE, END};
static const struct part pancreas[] = {
    {PART_IS, 0, CHAIN(head_to_tail), .shift = SHIFT_PANCREAS},
    {PART_ADD, 2.4f, FIELD(N10)},
    {PART_ADD, 1.3f, FIELD(N4)},
    END,
};
static const struct bead loop_of_c[] = {
    {{38, 30, -26}, 13}, {{50, 12, -40}, 13}, {{44, 4, -78}, 13}, {{10, 4, -90}, 12}};
static const struct part duodenum[] = {{PART_IS, 0, CHAIN(loop_of_c)}, END};
static const struct bead limb1[] = {{{-38, -30, -2}, 3}, {{-44, -42, 6}, 3}},
                         limb2[] = {{{-38, -30, -2}, 3}, {{-32, -44, 6}, 3}};
static const struct bead limb3[] = {{{30, -30, 10}, 2.6f}, {{40, -46, 16}, 2.6f}};
static const struct part adrenals[] = {
    {PART_IS, 0, CHAIN(limb1)}, {PART_UNION, 0, CHAIN(limb2)}, {PART_UNION, 0, CHAIN(limb3)}, END};

/* ---- 12: gallbladder, liver, vena cava ---- */

static const struct bead neck[] = {{{48, 34, -16}, 7}, {{36, 20, -2}, 3}};
static const struct part gallbladder[] = {
    {PART_IS, 0, TURNED(52, 40, -34, 15, 17, 27, 0, .35f), .shift = SHIFT_GALLBLADDER},
    {PART_UNION, 8, CHAIN(neck)},
    END,
};
static const struct bead porta[] = {{{12, 12, -14}, 13}, {{26, 12, 6}, 8}, {{36, 16, 15}, 4}};
const struct part organ_liver[] = {
    {PART_IS, 0, ELL(82, -4, 6, 76, 96, 94), .stretch = {1, 0, 3}},                     /* right lobe */
    {PART_UNION, 18, TURNED(4, 50, 36, 92, 44, 40, -.16f, .06f), .stretch = {1, 0, 0}}, /* left lobe */
    {PART_UNION, 8, ELL(20, 2, 26, 19, 19, 27)},                                        /* caudate lobe */
    {PART_SUB, 14, ELL(-4, -2, -80, 80, 92, 88), .stretch = {0, 0, 2}},                 /* visceral surface */
    {PART_SUB, 22, ELL(0, -60, 0, 46, 46, SHAPE_LONG)},                                 /* spine */
    {PART_SUB, 10, ELL(-78, -5, 30, 62, 62, 60)},                                       /* stomach */
    {PART_SUB, 5, ORGAN(kidney_r_smooth), .add = -5},
    {PART_SUB, 2, ORGAN(gallbladder), .add = -1},
    {PART_SUB, 3, FUNCTION(organ_ligament, 0)},
    {PART_SUB, 5, CHAIN(porta)},
    {PART_ADD, 1.6f, FIELD(N24)},
    {PART_ADD, .5f, FIELD(N10)},
    {PART_INTER, 4, FIELD(DIAPHRAGM), .add = 2},
    {PART_INTER, 5, FIELD(CAVITY), .add = 4}, /* 2.5 in section 5, as the spleen's: it would reach ribs */
    END,
};
static const struct bead caval[] = {{{19, -17, -200}, 10.5f},
                                    {{20, -18, -40}, 11},
                                    {{24, -12, 20}, 11.5f},
                                    {{27, -3, 62}, 11.5f},
                                    {{24, 6, 96}, 12}};
static const struct part cava[] = {{PART_IS, 0, CHAIN(caval)}, END};

/* ---- 14, 15, 16: great vessels. Branches keep their millimetres at any scale of the body; the trunks of
 * aorta and cava scale with it, or they would cut into one another in a small one. ---- */

static const struct bead mesenteric_vein[] = {
    {{15, 18, -150}, 5}, {{13, 18, -50}, 5.5f}, {{13, 13, -14}, 6.5f}, {{26, 12, 4}, 6.2f}};
static const struct bead splenic_vein[] = {
    {{13, 13, -14}, 5}, {{-10, 14, -6}, 4.6f}, {{-44, 2, 6}, 4.2f}, {{-82, -18, 22}, 3.6f}};
static const struct part portal[] = {
    {PART_IS, 0, CHAIN(mesenteric_vein), .vessel = true},
    {PART_UNION, 0, CHAIN(splenic_vein), .vessel = true},
    END,
};
static const struct bead renal_vein_r[] = {
    {{20, -17, -56}, 4.5f}, {{34, -30, -60}, 4.2f}, {{46, -46, -62}, 3.4f}};
static const struct bead renal_vein_l[] = {
    {{20, -14, -50}, 4.2f}, {{-8, -6, -44}, 4}, {{-30, -28, -44}, 3.8f}, {{-44, -46, -46}, 3.2f}};
static const struct part renal_veins[] = {
    {PART_IS, 0, CHAIN(renal_vein_r), .vessel = true},
    {PART_UNION, 0, CHAIN(renal_vein_l), .vessel = true},
    END,
};
static const struct bead trunk[] = {{{-10, -19, -220}, 8.5f},
                                    {{-11, -20, -60}, 9.5f},
                                    {{-10, -21, 20}, 10.5f},
                                    {{-14, -26, 80}, 11.5f},
                                    {{-18, -34, 220}, 12}};
static const struct bead mesenteric_artery[] = {
    {{-10, -14, -18}, 4}, {{-1, 2, -30}, 3.8f}, {{1, 14, -60}, 3.6f}, {{0, 16, -150}, 3}};
static const struct bead coeliac_hepatic[] = {
    {{-10, -14, 2}, 3.8f}, {{-6, 2, 4}, 3.4f}, {{14, 10, 2}, 2.8f}, {{26, 16, 10}, 2.3f}};
static const struct bead splenic_artery[] = {
    {{-6, 2, 4}, 3.2f}, {{-28, -2, 18}, 2.7f}, {{-52, -10, 10}, 2.7f}, {{-80, -20, 26}, 2.3f}};
static const struct bead renal_artery_r[] = {
    {{-10, -20, -46}, 3.2f}, {{30, -30, -52}, 2.7f}, {{46, -44, -60}, 2.4f}};
static const struct bead renal_artery_l[] = {
    {{-12, -20, -42}, 3.2f}, {{-32, -32, -44}, 2.7f}, {{-46, -44, -46}, 2.4f}};
static const struct part aorta[] = {
    {PART_IS, 0, CHAIN(trunk)},
    {PART_UNION, 0, CHAIN(mesenteric_artery), .vessel = true},
    {PART_UNION, 0, CHAIN(coeliac_hepatic), .vessel = true},
    {PART_UNION, 0, CHAIN(splenic_artery), .vessel = true},
    {PART_UNION, 0, CHAIN(renal_artery_r), .vessel = true},
    {PART_UNION, 0, CHAIN(renal_artery_l), .vessel = true},
    END,
};
static const struct part plaques[] = {
    {PART_IS, 0, CHAIN(trunk), .add = .6f},
    {PART_SHELL, 1.2f, .what = PART_SELF},
    {PART_INTER, 0, FUNCTION(organ_plaques, 0)},
    END,
};

/* ---- the painting order ---- */

#define MIX(a, s) .mix = {{TISSUE_##a, s}}
#define MIX2(a, s, b, t) .mix = {{TISSUE_##a, s}, {TISSUE_##b, t}}
#define MUSCLE_OF_WALL .hu = {MIX(MUSCLE, 1), .n10 = 4}, .wall = true

/* clang-format off */
const struct organ organs[] = {
    /* shape, inset, label, edge mm, HU */
    /*  1 */ {.paint = scene_couch},
    /*  2 */ {.paint = scene_wall},
    /*  3 */ {erector,   0, PHANTOM_BODY, 1, MUSCLE_OF_WALL},
             {quadratus, 0, PHANTOM_BODY, 1, MUSCLE_OF_WALL},
             {psoas,     0, PHANTOM_BODY, 1, MUSCLE_OF_WALL},
             {crus,      0, PHANTOM_BODY, 1, MUSCLE_OF_WALL},
    /*  4 */ {vertebra,   0, PHANTOM_BONE, 1, .hu = {.more = organ_marrow}, .wall = true},
             {arch,       0, PHANTOM_BONE, 1, .hu = {.bone = 380}},
             {canal,      0, PHANTOM_BODY, 1, .hu = {.base = 5}},
             {cord,       0, PHANTOM_BODY, 1, .hu = {.base = 38}},
             {spinous,    0, PHANTOM_BONE, 1, .hu = {.bone = 330}},
             {transverse, 0, PHANTOM_BONE, 1, .hu = {.bone = 350}},
    /*  5 */ {lung, 0, PHANTOM_LUNG, .9f, .hu = {-865, .n10 = 18, .n24 = 10, .more = organ_lung_vessels}, .kept = ORGAN_KEPT_LUNG},
    /*  6 */ {heart,       0, PHANTOM_BODY, 1, .hu = {MIX(HEART, 1)}},
             {ventricle_l, 0, PHANTOM_BODY, 1, .hu = {6, MIX(AORTA, .85f)}},
             {ventricle_r, 0, PHANTOM_BODY, 1, .hu = {4.5f, MIX2(AORTA, .6375f, CAVA, .25f)}},
             {oesophagus,  0, PHANTOM_BODY, 1, .hu = {MIX(WALL, 1)}},
    /*  7 */ {spleen, 0, PHANTOM_SPLEEN, .9f, .hu = {MIX(SPLEEN, 1), .n10 = 2, .more = organ_stripes}},
    /*  8 */ {.paint = scene_mesenteric},
             {stomach, 0,    PHANTOM_STOMACH, .9f, .hu = {MIX(WALL, 1)}},
             {stomach, 4.2f, PHANTOM_STOMACH, .9f, .hu = {.more = organ_meal}},
    /*  9 */ {.paint = scene_bowel},
             {ascending,  0,    PHANTOM_BODY, .9f, .hu = {MIX(WALL, 1)}},
             {ascending,  2.6f, PHANTOM_BODY, .9f, .hu = {40, .n4 = 45, .more = organ_colon_gas, .level = 60}},
             {descending, 0,    PHANTOM_BODY, .9f, .hu = {MIX(WALL, 1)}},
             {descending, 2.6f, PHANTOM_BODY, .9f, .hu = {40, .n4 = 45, .more = organ_colon_gas, .level = 20}},
    /* 10 */ {kidney_r,  0, PHANTOM_KIDNEY_R, .9f, .hu = {MIX(CORTEX, 1)}},
             {medulla_r, 0, 0, 1.2f, .hu = {MIX(MEDULLA, 1)}},
             {sinus_r,   0, 0, 1,    .hu = {25, MIX(FAT, 1)}},
             {sinus_r,   7, 0, 1,    .hu = {MIX(PELVIS, 1)}},
             {kidney_l,  0, PHANTOM_KIDNEY_L, .9f, .hu = {MIX(CORTEX, 1)}},
             {medulla_l, 0, 0, 1.2f, .hu = {MIX(MEDULLA, 1)}},
             {sinus_l,   0, 0, 1,    .hu = {25, MIX(FAT, 1)}},
             {sinus_l,   7, 0, 1,    .hu = {MIX(PELVIS, 1)}},
    /* 11 */ {pancreas, 0,    PHANTOM_PANCREAS, 1.2f, .hu = {MIX(PANCREAS, 1), .n4 = 5}},
             {duodenum, 0,    PHANTOM_BODY, .9f, .hu = {MIX(WALL, 1)}},
             {duodenum, 2.8f, PHANTOM_BODY, .9f, .hu = {.base = 22}},
             {adrenals, 0,    PHANTOM_BODY, .9f, .hu = {MIX(MUSCLE, 1), .phase = {0, 20, 18, 8}}},
    /* 12 */ {organ_liver, 0, PHANTOM_LIVER, .9f, .hu = {MIX(LIVER, 1), .n24 = 1.6f, .more = organ_parenchyma}, .kept = ORGAN_KEPT_LIVER},
             {gallbladder, 0, PHANTOM_GALLBLADDER, .9f, .hu = {MIX2(LIVER, .3f, WALL, .6f)}},
             {gallbladder, 2, PHANTOM_GALLBLADDER, .9f, .hu = {MIX(BILE, 1)}},
             {.paint = scene_trees},
             {cava, 0, PHANTOM_CAVA, .9f, .hu = {MIX(CAVA, 1), .more = organ_renal_inflow}},
    /* 13 */ {.paint = scene_lesions},
    /* 14 */ {portal, 0, PHANTOM_PORTAL, .9f, .hu = {MIX(PORTAL, 1)}},
    /* 15 */ {renal_veins, 0, 0, .8f, .hu = {MIX(CAVA, 1), .more = organ_renal_vein}},
    /* 16 */ {aorta,   0, PHANTOM_AORTA, .9f, .hu = {MIX(AORTA, 1)}},
             {plaques, 0, 0, .8f, .hu = {.base = 600}},
    /* 17 */ {.paint = scene_ribs},
};
/* clang-format on */
const int organs_count = sizeof organs / sizeof *organs;
