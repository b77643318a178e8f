/* Winograd convolutions: which shapes take them, with which tiles, and how the work is cut. The same for both
 * instruction sets, because the choice is part of the numerics (winograd.md section 10).
 *
 * A variant says how many outputs a tile has along each axis: m = 4, 3 or 2 outputs come from m + 2 inputs
 * through m + 2 products a channel pair (F(m, 3)); m = 1 is an axis without kernel. */
#ifndef D4M_BACKEND_WINO_PLAN_H
#define D4M_BACKEND_WINO_PLAN_H

#include "backend/kernels.h"

enum wino_variant { WINO_444, WINO_333, WINO_244, WINO_222, WINO_144, WINO_122, WINO_VARIANTS };

enum {
    WINO_POINTS = 216, /* most products of a tile: 6 x 6 x 6 */
    WINO_PIECE = 12,   /* most tiles of a piece */
};

struct wino {
    enum wino_variant variant;
    int64_t m[3];     /* outputs of a tile; D, H, W */
    int64_t points;   /* products of a tile and channel pair */
    int64_t n;        /* samples */
    int64_t from[3];  /* size of what the tiles read */
    int64_t size[3];  /* of what they tile: the result, for CONV_DW y */
    int64_t low[3];   /* first position that tile 0 reads */
    int64_t tiles[3]; /* per axis */
    /* A piece is a run of at most WINO_PIECE tiles along w; pieces are counted in the order of n, d, h, w. */
    int64_t piece, row_pieces, pieces; /* tiles of a full piece; pieces of a row of tiles; in all */
    bool packed;                       /* the weights come transformed */
    enum conv_pad outside;             /* of what the tiles read */
    int64_t depth, cols; /* channels that are summed over and of the result; for CONV_DW of x and y */
};

/* Whether the shape goes to a Winograd path, and if so its plan. */
bool wino_plan(struct wino *q, const struct conv_shape *s, enum conv_dir dir);

/* Tiles w .. w + tiles - 1 of one row of tiles, channels c0 .. c1 - 1 (whole vectors). */
struct wino_part {
    int64_t n, d, h, w, tiles, c0, c1;
};

/* Piece `index` of the plan, all channels. */
struct wino_part wino_part_at(const struct wino *q, int64_t index, int64_t channels);

/* Tiles of `count` pieces from `first` on. */
int64_t wino_tiles(const struct wino *q, int64_t first, int64_t count);

/* What the choice weighs, in seconds of one AVX-512 core; fitted by bench/bench_winograd.c. */
struct wino_cost {
    double winograd, direct;
};
struct wino_cost wino_cost(const struct wino *q, const struct conv_shape *s, enum conv_dir dir);

#endif
