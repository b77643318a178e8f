#include "phantom/lesion_kind.h"
#include <stddef.h>

const char *const lesion_names[] = {"hcc", "metastasis", "icc", "cyst", "haemangioma", "fnh", NULL};

/* clang-format off */
const struct lesion_row lesion_rows[LESION_KINDS] = {
    [LESION_HCC] = {
        .malignant = true,
        .median = 22, .spread = .7, .bump = .10, .border = {1.2, 2.6}, .texture = {2, .1},
        /*          non-contrast arterial  portal ven. delayed */
        .usual   = {{-7, 5},     {38, 14}, {-10, 8},   {-22, 8}},
        .other   = {{0},         {-6, 8},  {2, 8},     {-4, 8}},
        .otherwise = {[PHANTOM_ART] = {CHANCE_ARTERY, .20, .20},
                      [PHANTOM_PVP] = {CHANCE_WASHOUT, .55, .25}, [PHANTOM_DEL] = {CHANCE_WASHOUT, .55, .25}},
        .mosaic   = {.from = 28, .size = 11, .sd = {3, 12, 8, 7}},
        .necrosis = {.from = 45, .odds = .6, .hu = 26, .begin = .55, .wavy = .40, .soft = .15},
        .shell    = {.from = 18, .odds = .6, .depth = .6, .width = {1.3, 1.3, 1.3, 1.3},
                     .change = {0, -4, 10, 24}, .replaces = true},
    },
    [LESION_METASTASIS] = {
        .malignant = true,
        .median = 14, .spread = .7, .bump = .12, .border = {1.8, 4}, .texture = {4, 0},
        .usual   = {{-14, 6},    {-14, 6}, {-42, 11},  {-26, 9}},
        .other   = {{0},         {40, 0},  {-12, 0},   {-18, 0}},
        .otherwise = {[PHANTOM_ART] = {CHANCE_ARTERY, .15, .15},
                      [PHANTOM_PVP] = {CHANCE_ARTERY, .15, .15}, [PHANTOM_DEL] = {CHANCE_ARTERY, .15, .15}},
        .core     = {.from = 15, .begin = .3, .soft = .4, .change = {-4, -6, -12, 4}},
        .necrosis = {.from = 35, .odds = .7, .hu = 22, .begin = .5, .wavy = .35, .soft = .2},
        /* Rims are thinner than in section 8, and the smallest, dark spots in CT, have none. */
        .shell    = {.from = 10, .odds = .7, .depth = .5, .depth_by_radius = .12,
                     .width = {.8, .8, .8, .8}, .width_by_diameter = .05, .change = {0, 24, 26, 10}},
    },
    [LESION_ICC] = {
        .malignant = true,
        .median = 36, .spread = .4, .bump = .20, .border = {2.5, 5}, .texture = {5, 0},
        .usual   = {{-16, 5},    {-20, 6}, {-34, 8},   {14, 9}},
        .other   = {{0},         {0},      {0},        {-12, 7}},
        .otherwise = {[PHANTOM_DEL] = {CHANCE_WASHOUT, .40, .40}},
        .mottle   = {0, 6, 6, 6},
        .shell    = {.from = 0, .odds = 1, .depth = 2, .width = {4.5, 2.2, 4.5, 4.5}, .change = {0, 34, 24, 4}},
    },
    [LESION_CYST] = {
        .median = 13, .spread = .5, .bump = .04, .border = {.7, .7}, .fluid = true,
        .usual   = {{7, 4},      {7, 4},   {7, 4},     {7, 4}},
    },
    [LESION_HAEMANGIOMA] = {
        .median = 20, .spread = .5, .bump = .10, .border = {.8, 1.4}, .texture = {4, 0},
        .usual   = {{-17, 4},    {-12, 0}, {-26, 0},   {-14, 0}},
        .fill     = {.from = 14, .begin = {0, .26, .52, .95}, .wavy = {0, .22, .18, .09},
                     .closed = {0, -.15, .7, 2}, .of_blood = {0, .32, .75, 0}, .plus = {0, 0, 20, 18}},
    },
    [LESION_FNH] = {
        .median = 30, .spread = .35, .bump = .08, .border = {1, 2}, .texture = {4, 0},
        .usual   = {{-5, 3},     {52, 12}, {7, 5},     {1, 4}},
        .scar     = {.from = 25, .odds = .6, .change = {-6, -38, -14, 14}},
    },
};
/* clang-format on */

bool lesion_malignant(enum lesion_kind k)
{
    return lesion_rows[k].malignant;
}

double lesion_change(const struct lesion *l, int phase)
{
    const struct lesion_row *row = &lesion_rows[l->kind];
    double odds = l->diameter < 20 ? row->otherwise[phase].small : row->otherwise[phase].large;
    const struct lesion_change *c =
        l->uniform[row->otherwise[phase].by] < odds ? &row->other[phase] : &row->usual[phase];

    return c->mean + c->sd * l->normal[row->fluid ? 0 : phase];
}

bool lesion_has(const struct lesion *l, enum lesion_chance by, double from, double odds)
{
    return l->diameter > from && l->uniform[by] < odds;
}
