#include "align/search.h"
#include "base/mem.h"
#include "base/par.h"
#include <math.h>

enum { REACH = 6 /* nodes in x and y */, ACROSS = 2 * REACH + 1 };

static const double overlap_least = 0.4, gain_least = 0.1; /* section 5.1 */
static const int64_t mismatch = 2 * 255 * 255;             /* 2 in byte units */

struct searching {
    const struct search_side *fixed, *moving;
    int32_t *base;  /* moving node nearest to every fixed node, 3 per node */
    int64_t least;  /* nodes that must overlap */
    int64_t lowest; /* first shift in z */
    double *cost;   /* by shift; infinity: too little overlap */
};

static double shift_cost(const struct searching *s, const int64_t shift[3])
{
    int64_t count = lattice_count(&s->fixed->f->at), seen = 0, both = 0, sum = 0;
    const int64_t *n = s->moving->f->at.size;

    for (int64_t i = 0; i < count; i++) {
        const int32_t *b = s->base + 3 * i;
        int64_t x = b[0] + shift[0], y = b[1] + shift[1], z = b[2] + shift[2], j;

        if (x < 0 || y < 0 || z < 0 || x >= n[0] || y >= n[1] || z >= n[2])
            continue;
        j = lattice_index(n, x, y, z);
        if (!s->moving->f->node[FEATURE_NODE * j + FEATURE_VALID])
            continue;
        if (!s->fixed->body[i] && !s->moving->body[j])
            continue;
        seen++;
        both += s->fixed->body[i] && s->moving->body[j];
        sum += feature_distance(s->fixed->f->node + FEATURE_NODE * i, s->moving->f->node + FEATURE_NODE * j);
        sum += s->fixed->body[i] != s->moving->body[j] ? mismatch : 0;
    }
    return both && both >= s->least ? (double)sum / ((double)FEATURE_SQUARE * (double)seen) : INFINITY;
}

static void search_row(void *ctx, int64_t job)
{
    const struct searching *s = ctx;
    int64_t shift[3] = {0, job % ACROSS - REACH, job / ACROSS + s->lowest};

    for (int64_t x = 0; x < ACROSS; x++) {
        shift[0] = x - REACH;
        s->cost[job * ACROSS + x] = shift_cost(s, shift);
    }
}

static int64_t body_count(const struct search_side *s)
{
    int64_t n = 0, count = lattice_count(&s->f->at);

    for (int64_t i = 0; i < count; i++)
        n += s->body[i];
    return n;
}

/* The moving node nearest to each fixed node at the header's position. */
static void find_base(struct searching *s, const struct affine *map)
{
    const int64_t *n = s->fixed->f->at.size;
    int32_t *out = s->base;

    for (int64_t z = 0; z < n[2]; z++)
        for (int64_t y = 0; y < n[1]; y++)
            for (int64_t x = 0; x < n[0]; x++) {
                double p[3] = {(double)x, (double)y, (double)z};

                affine_apply(map, p, p);
                for (int a = 0; a < 3; a++)
                    *out++ = (int32_t)floor(p[a] + 0.5);
            }
}

/* The world shift that moves nodes by `shift`, with what rounding to nodes took at the lattice's middle. */
static void world_shift(double mm[3], const struct searching *s, const struct affine *map,
                        const int64_t shift[3])
{
    double p[3];

    for (int a = 0; a < 3; a++)
        p[a] = (double)(s->fixed->f->at.size[a] / 2);
    affine_apply(map, p, p);
    for (int a = 0; a < 3; a++)
        p[a] = floor(p[a] + 0.5) - p[a] + (double)shift[a];
    affine_turn(&s->moving->f->at.to_world, p, mm);
}

static void choose(struct search_result *out, const struct searching *s, const struct affine *map,
                   int64_t rows)
{
    int64_t best = 0, shift[3];

    out->header = INFINITY;
    for (int64_t i = 0; i < rows * ACROSS; i++) {
        best = s->cost[i] < s->cost[best] ? i : best;
        shift[0] = i % ACROSS - REACH;
        shift[1] = i / ACROSS % ACROSS - REACH;
        shift[2] = i / (ACROSS * ACROSS) + s->lowest;
        if (!shift[0] && !shift[1] && !shift[2])
            out->header = s->cost[i];
    }
    out->best = s->cost[best];
    out->kept = !(out->best < (1 - gain_least) * out->header);
    shift[0] = best % ACROSS - REACH;
    shift[1] = best / ACROSS % ACROSS - REACH;
    shift[2] = best / (ACROSS * ACROSS) + s->lowest;
    if (!out->kept)
        world_shift(out->shift, s, map, shift);
}

enum err search_translation(struct search_result *out, const struct search_side *fixed,
                            const struct search_side *moving)
{
    struct searching s = {.fixed = fixed, .moving = moving};
    struct affine identity = affine_identity(), map;
    int64_t f = body_count(fixed), m = body_count(moving), rows, lowest = INT32_MAX, highest = INT32_MIN;
    const int64_t *n = moving->f->at.size;
    int64_t count = lattice_count(&fixed->f->at);
    enum err err;

    *out = (struct search_result){.kept = true};
    map = lattice_map(&fixed->f->at, &identity, &moving->f->at);
    s.least = (int64_t)ceil(overlap_least * (double)(f < m ? f : m));
    s.base = mem_new((size_t)count, 3 * sizeof *s.base);
    if (!s.base)
        return ERR_MEMORY;
    find_base(&s, &map);
    for (int64_t i = 0; i < count; i++) {
        lowest = s.base[3 * i + 2] < lowest ? s.base[3 * i + 2] : lowest;
        highest = s.base[3 * i + 2] > highest ? s.base[3 * i + 2] : highest;
    }
    s.lowest = -highest; /* the top fixed slice on the lowest moving slice */
    rows = (n[2] - lowest + highest) * ACROSS;
    s.cost = mem_new((size_t)(rows * ACROSS), sizeof *s.cost);
    err = s.cost ? ERR_OK : ERR_MEMORY;
    if (!err) {
        par_for(rows, search_row, &s);
        choose(out, &s, &map, rows);
    }
    mem_free(s.base);
    mem_free(s.cost);
    return err;
}
