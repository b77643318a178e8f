#include "backend/strided.h"

#include <stdbool.h>
#include <string.h>

/* A tile writes long runs (TO) and reads a cache line of each of as many rows (FROM elements). A piece of
 * work has about PIECE elements, at most ROW in a row. */
enum { TO = 256, FROM = 16, PIECE = 16 * 1024, ROW = 4096 };

void strided_axis(struct strided *w, int64_t extent, int64_t from, int64_t to)
{
    const int last = w->axes - 1;

    if (extent == 1)
        return;
    if (last >= 0 && w->from[last] == from * extent && w->to[last] == to * extent) {
        w->extent[last] *= extent;
        w->from[last] = from;
        w->to[last] = to;
    } else {
        w->extent[w->axes] = extent;
        w->from[w->axes] = from;
        w->to[w->axes++] = to;
    }
}

/* Two axes of the boxes; 1 the inner one. */
struct plane {
    int64_t n0, n1, from0, from1, to0, to1;
    size_t size;
};

#define STRIDED(name, type)                                                                                  \
    static void name(type *to, const type *from, const struct plane *p)                                      \
    {                                                                                                        \
        for (int64_t i = 0; i < p->n0; i++)                                                                  \
            for (int64_t j = 0; j < p->n1; j++)                                                              \
                to[i * p->to0 + j * p->to1] = from[i * p->from0 + j * p->from1];                             \
    }
STRIDED(strided_2, uint16_t)
STRIDED(strided_4, uint32_t)
STRIDED(strided_8, uint64_t)

static void tile_copy(void *to, const void *from, const struct plane *p)
{
    if (p->size == sizeof(uint16_t))
        strided_2(to, from, p);
    else if (p->size == sizeof(uint32_t))
        strided_4(to, from, p);
    else
        strided_8(to, from, p);
}

/* Rows that are contiguous on both sides at once; what crosses the rows (a transposition) in tiles that fit
 * the cache. */
static void plane_copy(char *to, const char *from, const struct plane *p)
{
    if (p->from1 == 1 && p->to1 == 1) {
        for (int64_t i = 0; i < p->n0; i++)
            memcpy(to + (size_t)(i * p->to0) * p->size, from + (size_t)(i * p->from0) * p->size,
                   (size_t)p->n1 * p->size);
        return;
    }
    for (int64_t i = 0; i < p->n0; i += FROM)
        for (int64_t j = 0; j < p->n1; j += TO) {
            struct plane t = *p;

            t.n0 = p->n0 - i < FROM ? p->n0 - i : FROM;
            t.n1 = p->n1 - j < TO ? p->n1 - j : TO;
            tile_copy(to + (size_t)(i * p->to0 + j * p->to1) * p->size,
                      from + (size_t)(i * p->from0 + j * p->from1) * p->size, &t);
        }
}

static void swap_axes(struct strided *w, int a, int b)
{
    const int64_t extent = w->extent[a], from = w->from[a], to = w->to[a];

    w->extent[a] = w->extent[b], w->from[a] = w->from[b], w->to[a] = w->to[b];
    w->extent[b] = extent, w->from[b] = from, w->to[b] = to;
}

/* Brings the axis along which the source is contiguous beside the innermost, so that tiles have both. */
static void pair_axes(struct strided *w)
{
    const int last = w->axes - 1;

    if (last < 1 || w->from[last] == 1)
        return;
    for (int a = 0; a < last - 1; a++)
        if (w->from[a] == 1)
            swap_axes(w, a, last - 1);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The innermost two axes, the others as one count, and how they are cut into pieces of work. */
struct cut {
    struct plane plane;
    int64_t outer, rows, cols, row_pieces, col_pieces;
};

static bool cut_make(struct cut *c, const struct strided *w)
{
    const int a = w->axes;
    struct plane *p = &c->plane;

    *c = (struct cut){.plane = {.n0 = 1, .n1 = 1, .from1 = 1, .to1 = 1, .size = w->size}, .outer = 1};
    if (a > 0)
        p->n1 = w->extent[a - 1], p->from1 = w->from[a - 1], p->to1 = w->to[a - 1];
    if (a > 1)
        p->n0 = w->extent[a - 2], p->from0 = w->from[a - 2], p->to0 = w->to[a - 2];
    for (int i = 0; i < a - 2; i++)
        c->outer *= w->extent[i];
    if (!c->outer || !p->n0 || !p->n1)
        return false;
    c->cols = smaller(p->n1, ROW);
    c->rows = smaller(p->n0, PIECE / c->cols > FROM ? PIECE / c->cols : FROM);
    c->row_pieces = (p->n0 + c->rows - 1) / c->rows;
    c->col_pieces = (p->n1 + c->cols - 1) / c->cols;
    return true;
}

static void piece_copy(const struct cut *c, const struct strided *w, char *to, const char *from,
                       int64_t piece)
{
    const int64_t j = piece % c->col_pieces * c->cols, i = piece / c->col_pieces % c->row_pieces * c->rows;
    struct plane p = c->plane;
    int64_t index = piece / c->col_pieces / c->row_pieces;
    int64_t at_to = i * p.to0 + j * p.to1, at_from = i * p.from0 + j * p.from1;

    p.n0 = smaller(c->rows, p.n0 - i);
    p.n1 = smaller(c->cols, p.n1 - j);
    for (int a = w->axes - 3; a >= 0; a--) {
        at_to += index % w->extent[a] * w->to[a];
        at_from += index % w->extent[a] * w->from[a];
        index /= w->extent[a];
    }
    plane_copy(to + (size_t)at_to * p.size, from + (size_t)at_from * p.size, &p);
}

void strided_copy(const struct strided *given, void *to, const void *from, int threads)
{
    struct strided w = *given;
    struct cut c;

    pair_axes(&w);
    if (!cut_make(&c, &w))
        return;
    const int64_t pieces = c.outer * c.row_pieces * c.col_pieces;
#pragma omp parallel for num_threads(threads) if (pieces > 1 && threads > 1) schedule(static)
    for (int64_t i = 0; i < pieces; i++)
        piece_copy(&c, &w, to, from, i);
}
