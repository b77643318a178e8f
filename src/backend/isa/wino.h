/* Winograd convolutions of one instruction set: the transforms of a piece of tiles (wino_tile.c) and the two
 * blocked loops around the products (wino.c, wino_dw.c). */
#ifndef D4M_BACKEND_ISA_WINO_H
#define D4M_BACKEND_ISA_WINO_H

#include "backend/isa/pack.h"
#include "backend/wino_plan.h"

#define wino_transforms KERNEL(wino_transforms)
#define wino_scratch KERNEL(wino_scratch)
#define wino_run KERNEL(wino_run)
#define wino_packed KERNEL(wino_packed)
#define wino_pack KERNEL(wino_pack)
#define wino_dw_scratch KERNEL(wino_dw_scratch)
#define wino_dw_run KERNEL(wino_dw_run)

enum { WINO_TAPS = 27 };

/* Transformed numbers: of point p, tile t of the part, channel c at p * point + t * tile + c. */
struct wino_block {
    REAL *at;
    int64_t point, tile;
};

/* Elements from point to point for `elements` of each: an odd number of cache lines, so that the points do
 * not share cache sets. */
static inline int64_t wino_point_step(int64_t elements)
{
    const int64_t line = WORK_ALIGN / (int64_t)sizeof(REAL);

    return (ceil_div(elements, line) | 1) * line;
}

struct wino_source {
    const REAL *data;
    int64_t pitch, channels;
    const REAL *stage; /* (N, STAGE_ROWS, C) or NULL */
};

struct wino_sink {
    REAL *data;
    int64_t pitch, channels;
    const REAL *bias;     /* (C) or NULL */
    unsigned hook;        /* 0, CONV_MOMENTS or CONV_GATE */
    const REAL *z, *gate; /* CONV_GATE: of the result's shape; its stage (N, STAGE_ROWS, C) */
    int64_t z_pitch;
    bool stream; /* data is written past the caches: whole lines, aligned */
    REAL *sums;  /* with a hook: (2, C) of this part: sums of r and r r, or of g and g (z - centre) */
};

struct wino_transforms {
    /* B' of a part of the source and of what stands outside it */
    void (*input)(const struct wino *q, const struct wino_source *s, const struct wino_part *p,
                  const struct wino_block *to);
    /* A of the gradient's tiles, zero outside it */
    void (*gradient)(const struct wino *q, const struct wino_source *s, const struct wino_part *p,
                     const struct wino_block *to);
    /* A' of the products into the result, through the sink's hook */
    void (*output)(const struct wino *q, const struct wino_sink *s, const struct wino_part *p,
                   const struct wino_block *from);
    /* G of `vectors` vectors of weights, taps[tap][TILE_COLS], to p * point */
    void (*weight)(const REAL taps[][TILE_COLS], int vectors, REAL *to, int64_t point);
    /* G' of one vector of sums at p * point: gradients of the taps at t * tap */
    void (*weight_sum)(const REAL *from, int64_t point, REAL *to, int64_t tap);
};

extern const struct wino_transforms wino_transforms[WINO_VARIANTS];

/* Forward and by data. Takes every hook of its direction. */
size_t wino_scratch(const struct wino *q, int threads);
void wino_run(const struct wino *q, enum conv_dir dir, const struct conv_buf *b);

/* The transformed weights: elements, and the transform. */
int64_t wino_packed(const struct wino *q);
void wino_pack(const struct wino *q, enum conv_dir dir, const struct conv_buf *b);

/* By weights. */
size_t wino_dw_scratch(const struct wino *q, int threads);
void wino_dw_run(const struct wino *q, const struct conv_buf *b);

#endif
