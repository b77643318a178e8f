#include "backend/strided.h"

#include <stdbool.h>
#include <string.h>

enum { TILE = 32, PIECE = 16 * 1024 /* elements a thread copies at once, about */ };

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
STRIDED(strided_4, uint32_t)
STRIDED(strided_8, uint64_t)

static void tile_copy(void *to, const void *from, const struct plane *p)
{
    if (p->size == sizeof(uint32_t))
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
    for (int64_t i = 0; i < p->n0; i += TILE)
        for (int64_t j = 0; j < p->n1; j += TILE) {
            struct plane t = *p;

            t.n0 = p->n0 - i < TILE ? p->n0 - i : TILE;
            t.n1 = p->n1 - j < TILE ? p->n1 - j : TILE;
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

void strided_copy(const struct strided *given, void *to, const void *from, int threads)
{
    struct strided w = *given;
    int64_t outer = 1, per_piece, pieces;
    struct plane p = {.n0 = 1, .n1 = 1, .from1 = 1, .to1 = 1, .size = w.size};

    pair_axes(&w);
    if (w.axes > 0)
        p.n1 = w.extent[w.axes - 1], p.from1 = w.from[w.axes - 1], p.to1 = w.to[w.axes - 1];
    if (w.axes > 1)
        p.n0 = w.extent[w.axes - 2], p.from0 = w.from[w.axes - 2], p.to0 = w.to[w.axes - 2];
    if (w.axes == 1 && p.n1 > PIECE) { /* one long row: cut it; the last row is shorter and comes last */
        p.n0 = p.n1 / PIECE, p.from0 = PIECE * p.from1, p.to0 = PIECE * p.to1;
        struct plane rest = p;
        rest.n0 = 1, rest.n1 = p.n1 % PIECE;
        if (rest.n1)
            plane_copy((char *)to + (size_t)(p.n0 * p.to0) * p.size,
                       (const char *)from + (size_t)(p.n0 * p.from0) * p.size, &rest);
        p.n1 = PIECE;
    }
    for (int a = 0; a < w.axes - 2; a++)
        outer *= w.extent[a];
    if (!outer || !p.n0 || !p.n1)
        return;
    per_piece = PIECE / p.n1 > 0 ? PIECE / p.n1 : 1;
    pieces = (p.n0 + per_piece - 1) / per_piece;
    const bool alone = outer * pieces < 2 || threads < 2;

#pragma omp parallel for num_threads(threads) if (!alone) schedule(static)
    for (int64_t i = 0; i < outer * pieces; i++) {
        int64_t index = i / pieces, first = i % pieces * per_piece;
        int64_t at_to = first * p.to0, at_from = first * p.from0;
        struct plane part = p;

        part.n0 = p.n0 - first < per_piece ? p.n0 - first : per_piece;
        for (int a = w.axes - 3; a >= 0; a--) {
            at_to += index % w.extent[a] * w.to[a];
            at_from += index % w.extent[a] * w.from[a];
            index /= w.extent[a];
        }
        plane_copy((char *)to + (size_t)at_to * p.size, (const char *)from + (size_t)at_from * p.size, &part);
    }
}
