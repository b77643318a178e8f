/* The micro-kernel in AMX's instructions: C is 2 x 2 tiles, each tile of A and B that is loaded serves twice.
 * BF16_EMULATED (a test's) replaces the instructions by functions of the same names. */
#include "backend/bf16/micro.h"
#include <stdalign.h>
#include <stddef.h>
#include <string.h>
#ifdef BF16_EMULATED
#define MICRO bf16_micro_emulated
extern const struct bf16_micro MICRO;
#else
#include <immintrin.h>
#define MICRO bf16_micro_amx
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Tile registers: C row by row, two of A, two of B. The compiler pastes the numbers into names. */
#define C00 0
#define C01 1
#define C10 2
#define C11 3
#define A0 4
#define A1 5
#define B0 6
#define B1 7
enum { TILES = 8 };

/* GCC's intrinsics do not tell what they read at p: what was stored there must be there. */
#define WRITTEN(p) __asm__ volatile("" : : "r"(p) : "memory")

/* LDTILECFG's operand. */
struct tile_config {
    uint8_t palette, start_row, zero[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

static unsigned begin(int height, int pairs)
{
    struct tile_config config = {.palette = 1};

    for (int i = 0; i < TILES; i++) {
        config.rows[i] = (uint8_t)(i < B0 ? height : pairs);
        config.row_bytes[i] = (uint16_t)(i == A0 || i == A1 ? 4 * pairs : 4 * BF16_TILE);
    }
    WRITTEN(&config);
    _tile_loadconfig(&config);
    return 0;
}

static void end(unsigned saved)
{
    (void)saved;
    _tile_release();
}

/* Every row of the tile is the same one if the stride is 0. */
#define LOAD_C(from, row_bytes)                                                                              \
    do {                                                                                                     \
        _tile_loadd(C00, (from), (row_bytes));                                                               \
        if (right)                                                                                           \
            _tile_loadd(C01, (from) + BF16_TILE, (row_bytes));                                               \
        if (below)                                                                                           \
            _tile_loadd(C10, (from) + (row_bytes) / 4 * t->height, (row_bytes));                             \
        if (below && right)                                                                                  \
            _tile_loadd(C11, (from) + (row_bytes) / 4 * t->height + BF16_TILE, (row_bytes));                 \
    } while (0)

ALWAYS_INLINE void chunk_add(const struct bf16_block *t, const bool below, const bool right,
                             const uint16_t *a, const uint16_t *b)
{
    const int64_t a_bytes = 2 * t->a_row, b_bytes = 2 * BF16_PAIR_ROW;

    _tile_loadd(A0, a, a_bytes);
    _tile_loadd(B0, b, b_bytes);
    _tile_dpbf16ps(C00, A0, B0);
    if (right) {
        _tile_loadd(B1, b + 2 * BF16_TILE, b_bytes);
        _tile_dpbf16ps(C01, A0, B1);
    }
    if (below) {
        _tile_loadd(A1, a + t->height * t->a_row, a_bytes);
        _tile_dpbf16ps(C10, A1, B0);
    }
    if (below && right)
        _tile_dpbf16ps(C11, A1, B1);
}

/* Whole tiles: height or 2 height rows, BF16_TILE or BF16_COLS columns. Inlined with constants. */
ALWAYS_INLINE void tiles_run(const struct bf16_block *t, const bool below, const bool right,
                             const uint16_t *a, const uint16_t *b, float *c, int64_t c_row)
{
    WRITTEN(c);
    if (t->add) {
        LOAD_C(c, 4 * c_row);
    } else if (t->bias) {
        LOAD_C(t->bias, 0);
    } else {
        _tile_zero(C00);
        _tile_zero(C01);
        _tile_zero(C10);
        _tile_zero(C11);
    }
    for (int64_t s = 0; s < t->segments; s++)
        for (int64_t j = 0; j < t->chunks; j++)
            chunk_add(t, below, right, a + t->a_seg[s] + j * 2 * t->pairs,
                      b + t->b_seg[s] + j * t->pairs * BF16_PAIR_ROW);
    _tile_stored(C00, c, 4 * c_row);
    if (right)
        _tile_stored(C01, c + BF16_TILE, 4 * c_row);
    if (below)
        _tile_stored(C10, c + c_row * t->height, 4 * c_row);
    if (below && right)
        _tile_stored(C11, c + c_row * t->height + BF16_TILE, 4 * c_row);
}

static void tiles(const struct bf16_block *t, bool below, bool right, const uint16_t *a, const uint16_t *b,
                  float *c, int64_t c_row)
{
    if (below && right)
        tiles_run(t, true, true, a, b, c, c_row);
    else if (below)
        tiles_run(t, true, false, a, b, c, c_row);
    else if (right)
        tiles_run(t, false, true, a, b, c, c_row);
    else
        tiles_run(t, false, false, a, b, c, c_row);
}

static void block(const struct bf16_block *t, int rows, int cols, const uint16_t *a, const uint16_t *b,
                  float *c)
{
    const bool below = rows > t->height, right = cols > BF16_TILE;
    alignas(64) float whole[2 * BF16_TILE * BF16_COLS];

    if (rows == (below ? 2 : 1) * t->height && cols == (right ? 2 : 1) * BF16_TILE) {
        tiles(t, below, right, a, b, c, t->c_row);
        return;
    }
    for (int r = 0; t->add && r < rows; r++)
        memcpy(whole + r * BF16_COLS, c + r * t->c_row, (size_t)cols * sizeof *c);
    tiles(t, below, right, a, b, whole, BF16_COLS);
    for (int r = 0; r < rows; r++)
        memcpy(c + r * t->c_row, whole + r * BF16_COLS, (size_t)cols * sizeof *c);
}

const struct bf16_micro MICRO = {begin, end, block};
