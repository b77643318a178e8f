/* The whole patient painted at sample points (phantom.md sections 4 and 5). */
#ifndef D4M_PHANTOM_SCENE_H
#define D4M_PHANTOM_SCENE_H

#include "phantom/body.h"
#include "phantom/lesion.h"
#include "phantom/tissue.h"
#include "phantom/tree.h"

struct scene {
    struct body body;
    struct tissues tissues;
    struct tree portal, hepatic;
    struct lesions lesions;
    float grow[PHANTOM_LESIONS][PHANTOM_PHASES]; /* mm, the key `extent` */
};

struct scene_scratch; /* one a thread */
MUST_USE enum err scene_scratch_new(struct scene_scratch **out);
void scene_scratch_free(struct scene_scratch *s);
/* For tests: every shape is evaluated in every block, however far it is. The result is the same. */
void scene_scratch_thorough(struct scene_scratch *s, bool on);

/* HU and label (with PHANTOM_LESION + i) of phase `phase` at n <= BLOCK_MAX points: p of the visceral layer,
 * q of the wall. pixel: mm, half of it is the least half width of an edge. */
struct scene_points {
    const struct points *p, *q;
    int n;
    float pixel;
};
void scene_sample(const struct scene *s, int phase, const struct scene_points *at,
                  struct scene_scratch *scratch, float *hu, uint8_t *label);

#endif
